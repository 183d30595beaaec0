"""Opens one file with PyAV and gives its frames with their true times, keeping what decodes. Runs in the child."""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeVar

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from explorer.media.gate import DEMUXERS, UNREAD, refusal
from explorer.media.gate import container as container_of
from explorer.records import ExplorerError

T = TypeVar("T")
log = logging.getLogger(__name__)

# Codecs by their canonical names. Others, above all the rarely tested decoders of game and screen formats, never run.
CODECS = frozenset(
    "h264 hevc av1 vp8 vp9 mpeg1video mpeg2video mpeg4 msmpeg4v1 msmpeg4v2 msmpeg4v3 mjpeg prores dnxhd "
    "wmv1 wmv2 wmv3 vc1 flv1 h263 h263p vp6 vp6f gif theora dvvideo ffv1 huffyuv ffvhuff rawvideo cinepak svq3".split()
)
# Every frame stands alone: a packet whose frame is not wanted need not be decoded.
INTRA = frozenset("mjpeg prores dnxhd dvvideo huffyuv ffvhuff rawvideo".split())
_DECODERS = "libdav1d,flv,msmpeg4,aac,mp3,mp3float,mp2,mp2float,ac3,eac3,opus,vorbis,flac,pcm_s16le,wmav2,amrnb,alac"
# Titles in no known encoding refuse no file; PyAV 19 reads them so by itself and has no such argument.
LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
MAX_PIXELS = 1 << 26  # 8192 x 8192; 8K is half of it
SEEKABLE = frozenset(
    ("mp4", "mov", "3gp", "matroska", "webm", "mpegts", "mpeg")
)  # AVI has no times after a seek; others no index
SPARSE = 4.0  # seconds between targets from which seeking is cheaper than decoding what lies between
LARGE_PIXELS = (
    3840 * 2160
)  # from here frames that no other frame needs are skipped: at most one frame off, half the work
REORDER = 2  # frames held back to set small disorder right; none where a frame weighs 50 MB
BAD_SHARE, BAD_LEAST = 0.2, 50  # give up where more packets than this fail and nothing useful has come
EPSILON = 1e-4  # seconds: container clocks round to a millisecond at worst, frames are far apart


@dataclass
class Source:
    """An open file and what has been counted in it; `start` is the container's own start in seconds."""

    path: str
    kind: str
    file: InputContainer
    stream: VideoStream
    start: float
    packets: int = 0
    bad: int = 0
    given: int = 0
    damaged: bool = False
    unread: bool = False  # an error of reading ended it: of the drive, or of a demuxer that says so
    last: float = -math.inf  # seconds of the newest frame
    gap: float = 0.0  # longest seconds between two frames so far
    clock: float | None = None  # seconds of the frame that left the decoder last
    pending: list[int] = field(default_factory=list)  # dts of packets inside the decoder, a heap
    notes: list[str] = field(default_factory=list)  # sentences on what is read otherwise than one would expect

    @property
    def tick(self) -> Fraction:
        """Seconds a tick of the stream's clock."""
        assert self.stream.time_base is not None  # every demuxed stream has one
        return self.stream.time_base

    @property
    def edited(self) -> bool:
        """An edit list hides the beginning of the stream: its first packets lie before the start. Winds the file to
        there."""
        first = next(iter(self.file.demux(self.stream)), None)
        self.file.seek(0)
        return first is not None and (first.is_discard or (first.pts is not None and seconds(self, first.pts) < 0))

    def close(self) -> None:
        self.file.close()


def open_source(path: str, *, threads: int = 1, kind: str | None = None) -> Source:
    """Open a file that passes the gate and find its one video stream.

    Raises:
        ExplorerError: refused by the gate, unreadable, without video, or of a codec that is not allowed.
    """
    kind = kind or container_of(path)
    options = {
        "protocol_whitelist": "file",
        "codec_whitelist": ",".join([*sorted(CODECS), _DECODERS]),
        "max_pixels": str(MAX_PIXELS),
    }
    try:
        file = av.open("file:" + os.path.abspath(path), format=DEMUXERS[kind], options=options, **LENIENT)
    except (av.FFmpegError, ValueError, OSError) as error:
        raise refusal(path, _opening(error), remedy="copy it again, or remove it from the folder") from error
    try:
        stream = _video_stream(path, file)
    except ExplorerError:
        file.close()
        raise
    _set_threads(stream, threads)
    return Source(
        path, kind, file, stream, (file.start_time or 0) / av.time_base, damaged=kind == "avi" and _cut_avi(path)
    )


def _cut_avi(path: str) -> bool:
    """An AVI shorter than its first chunk says; FFmpeg then scales the length it gives, so that it cannot be
    believed."""
    with open(path, "rb") as handle:
        size = int.from_bytes(handle.read(8)[4:], "little")
    return size + 8 > os.path.getsize(path)


def _opening(error: Exception) -> str:
    if isinstance(error, av.error.InvalidDataError):
        return "its beginning is damaged, cut off or of an unknown kind"
    return f"it does not open ({getattr(error, 'strerror', None) or error})"


