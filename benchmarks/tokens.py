"""Keeps a text tower's sentence and token outputs of captions in one file, for models that read words in their context."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from explorer.model.encoder import Encoder
from explorer.records import TextFeatures
from explorer.training.dataset import PairData

MOST_TOKENS = 32               # of a text, as ModelConfig.words


class Tokens:
    """Features of texts by their words, encoded where the file does not have them yet.

    Args:
        encoder: its tower gives the outputs.
        path: an .npz of texts, sentences (Q, D), tokens (sum W, D), spans (sum W, 2) and counts (Q,); fp16, no pickle.
    """

    def __init__(self, encoder: Encoder, path: Path) -> None:
        self.encoder, self.path = encoder, path
        self.rows: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        if path.exists():
            self._read()

    def __call__(self, texts: Sequence[str]) -> list[TextFeatures]:
        """The features of each text, words being its tokens."""
        new = [text for text in dict.fromkeys(texts) if text not in self.rows]
        if new:
            self._encode(new)
        return [self._features(text) for text in texts]

    def of(self, data: PairData) -> PairData:
        """The same pairs with these texts."""
        return replace(data, texts=self([data.texts[i].text for i in range(len(data))]))

    def _features(self, text: str) -> TextFeatures:
        sentence, tokens, spans = self.rows[text]
        none = np.zeros((0, len(sentence)), np.float32)
        return TextFeatures(text, sentence.astype(np.float32), tokens.astype(np.float32),
                            tuple(text[start:end] for start, end in spans), none)

    def _encode(self, texts: list[str]) -> None:
        tower = self.encoder.tower
        for text, sentence, found in zip(texts, tower.encode_texts(texts), tower.encode_tokens(texts), strict=True):
            spans = np.array(found.spans, np.int16).reshape(-1, 2)[:MOST_TOKENS]
            self.rows[text] = sentence.astype(np.float16), found.vectors[:MOST_TOKENS].astype(np.float16), spans
        self._write()

    def _write(self) -> None:
        sentences, tokens, spans = zip(*self.rows.values(), strict=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(self.path, texts=np.array(list(self.rows)), sentences=np.stack(sentences), tokens=np.concatenate(tokens),
                 spans=np.concatenate(spans), counts=np.array([len(row) for row in tokens]))

    def _read(self) -> None:
        with np.load(self.path, allow_pickle=False) as data:
            ends = np.cumsum(data["counts"])[:-1]
            self.rows = dict(zip(map(str, data["texts"]),
                                 zip(data["sentences"], np.split(data["tokens"], ends), np.split(data["spans"], ends))))
