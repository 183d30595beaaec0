"""Second step of a search: filters and the coarse vectors of all windows give the K candidates that are scored
finely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from explorer.records import FrameFeatures, LevelWeights, Query

CANDIDATES = 500  # K: 300 held the whole fine top 10 in every query tried (benchmarks/search_speed.py)


@dataclass(frozen=True)
class WindowBatch:
    """The kept features of V windows, padded to F frames of width D, one row a window.

    ids, video_ids and first are (V,) int64, first being the kept-frame number of each window's first frame; start and
    end are (V,) seconds; features is (V, F, D) float16 of unit rows; mask (V, F) is True where real.
    """

    ids: np.ndarray
    video_ids: np.ndarray
    first: np.ndarray
    start: np.ndarray
    end: np.ndarray
    features: np.ndarray
    mask: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class QueryVectors:
    """A text as the model compares it, its padding gone: sentence (D,), phrases (P, D), words (W, D), float32 unit.

    phrase_weights (P,) and word_weights (W,) are shares of sum 1; a model may find no phrase or no word in a text.
    """

    sentence: np.ndarray
    phrases: np.ndarray
    phrase_weights: np.ndarray
    words: np.ndarray
    word_weights: np.ndarray


@dataclass(frozen=True)
class VideoRow:
    """What a hit shows of its file."""

    id: int
    public_id: str
    path: str
    duration: float  # seconds
    fingerprint: str = ""
    recorded: float | None = None  # seconds since the epoch
    recorded_by: str = ""  # container, name or file


class Library(Protocol):
    """What a search asks of the index; every window named here was made by one encoder."""

    @property
    def encoder(self) -> str:
        """Name of the encoder that made the windows' vectors."""

    def allowed(self, query: Query) -> np.ndarray | None:
        """Ids (N,) of the windows that the query's filters leave; None where it has no filter."""

    def nearest(
        self, probes: np.ndarray, k: int, *, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k windows of the highest inner product for probes (R, D): ids (R, k), -1 where fewer, and scores (R,
        k)."""

    def windows(self, ids: np.ndarray) -> WindowBatch:
        """Kept features and places of the named windows, in the order named."""

    def windows_of(self, video_id: int) -> np.ndarray:
        """Ids of a file's windows, by time."""

    def frame_times(self, video_id: int) -> np.ndarray:
        """Seconds (N,) of a file's kept frames, ascending."""

    def frame_features(self, video_id: int) -> FrameFeatures:
        """A file's kept frames, all of them."""

    def spread(self, video_id: int) -> WindowBatch:
        """Some windows over the whole length of a file, by time."""

    def sample(self, count: int) -> np.ndarray:
        """At most `count` window ids, evenly over the library: the same ones until the library changes."""

    def videos(self, ids: Sequence[int]) -> Mapping[int, VideoRow]:
        """Rows of the named files."""


def _unit(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


def probes(query: QueryVectors, weights: LevelWeights) -> np.ndarray:
    """Coarse query vectors whose neighbours hold the windows of the highest total.

    The first is the total with every maximum taken as a mean: late interaction then is the product of the mean word
    (phrase) and the mean frame (clip), so its gradient is one vector, w_v sentence + w_c mean phrase + w_f mean word.
    The second is the sentence alone, for queries whose words and phrases point elsewhere.

    Args:
        query: the text's vectors.
        weights: the level weights of the total.

    Returns:
        (2, D) float32 unit vectors.
    """
    video, clip, frame = weights.normalised()
    mixed = (
        video * query.sentence
        + clip * (query.phrase_weights @ query.phrases)
        + frame * (query.word_weights @ query.words)
    )
    return _unit(np.stack([mixed if mixed.any() else query.sentence, query.sentence]).astype(np.float32))


def _merge(ids: np.ndarray, k: int) -> np.ndarray:
    """First k different ids of (R, k) neighbour lists, taken rank by rank: half from the first probe, the rest
    shared."""
    half = ids[:1, : max(k // 2, 1)].ravel()
    merged = np.concatenate([half, ids.T.ravel()])
    merged = merged[merged >= 0]
    _, first_seen = np.unique(merged, return_index=True)
    return merged[np.sort(first_seen)][:k]


def candidates(
    library: Library,
    vectors: QueryVectors,
    *,
    allowed: np.ndarray | None,
    weights: LevelWeights,
    k: int = CANDIDATES,
) -> np.ndarray:
    """Ids (at most k,) of the windows to score finely: those allowed (None: all) nearest to the query's probes."""
    if allowed is not None and len(allowed) == 0:
        return np.zeros(0, np.int64)
    if allowed is not None and len(allowed) <= k:
        return np.asarray(allowed, np.int64)
    ids, _ = library.nearest(probes(vectors, weights), k, allowed=allowed)
    return _merge(np.asarray(ids, np.int64), k)
