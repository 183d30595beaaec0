"""What a file's first lines say of its own length: a shorter one was cut, behind a longer one another follows."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from explorer.media.child.source import Source

BOXES = 10_000  # boxes of an ISO file that are stepped over
SLACK = 4096  # bytes that may lie behind the last packet of a film


def claimed_size(path: str, kind: str) -> int:
    """Bytes an AVI or a Matroska file must have by its own first lines; 0 where it does not say.

    A shorter one was cut. FFmpeg scales the length of a cut AVI, so that it cannot be believed.
    """
    with open(path, "rb") as handle:
        head = handle.read(4096)
    if kind == "avi":
        return int.from_bytes(head[4:8], "little") + 8
    place = head.find(b"\x18\x53\x80\x67") + 4  # Matroska's segment, which is all but the first header
    if kind not in ("matroska", "webm") or place < 4 or len(head) < place + 8 or not head[place]:
        return 0
    width = 9 - head[place].bit_length()
    size = int.from_bytes(head[place : place + width], "big") & (1 << 7 * width) - 1
    return 0 if size == (1 << 7 * width) - 1 else place + width + size  # all ones: not known when it was begun


def followed_by_another(source: Source) -> bool:
    """Whether a second recording is joined to the end of a file: its demuxer reads the first alone.

    Of FLV that is known once every packet was read.
    """
    size = os.path.getsize(source.path)
    if source.kind == "flv":
        return source.ended and source.reached + SLACK < size
    with open(source.path, "rb") as handle:
        if source.kind in ("mp4", "mov", "3gp"):
            return _second_film(handle, size)
        handle.seek(claimed_size(source.path, source.kind) or size)
        head = handle.read(12)
    return head[:4] == b"\x1aE\xdf\xa3" or (head[:4] == b"RIFF" and head[8:] == b"AVI ")


def _second_film(handle: BinaryIO, size: int) -> bool:
    """Whether an ISO file has two indexes or two beginnings: two files were put together."""
    place, seen = 0, Counter[bytes]()
    for _ in range(BOXES):
        handle.seek(place)
        head = handle.read(16)
        length = int.from_bytes(head[:4], "big")
        length = int.from_bytes(head[8:], "big") if length == 1 else length
        if len(head) < 8 or length < 8 or place + length > size:
            break
        seen[head[4:8]] += 1
        place += length
    return seen[b"moov"] > 1
