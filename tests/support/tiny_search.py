"""A small exact world for search tests: real store, real cache, real HCMI; only the tower is a table of word vectors."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from explorer.config import ModelConfig
from explorer.model.batch import collate_text
from explorer.model.hcmi import HCMI
from explorer.records import FrameFeatures, Phrase, TextFeatures, VideoFile, VideoInfo, Window
from explorer.search.library import StoredLibrary
from explorer.store.store import Store
from explorer.store.vectors import VectorCache

DIM = 48
FRAMES, HOP = 4, 2


def word_vector(word: str) -> np.ndarray:
    """(D,) unit vector that depends on the word alone; two words are nearly at right angles."""
    vector = np.random.default_rng(zlib.crc32(word.lower().encode())).standard_normal(DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def mean_vector(words: Sequence[str]) -> np.ndarray:
    total = np.sum([word_vector(word) for word in words], axis=0)
    return (total / np.linalg.norm(total)).astype(np.float32)


class TinyEncoder:
    """Words are vectors, a text or phrase is the mean of its words; the levels are the real model's."""

    def __init__(self, name: str = "tiny", config: ModelConfig | None = None) -> None:
        self.name, self.dim = name, DIM
        self.model = HCMI(config or ModelConfig(dim=DIM, heads=4)).eval()

    def encode_frames(self, pixels: np.ndarray) -> np.ndarray:
        """The first pixel's red channel names a word, w0, w1, ..."""
        return np.stack([word_vector(f"w{int(frame[0, 0, 0])}") for frame in pixels]).astype(np.float16)

    def text(self, text: str, phrases: Sequence[Phrase] = ()) -> TextFeatures:
        words = [
            Phrase(m[0], m.start(), m.end()) for m in re.finditer(r"\w+", text) if m[0].lower() not in ("then", "a")
        ]
        spans = tuple(phrases) or tuple(words)
        return TextFeatures(
            text,
            mean_vector([w.text for w in words]),
            np.stack([word_vector(w.text) for w in words]),
            tuple(w.text for w in words),
            np.stack([mean_vector(s.text.split()) for s in spans]),
            spans,
        )

    def texts(self, texts: Sequence[str]) -> list[TextFeatures]:
        return [self.text(text) for text in texts]

    @torch.inference_mode()
    def text_levels(self, texts: Sequence[TextFeatures]):
        return self.model.encode_text(collate_text(texts, self.model.config))

    @torch.inference_mode()
    def levels(self, features: np.ndarray, mask: np.ndarray):
        return self.model.encode_video(torch.from_numpy(features.astype(np.float32)), torch.from_numpy(mask))

    def windows(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return self.levels(features, mask).video.numpy()


def cut_windows(count: int) -> tuple[Window, ...]:
    """Windows of FRAMES frames a second apart, HOP apart, over `count` frames."""
    starts = range(0, max(count - FRAMES, 0) + 1, HOP)
    return tuple(
        Window(i, float(s), float(min(s + FRAMES, count)), s, min(FRAMES, count - s)) for i, s in enumerate(starts)
    )


def add_video(
    store: Store,
    root_id: int,
    path: str,
    frames: np.ndarray,
    encoder: TinyEncoder,
    *,
    fingerprint: str = "",
    mtime: float = 0.0,
) -> int:
    """Put a file of (N, D) frame vectors, one a second, into the store as indexing does."""
    file = VideoFile(path, size=len(frames), mtime_ns=int(mtime * 1e9), fingerprint=fingerprint or path)
    store.add_files(root_id, [file])
    video = store.by_path(path)
    assert video is not None
    windows = cut_windows(len(frames))
    features, mask = np.zeros((len(windows), FRAMES, DIM), np.float16), np.zeros((len(windows), FRAMES), bool)
    for row, window in enumerate(windows):
        features[row, : window.count] = frames[window.first : window.first + window.count]
        mask[row, : window.count] = True
    store.put_video(
        video.id,
        file,
        info=VideoInfo(float(len(frames)), 64, 48, 25.0, "h264", "mp4"),
        features=FrameFeatures(np.arange(len(frames)) + 0.5, frames.astype(np.float16)),
        tower="tiny",
        sampling="tiny",
        windows=windows,
        vectors=encoder.windows(features, mask).astype(np.float16),
        encoder=encoder.name,
    )
    return video.id


def scenes(*parts: tuple[str, int]) -> np.ndarray:
    """Frames of scenes: ("red car", 3) is three frames of the mean of the two words."""
    return np.concatenate([np.repeat(mean_vector(words.split())[None], count, 0) for words, count in parts])


def make_library(folder: Path, videos: dict[str, np.ndarray], encoder: TinyEncoder, **options: dict) -> StoredLibrary:
    """A library of files by name; options: name -> keyword arguments of add_video."""
    store = Store(folder / "index.db")
    root = store.add_root(folder)
    for name, frames in videos.items():
        add_video(store, root.id, str(folder / name), frames, encoder, **options.get(name, {}))
    return StoredLibrary(store, VectorCache(store, folder / "vectors.faiss", encoder=encoder.name))
