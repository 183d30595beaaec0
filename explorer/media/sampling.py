"""Pure arithmetic of sampling: a duration becomes frame times, and kept frames become windows."""

from __future__ import annotations

import math

import numpy as np

from explorer.config import SamplingConfig
from explorer.records import Window


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
