"""Ranked windows become moments: bounds from the frame curve, neighbours merged, copies of a file shown once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.search.retrieve import VideoRow, WindowBatch

PEAK_SHARE = 0.5  # a frame belongs to the moment while above this share of the way from baseline to peak
SAME_FILE_COSINE = 0.98  # mean over frames of copies, up to what another encoding changes
SAME_CHANGES = (
    0.5  # cosine of what changes from frame to frame in copies; on another day of a fixed camera it is near 0
)
STILL = 1e-4  # mean square change below which a file is one picture throughout
SAME_DURATION = 0.1  # seconds
MERGE_SHARE = 0.5  # two moments sharing this much of the shorter one are one


@dataclass(frozen=True)
class Moment:
    """A stretch of one file: `row` is its best window in the batch, `still` the kept-frame number of its peak."""

    row: int
    video_id: int
    start: float  # seconds
    end: float
    still: int
    total: float


@dataclass(frozen=True)
class FileCurve:
    """The frame curve of one file where candidates cover it: frame numbers (N,) ascending, their values and spans."""

    frames: np.ndarray
    values: np.ndarray
    starts: np.ndarray  # seconds
    ends: np.ndarray


def frame_spans(times: np.ndarray, start: float, end: float) -> np.ndarray:
    """The stretch (F, 2) in seconds that each frame stands for: half way to its neighbours, within [start, end].

    >>> frame_spans(np.array([1.0, 3.0]), 0.0, 4.0).tolist()
    [[0.0, 2.0], [2.0, 4.0]]
    """
    borders = np.concatenate([[start], (times[1:] + times[:-1]) / 2, [end]])
    return np.stack([borders[:-1], borders[1:]], axis=1)


def order(totals: np.ndarray, paths: Sequence[str], starts: np.ndarray) -> np.ndarray:
    """Rows by falling total, then path, then start; removed rows (minus infinity) are left out.

    Totals are compared to six decimals: below that, two equal windows differ by the order of summation only.

    >>> order(np.array([.5, .9, .5]), ["b", "c", "a"], np.zeros(3)).tolist()
    [1, 2, 0]
    """
    kept = np.flatnonzero(np.isfinite(totals)).tolist()
    return np.array(
        sorted(kept, key=lambda row: (-round(float(totals[row]), 6), paths[row], float(starts[row]))), np.int64
    )


def file_curve(batch: WindowBatch, curve: np.ndarray, rows: np.ndarray, times: np.ndarray) -> FileCurve:
    """Put the windows of one file together: a frame in several windows keeps its highest value and its widest span.

    Args:
        batch: the candidates.
        curve: (V, F) value of each frame.
        rows: the rows of one file, any order.
        times: (N,) seconds of all the file's kept frames.
    """
    seen: dict[int, tuple[float, float, float]] = {}
    for row in rows:
        first, count = int(batch.first[row]), int(batch.mask[row].sum())
        spans = frame_spans(times[first : first + count], float(batch.start[row]), float(batch.end[row]))
        for offset in range(count):
            number = first + offset
            value, (start, end) = float(curve[row, offset]), spans[offset]
            old = seen.get(number, (value, start, end))
            seen[number] = (max(value, old[0]), min(start, old[1]), max(end, old[2]))
    frames = np.array(sorted(seen), np.int64)
    table = np.array([seen[number] for number in frames.tolist()], np.float64).reshape(-1, 3)
    return FileCurve(frames, table[:, 0], table[:, 1], table[:, 2])


def grow(curve: FileCurve, peak: int, *, baseline: float, share: float = PEAK_SHARE) -> tuple[int, int]:
    """First and last position of the run around `peak` that stays above `share` of the way from baseline to peak.

    >>> c = FileCurve(np.arange(5), np.array([0., .6, 1., .4, .9]), np.arange(5.), np.arange(1., 6.))
    >>> grow(c, 2, baseline=0.0)
    (1, 2)
    """
    level = baseline + share * (curve.values[peak] - baseline)
    first = last = peak
    while first > 0 and curve.frames[first - 1] == curve.frames[first] - 1 and curve.values[first - 1] >= level:
        first -= 1
    while (
        last + 1 < len(curve.frames)
        and curve.frames[last + 1] == curve.frames[last] + 1
        and curve.values[last + 1] >= level
    ):
        last += 1
    return first, last


def grow_moment(batch: WindowBatch, curve: FileCurve, row: int, total: float, *, baseline: float) -> Moment:
    """The moment around one window: its peak frame, grown over its neighbours also past the window's borders."""
    first, count = int(batch.first[row]), int(batch.mask[row].sum())
    inside = np.flatnonzero((curve.frames >= first) & (curve.frames < first + count))
    peak = int(inside[np.argmax(curve.values[inside])])
    left, right = grow(curve, peak, baseline=baseline)
    return Moment(
        row=row,
        video_id=int(batch.video_ids[row]),
        start=float(curve.starts[left]),
        end=float(curve.ends[right]),
        still=int(curve.frames[peak]),
        total=total,
    )


def overlaps(first: Moment, second: Moment) -> bool:
    """True where the two share at least half of the shorter one."""
    shared = min(first.end, second.end) - max(first.start, second.start)
    return shared > 0 and shared >= MERGE_SHARE * min(first.end - first.start, second.end - second.start)


