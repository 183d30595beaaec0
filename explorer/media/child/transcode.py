"""Writes a copy of a file that a browser plays: packets copied where they can be, else H.264 and AAC. Runs in the
child."""

from __future__ import annotations

import itertools
import logging
import math
import time as clock
from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from explorer.media.child import colour
from explorer.media.child.facts import displayed_size, duration, quarter_turns
from explorer.media.child.pictures import rgb
from explorer.media.child.pulse import PULSE
from explorer.media.child.source import Source, decoded, frame_time, frames, open_source
from explorer.media.gate import refusal

TICK = Fraction(1, 90000)  # clock of the encoded pictures: exact for every usual frame rate
COPIED_SOUND = ("aac", "mp3")  # what every browser plays inside mp4
REPORT = 0.25  # seconds between two reports
QUALITY = {"preset": "veryfast", "crf": "23"}
log = logging.getLogger(__name__)


def convert(
    path: str, out: str, *, copy: bool, start: float = 0.0, end: float | None = None, width: int = 1280
) -> Iterator[tuple[float, float]]:
    """Write `out` (mp4, its index in front) and yield (seconds done, seconds in all) now and then.

    Args:
        path: the file; it is only read.
        out: where the copy goes.
        copy: keep the pictures' packets as they are; falls back to encoding where mp4 does not take them.
        start: seconds, where the copy begins if it is encoded.
        end: seconds, where it ends if it is encoded; None is the end of the file.
        width: of encoded pictures at most.

    Raises:
        ExplorerError: nothing in the file can be decoded, or it cannot be opened.
    """
    last = math.inf if end is None else end
    ways = [(True, True)] * copy + [(False, True), (False, False)]  # (packets as they are, with sound)
    for packets_kept, with_sound in ways:
        span = (0.0, math.inf) if packets_kept else (start, last)
        try:
            yield from _written(path, out, copy=packets_kept, span=span, width=width, with_sound=with_sound)
            return
        except (av.FFmpegError, ValueError) as error:
            log.info("cannot write %s so (%s), trying otherwise", path, error)
            failed = error
    raise refusal(path, f"no copy of it can be written ({failed})", remedy="convert it to H.264") from failed


def _written(
    path: str, out: str, *, copy: bool, span: tuple[float, float], width: int, with_sound: bool
) -> Iterator[tuple[float, float]]:
    start, end = span
    source = open_source(path, threads=2)
    try:
        total = max(min(duration(source), end) - start, 0.0)
        with av.open(out, "w", format="mp4", options={"movflags": "+faststart"}) as file:
            writer = _Writer(source, file, copy=copy, start=start, end=end, width=width, with_sound=with_sound)
            yield from ((done, total) for done in _reports(writer))
            if not writer.pictures:
                raise refusal(
                    path,
                    "nothing in it can be decoded between the two times",
                    remedy="choose other times or another file",
                )
    finally:
        source.close()


def _reports(writer: _Writer) -> Iterator[float]:
    last = clock.monotonic()
    yield 0.0  # a sign of life before the first picture
    for done in writer.run():
        if clock.monotonic() - last >= REPORT:
            last = clock.monotonic()
            yield max(done, 0.0)


