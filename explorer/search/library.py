"""The index as a search sees it: the store's windows and the coarse cache behind retrieve.Library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from explorer.records import FrameFeatures, Query
from explorer.search.query import day_bounds
from explorer.search.retrieve import VideoRow, WindowBatch
from explorer.store.store import Store
from explorer.store.vectors import VectorCache

WINDOWS_SPREAD = 5  # of a file, that tell whether another is its copy
FILES_REMEMBERED = 256  # frame times kept in memory: 29 KB an hour of video


class StoredLibrary:
    """A retrieve.Library over a Store and the VectorCache of one encoder.

    Args:
        store: the truth.
        vectors: the coarse cache of the encoder that made the windows.
        serves: the encoder that is to search, where it is another one over the same features.
    """

    def __init__(self, store: Store, vectors: VectorCache, *, serves: str = "") -> None:
        self.store, self.vectors, self.serves = store, vectors, serves
        self._times = lru_cache(FILES_REMEMBERED)(lambda video_id, _generation: store.features(video_id).times)

    @property
    def encoder(self) -> str:
        return self.serves or self.vectors.encoder

    @property
    def generation(self) -> int:
        """Rises with each change of the library; a calibration of another one is stale."""
        return self.store.generation()

    def allowed(self, query: Query) -> np.ndarray | None:
        after, before = day_bounds(query)
        return self.store.allowed_windows(
            folders=query.folders,
            files=query.files,
            after=after,
            before=before,
            longer=query.longer,
            shorter=query.shorter,
        )

    def nearest(
        self, probes: np.ndarray, k: int, *, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        ids, scores = np.full((len(probes), k), -1, np.int64), np.full((len(probes), k), -np.inf, np.float32)
        for row, probe in enumerate(probes):
            found, values = self.vectors.search(probe, k, allowed=allowed)
            ids[row, : len(found)], scores[row, : len(found)] = found, values
        return ids, scores

    def windows(self, ids: np.ndarray) -> WindowBatch:
        found = self.store.candidate_features(ids.tolist())
        rows = np.array([(w.id, w.video_id, w.first) for w in found.windows], np.int64).reshape(-1, 3)
        spans = np.array([(w.start, w.end) for w in found.windows], np.float64).reshape(-1, 2)
        return WindowBatch(
            ids=rows[:, 0],
            video_ids=rows[:, 1],
            first=rows[:, 2],
            start=spans[:, 0],
            end=spans[:, 1],
            features=found.features,
            mask=found.mask,
        )

    def windows_of(self, video_id: int) -> np.ndarray:
        return np.array([window.id for window in self.store.windows_of(video_id)], np.int64)

    def spread(self, video_id: int) -> WindowBatch:
        ids = self.windows_of(video_id)
        return self.windows(ids[np.unique(np.linspace(0, len(ids) - 1, WINDOWS_SPREAD).round().astype(np.int64))])

    def frame_times(self, video_id: int) -> np.ndarray:
        return self._times(video_id, self.generation)

    def frame_features(self, video_id: int) -> FrameFeatures:
        return self.store.features(video_id)

    def sample(self, count: int) -> np.ndarray:
        ids = self.vectors.ids()
        return ids[np.unique(np.linspace(0, len(ids) - 1, count).round().astype(np.int64))] if count < len(ids) else ids

    def videos(self, ids: Sequence[int]) -> Mapping[int, VideoRow]:
        return {
            key: VideoRow(
                key,
                video.public_id,
                video.path,
                video.info.duration if video.info else 0.0,
                video.fingerprint,
                video.recorded,
                video.recorded_by,
            )
            for key, video in self.store.by_ids(ids).items()
        }
