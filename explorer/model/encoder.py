"""A tower, a model and the parser as the one object that indexing and search use: numpy in, numpy out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch

from explorer.config import ModelConfig
from explorer.language import phrases as parser
from explorer.language.role_graph import RoleGraph
from explorer.model.batch import collate_text
from explorer.model.contextual import Spans, join_sentences, span_vectors, token_shares
from explorer.model.hcmi import TextLevels, VideoLevels
from explorer.model.towers.tower import Tower, TowerOutput
from explorer.records import FrameSize, LevelWeights, Phrase, TextFeatures

WINDOWS_AT_ONCE = 512

Phrases = tuple[Phrase, ...]


class Encoder:
    """Encodes frames, windows and texts with one checkpoint.

    Args:
        tower: gives frame and text features.
        model: HCMI or HGR over those features.
        name: the checkpoint's id; every stored vector names it.
    """

    def __init__(self, tower: Tower, model: Any, *, name: str) -> None:
        self.tower, self.name = tower, name
        self.model = model.eval().requires_grad_(False).to(tower.device)
        self.config: ModelConfig = model.config
        if tower.dim != self.config.dim:
            raise ValueError(f"tower {tower.name} gives width {tower.dim}, the model takes {self.config.dim}")

    @property
    def tower_name(self) -> str:
        return self.tower.name

    @property
    def dim(self) -> int:
        """D."""
        return self.config.dim

    @property
    def frame_size(self) -> FrameSize:
        return self.tower.frame_size

    def make_ready(self) -> Iterator[str]:
        """Choose what encodes frames; what takes its time is said in a sentence before it is done."""
        return self.tower.make_ready()

    def encode_frames(self, pixels: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) uint8 of `frame_size` -> (N, D) float16, unit length."""
        return self.tower.encode_frames(pixels)

    def text(self, text: str, phrases: Sequence[Phrase] = ()) -> TextFeatures:
        """Features of one text; `phrases` are those a person chose, else the parser's."""
        return self.texts([text], phrases=[tuple(phrases)])[0]

    def texts(self, texts: Sequence[str], *, phrases: Sequence[Sequence[Phrase]] | None = None) -> list[TextFeatures]:
        """Features of many texts; equal texts, words and phrases are encoded once."""
        parsed = parser.parse(list(texts))
        spans = [tuple(chosen) or found.phrases for chosen, found in zip(phrases or [()] * len(texts), parsed)]
        words = [found.words[: self.config.words] for found in parsed]
        if self.config.text_levels == "prompted":
            return self._encode_prompts(texts, words, spans)
        outputs = self._by_sentence(texts, [found.sentences for found in parsed])
        return [self._in_context(*row) for row in zip(texts, outputs, words, spans)]

    def _encode_prompts(
        self, texts: Sequence[str], words: Sequence[Phrases], spans: Sequence[Phrases]
    ) -> list[TextFeatures]:
        """Words and phrases as texts of their own."""
        prompts = [self._prompt(span.text) for row in (*words, *spans) for span in row]
        vectors = self._vectors([*texts, *prompts])
        return [
            TextFeatures(
                text,
                vectors[text],
                self._rows(vectors, own),
                tuple(word.text for word in own),
                self._rows(vectors, chosen),
                chosen,
            )
            for text, own, chosen in zip(texts, words, spans)
        ]

    def _by_sentence(self, texts: Sequence[str], sentences: Sequence[Spans]) -> list[TowerOutput]:
        """Each text as a whole, its tokens read in their own sentence: the next sentence may speak of another scene."""
        pieces = [[text[start:end] for start, end in spans] for text, spans in zip(texts, sentences)]
        distinct = list(dict.fromkeys(chain(texts, *pieces)))  # equal sentences are read once
        read = dict(zip(distinct, self.tower.encode_tokens(distinct)))
        return [
            join_sentences(read[text], [read[piece] for piece in own], [start for start, _ in spans])
            if spans
            else read[text]
            for text, own, spans in zip(texts, pieces, sentences)
        ]

    def _in_context(self, text: str, output: TowerOutput, words: Phrases, spans: Phrases) -> TextFeatures:
        """Words and phrases as means of the text's token outputs; where text is learned, words are the tokens
        themselves."""
        phrases = self._average_spans(output, spans)
        if self.config.text_levels == "learned":
            return TextFeatures(
                text, output.sentence, output.vectors, tuple(text[a:b] for a, b in output.spans), phrases, spans
            )
        return TextFeatures(
            text,
            output.sentence,
            self._average_spans(output, words),
            tuple(word.text for word in words),
            phrases,
            spans,
        )

    def _average_spans(self, output: TowerOutput, spans: Phrases) -> np.ndarray:
        """(n, D) means of token outputs; what lies past the tower's length is a text of its own."""
        rows = span_vectors(output.vectors, token_shares(output.spans, spans))
        cut = [i for i, row in enumerate(rows) if not row.any()]
        if cut:
            rows[cut] = self.tower.encode_texts([self._prompt(spans[i].text) for i in cut])
        return rows

    def _vectors(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Each distinct text with its vector (D,)."""
        distinct = list(dict.fromkeys(texts))
        return dict(zip(distinct, self.tower.encode_texts(distinct)))

    def windows(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Coarse vectors: (V, F, D) frame features and (V, F) bool -> (V, D) float32, unit length."""
        runs = [
            self.levels(features[i : i + WINDOWS_AT_ONCE], mask[i : i + WINDOWS_AT_ONCE]).video.cpu().numpy()
            for i in range(0, len(features), WINDOWS_AT_ONCE)
        ]
        return np.concatenate(runs) if runs else np.zeros((0, self.dim), np.float32)

    @torch.inference_mode()
    def levels(self, features: np.ndarray, mask: np.ndarray) -> VideoLevels:
        """All three levels of V windows: (V, F, D) frame features, (V, F) bool."""
        frames = torch.from_numpy(np.asarray(features, np.float32)).to(self.tower.device)
        return self.model.encode_video(frames, torch.from_numpy(np.ascontiguousarray(mask)).to(self.tower.device))

    @torch.inference_mode()
    def text_levels(self, texts: Sequence[TextFeatures]) -> TextLevels:
        """All three levels of Q texts."""
        return self.model.encode_text(self.batch(texts))

    def batch(self, texts: Sequence[TextFeatures]) -> Any:
        """Padded tensors of Q texts on the tower's device, with their role graphs where the model is HGR."""
        if self.config.model == "hgr":
            from explorer.model.hgr_text import collate_graphs

            return collate_graphs(texts, self.config).to(self.tower.device)
        return collate_text(texts, self.config).to(self.tower.device)

    @torch.inference_mode()
    def score(
        self, texts: Sequence[TextFeatures], features: np.ndarray, mask: np.ndarray, weights: LevelWeights | None = None
    ) -> dict[str, np.ndarray]:
        """Score Q texts against V windows.

        Args:
            texts: Q texts.
            features: (V, F, D) frame features of the windows.
            mask: (V, F) bool, True where the frame is real.
            weights: None takes the checkpoint's.

        Returns:
            level name -> (Q, V) float32 for each of LEVELS, and "total".
        """
        levels = self.model.similarity(self.text_levels(texts), self.levels(features, mask), weights)
        return {name: value.float().cpu().numpy() for name, value in levels.items()}

    @torch.inference_mode()
    def node_cosines(self, graph: RoleGraph, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """HGR alone: which frame met which node of a text's role graph.

        Args:
            graph: of the text.
            features: (1, F, D) frame features of one window.
            mask: (1, F) bool, True where the frame is real.

        Returns:
            (nodes, F) cosines in the order of the graph's nodes, NaN for a node or frame that is not there.
        """
        from explorer.model.hgr_text import slots

        frames = torch.from_numpy(np.asarray(features, np.float32)).to(self.tower.device)
        rows = self.model.explain(
            self.text_levels([self.text(graph.text)]),
            frames,
            torch.from_numpy(np.ascontiguousarray(mask)).to(self.tower.device),
        )
        return rows.float().cpu().numpy()[slots(graph)]

    def _prompt(self, text: str) -> str:
        return self.config.prompt.format(text)

    def _rows(self, vectors: dict[str, np.ndarray], spans: Phrases) -> np.ndarray:
        return np.stack([vectors[self._prompt(span.text)] for span in spans]) if spans else self._none()

    def _none(self) -> np.ndarray:
        return np.zeros((0, self.dim), np.float32)
