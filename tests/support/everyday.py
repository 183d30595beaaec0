"""Makes files as cameras, recorders and people leave them: joined, with tracks beside the film, of rare containers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from tests.support.videos import Recipe, encode, numbered, plain, stripes

SMALL = Recipe(height=64, frames=100, fps=10, gop=10)  # ten seconds


def tracks(
    path: Path,
    sizes: Sequence[tuple[str, int, int, int]],
    *,
    default: int = 0,
    format: str | None = None,
    fps: int = 10,
) -> Path:
    """A file of several picture tracks (codec, width, height, frames); frame n of each carries n as stripes."""
    with av.open(str(path), "w", format=format) as out:
        streams = []
        for place, (codec, width, height, _) in enumerate(sizes):
            stream = out.add_stream(codec, rate=fps, options={"preset": "ultrafast"} if codec == "libx264" else {})
            stream.width, stream.height = width, height
            stream.pix_fmt = {"mjpeg": "yuvj420p", "png": "rgb24"}.get(codec, "yuv420p")
            stream.codec_context.gop_size = 10
            stream.disposition = Disposition.default if place == default else Disposition(0)
            streams.append(stream)
        for number in range(max(frames for *_, frames in sizes)):
            for stream, (_, width, height, frames) in zip(streams, sizes):
                if number < frames:
                    picture = av.VideoFrame.from_ndarray(stripes(number, width, height), format="rgb24")
                    frame = picture.reformat(format=stream.pix_fmt)
                    frame.pts, frame.time_base = number, Fraction(1, fps)
                    out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode(None))
    return path


def joined(path: Path, parts: Sequence[Path]) -> Path:
    """Files put end to end, byte after byte, as people join recordings."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def joined_films(
    path: Path, *, codec: str = "mpeg2video", parts: int = 2, frames: int = 100, sound: bool = False
) -> Path:
    """Recordings joined end to end: the clock begins anew in each, and the frames' numbers go on from one to the next."""
    made = []
    for part in range(parts):
        recipe = Recipe(codec=codec, suffix=path.suffix, height=64, frames=frames, fps=25, gop=10)
        piece = path.with_name(f"part{part}-{path.name}")
        pictures = (stripes(part * frames + n, recipe.width, recipe.height) for n in range(frames))
        made.append(encode(piece, pictures, recipe, sound=sound))
    joined(path, made)
    for piece in made:
        piece.unlink()
    return path