class _Writer:
    """Lifetime of one output file: its streams, its filter graph and how much has been written."""

    def __init__(
        self,
        source: Source,
        file: OutputContainer,
        *,
        copy: bool,
        start: float,
        end: float,
        width: int,
        with_sound: bool,
    ) -> None:
        self.source, self.file, self.copy, self.start, self.end, self.width = source, file, copy, start, end, width
        self.pictures = 0
        self.graph: Graph | None = None
        self.reformatter = VideoReformatter()
        self.video: VideoStream = file.add_stream_from_template(source.stream) if copy else self._encoded_video()
        sounds = source.file.streams.audio
        self.sound = sounds[0] if with_sound and sounds and sounds[0].codec_context is not None else None
        self.audio = self._audio_stream(self.sound) if self.sound is not None else None

    def _encoded_video(self) -> VideoStream:
        """An H.264 stream as large as the upright picture, at most `width` wide, sides even."""
        probe = open_source(self.source.path, kind=self.source.kind)
        first = next(frames(probe), None)
        probe.close()
        if first is None:
            raise refusal(
                self.source.path, "nothing in it can be decoded", remedy="copy it again, or remove it from the folder"
            )
        wide, high = displayed_size(first[1], self.source.stream.sample_aspect_ratio)
        scale = min(1.0, self.width / wide)
        stream = self.file.add_stream("libx264", rate=self.source.stream.average_rate or 30, options=QUALITY)
        stream.width, stream.height = max(round(wide * scale / 2) * 2, 2), max(round(high * scale / 2) * 2, 2)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = TICK
        return stream

    def _audio_stream(self, sound: AudioStream) -> AudioStream | None:
        if self.copy and sound.codec_context.codec.canonical_name in COPIED_SOUND:
            return self.file.add_stream_from_template(sound)
        return self.file.add_stream("aac", rate=sound.codec_context.sample_rate or 48000)

    @property
    def copies_sound(self) -> bool:
        return self.copy and self.sound is not None and self.sound.codec_context.codec.canonical_name in COPIED_SOUND

    def run(self) -> Iterator[float]:
        """Write everything; yields the seconds written so far."""
        for packet in self._packets():
            if packet.stream is self.source.stream:
                done = self._copy(packet, self.video) if self.copy else self._encode_pictures(packet)
            elif self.audio is not None and self.copies_sound:
                done = self._copy(packet, self.audio)
            else:
                done = self._encode_sound(packet)
            if done is None:
                continue
            yield done
            if done > self.end - self.start and packet.stream is self.source.stream:
                break
        self._flush()

    def _packets(self) -> Iterator[av.Packet]:
        streams = [stream for stream in (self.source.stream, self.sound) if stream is not None]
        demuxed = self.source.file.demux(*streams)
        while True:
            try:
                packet = next(demuxed)
            except StopIteration:
                return
            except (av.FFmpegError, ValueError):
                self.source.damaged = True
                return
            if packet.size:
                PULSE.beat()
                if self.source.timeline is not None:
                    self.source.timeline.place(packet)
            if packet.size or not self.copy:
                yield packet

    def _copy(self, packet: av.Packet, stream: VideoStream | AudioStream) -> float | None:
        if packet.dts is None:
            return None
        shift = round(self.source.start / packet.time_base)
        packet.dts, packet.pts = packet.dts - shift, (packet.pts if packet.pts is not None else packet.dts) - shift
        done = float(packet.dts * packet.time_base)
        self.pictures += packet.stream is self.source.stream
        packet.stream = stream
        self.file.mux(packet)
        return done

    def _encode_pictures(self, packet: av.Packet) -> float | None:
        done = None
        for frame in decoded(self.source, packet):
            time = frame_time(self.source, frame)
            if time is None or time <= self.source.last:
                continue
            self.source.last = time
            done = time - self.start
            if self.start <= time < self.end:
                self.pictures += 1
                for picture in self._upright(frame, time):
                    self.file.mux(self.video.encode(picture))
        return done

    def _upright(self, frame: VideoFrame, time: float) -> list[VideoFrame]:
        """A frame as it is shown: upright, of a screen's colours; of interlaced film that of the frame before it."""
        turns = quarter_turns(frame)
        if colour.is_hdr(frame):
            wide, high = (self.video.width, self.video.height)[:: -1 if turns % 2 else 1]
            shown = rgb(self.reformatter, frame, wide, high, lines=frame.height)
            frame = VideoFrame.from_ndarray(shown, format="rgb24")
        frame.pts, frame.time_base = round((time - self.start) / TICK), TICK
        if self.graph is None:
            self.graph = _graph(frame, self.video.width, self.video.height, turns=turns)
        self.graph.push(frame)
        return self._pulled()

    def _pulled(self) -> list[VideoFrame]:
        """What the graph has ready; one that joins fields is a frame behind."""
        ready = []
        while self.graph is not None:
            try:
                picture = self.graph.pull()
            except (BlockingIOError, EOFError):
                break
            assert isinstance(picture, VideoFrame)  # it is a graph of pictures
            picture.pict_type = 0  # the encoder chooses its own key frames
            ready.append(picture)
        return ready

    def _encode_sound(self, packet: av.Packet) -> float | None:
        try:
            found = self.sound.codec_context.decode(packet if packet.size else None)  # type: ignore[union-attr]
        except (av.FFmpegError, ValueError, EOFError):
            return None
        for frame in found:
            self._encode_samples(frame)
        return None

    def _encode_samples(self, frame: AudioFrame) -> None:
        tick = self.sound.time_base if self.sound is not None else None
        if frame.pts is None or tick is None:
            return
        time = float(frame.pts * tick) - self.source.start
        if self.start <= time < self.end:
            frame.time_base = tick
            frame.pts = round((time - self.start) / tick)
            self.file.mux(self.audio.encode(frame))  # type: ignore[union-attr]

    def _flush(self) -> None:
        if not self.copy and self.pictures:
            assert self.graph is not None  # it made the pictures
            self.graph.push(None)
            for picture in self._pulled():
                self.file.mux(self.video.encode(picture))
            self.file.mux(self.video.encode(None))
        if self.audio is not None and not self.copies_sound and self.audio.codec_context.is_open:
            self.file.mux(self.audio.encode(None))


def _graph(frame: VideoFrame, width: int, height: int, *, turns: int) -> Graph:
    """fields -> scale -> turn -> yuv420p, for frames as they are given; (width, height) is the upright size."""
    wide, high = (height, width) if turns % 2 else (width, height)
    graph = Graph()
    chain = [
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=TICK),
        *([graph.add("bwdif", "mode=send_frame:deint=interlaced")] if frame.interlaced_frame else []),
        graph.add("scale", f"{wide}:{high}:out_range=tv"),
        *(graph.add("transpose", "clock") for _ in range(turns)),
        graph.add("setsar", "1"),
        graph.add("format", "yuv420p"),
        graph.add("buffersink"),
    ]
    for one, next_one in itertools.pairwise(chain):
        one.link_to(next_one)
    graph.configure()
    return graph
