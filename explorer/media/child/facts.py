"""What a viewer sees of an open file: how long it lasts, how large it is shown, how it is turned. Runs in the child."""

from __future__ import annotations

import os
import re

import av
from av.video.frame import VideoFrame

from explorer.media.child.source import Source, open_source, packets, rate_of
from explorer.media.child.timeline import CLOCKED
from explorer.media.containers import BARE
from explorer.media.gate import refusal
from explorer.media.recorded import container_time
from explorer.records import VideoInfo

CAMERA_TIME = "com.apple.quicktime.creationdate"  # stays with the recording when a phone writes the file anew
TIMECODE = re.compile(r"\d\d:\d\d:\d\d[:;.]\d{2,3}")
MAX_DAYS = 7  # a claimed length beyond this is a damaged header
THIN = 100.0  # bytes a second below which a claimed length is not believed but measured


def duration(source: Source) -> float:
    """Seconds from the container's start to the end of its pictures, as the header claims; measured where it is not
    believable.

    Raises:
        ExplorerError: a claim of more than MAX_DAYS that the packets bear out.
    """
    claimed = _claimed(source)
    if source.kind in CLOCKED or source.kind in BARE:
        measured = _measured(source)
        return measured if source.kind != "flv" or source.restarts else claimed  # FLV alone tells of an early end
    cut = source.kind == "avi" and source.damaged
    if cut or claimed <= 0 or (claimed > 60 and os.path.getsize(source.path) / claimed < THIN):
        claimed = _measured(source)
    if claimed > MAX_DAYS * 86400:
        raise refusal(source.path, f"it claims to last {claimed / 86400:.0f} days", remedy="convert it or remove it")
    return max(claimed, 0.0)


def _claimed(source: Source) -> float:
    stream = source.stream
    if stream.duration is not None and stream.time_base:
        begin = float((stream.start_time or 0) * stream.time_base) - source.start
        return max(begin, 0.0) + float(stream.duration * stream.time_base)
    whole = (source.file.duration or 0) / av.time_base
    return whole - max(source.start, 0.0) if source.kind in ("matroska", "webm") else whole  # these count from 0


def _measured(source: Source) -> float:
    """End of the last picture, by reading every packet of a second handle and decoding none; counts how often the clock
    restarts on the way."""
    other = open_source(source.path, kind=source.kind)
    count = sum(1 for packet in packets(other) if packet.size)
    source.ended, source.reached = other.ended, other.reached
    other.close()
    source.restarts = other.timeline.restarts if other.timeline is not None else 0
    return count / rate_of(source.stream) if source.kind in BARE else other.picture_end


def info(source: Source, first: VideoFrame, length: float) -> VideoInfo:
    """What a viewer sees of the file, from its streams and first frame."""
    width, height = displayed_size(first, source.stream.sample_aspect_ratio)
    sound = source.file.streams.audio
    name = (
        sound[0].codec_context.codec.canonical_name
        if sound and sound[0].codec_context
        else ("unknown" if sound else "")
    )
    known = source.stream.average_rate or source.stream.guessed_rate
    return VideoInfo(
        duration=length,
        width=width,
        height=height,
        fps=rate_of(source.stream) if known else 0.0,
        codec=source.stream.codec_context.codec.canonical_name,
        container=source.kind,
        rotation=quarter_turns(first) * 90,
        audio_codec=name,
        pixel_format=first.format.name,
        created=_created(source),
        timecode=_timecode(source),
        interlaced=bool(first.interlaced_frame),
        plain=not source.restarts and source.stream is source.file.streams.video[0],
    )


def _created(source: Source) -> float | None:
    """When the container says that it was recorded: the camera's own time where it is told apart, else the file's."""
    tags = [_lower(source.file.metadata), _lower(source.stream.metadata)]
    told = [tag[name] for name in (CAMERA_TIME, "creation_time") for tag in tags if name in tag]
    return next((time for time in map(container_time, told) if time is not None), None)


def _timecode(source: Source) -> str:
    """The start timecode of the picture, of the container, or of a track beside them."""
    others = [stream.metadata for stream in source.file.streams.data]
    tags = map(_lower, [source.stream.metadata, source.file.metadata, *others])
    told = next((tag["timecode"] for tag in tags if "timecode" in tag), "")
    return told if TIMECODE.fullmatch(told) else ""


def _lower(tags: dict[str, str]) -> dict[str, str]:
    """Tags by lower-case names: Matroska shouts them."""
    return {name.lower(): value for name, value in tags.items()}


def quarter_turns(frame: VideoFrame) -> int:
    """Clockwise quarter turns that set the picture upright, 0 to 3; a tilt between two is taken as the nearer."""
    return round(-frame.rotation / 90) % 4


def displayed_size(frame: VideoFrame, pixel_shape: object = None) -> tuple[int, int]:
    """(width, height) as shown: pixels made square along the width, then turned upright."""
    ratio = float(pixel_shape) if pixel_shape else 1.0  # type: ignore[arg-type]
    ratio = ratio if 0.1 <= ratio <= 10 else 1.0  # beyond that a header is wrong, not a lens
    width, height = max(round(frame.width * ratio), 1), frame.height
    return (height, width) if quarter_turns(frame) % 2 else (width, height)
