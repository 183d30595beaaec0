"""From decoded frames or kept features to a video's rows: encode, cut windows, embed them, one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from explorer.config import SamplingConfig
from explorer.index.ahead import Task
from explorer.media.recorded import recorded
from explorer.media.sampling import windows as cut_windows
from explorer.records import ExplorerError, FrameFeatures, Frames, FrameSize, VideoInfo, Window
from explorer.store.drafts import Kept
from explorer.store.store import Store

WINDOW_BATCH = 256  # windows embedded at once: 3 MB of features at F = 12, D = 512


class FrameEncoder(Protocol):
    """What indexing needs of a model: its checkpoint's name, its tower's, and three functions."""

    name: str

    @property
    def tower_name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    @property
    def frame_size(self) -> FrameSize: ...

    def make_ready(self) -> Iterator[str]:
        """Do what must come before the first frame; what takes its time is said in a sentence before it is done."""

    def encode_frames(self, pixels: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) uint8 -> (N, D) float16, unit length."""

    def windows(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """(V, F, D) float16 and (V, F) bool -> (V, D) coarse unit vectors."""


class Draft:
    """What has been encoded of one file so far."""

    def __init__(self, task: Task, info: VideoInfo) -> None:
        self.task, self.info = task, info
        self.times: list[np.ndarray] = []
        self.vectors: list[np.ndarray] = []
        self.count = self.saved = 0
        self.damaged = False

    def resume(self, kept: Kept) -> None:
        """Begin with what an earlier run kept."""
        self._append(kept.features.times, kept.features.vectors)
        self.saved, self.damaged = self.count, kept.damaged

    def unsaved(self) -> FrameFeatures:
        """What was added since the last save."""
        times, vectors = np.concatenate(self.times), np.concatenate(self.vectors)
        return FrameFeatures(times[self.saved :], vectors[self.saved :])

    def add(self, frames: Frames, vectors: np.ndarray) -> None:
        """Take a run of frames with the vectors (M, D) of its fresh ones; the others share those they look like."""
        if frames.fresh is not None and not frames.fresh.all():
            before = [vectors] if frames.fresh[0] else [self.vectors[-1][-1:], vectors]
            vectors = np.concatenate(before)[np.cumsum(frames.fresh) - bool(frames.fresh[0])]
        self._append(frames.times, vectors)

    def _append(self, times: np.ndarray, vectors: np.ndarray) -> None:
        self.times.append(times)
        self.vectors.append(vectors)
        self.count += len(times)

    def features(self) -> FrameFeatures:
        """Everything encoded, as one record.

        Raises:
            ExplorerError: there is no frame, or the model gave numbers that are not finite.
        """
        if not self.count:
            raise ExplorerError(
                f"cannot index {self.task.file.path}: no frame could be decoded; convert it or remove it"
            )
        vectors = np.concatenate(self.vectors)
        if not np.isfinite(vectors).all():
            raise ExplorerError(
                f"cannot index {self.task.file.path}: the model gave numbers that are not finite; "
                "choose another checkpoint on the Models page"
            )
        return FrameFeatures(np.concatenate(self.times), vectors)


def batches(pixels: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Pixels of at most `size` frames: small batches, so that a cancel or a person is heard between two."""
    for first in range(0, len(pixels), size):
        yield pixels[first : first + size]


def stack(features: FrameFeatures, windows: Sequence[Window]) -> tuple[np.ndarray, np.ndarray]:
    """Frames of windows, padded: (V, F, D) float16 with zeros, (V, F) bool, True where real."""
    longest = max(window.count for window in windows)
    stacked = np.zeros((len(windows), longest, features.vectors.shape[1]), np.float16)
    mask = np.zeros((len(windows), longest), bool)
    for row, window in enumerate(windows):
        stacked[row, : window.count] = features.vectors[window.first : window.first + window.count]
        mask[row, : window.count] = True
    return stacked, mask


def embed_windows(encoder: FrameEncoder, features: FrameFeatures, windows: Sequence[Window]) -> np.ndarray:
    """(V, D) float16 coarse unit vectors of a file's windows.

    Raises:
        ExplorerError: the model gave numbers that are not finite.
    """
    runs = [windows[i : i + WINDOW_BATCH] for i in range(0, len(windows), WINDOW_BATCH)]
    parts = [encoder.windows(*stack(features, run)) for run in runs]
    vectors = np.concatenate(parts).astype(np.float16)
    if not np.isfinite(vectors).all():
        raise ExplorerError(f"the model {encoder.name} gave numbers that are not finite; choose another checkpoint")
    return vectors


def keep(
    store: Store,
    task: Task,
    info: VideoInfo,
    features: FrameFeatures,
    *,
    encoder: FrameEncoder,
    sampling: SamplingConfig,
    damage: str,
    notes: Sequence[str] = (),
) -> None:
    """Cut a file's frames into windows, embed them and keep everything in one transaction."""
    windows = cut_windows(features.times, info.duration, sampling)
    store.put_video(
        task.video.id,
        task.file,
        info=info,
        features=features,
        tower=encoder.tower_name,
        sampling=sampling.key,
        windows=windows,
        vectors=embed_windows(encoder, features, windows),
        encoder=encoder.name,
        damage=damage,
        notes=notes,
        recorded=recorded(task.file, info.created),
    )


def keep_features(
    store: Store,
    task: Task,
    info: VideoInfo,
    features: FrameFeatures,
    *,
    encoder: FrameEncoder,
    sampling: SamplingConfig,
    damage: str,
    notes: Sequence[str] = (),
) -> None:
    """Keep a file's features alone: its windows stay another encoder's, which goes on answering."""
    store.keep_features(
        task.file.fingerprint,
        info=info,
        features=features,
        tower=encoder.tower_name,
        sampling=sampling.key,
        damage=damage,
        notes=notes,
    )


def re_embed(store: Store, video_id: int, set_id: int, *, encoder: FrameEncoder, sampling: SamplingConfig) -> float:
    """Make a video's windows anew from kept features, without decoding; returns the seconds of video."""
    features, info, _ = store.set_features(set_id)
    windows = cut_windows(features.times, info.duration, sampling)
    store.put_windows(
        video_id, windows, vectors=embed_windows(encoder, features, windows), encoder=encoder.name, set_id=set_id
    )
    return info.duration