def same_film(first: WindowBatch, second: WindowBatch) -> bool:
    """True where windows at the same places of two files show the same frames, and change in the same way.

    A fixed camera sees the same picture every day, so that the frames alone prove nothing: what differs from the mean
    frame must agree as well, except where nothing moves in either file.

    Args:
        first: windows spread over one file, by time.
        second: those of the other.
    """
    if not np.array_equal(first.first, second.first) or not np.array_equal(first.mask, second.mask):
        return False
    a, b = (batch.features[batch.mask].astype(np.float32) for batch in (first, second))  # (N, D) each
    if float((a * b).sum(1).mean()) <= SAME_FILE_COSINE:
        return False
    a, b = a - a.mean(0), b - b.mean(0)
    moved, moved_too = float((a * a).sum() / len(a)), float((b * b).sum() / len(b))
    if max(moved, moved_too) < STILL:
        return True
    return float((a * b).sum() / len(a)) >= SAME_CHANGES * np.sqrt(moved * moved_too)


class _Copies:
    """Which files of a ranking are copies of a better one: the same bytes, or the same film over its whole length.

    Args:
        batch: the candidates.
        videos: rows of the files.
        spread: video id -> windows spread over the file; asked where a candidate of both looks the same.
    """

    def __init__(
        self, batch: WindowBatch, videos: Mapping[int, VideoRow], spread: Callable[[int], WindowBatch]
    ) -> None:
        self.batch, self.videos, self.spread = batch, videos, spread
        self.leader: dict[int, int] = {}  # file -> the first file seen that it is a copy of, or itself

    def leads(self, video_id: int) -> bool:
        """Whether a file stands for itself."""
        if video_id not in self.leader:
            leaders = [known for known, leader in self.leader.items() if known == leader]
            self.leader[video_id] = next((known for known in leaders if self._same(known, video_id)), video_id)
        return self.leader[video_id] == video_id

    def paths(self) -> dict[int, list[str]]:
        """For each file that has copies, their paths in order."""
        listed: dict[int, list[str]] = {}
        for video_id, leader in self.leader.items():
            if video_id != leader:
                listed.setdefault(leader, []).append(self.videos[video_id].path)
        return {leader: sorted(paths) for leader, paths in listed.items()}

    def _same(self, known: int, new: int) -> bool:
        first, second = self.videos[known], self.videos[new]
        if second.fingerprint and first.fingerprint == second.fingerprint:
            return True
        if abs(first.duration - second.duration) > SAME_DURATION or not self._meet(known, new):
            return False
        return same_film(self.spread(known), self.spread(new))

    def _meet(self, known: int, new: int) -> bool:
        """Whether candidates at the same place of both files look the same: costs nothing, unlike reading both."""
        place = {int(self.batch.first[row]): row for row in np.flatnonzero(self.batch.video_ids == known)}
        for row in np.flatnonzero(self.batch.video_ids == new).tolist():
            other = place.get(int(self.batch.first[row]))
            if other is not None:
                both = self.batch.mask[row] & self.batch.mask[other]
                a, b = (self.batch.features[i, both].astype(np.float32) for i in (row, other))
                return float((a * b).sum(1).mean()) > SAME_FILE_COSINE
        return False


def moments(
    batch: WindowBatch,
    totals: np.ndarray,
    curve: np.ndarray,
    videos: Mapping[int, VideoRow],
    *,
    times_of: Callable[[int], np.ndarray],
    spread: Callable[[int], WindowBatch],
    k: int,
    per_file: int | None = 3,
    baseline: float,
) -> tuple[list[Moment], dict[int, list[str]]]:
    """The k best moments: best windows first, each grown by the curve, at most `per_file` a file, copies left out.

    Args:
        batch: V candidates.
        totals: (V,) final scores; minus infinity leaves a window out.
        curve: (V, F) value of each frame, high where the phrases are.
        videos: rows of all files in the batch.
        times_of: video id -> seconds of its kept frames; asked for the files shown only.
        spread: video id -> windows spread over the file, to tell copies; asked for files of equal duration only.
        k: moments wanted.
        per_file: moments of one file at most; None, or where all candidates are of one file: as many as there are.
        baseline: value of the curve at an average frame of the library.

    Returns:
        moments by (total, path, start), and for each shown file the paths of its copies.
    """
    paths = [videos[int(video_id)].path for video_id in batch.video_ids]
    limit = k if per_file is None or len(set(paths)) == 1 else per_file
    found: list[Moment] = []
    curves: dict[int, FileCurve] = {}
    copies = _Copies(batch, videos, spread)
    for row in order(totals, paths, batch.start).tolist():
        video_id = int(batch.video_ids[row])
        taken = [moment for moment in found if moment.video_id == video_id]
        if not copies.leads(video_id) or len(taken) >= limit:
            continue
        if video_id not in curves:
            rows = np.flatnonzero(batch.video_ids == video_id)
            curves[video_id] = file_curve(batch, curve, rows, times_of(video_id))
        new = grow_moment(batch, curves[video_id], row, float(totals[row]), baseline=baseline)
        if not any(overlaps(new, old) for old in taken):
            found.append(new)
        if len(found) == k:
            break
    return found, copies.paths()