def sound_outlasts(path: Path, *, picture: float = 4.0, sound: float = 12.0, codec: str = "libx264") -> Path:
    """A film whose sound goes on when the picture has ended."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 64, "yuv420p"
        audio = out.add_stream("aac" if path.suffix != ".webm" else "libopus", rate=48000)
        for number in range(int(picture * 10)):
            frame = av.VideoFrame.from_ndarray(stripes(number, 320, 64), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        beep(out, audio, sound)
    return path


def beep(out: av.container.OutputContainer, audio: av.AudioStream, seconds: float) -> None:
    """Write a tone into a stream of sound."""
    rate = audio.codec_context.sample_rate
    for first in range(0, int(seconds * rate), 960):
        wave = 0.2 * np.sin(2 * np.pi * 440 * np.arange(first, first + 960) / rate)
        frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
        out.mux(audio.encode(frame))
    out.mux(audio.encode(None))


def still_end(path: Path, *, moving: float = 3.0, whole: float = 12.0) -> Path:
    """A recording of a screen whose last picture stands: nothing was written any more until the end."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 64, "yuv420p"
        stream.codec_context.max_b_frames = 0
        packets = []
        for number in range(int(moving * 10)):
            frame = av.VideoFrame.from_ndarray(stripes(number, 320, 64), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        packets[-1].duration = round((whole - moving) / packets[-1].time_base)
        for packet in packets:
            out.mux(packet)
    return path


def sound_only(path: Path, *, format: str | None = None, codec: str = "aac") -> Path:
    """A file of sound alone, whatever it is called."""
    with av.open(str(path), "w", format=format) as out:
        beep(out, out.add_stream(codec, rate=48000), 2.0)
    return path


def one_picture_gif(path: Path) -> Path:
    """A GIF that does not move."""
    from PIL import Image

    Image.fromarray(plain("red", 64, 48)).save(path)
    return path


def with_parity(path: Path, source: Path) -> Path:
    """A transport stream of 204 bytes a packet: 16 of parity behind each 188, as receivers write it."""
    data = source.read_bytes()
    path.write_bytes(b"".join(data[i : i + 188] + bytes(16) for i in range(0, len(data), 188)))
    return path


def with_times(path: Path, source: Path) -> Path:
    """A transport stream of 192 bytes a packet: 4 of a clock before each 188, as camcorders write it."""
    data = source.read_bytes()
    path.write_bytes(b"".join(i.to_bytes(4, "big") + data[i : i + 188] for i in range(0, len(data), 188)))
    return path


def with_header(path: Path, source: Path, *, size: int = 5000) -> Path:
    """A header of the recorder's own before the first packet."""
    path.write_bytes(b"\x01HDR" + bytes(n * 7 % 251 for n in range(size)) + source.read_bytes())
    return path


def rare(path: Path, codec: str, pixels: str, *, format: str | None = None, size: tuple[int, int] = (320, 64)) -> Path:
    """Three seconds, frame n carrying n, of a codec that editors and cameras write."""
    rate = 25
    with av.open(str(path), "w", format=format) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        if codec in ("mpeg2video", "dnxhd", "mpeg4"):
            stream.codec_context.bit_rate = 36_000_000 if codec == "dnxhd" else 2_000_000
        if codec == "dnxhd":
            stream.codec_context.options = {"profile": "dnxhr_lb"}
        for number in range(75):
            frame = av.VideoFrame.from_ndarray(stripes(number, *size), format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = number, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def holes(path: Path, source: Path, *, whole: float = 0.3) -> Path:
    """A file of the final size of which only the first share has arrived; the rest is zeros, as of a torrent."""
    data = source.read_bytes()
    have = int(len(data) * whole)
    path.write_bytes(data[:have] + bytes(len(data) - have))
    return path


# Name of a rare kind -> how to make it in a folder.
RARE: dict[str, Callable[[Path], Path]] = {
    "mxf": lambda d: rare(d / "a.mxf", "mpeg2video", "yuv422p", size=(320, 64)),
    "mxf-dnxhd": lambda d: rare(d / "dnx.mxf", "dnxhd", "yuv422p", size=(320, 128)),
    "dv": lambda d: rare(d / "a.dv", "dvvideo", "yuv420p", size=(720, 576)),
    "dv-avi": lambda d: rare(d / "dv.avi", "dvvideo", "yuv420p", size=(720, 576)),
    "mod": lambda d: numbered(d / "a.mpg", Recipe("mpeg2video", ".mpg", frames=75, height=64)).rename(d / "MOV001.MOD"),
    "tod": lambda d: numbered(d / "a.ts", Recipe("mpeg2video", ".ts", frames=75, height=64)).rename(d / "MOV001.TOD"),
    "m2v": lambda d: rare(d / "a.m2v", "mpeg2video", "yuv420p", format="mpeg2video"),
    "f4v": lambda d: numbered(d / "a.mp4", Recipe(frames=75, height=64)).rename(d / "a.f4v"),
    "divx": lambda d: numbered(d / "a.avi", Recipe("mpeg4", ".avi", frames=75, height=64)).rename(d / "a.divx"),
    "trp": lambda d: numbered(d / "a.ts", Recipe("libx264", ".ts", frames=75, height=64)).rename(d / "a.trp"),
    "tp": lambda d: numbered(d / "b.ts", Recipe("mpeg2video", ".ts", frames=75, height=64)).rename(d / "a.tp"),
    "insv": lambda d: numbered(d / "b.mp4", Recipe(frames=75, height=64)).rename(d / "VID_20230704_101530_00_001.insv"),
    "360": lambda d: numbered(d / "c.mp4", Recipe(frames=75, height=64)).rename(d / "GS010001.360"),
    "lrv": lambda d: numbered(d / "d.mp4", Recipe(frames=75, height=64)).rename(d / "GL010001.LRV"),
    "h264": lambda d: rare(d / "a.h264", "libx264", "yuv420p", format="h264"),
    "264": lambda d: rare(d / "a.264", "libx264", "yuv420p", format="h264"),
    "hevc": lambda d: rare(d / "a.hevc", "libx265", "yuv420p", format="hevc"),
    "204-byte ts": lambda d: with_parity(
        d / "parity.ts", numbered(d / "p.ts_", Recipe("libx264", ".ts", frames=75, height=64))
    ),
    "192-byte m2ts": lambda d: with_times(
        d / "00001.m2ts", numbered(d / "q.ts_", Recipe("libx264", ".ts", frames=75, height=64))
    ),
    "header before ts": lambda d: with_header(
        d / "header.ts", numbered(d / "r.ts_", Recipe("libx264", ".ts", frames=75, height=64))
    ),
    "header before mpg": lambda d: with_header(
        d / "header.mpg", numbered(d / "s.mpg_", Recipe("mpeg2video", ".mpg", frames=75, height=64))
    ),
    "cineform": lambda d: rare(d / "cfhd.mov", "cfhd", "yuv422p10le", size=(320, 64)),
    "animation": lambda d: rare(d / "qtrle.mov", "qtrle", "rgb24"),
    "png in mov": lambda d: rare(d / "png.mov", "png", "rgb24"),
    "dnxhd": lambda d: rare(d / "dnxhd.mov", "dnxhd", "yuv422p", size=(320, 128)),
    "ffv1": lambda d: rare(d / "ffv1.mkv", "ffv1", "yuv420p"),
    "utvideo": lambda d: rare(d / "ut.avi", "utvideo", "yuv420p"),
    "raw y4m": lambda d: rare(d / "a.y4m", "wrapped_avframe", "yuv420p", format="yuv4mpegpipe"),
}
