"""The losses of one batch and their gradients into towers and hierarchy, a chunk of activations at a time (arXiv
2101.06983)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explorer.config import ModelConfig, TrainConfig
from explorer.language import phrases as parser
from explorer.model.batch import TextBatch
from explorer.model.contextual import token_shares
from explorer.model.hierarchy import unit
from explorer.model.towers.tower import Tower
from explorer.records import Phrase, TextFeatures
from explorer.training.dataset import PairData, positives, random_view
from explorer.training.objective import from_levels
from explorer.training.towers.joint import Joint
from explorer.training.towers.pixels import PixelData

IMAGES_AT_ONCE = {"cuda": 128}  # of a pass with gradients; elsewhere 16, so that early layers stay in cache
TEXTS_AT_ONCE = {"cuda": 256}  # elsewhere 64


class Cached:
    """One chunk of tower outputs: `leaf` takes the loss's gradient, `push` runs the tower again and hands it on.

    The batch is scored whole while only one chunk's activations are ever held (gradient caching, arXiv 2101.06983).
    """

    def __init__(self, make: Callable[[], Tensor]) -> None:
        self.make = make
        with torch.no_grad():
            self.leaf = make()
        self.leaf.requires_grad_()

    def push(self) -> None:
        if self.leaf.grad is not None:
            self.make().backward(self.leaf.grad)


def gradients(
    joint: Joint,
    tower: Tower,
    data: PixelData,
    train: PairData,
    numbers: np.ndarray,
    config: TrainConfig,
    *,
    rng: np.random.Generator,
) -> dict[str, Tensor]:
    """The named losses of one batch; their gradient is left in the parameters."""
    texts = [train.texts[int(n)] for n in numbers]
    with precision(tower):
        videos, frame_chunks = _videos(joint, tower, data, train.owners[numbers], rng=rng, views=1 + config.denoise)
        batch, text_chunks = _texts(tower, texts, joint.config)
        encoded = joint.hierarchy.encode_text(batch)
        named = from_levels(
            joint.hierarchy, encoded, videos, torch.from_numpy(positives(train, numbers)).to(tower.device), config
        )
    if torch.isfinite(named["loss"]):
        named["loss"].backward()
        for chunk in (*frame_chunks, *text_chunks):
            with precision(tower):
                chunk.push()
    return named


def _videos(
    joint: Joint, tower: Tower, data: PixelData, owners: np.ndarray, *, rng: np.random.Generator, views: int
) -> tuple[list[Any], list[Cached]]:
    """Levels of each caption's video: over all its frames, then (for denoising) over some of them. Each frame is
    encoded once."""
    distinct, place = np.unique(owners, return_inverse=True)
    first = np.cumsum([0, *data.counts[distinct]])
    size = IMAGES_AT_ONCE.get(tower.device.type, 16)
    pixels = np.concatenate([data.frames(video) for video in distinct])
    chunks = [Cached(lambda part=pixels[i : i + size]: tower.image_vectors(part)) for i in range(0, len(pixels), size)]  # type: ignore[misc]
    vectors = torch.cat([chunk.leaf for chunk in chunks])
    rows = [np.arange(first[video], first[video + 1]) for video in place]
    drawn = [rows] + [[row[random_view(len(row), data.pixels.shape[1], rng)] for row in rows] for _ in range(views - 1)]
    return [joint.hierarchy.encode_video(*_gather(vectors, view)) for view in drawn], chunks


def _texts(tower: Tower, texts: Sequence[TextFeatures], config: ModelConfig) -> tuple[TextBatch, list[Cached]]:
    """What `collate_text` makes of a batch, with gradients into the tower; each distinct text is encoded once."""
    spans = [[phrase.text for phrase in text.phrase_spans] for text in texts]
    words = [list(text.word_texts[: config.words]) for text in texts]
    if config.text_levels == "prompted":
        row_of, vectors, chunks = _encode_texts(
            tower, [text.text for text in texts], [config.prompt.format(one) for row in words + spans for one in row]
        )
        alone = [[row_of[text.text]] for text in texts]
        prompts = [
            [[row_of[config.prompt.format(one)] for one in row] or only for row, only in zip(rows, alone, strict=True)]
            for rows in (words, spans)
        ]
        (word_vectors, word_mask), (span_vectors, span_mask) = (_gather(vectors, rows) for rows in prompts)
        return TextBatch(
            _gather(vectors, alone)[0][:, 0], word_vectors, word_mask, span_vectors, span_mask, span_mask.float()
        ), chunks
    row_of, vectors, chunks = _encode_texts(tower, [text.text for text in texts], [])
    sentence = vectors[[row_of[text.text] for text in texts]]
    outputs, mask, found, more = _tokens(tower, texts)
    if config.text_levels == "learned":
        real = mask & (mask.cumsum(dim=1) <= config.words)
        word_vectors, word_mask = _or_sentence(outputs * real[:, :, None], real, sentence)
        none = sentence.new_zeros(len(texts), 0)
        return TextBatch(sentence, word_vectors, word_mask, sentence[:, None][:, :0], none.bool(), none), [
            *chunks,
            *more,
        ]
    own = [parser.words(text.text)[: config.words] for text in texts]
    levels = [
        _or_sentence(*_average_spans(outputs, mask, found, rows), sentence)
        for rows in (own, [text.phrase_spans for text in texts])
    ]
    (word_vectors, word_mask), (span_vectors, span_mask) = levels
    return TextBatch(sentence, word_vectors, word_mask, span_vectors, span_mask, span_mask.float()), [*chunks, *more]


def _encode_texts(
    tower: Tower, texts: Sequence[str], prompts: Sequence[str]
) -> tuple[dict[str, int], Tensor, list[Cached]]:
    """Each distinct text once: its row, the vectors (U, D), and the chunks they came in."""
    order = sorted(dict.fromkeys([*texts, *prompts]), key=len)  # like lengths pad little
    size = TEXTS_AT_ONCE.get(tower.device.type, 64)
    chunks = [Cached(lambda part=order[i : i + size]: tower.text_vectors(part)) for i in range(0, len(order), size)]  # type: ignore[misc]
    return {text: row for row, text in enumerate(order)}, torch.cat([chunk.leaf for chunk in chunks]), chunks


def _tokens(tower: Tower, texts: Sequence[TextFeatures]) -> tuple[Tensor, Tensor, list[Any], list[Cached]]:
    """Token outputs (Q, L, D) of a batch, each sentence read by itself, their mask (Q, L) and the characters of each
    real one."""
    cuts = [found.sentences or ((0, len(found.text)),) for found in parser.parse([text.text for text in texts])]
    pieces = [text.text[start:end] for text, spans in zip(texts, cuts) for start, end in spans]
    size = TEXTS_AT_ONCE.get(tower.device.type, 64)
    parts = [pieces[i : i + size] for i in range(0, len(pieces), size)]
    with torch.no_grad():
        known = [tower.token_vectors(part)[1:] for part in parts]
    chunks = [Cached(lambda part=part: tower.token_vectors(part)[0]) for part in parts]  # type: ignore[misc]
    longest = max(mask.shape[1] for mask, _ in known)
    outputs = torch.cat([nn.functional.pad(c.leaf, (0, 0, 0, longest - c.leaf.shape[1])) for c in chunks])
    real = torch.cat([nn.functional.pad(mask, (0, longest - mask.shape[1])) for mask, _ in known])
    places = iter([row for _, rows in known for row in rows])
    found = [[(a + start, b + start) for start, _ in spans for a, b in next(places)] for spans in cuts]
    rows = iter(real.flatten().nonzero().squeeze(1).tolist())  # of the outputs laid end to end
    tokens, mask = _gather(outputs.flatten(0, 1), [list(islice(rows, len(row))) for row in found])
    return tokens, mask, found, chunks


def _average_spans(
    tokens: Tensor, mask: Tensor, places: Sequence[Any], spans: Sequence[Sequence[Phrase]]
) -> tuple[Tensor, Tensor]:
    """Means of token outputs (Q, L, D) under the spans of each text: (Q, N, D) unit and their mask (Q, N)."""
    shares = tokens.new_zeros(len(tokens), max(1, *map(len, spans)), tokens.shape[1])
    for row, (real, at, wanted) in enumerate(zip(mask, places, spans, strict=True)):
        if wanted:
            table = torch.from_numpy(token_shares(at, wanted)).to(tokens)
            shares[row, : len(wanted), real.nonzero().squeeze(1)] = table
    return unit(shares @ tokens), shares.sum(-1) > 0


def _or_sentence(tokens: Tensor, mask: Tensor, sentence: Tensor) -> tuple[Tensor, Tensor]:
    """The sentence (Q, D) stands in where a text has no word or phrase of its own: one column more, in front."""
    empty = ~mask.any(dim=1)
    return torch.cat([sentence[:, None] * empty[:, None, None], tokens], dim=1), torch.cat(
        [empty[:, None], mask], dim=1
    )


def _gather(vectors: Tensor, rows: Sequence[Sequence[int] | np.ndarray]) -> tuple[Tensor, Tensor]:
    """Rows (n_i,) of vectors (U, D) for B items -> ((B, max n, D) padded with 0, (B, max n) bool)."""
    longest = max(len(row) for row in rows)
    index = torch.tensor(
        [[*map(int, row), *[-1] * (longest - len(row))] for row in rows], dtype=torch.long, device=vectors.device
    )
    mask = index >= 0
    return vectors[index.clamp(min=0)] * mask[:, :, None], mask


def precision(tower: Tower) -> torch.autocast:
    """bf16 on a GPU that has it; a CPU computes in full."""
    able = tower.device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast(tower.device.type, dtype=torch.bfloat16, enabled=able)
