"""Captions and the pixels of their videos, for training that changes the towers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.language import phrases as parser
from explorer.records import CaptionPair, TextFeatures
from explorer.training.dataset import WHOLE, PairData

Entry = tuple[str, float | None, float | None]  # file, start, end: None is the whole file


@dataclass(frozen=True)
class PixelData:
    """V videos or spans as pixels (V, F, H, W, 3) uint8, counts (V,) real frames each, and their captions.

    pairs holds the captions with their words and phrases; its vectors are empty, as the towers that make them change.
    """

    pairs: PairData
    pixels: np.ndarray
    counts: np.ndarray

    def frames(self, video: int) -> np.ndarray:
        """(N, H, W, 3) of one video."""
        return self.pixels[video, : self.counts[video]]


def pixel_data(pairs: Sequence[CaptionPair], counts: Mapping[Entry, int], pixels: np.ndarray) -> PixelData:
    """Join captions with decoded entries, numbered in the order of `counts`; other captions are left out."""
    number = {entry: index for index, entry in enumerate(counts)}
    kept = [pair for pair in pairs if (pair.file, pair.start, pair.end) in number]
    parsed = parser.parse([pair.caption for pair in kept])
    none = np.zeros((0, 1), np.float32)
    texts = [
        TextFeatures(pair.caption, none, none, tuple(word.text for word in found.words), none, found.phrases)
        for pair, found in zip(kept, parsed, strict=True)
    ]
    spans = np.array([WHOLE if start is None else (start, end) for _, start, end in counts], np.float64).reshape(-1, 2)
    frames = tuple(np.zeros((count, 1), np.float16) for count in counts.values())
    owners = np.array([number[pair.file, pair.start, pair.end] for pair in kept], np.int64)
    return PixelData(
        PairData(tuple(file for file, _, _ in counts), spans, frames, texts, owners),
        pixels,
        np.array(list(counts.values()), np.int64),
    )
