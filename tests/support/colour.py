"""An exact encoder for whole-app tests: a frame is the one-hot vector of its colour, a text of the colours it names."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from explorer.records import FrameSize, Phrase, TextFeatures

COLOURS = ("red", "green", "blue", "white", "black")
VALUES = np.array([(220, 30, 30), (30, 200, 40), (30, 40, 220), (240, 240, 240), (16, 16, 16)], np.float32)
DIM = 8  # more than the colours, so that a vector of nothing known exists too
UNKNOWN = 7


def one_hot(index: int) -> np.ndarray:
    """(D,) float32."""
    return np.eye(DIM, dtype=np.float32)[index]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1; a row of zeros becomes the vector of nothing known."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(lengths > 0, vectors / np.maximum(lengths, 1e-9), one_hot(UNKNOWN)).astype(np.float32)


class ColourEncoder:
    """Mean colour of the middle -> one-hot; a window is the mean of its frames; a text the mean of its colour words."""

    def __init__(
        self, name: str = "colour-1", *, tower_name: str = "colour", size: int = 16, sign: float = 1.0
    ) -> None:
        self.name, self.tower_name, self.dim, self.sign = name, tower_name, DIM, sign
        self.frame_size = FrameSize(size, size)
        self.frames_seen = 0  # how many frames were really encoded: shows what was not decoded again

    def make_ready(self) -> Iterator[str]:
        return iter(())

    def encode_frames(self, pixels: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) uint8 -> (N, D) float16."""
        self.frames_seen += len(pixels)
        height, width = pixels.shape[1:3]
        middle = pixels[:, height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None].astype(np.float32)
        distance = np.linalg.norm(middle.mean((1, 2))[:, None] - VALUES[None], axis=-1)
        return np.eye(DIM, dtype=np.float16)[distance.argmin(1)]

    def windows(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """(V, F, D), (V, F) -> (V, D): the mean of the real frames, unit length; sign -1 is another checkpoint."""
        total = (features.astype(np.float32) * mask[..., None]).sum(1)
        return unit(total) * self.sign

    def text(self, text: str, phrases: tuple[Phrase, ...] = ()) -> TextFeatures:
        """Words that are colours, each a phrase of its own."""
        spans = [
            Phrase(m.group(), m.start(), m.end()) for m in re.finditer(r"\w+", text) if m.group().lower() in COLOURS
        ]
        words = (
            np.stack([one_hot(COLOURS.index(s.text.lower())) for s in spans])
            if spans
            else np.zeros((0, DIM), np.float32)
        )
        return TextFeatures(
            text, unit(words.sum(0)), words, tuple(s.text for s in spans), words, tuple(phrases) or tuple(spans)
        )
