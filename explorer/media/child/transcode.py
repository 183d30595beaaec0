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
from av.video.stream import VideoStream

from explorer.media.child.facts import displayed_size, duration, quarter_turns
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
    if copy:
        try:
            yield from _written(path, out, copy=True, start=0.0, end=math.inf, width=width)
            return
        except (av.FFmpegError, ValueError) as error:
            log.info("cannot copy the packets of %s (%s), encoding instead", path, error)
    yield from _written(path, out, copy=False, start=start, end=math.inf if end is None else end, width=width)


def _written(path: str, out: str, *, copy: bool, start: float, end: float, width: int) -> Iterator[tuple[float, float]]:
    source = open_source(path, threads=2)
    try:
        total = max(min(duration(source), end) - start, 0.0)
        with av.open(out, "w", format="mp4", options={"movflags": "+faststart"}) as file:
            writer = _Writer(source, file, copy=copy, start=start, end=end, width=width)
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
        self, source: Source, file: OutputContainer, *, copy: bool, start: float, end: float, width: int
    ) -> None:
        self.source, self.file, self.copy, self.start, self.end, self.width = source, file, copy, start, end, width
        self.pictures = 0
        self.graph: Graph | None = None
        self.video: VideoStream = file.add_stream_from_template(source.stream) if copy else self._encoded_video()
        sounds = source.file.streams.audio
        self.sound = sounds[0] if sounds and sounds[0].codec_context is not None else None
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
                self.file.mux(self.video.encode(self._upright(frame, time)))
        return done

    def _upright(self, frame: VideoFrame, time: float) -> VideoFrame:
        if self.graph is None:
            self.graph = _graph(self.source.stream, frame, self.video.width, self.video.height)
        self.graph.push(frame)
        turned = self.graph.pull()
        assert isinstance(turned, VideoFrame)  # it is a graph of pictures
        turned.pts, turned.time_base = round((time - self.start) / TICK), TICK
        turned.pict_type = 0  # the encoder chooses its own key frames
        return turned

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
            self.file.mux(self.video.encode(None))
        if self.audio is not None and not self.copies_sound and self.audio.codec_context.is_open:
            self.file.mux(self.audio.encode(None))


def _graph(stream: VideoStream, frame: VideoFrame, width: int, height: int) -> Graph:
    """scale -> turn -> yuv420p, for frames as the decoder gives them; (width, height) is the upright size."""
    turns = quarter_turns(frame)
    wide, high = (height, width) if turns % 2 else (width, height)
    graph = Graph()
    chain = [
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=stream.time_base),
        graph.add("scale", f"{wide}:{high}"),
        *(graph.add("transpose", "clock") for _ in range(turns)),
        graph.add("setsar", "1"),
        graph.add("format", "yuv420p"),
        graph.add("buffersink"),
    ]
    for one, next_one in itertools.pairwise(chain):
        one.link_to(next_one)
    graph.configure()
    return graph
