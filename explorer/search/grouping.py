"""Ranked windows become moments: bounds from the frame curve, neighbours merged, copies of a file shown once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.search.retrieve import VideoRow, WindowBatch

PEAK_SHARE = 0.5  # a frame belongs to the moment while above this share of the way from baseline to peak
SAME_FILE_COSINE = 0.98  # mean over frames; two files of equal duration whose found windows are this alike are copies
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


def moment(batch: WindowBatch, curve: FileCurve, row: int, total: float, *, baseline: float) -> Moment:
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


def overlaps(one: Moment, other: Moment) -> bool:
    """True where the two share at least half of the shorter one."""
    shared = min(one.end, other.end) - max(one.start, other.start)
    return shared > 0 and shared >= MERGE_SHARE * min(one.end - one.start, other.end - other.start)


def _alike(batch: WindowBatch, one: int, other: int) -> bool:
    """True where two windows show the same frames in the same order, up to what another encoding changes."""
    both = batch.mask[one] & batch.mask[other]
    if not np.array_equal(batch.mask[one], batch.mask[other]):
        return False
    cosines = (batch.features[one, both].astype(np.float32) * batch.features[other, both].astype(np.float32)).sum(1)
    return float(cosines.mean()) > SAME_FILE_COSINE


def _is_copy(batch: WindowBatch, row: int, video: VideoRow, leader: VideoRow) -> bool:
    """Same content key, or equal duration and the same frames at the same place of both files."""
    if video.fingerprint and video.fingerprint == leader.fingerprint:
        return True
    if abs(video.duration - leader.duration) > SAME_DURATION:
        return False
    places = np.flatnonzero((batch.video_ids == leader.id) & (batch.first == batch.first[row]))
    return any(_alike(batch, row, int(place)) for place in places)


def moments(
    batch: WindowBatch,
    totals: np.ndarray,
    curve: np.ndarray,
    videos: Mapping[int, VideoRow],
    *,
    times_of: Callable[[int], np.ndarray],
    k: int,
    per_file: int = 3,
    baseline: float,
) -> tuple[list[Moment], dict[int, list[str]]]:
    """The k best moments: best windows first, each grown by the curve, at most `per_file` a file, copies left out.

    Args:
        batch: V candidates.
        totals: (V,) final scores; minus infinity leaves a window out.
        curve: (V, F) value of each frame, high where the phrases are.
        videos: rows of all files in the batch.
        times_of: video id -> seconds of its kept frames; asked for the files shown only.
        k: moments wanted.
        per_file: moments of one file at most.
        baseline: value of the curve at an average frame of the library.

    Returns:
        moments by (total, path, start), and for each shown file the paths of its copies.
    """
    paths = [videos[int(video_id)].path for video_id in batch.video_ids]
    found: list[Moment] = []
    curves: dict[int, FileCurve] = {}
    leaders: list[VideoRow] = []
    copy_of: dict[int, int] = {}
    for row in order(totals, paths, batch.start).tolist():
        video = videos[int(batch.video_ids[row])]
        if video.id not in copy_of:
            copy_of[video.id] = next((v.id for v in leaders if _is_copy(batch, row, video, v)), video.id)
            if copy_of[video.id] == video.id:
                leaders.append(video)
        taken = [m for m in found if m.video_id == video.id]
        if copy_of[video.id] != video.id or len(taken) >= per_file:
            continue
        if video.id not in curves:
            curves[video.id] = file_curve(batch, curve, np.flatnonzero(batch.video_ids == video.id), times_of(video.id))
        new = moment(batch, curves[video.id], row, float(totals[row]), baseline=baseline)
        if not any(overlaps(new, old) for old in taken):
            found.append(new)
        if len(found) == k:
            break
    copies: dict[int, list[str]] = {}
    for video_id, leader in copy_of.items():
        if video_id != leader:
            copies.setdefault(leader, []).append(videos[video_id].path)
    return found, {leader: sorted(listed) for leader, listed in copies.items()}
