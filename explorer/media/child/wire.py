"""The messages between the app and its decoding child: a length, a JSON header, then raw bytes. No pickle."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

HEADER_LIMIT = 1 << 20  # bytes of JSON
BLOB_LIMIT = 1 << 29  # bytes of one blob
_LENGTH = struct.Struct(">I")


class WireError(Exception):
    """The other side sent something that is no message: it is broken or gone mad."""


def send(stream: BinaryIO, header: dict[str, Any], blobs: Sequence[bytes | memoryview] = ()) -> None:
    """Write one message and flush it. Odd bytes of paths travel as escapes of lone surrogates in the JSON."""
    text = json.dumps({**header, "blobs": [len(blob) for blob in blobs]}).encode("ascii")
    stream.write(_LENGTH.pack(len(text)) + text)
    stream.writelines(blobs)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], list[bytes]] | None:
    """Read one message; None where the other side has gone, also in the middle of a message.

    Raises:
        WireError: sizes or JSON that no honest sender writes.
    """
    raw = _exactly(stream, _LENGTH.size)
    if raw is None:
        return None
    (length,) = _LENGTH.unpack(raw)
    if length > HEADER_LIMIT:
        raise WireError(f"a header of {length} bytes")
    text = _exactly(stream, length)
    if text is None:
        return None
    header = _parse(text)
    blobs = []
    for size in header.pop("blobs"):
        blob = _exactly(stream, size)
        if blob is None:
            return None
        blobs.append(blob)
    return header, blobs


def _parse(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text)
        sizes = header["blobs"]
        honest = all(type(size) is int and 0 <= size <= BLOB_LIMIT for size in sizes)
    except (ValueError, KeyError, TypeError) as error:
        raise WireError(f"an unreadable header: {error}") from error
    if not honest:
        raise WireError("a blob size out of range")
    return header


def _exactly(stream: BinaryIO, size: int) -> bytes | None:
    data = stream.read(size)
    return data if len(data) == size else None
