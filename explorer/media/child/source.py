"""Opens one file with PyAV and gives its frames with their true times, keeping what decodes. Runs in the child."""

from __future__ import annotations

import heapq
import logging
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeVar

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from explorer.media.child.claims import claimed_size
from explorer.media.child.pulse import PULSE
from explorer.media.child.streams import CODECS, MAX_PIXELS, choose_film
from explorer.media.child.timeline import CLOCKED, Timeline
from explorer.media.containers import BARE, DEMUXERS
from explorer.media.gate import UNREAD, refusal
from explorer.media.gate import container as container_of
from explorer.records import ExplorerError

T = TypeVar("T")
log = logging.getLogger(__name__)

_DECODERS = (
    "libdav1d,flv,msmpeg4,aac,mp3,mp3float,mp2,mp2float,ac3,eac3,dca,truehd,opus,vorbis,flac,alac,amrnb,amrwb,wmav1,"
    "wmav2,wmapro,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_u8,"
    "pcm_alaw,pcm_mulaw,pcm_bluray,pcm_dvd"
)
# Titles in no known encoding refuse no file; PyAV 19 reads them so by itself and has no such argument.
LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
# From here frames that no other frame needs are skipped: at most one frame off, half the work.
LARGE_PIXELS = 3840 * 2160
# Frames have times of their own; elsewhere they are told by the packets inside the decoder, which threads reorder.
TIMED = frozenset(("mp4", "mov", "3gp", "matroska", "webm"))
FASTEST = 1000  # frames a second above which a header is wrong
REORDER = 2  # frames held back to set small disorder right; none where a frame weighs 50 MB
BAD_SHARE, BAD_LEAST = 0.2, 50  # give up where more packets than this fail and nothing useful has come


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
    timeline: Timeline | None = None  # where the clock may restart inside the file
    restarts: int = 0  # how often it does, where that is known from an earlier look
    sealed: bool = False  # the container says how long it must be, and is
    picture_end: float = 0.0  # seconds at which the last picture read so far goes
    sound_end: float = 0.0
    ended: bool = False  # every packet was read
    reached: int = 0  # bytes of the file up to the end of the newest packet

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
        film = choose_film(path, file)
        if len(file.streams.video) > 1:  # it may have been read from
            file.seek(0)
    except ExplorerError:
        file.close()
        raise
    stream = film.stream
    _set_threads(stream, threads if kind in TIMED else 1)
    start = 0.0 if kind in BARE else (file.start_time or 0) / av.time_base
    size = claimed_size(path, kind)
    return Source(
        path,
        kind,
        file,
        stream,
        start,
        damaged=size > os.path.getsize(path),
        notes=list(film.notes),
        timeline=Timeline(stream.index, step=1 / rate_of(stream)) if kind in CLOCKED else None,
        sealed=0 < size <= os.path.getsize(path) and kind in ("matroska", "webm"),
    )


def _opening(error: Exception) -> str:
    if isinstance(error, av.error.InvalidDataError):
        return "its beginning is damaged, cut off or of an unknown kind"
    return f"it does not open ({getattr(error, 'strerror', None) or error})"


def _set_threads(stream: VideoStream, threads: int) -> None:
    """Frame threads hold one more full picture each, so large pictures get slice threads alone."""
    stream.codec_context.thread_count = threads
    large = stream.width * stream.height >= LARGE_PIXELS
    stream.thread_type = "SLICE" if large else "AUTO"
    if large:
        stream.codec_context.skip_frame = "NONREF"


def packets(source: Source) -> Iterator[av.Packet]:
    """Packets of the film up to the first error of the container, with an empty one last; sound is only looked at."""
    demuxed = source.file.demux(source.stream, *_sounds(source))
    while True:
        try:
            packet = next(demuxed)
        except StopIteration:
            source.ended = True
            return
        except (av.FFmpegError, ValueError) as error:
            log.debug("demuxing stopped: %s", error)
            source.damaged = True
            source.unread = isinstance(error, OSError) and error.errno in UNREAD
            yield av.Packet()  # flushes what the decoder still holds
            return
        if _seen(source, packet):
            yield packet


def _sounds(source: Source) -> list[AudioStream]:
    """Sound that may outlast the picture; ISO files say how long each stream is."""
    return [] if DEMUXERS[source.kind] == "mov" else list(source.file.streams.audio)[:1]


def _seen(source: Source, packet: av.Packet) -> bool:
    """Whether a packet is the film's; its times are set right, and how far it reaches is kept."""
    of_film = packet.stream is source.stream
    if not packet.size:
        return of_film
    if source.timeline is not None:
        source.timeline.place(packet)
    PULSE.beat()
    source.reached = max(source.reached, (packet.pos or 0) + packet.size)
    ticks = packet.pts if packet.pts is not None else packet.dts
    if ticks is not None:
        end = float((ticks + (packet.duration or 0)) * packet.time_base) - source.start
        if of_film:
            source.picture_end = max(source.picture_end, end)
        else:
            source.sound_end = max(source.sound_end, end)
    elif of_film and source.timeline is not None:
        source.picture_end = max(source.picture_end, source.timeline.end() - source.start)
    return of_film


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
    streams have, follows the one before by the stream's rate; so does every frame of a bare stream.
    """
    if source.kind in BARE:
        source.clock = 0.0 if source.clock is None else source.clock + 1 / rate_of(source.stream)
        return source.clock
    oldest = heapq.heappop(source.pending) if source.pending else None
    ticks = oldest if frame.pts is None or source.kind == "avi" else frame.pts
    if ticks is not None:
        source.clock = seconds(source, ticks)
    elif source.clock is not None:
        source.clock += 1 / rate_of(source.stream)
    return source.clock


def rate_of(stream: VideoStream) -> float:
    """Frames a second as the stream says, 25 where it says nothing that can be."""
    told = (stream.average_rate, stream.guessed_rate)
    return next((float(rate) for rate in told if rate and rate <= FASTEST), 25.0)


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
            note(source, time)
            yield time, frame


def _unordered(source: Source) -> Iterator[tuple[float, VideoFrame]]:
    for packet in packets(source):
        for frame in decoded(source, packet):
            source.damaged |= frame.is_corrupt
            time = frame_time(source, frame)
            if time is not None:
                yield time, frame
        give_up_if_hopeless(source)
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


def note(source: Source, time: float) -> None:
    """Count a frame that is given."""
    source.gap = max(source.gap, time - source.last) if source.given else 0.0
    source.last = time
    source.given += 1


def give_up_if_hopeless(source: Source) -> None:
    """Refuse a file of which many packets and not one frame came."""
    if source.given == 0 and source.bad > max(BAD_LEAST, BAD_SHARE * source.packets):
        raise refusal(
            source.path,
            f"{source.bad} of its first {source.packets} packets are damaged",
            remedy="copy it again, or remove it from the folder",
        )
