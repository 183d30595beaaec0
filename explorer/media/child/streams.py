"""Chooses which stream of a file is the film, and which codecs may decode it. Runs in the child."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from explorer.media.gate import NotVideo, refusal

# Codecs by their canonical names. Others, above all the rarely tested decoders of game and screen formats, never run.
CODECS = frozenset(
    "h264 hevc vvc av1 vp8 vp9 mpeg1video mpeg2video mpeg4 msmpeg4v1 msmpeg4v2 msmpeg4v3 mjpeg prores dnxhd cfhd "
    "wmv1 wmv2 wmv3 vc1 flv1 h261 h263 h263p vp6 vp6f gif theora dvvideo ffv1 huffyuv ffvhuff utvideo magicyuv "
    "rawvideo v210 v410 r210 png qtrle rpza smc 8bps jpeg2000 cinepak msvideo1 svq1 svq3".split()
)
# Every frame stands alone: a packet whose frame is not wanted need not be decoded.
INTRA = frozenset(
    "mjpeg prores dnxhd dvvideo huffyuv ffvhuff utvideo magicyuv rawvideo v210 v410 r210 png jpeg2000".split()
)
MAX_PIXELS = 1 << 26  # 8192 x 8192; 8K is half of it
LOOKED_AT = 500  # packets of several tracks that are counted where no header counts them
BESIDE = 0.2  # a track of fewer pictures than this share of the longest's is stills or thumbnails beside a film
_NEVER = Disposition.attached_pic | Disposition.timed_thumbnails


@dataclass(frozen=True)
class Film:
    """The stream that is read, and a sentence on each other that would be worth reading."""

    stream: VideoStream
    notes: tuple[str, ...] = ()


def choose_film(path: str, file: InputContainer) -> Film:
    """The picture track that lasts; of several that last the largest, and then the file's own choice.

    A cover or a row of thumbnails beside a film never is it, wherever it lies and whatever its flags say. May read
    from the file: the caller winds it back.

    Raises:
        ExplorerError: no picture, a codec that is not allowed, or pictures too large.
    """
    tracks = [s for s in file.streams.video if not s.disposition & _NEVER]
    if not tracks:
        if file.streams.audio:
            raise NotVideo(str(refusal(path, "it holds only sound")), "sounds")
        raise refusal(path, "it has no video stream", remedy="remove it from the folder")
    lasting = _lasting(file, tracks) if len(tracks) > 1 else tracks
    readable = [track for track in lasting if _codec(track) in CODECS]
    stream = max(readable or lasting, key=lambda t: (t.width * t.height, bool(t.disposition & Disposition.default)))
    _refuse_unfit(path, stream)
    return Film(stream, tuple(_left_out(track, stream) for track in lasting if track is not stream))


def _codec(track: VideoStream) -> str:
    return track.codec_context.codec.canonical_name if track.codec_context is not None else ""


def _lasting(file: InputContainer, tracks: Sequence[VideoStream]) -> list[VideoStream]:
    """The tracks with about as many pictures as the longest: a film, or two of two cameras."""
    counts = Counter({track.index: track.frames for track in tracks})
    if not all(counts[track.index] for track in tracks):
        counts = _counted(file, tracks)
    most = max(counts.values(), default=0)
    return [track for track in tracks if counts[track.index] >= BESIDE * most]


def _counted(file: InputContainer, tracks: Sequence[VideoStream]) -> Counter[int]:
    """Packets of each track among the first ones of all."""
    counts: Counter[int] = Counter()
    try:
        for packet in file.demux(*tracks):
            counts[packet.stream.index] += packet.size > 0
            if counts.total() >= LOOKED_AT:
                break
    except (av.FFmpegError, ValueError):  # what follows the damage is counted by nobody
        pass
    return counts


def _refuse_unfit(path: str, stream: VideoStream) -> None:
    if _codec(stream) not in CODECS:
        name = "an unknown codec" if stream.codec_context is None else f"the codec {stream.codec_context.name}"
        raise refusal(
            path, f"its video is in {name}, which is not among the allowed ones", remedy="convert it to H.264"
        )
    if stream.width * stream.height > MAX_PIXELS:
        raise refusal(path, f"it claims pictures of {stream.width} x {stream.height}", remedy="convert it or remove it")


def _left_out(track: VideoStream, film: VideoStream) -> str:
    number = [s.index for s in track.container.streams.video].index(track.index) + 1
    return (
        f"picture track {number} ({track.width} x {track.height}, {_codec(track) or 'unknown codec'}) is not searched; "
        f"the one of {film.width} x {film.height} is"
    )
