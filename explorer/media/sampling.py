"""Pure arithmetic of sampling: a duration becomes frame times, and kept frames become windows."""

from __future__ import annotations

import math

import numpy as np

from explorer.config import SamplingConfig
from explorer.records import Window

CELLS = 32  # of a side of the grid by which two frames are compared
# Two frames that differ by less, in steps of 255, are nearly equal. Over 3,062 pairs of frames of 46 real clips, at
# most two seconds apart, vectors of such a pair have a cosine of .98 or more in 95 of 100, never below .94 (starter);
# the median of all pairs is .92.
CELL_DIFFERS, MEAN_DIFFERS = 24.0, 2.0
LOOK_EVERY = 8.0  # seconds after which a frame is looked at though nothing has moved


def frame_times(duration: float, sampling: SamplingConfig) -> np.ndarray:
    """The moments of a file at which a frame is wanted.

    A file no longer than one window (F frames at `fps`) is cut into F equal segments and gives their centres
    (TSN sampling, as HCMI, arXiv 2204.03382, at test). A longer file gives the centres of a grid of 1/fps seconds.

    Args:
        duration: seconds, finite and not negative.
        sampling: frames a second, frames a window.

    Returns:
        (N,) float64 seconds, ascending, each in [0, duration).

    Raises:
        ValueError: a duration that is negative or not finite.

    Example:
        >>> frame_times(4.0, SamplingConfig(fps=1, frames=4, hop=2)).tolist()
        [0.5, 1.5, 2.5, 3.5]
        >>> frame_times(2.0, SamplingConfig(fps=1, frames=4, hop=2)).tolist()
        [0.25, 0.75, 1.25, 1.75]
    """
    if not (math.isfinite(duration) and duration >= 0):
        raise ValueError(f"duration must be finite and not negative, not {duration}")
    if duration <= sampling.frames / sampling.fps:
        return (np.arange(sampling.frames) + 0.5) * (duration / sampling.frames)
    count = math.ceil(duration * sampling.fps - 0.5)  # the last grid centre still inside the file
    return (np.arange(count) + 0.5) / sampling.fps


def _first_frames(count: int, sampling: SamplingConfig) -> list[int]:
    """Where windows start among `count` kept frames: every hop, and the last one ends at the last frame."""
    last = count - sampling.frames
    if last <= 0:
        return [0]
    starts = list(range(0, last + 1, sampling.hop))
    return starts if starts[-1] == last else [*starts, last]


def windows(times: np.ndarray, duration: float, sampling: SamplingConfig) -> tuple[Window, ...]:
    """Cut the kept frames of one file into windows of at most F frames that cover every frame.

    A window reaches half-way to its neighbours' frames, and to the ends of the file at both ends.

    Args:
        times: (N,) seconds of the kept frames, ascending.
        duration: seconds of the file; a file whose frames outlast it ends at its last frame.
        sampling: frames a window, frames between two starts.

    Returns:
        Windows by start; empty where there is no frame.

    Raises:
        ValueError: times that do not ascend.

    Example:
        >>> found = windows(np.array([.5, 1.5, 2.5]), 3.0, SamplingConfig(fps=1, frames=2, hop=1))
        >>> [(w.start, w.end, w.first, w.count) for w in found]
        [(0.0, 2.0, 0, 2), (1.0, 3.0, 1, 2)]
    """
    if len(times) == 0:
        return ()
    if np.any(np.diff(times) <= 0):
        raise ValueError("frame times must ascend, each above the one before")
    ends = [0.0, *((times[1:] + times[:-1]) / 2).tolist(), max(float(duration), float(times[-1]))]
    cut = []
    for ordinal, first in enumerate(_first_frames(len(times), sampling)):
        count = min(sampling.frames, len(times) - first)
        cut.append(Window(ordinal=ordinal, start=ends[first], end=ends[first + count], first=first, count=count))
    return tuple(cut)


def grid(pixels: np.ndarray) -> np.ndarray:
    """Mean colours of the cells of a frame: (H, W, 3) uint8 -> (about CELLS, about CELLS, 3) float32.

    Colour and not brightness alone: a cut from red to a green as bright is a cut.
    """
    high, wide = (max(1, side // CELLS) for side in pixels.shape[:2])
    rows, columns = pixels.shape[0] // high, pixels.shape[1] // wide
    cells = pixels[: rows * high, : columns * wide].reshape(rows, high, columns, wide, 3)
    return cells.mean((1, 3), dtype=np.float32)


def nearly_equal(cells: np.ndarray, others: np.ndarray) -> bool:
    """Whether two grids of one shape differ by so little that a frame need not be looked at again.

    Example:
        >>> still, hand = np.zeros((32, 32, 3)), np.zeros((32, 32, 3))
        >>> hand[3, 4] = 200
        >>> nearly_equal(still, still + 1), nearly_equal(still, hand)
        (True, False)
    """
    apart = np.abs(cells - others)
    return bool(apart.max() <= CELL_DIFFERS and apart.mean() <= MEAN_DIFFERS)


class Looks:
    """Which frames of one file are looked at: the first, what differs from the last one looked at, and one every
    LOOK_EVERY seconds.

    Against the last one looked at, not the one just before: so a slow pan adds up until it is seen.
    """

    def __init__(self) -> None:
        self._time = -math.inf
        self._cells: np.ndarray | None = None

    def fresh(self, time: float, pixels: np.ndarray) -> bool:
        """Whether the next frame, (H, W, 3) uint8 at `time` seconds, is to be looked at."""
        cells = grid(pixels)
        if self._cells is not None and time - self._time < LOOK_EVERY and nearly_equal(cells, self._cells):
            return False
        self._time, self._cells = time, cells
        return True
