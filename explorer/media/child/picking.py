"""Gives the frames on display at chosen times: in one pass where dense, else by seeking. Runs in the child."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

import av
import numpy as np
from av.video.frame import VideoFrame

from explorer.media.child.source import Source, decoded, frame_time, frames, give_up_if_hopeless, note, packets, seconds
from explorer.media.child.streams import INTRA

T = TypeVar("T")
log = logging.getLogger(__name__)

# AVI has no times after a seek; others have no index
SEEKABLE = frozenset(("mp4", "mov", "3gp", "matroska", "webm", "mpegts", "mpeg"))
SPARSE = 4.0  # seconds between targets from which seeking is cheaper than decoding what lies between
EPSILON = 1e-4  # seconds: container clocks round to a millisecond at worst, frames are far apart


def pick(items: Iterable[tuple[float, T]], targets: np.ndarray) -> Iterator[tuple[float, T]]:
    """The item on display at each target: the last that begins no later; each is given once.

    Before the first item the first one counts, after the last one the last.

    Example:
        >>> list(pick([(0.0, "a"), (1.0, "b"), (2.0, "c")], np.array([0.5, 0.9, 2.0])))
        [(0.0, 'a'), (2.0, 'c')]
    """
    position = 0
    held: tuple[float, T] | None = None
    for item in items:
        passed = int(np.searchsorted(targets, item[0] - EPSILON, side="left"))
        if held is not None and passed > position:
            yield held
            position = passed
        if position >= len(targets):
            return
        held = item
    if held is not None and position < len(targets):
        yield held


def picked_frames(source: Source, targets: np.ndarray) -> Iterator[tuple[float, VideoFrame]]:
    """Frames on display at ascending target times: one pass where they are dense, seeking where they are sparse.

    Every frame of an intra-only codec stands alone, so there only the wanted packets are decoded.
    """
    if source.stream.codec_context.codec.canonical_name in INTRA:
        yield from _picked_packets(source, targets)
    elif source.kind in SEEKABLE and not source.restarts:  # a clock that restarts names a moment twice
        yield from _sought(source, targets)
    else:
        yield from pick(frames(source), targets)


def _picked_packets(source: Source, targets: np.ndarray) -> Iterator[tuple[float, VideoFrame]]:
    for _, packet in pick(_timed_packets(source), targets):
        for frame in decoded(source, packet):
            time = frame_time(source, frame)
            if time is not None and time > source.last:
                note(source, time)
                yield time, frame
        give_up_if_hopeless(source)
    source.damaged |= source.bad > 0


def _timed_packets(source: Source) -> Iterator[tuple[float, av.Packet]]:
    last = -math.inf
    for packet in packets(source):
        ticks = packet.dts if packet.pts is None or source.kind == "avi" else packet.pts
        if packet.size and ticks is not None and seconds(source, ticks) > last:
            last = seconds(source, ticks)
            yield last, packet


def _sought(source: Source, targets: np.ndarray) -> Iterator[tuple[float, VideoFrame]]:
    """Targets closer than SPARSE to each other share a pass; before each further pass the file is wound to its
    first."""
    runs = np.split(targets, np.flatnonzero(np.diff(targets) > SPARSE) + 1)
    given = -math.inf
    for run in runs:
        ahead = _wound(source, float(run[0])) if run[0] > SPARSE else frames(source)
        for time, frame in pick(ahead, run):
            if time > given:
                given = time
                yield time, frame


def _wound(source: Source, target: float) -> Iterator[tuple[float, VideoFrame]]:
    """Frames from before `target` on: seek, look whether the first frame is early enough, else seek earlier."""
    first: tuple[float, VideoFrame] | None = None
    ahead: Iterator[tuple[float, VideoFrame]] = iter(())
    for back in (1.0, 5.0, 30.0, target):
        offset = max(round((target - back + source.start) / source.tick), 0)
        try:
            source.file.seek(offset, stream=source.stream, backward=True)
        except (av.FFmpegError, OSError) as error:
            log.debug("seek failed: %s", error)
            continue
        source.last, source.clock = -math.inf, None
        source.pending.clear()
        ahead = frames(source)
        first = next(ahead, None)
        if first is not None and first[0] <= target + EPSILON:
            break
    return itertools.chain([first] if first else [], ahead)
