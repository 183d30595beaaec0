"""Copies that a browser can play, and trimmed clips: made in a killable child, shown as progress, put in place
whole."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

from explorer.media import gate
from explorer.media.child_process import Budget, Child
from explorer.records import ExplorerError, Progress, VideoInfo

STALL = 60.0  # seconds without a sign of life before the child is given up
MEMORY_MB = 2048  # decoder and encoder together
WIDEST = 1280  # pixels of a proxy
_PLAIN = ("yuv420p", "yuvj420p")  # 8 bit, the only pixels every browser shows
_SOUND = ("", "aac", "mp3", "opus", "vorbis")


def playability(info: VideoInfo) -> str:
    """How a browser gets to play a file: direct | remux | transcode.

    direct: mp4 or webm with H.264, VP8, VP9 or AV1 in 8-bit 4:2:0 and sound a browser knows. remux: such pictures in
    another container, or beside other sound: only the wrapping is written anew. transcode: anything else.

    Example:
        >>> playability(VideoInfo(1.0, 640, 360, 25.0, "hevc", "mp4", pixel_format="yuv420p"))
        'transcode'
    """
    if info.pixel_format not in _PLAIN or info.interlaced:
        return "transcode"
    if not info.plain:
        return "remux" if info.codec in ("h264", "vp9", "av1") else "transcode"
    known = info.audio_codec in _SOUND
    if info.container == "mp4" and info.codec in ("h264", "av1", "vp9") and known and info.audio_codec != "vorbis":
        return "direct"
    if info.container == "webm" and info.codec in ("vp8", "vp9", "av1") and info.audio_codec in ("", "opus", "vorbis"):
        return "direct"
    return "remux" if info.codec in ("h264", "vp9", "av1") else "transcode"


def make_playable(path: str, out: str, *, info: VideoInfo, memory_mb: int = MEMORY_MB) -> Iterator[Progress]:
    """Write `out` (.mp4), a copy of `path` that a browser plays; not asking for the next record stops it.

    Args:
        path: the file; it is only read.
        out: where the copy goes; it appears whole or not at all.
        info: of the file; decides between remux and transcode (at most 1280 wide). A "direct" file is remuxed.
        memory_mb: of the child at most.

    Raises:
        ExplorerError: the file cannot be converted, or the copy not written.
    """
    copy = playability(info) != "transcode"
    yield from _convert(path, out, {"copy": copy, "width": WIDEST}, memory_mb=memory_mb)


def cut(path: str, out: str, *, start: float, end: float, memory_mb: int = MEMORY_MB) -> Iterator[Progress]:
    """Write the stretch [start, end) seconds of `path` as `out` (.mp4), exact to the frame; progress as
    `make_playable`.

    Raises:
        ValueError: a stretch without length.
    """
    if not 0 <= start < end:
        raise ValueError(f"start must be before end and not negative, not {start} and {end}")
    yield from _convert(path, out, {"copy": False, "start": start, "end": end, "width": 1 << 14}, memory_mb=memory_mb)


def _convert(path: str, out: str, how: dict[str, Any], *, memory_mb: int) -> Iterator[Progress]:
    gate.check(path)
    part, begin, done = f"{out}.{os.getpid()}.part", time.monotonic(), 0.0
    child = Child(memory_mb=memory_mb, may_write=True)
    try:
        child.ask({"do": "convert", "path": path, "out": part, "how": how})
        while True:
            header, _ = child.read(path, Budget(STALL))
            if header.get("end"):
                break
            done, total = float(header["done"]), float(header["total"])
            rate = done / max(time.monotonic() - begin, 1e-3)
            eta = (total - done) / rate if rate > 0 and total > done else None
            yield Progress(stage="proxy", done=done, total=total, current=path, rate=rate, eta=eta)
        _place(part, out)
    finally:
        child.release()
        with contextlib.suppress(OSError):
            os.remove(part)
    yield Progress(
        stage="done", done=done, total=done, current=path, summary={"path": out, "bytes": os.path.getsize(out)}
    )


def _place(part: str, out: str) -> None:
    """Flush the finished copy to the disk, then give it its name in one step."""
    try:
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, out)
    except OSError as error:
        raise ExplorerError(
            f"cannot write {gate.shown(out)}: {error.strerror}; free some space or choose another folder"
        ) from error
