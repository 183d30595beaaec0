"""Draws and encodes the videos that tests need: numbered stripes, plain colours, any container and codec PyAV can write."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder otherwise writes its settings to the terminal

import av
import numpy as np

BITS = 10  # numbers 0..1023
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220)}


@dataclass(frozen=True)
class Recipe:
    """How a test video is encoded. Sizes are those of the stored picture, before any rotation."""

    codec: str = "libx264"
    suffix: str = ".mp4"
    fps: Fraction | int = 25
    frames: int = 100
    width: int = 320
    height: int = 160
    gop: int = 25
    b_frames: int = 0
    pixel_format: str = "yuv420p"
    rotation: float = 0.0  # degrees clockwise that a viewer has to turn the picture
    pixel_shape: Fraction | None = None
    start: float = 0.0  # seconds before the first frame


def stripes(number: int, width: int, height: int) -> np.ndarray:
    """(H, W, 3) uint8 whose twelve vertical stripes are white, black, then the bits of `number`, highest first."""
    bits = [1, 0, *((number >> shift) & 1 for shift in reversed(range(BITS)))]
    edges = np.linspace(0, width, len(bits) + 1).round().astype(int)
    picture = np.full((height, width, 3), 16, np.uint8)
    for bit, left, right in zip(bits, edges[:-1], edges[1:]):
        picture[:, left:right] = 235 if bit else 16
    return picture


def read_stripes(picture: np.ndarray) -> int:
    """The number drawn by `stripes`, of a picture scaled to any size; -1 where the two guard stripes are wrong."""
    height, width = picture.shape[:2]
    centres = ((np.arange(BITS + 2) + 0.5) * width / (BITS + 2)).astype(int)
    rows = picture[height // 3 : max(2 * height // 3, height // 3 + 1)]
    bits = [int(rows[:, centre].mean() > 126) for centre in centres]
    return int("".join(map(str, bits[2:])), 2) if bits[:2] == [1, 0] else -1


def plain(colour: str | tuple[int, int, int], width: int, height: int) -> np.ndarray:
    """(H, W, 3) uint8 of one colour."""
    return np.full((height, width, 3), COLOURS[colour] if isinstance(colour, str) else colour, np.uint8)


def quarters(width: int, height: int) -> np.ndarray:
    """(H, W, 3): red top left, green top right, blue bottom left, white bottom right, so that a turn is seen."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2], picture[: height // 2, width // 2 :] = COLOURS["red"], COLOURS["green"]
    picture[height // 2 :, : width // 2], picture[height // 2 :, width // 2 :] = COLOURS["blue"], (240, 240, 240)
    return picture


def encode(
    path: Path | str,
    pictures: Iterable[np.ndarray],
    recipe: Recipe = Recipe(),
    *,
    times: Sequence[float] | None = None,
    sound: bool = False,
) -> Path:
    """Encode (H, W, 3) uint8 pictures; `times` are seconds of each for a variable rate. Returns the path."""
    path = Path(path)
    rate = Fraction(recipe.fps)
    tick = 1 / rate if times is None else Fraction(1, 1000)
    with av.open(str(path), "w", format=_muxer(recipe.suffix)) as file:
        stream = file.add_stream(recipe.codec, rate=rate, options=_options(recipe))
        stream.width, stream.height, stream.pix_fmt = recipe.width, recipe.height, recipe.pixel_format
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = recipe.gop, recipe.b_frames
        stream.codec_context.time_base = tick
        if recipe.codec in ("wmv2", "flv", "mpeg4", "msmpeg4", "mpeg2video", "mpeg1video", "mjpeg", "h263"):
            stream.codec_context.bit_rate = 2_000_000
        if recipe.pixel_shape:
            stream.codec_context.sample_aspect_ratio = recipe.pixel_shape
        if recipe.rotation:
            stream.set_display_rotation(-recipe.rotation)  # counter-clockwise there
        audio = file.add_stream("aac", rate=44100) if sound else None
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=recipe.pixel_format)
            seconds = recipe.start + (float(number / rate) if times is None else times[number])
            frame.pts, frame.time_base = round(seconds / tick), tick
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if audio is not None:
            _beep(file, audio, float((number + 1) / rate))
    return path


def numbered(path: Path | str, recipe: Recipe = Recipe(), *, sound: bool = False) -> Path:
    """A video whose frame n carries n as stripes."""
    return encode(path, (stripes(n, recipe.width, recipe.height) for n in range(recipe.frames)), recipe, sound=sound)


def coloured(path: Path | str, parts: Sequence[tuple[str, float]], recipe: Recipe = Recipe()) -> Path:
    """A video of plain colours, each for its seconds: [("red", 5.0), ("blue", 5.0)]."""
    pictures = (
        plain(colour, recipe.width, recipe.height)
        for colour, seconds in parts
        for _ in range(round(seconds * float(recipe.fps)))
    )
    return encode(path, pictures, recipe)


def _beep(file: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    for first in range(0, int(seconds * 44100), 1024):
        wave = 0.2 * np.sin(2 * np.pi * 440 * np.arange(first, first + 1024) / 44100)
        frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, first
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def _muxer(suffix: str) -> str:
    return {".mkv": "matroska", ".ts": "mpegts", ".mpg": "mpeg", ".wmv": "asf", ".ogv": "ogg"}.get(suffix, suffix[1:])


def _options(recipe: Recipe) -> dict[str, str]:
    """Quick encoders: tests want right frames, not small files."""
    return {
        "libx264": {"preset": "ultrafast", "bf": str(recipe.b_frames)},
        "libx265": {
            "preset": "ultrafast",
            "x265-params": f"log-level=none:pools=1:keyint={recipe.gop}:bframes={recipe.b_frames}",
        },
        "libvpx": {"deadline": "realtime", "cpu-used": "8"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
        "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
    }.get(recipe.codec, {})
