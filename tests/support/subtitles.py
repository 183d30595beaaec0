"""Films with subtitles, made by code: text tracks inside mkv and mp4, and files beside them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.subtitles.subtitle import SubtitleSet

SAID = ((0.5, 1.5, "the owl is here"), (2.0, 3.0, "it hoots at night"))
HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,16

[Events]
Format: ReadOrder, Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def srt(cues: Sequence[tuple[float, float, str]] = SAID) -> str:
    """The cues in SubRip's form."""

    def clock(seconds: float) -> str:
        return f"00:00:{int(seconds):02d},{round(seconds % 1 * 1000):03d}"

    return "\n".join(f"{i}\n{clock(a)} --> {clock(b)}\n<i>{text}</i>\n" for i, (a, b, text) in enumerate(cues, start=1))


def film_with_track(path: Path, cues: Sequence[tuple[float, float, str]] = SAID, *, language: str = "eng") -> Path:
    """Four seconds of grey with a text track: SubRip in .mkv, mov_text in .mp4."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        track = out.add_stream("mov_text" if path.suffix == ".mp4" else "ass")
        track.metadata["language"] = language
        track.codec_context.subtitle_header = HEADER
        for level in range(100):
            for packet in video.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), level, np.uint8))):
                out.mux(packet)
        for packet in video.encode():
            out.mux(packet)
        for number, (start, end, text) in enumerate(cues):
            line = f"{number},0,Default,,0,0,0,,{{\\i1}}{text}{{\\i0}}".encode()
            packet = track.codec_context.encode_subtitle(SubtitleSet.create(line, 0, round((end - start) * 1000), 0))
            packet.stream, packet.time_base = track, Fraction(1, 1000)
            packet.pts = packet.dts = round(start * 1000)
            packet.duration = round((end - start) * 1000)
            out.mux(packet)
    return path