def _video_stream(path: str, file: InputContainer) -> VideoStream:
    streams = [s for s in file.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        sound = "it holds only sound" if file.streams.audio else "it has no video stream"
        raise refusal(path, sound, remedy="remove it from the folder")
    best = file.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is None or stream.codec_context.codec.canonical_name not in CODECS:
        name = "an unknown codec" if stream.codec_context is None else f"the codec {stream.codec_context.name}"
        raise refusal(
            path, f"its video is in {name}, which is not among the allowed ones", remedy="convert it to H.264"
        )
    if stream.width * stream.height > MAX_PIXELS:
        raise refusal(path, f"it claims pictures of {stream.width} x {stream.height}", remedy="convert it or remove it")
    return stream


def _set_threads(stream: VideoStream, threads: int) -> None:
    """Frame threads hold one more full picture each, so large pictures get slice threads alone."""
    stream.codec_context.thread_count = threads
    large = stream.width * stream.height >= LARGE_PIXELS
    stream.thread_type = "SLICE" if large else "AUTO"
    if large:
        stream.codec_context.skip_frame = "NONREF"


def packets(source: Source) -> Iterator[av.Packet]:
    """Packets of the video stream up to the first error of the container, with an empty one last."""
    demuxed = source.file.demux(source.stream)
    while True:
        try:
            yield next(demuxed)
        except StopIteration:
            return
        except (av.FFmpegError, ValueError) as error:
            log.debug("demuxing stopped: %s", error)
            source.damaged = True
            source.unread = isinstance(error, OSError) and error.errno in UNREAD
            yield av.Packet()  # flushes what the decoder still holds
            return


def decoded(source: Source, packet: av.Packet) -> list[VideoFrame]:
    """Frames of one packet; a packet that fails is counted and gives none."""
    if packet.size:
        source.packets += 1
        if packet.dts is not None:
            heapq.heappush(source.pending, packet.dts)
    try:
        return source.stream.codec_context.decode(packet if packet.size else None)
    except EOFError:
        return []
    except (av.FFmpegError, ValueError) as error:
        log.debug("bad packet: %s", error)
        source.bad += 1
        if packet.dts in source.pending:
            source.pending.remove(packet.dts)
            heapq.heapify(source.pending)
        return []


def frame_time(source: Source, frame: VideoFrame) -> float | None:
    """Seconds since the container's start.

    AVI knows no presentation times, and those FFmpeg guesses are wrong with B-frames: its frames come out of the
    decoder
    in the right order, so each takes the earliest packet time not yet used. A frame without any time, as MPEG program
    streams have, follows the one before by the stream's rate.
    """
    oldest = heapq.heappop(source.pending) if source.pending else None
    ticks = oldest if frame.pts is None or source.kind == "avi" else frame.pts
    if ticks is not None:
        source.clock = seconds(source, ticks)
    elif source.clock is not None:
        source.clock += 1 / float(source.stream.average_rate or source.stream.guessed_rate or 25)
    return source.clock


def seconds(source: Source, ticks: int) -> float:
    """Stream ticks as seconds since the container's start; the start is known to a microsecond only, so 0 stays 0."""
    time = float(ticks * source.tick) - source.start
    return 0.0 if abs(time) < 1e-5 else time


def frames(source: Source) -> Iterator[tuple[float, VideoFrame]]:
    """Every frame from where the file stands, as (seconds, frame), ascending; what does not decode is left out.

    Raises:
        ExplorerError: more than a fifth of the packets are bad and not one frame has come.
    """
    large = source.stream.width * source.stream.height >= LARGE_PIXELS
    for time, frame in _in_order(_unordered(source), 0 if large else REORDER):
        if time > source.last:
            _note(source, time)
            yield time, frame


def _unordered(source: Source) -> Iterator[tuple[float, VideoFrame]]:
    for packet in packets(source):
        for frame in decoded(source, packet):
            source.damaged |= frame.is_corrupt
            time = frame_time(source, frame)
            if time is not None:
                yield time, frame
        _give_up_if_hopeless(source)
    source.damaged |= source.bad > 0


def _in_order(items: Iterator[tuple[float, T]], depth: int) -> Iterator[tuple[float, T]]:
    """Mend small disorder: H.264 that hides how far it reorders comes out of the decoder as 0 2 1 3.

    Example:
        >>> list(_in_order(iter([(0.0, "a"), (2.0, "c"), (1.0, "b")]), 2))
        [(0.0, 'a'), (1.0, 'b'), (2.0, 'c')]
    """
    held: list[tuple[float, int, T]] = []
    for number, (time, item) in enumerate(items):
        heapq.heappush(held, (time, number, item))
        if len(held) > depth:
            time, _, item = heapq.heappop(held)
            yield time, item
    while held:
        time, _, item = heapq.heappop(held)
        yield time, item


def _note(source: Source, time: float) -> None:
    source.gap = max(source.gap, time - source.last) if source.given else 0.0
    source.last = time
    source.given += 1


def _give_up_if_hopeless(source: Source) -> None:
    if source.given == 0 and source.bad > max(BAD_LEAST, BAD_SHARE * source.packets):
        raise refusal(
            source.path,
            f"{source.bad} of its first {source.packets} packets are damaged",
            remedy="copy it again, or remove it from the folder",
        )


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
    elif source.kind in SEEKABLE:
        yield from _sought(source, targets)
    else:
        yield from pick(frames(source), targets)


def _picked_packets(source: Source, targets: np.ndarray) -> Iterator[tuple[float, VideoFrame]]:
    for _, packet in pick(_timed_packets(source), targets):
        for frame in decoded(source, packet):
            time = frame_time(source, frame)
            if time is not None and time > source.last:
                _note(source, time)
                yield time, frame
        _give_up_if_hopeless(source)
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
