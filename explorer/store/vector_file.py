"""The coarse cache on disk: rows and their numbers in blocks with a checksum each, written whole, read by several
threads."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from explorer.disk.atomic import open_replacement, write_bytes

BLOCK = 16 << 20  # bytes of a checksum
READERS = 4  # threads at most: checksums of two keep up with a disk of 4 GB/s
FORMAT = 2  # 1 was FAISS's own file


def write(path: Path, rows: np.ndarray, ids: np.ndarray, *, encoder: str, marks: Sequence[Any]) -> None:
    """Write a cache: the rows, then the numbers beside them (.ids), last the manifest that vouches for both (.json).

    Args:
        path: the file of rows.
        rows: (N, D) float16 vectors.
        ids: (N,) int64 windows.
        encoder: what made the vectors.
        marks: Store.marks() of the database they were read from.

    Raises:
        ExplorerError: the disk refuses; a manifest that fits what is there, or none, is what the next start finds.
    """
    numbers, checksums = np.ascontiguousarray(ids, "<i8").tobytes(), []
    with open_replacement(path) as file:
        for block in _blocks(rows.reshape(-1).view(np.uint8)):
            checksums.append(zlib.crc32(block))
            file.write(block)
    write_bytes(path.with_suffix(".ids"), numbers)
    manifest = {
        "format": FORMAT,
        "encoder": encoder,
        "marks": list(marks),
        "count": len(rows),
        "dim": rows.shape[1],
        "block": BLOCK,
        "checksums": checksums,
        "ids_checksum": zlib.crc32(numbers),
    }
    write_bytes(path.with_suffix(".json"), _text({**manifest, "seal": zlib.crc32(_text(manifest))}))


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest beside a cache file, or None where it is missing, damaged or of another format."""
    try:
        manifest = json.loads(path.with_suffix(".json").read_bytes())
        seal = manifest.pop("seal")
        whole = seal == zlib.crc32(_text(manifest)) and manifest["format"] == FORMAT and manifest["block"] == BLOCK
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None
    return manifest if whole else None


def read_ids(path: Path, manifest: dict[str, Any]) -> np.ndarray:
    """(N,) int64 windows of a cache; errors as in `read_rows`."""
    data = path.with_suffix(".ids").read_bytes()
    if zlib.crc32(data) != manifest["ids_checksum"] or len(data) != 8 * manifest["count"]:
        raise ValueError("the numbers are not those that were written")
    return np.frombuffer(data, "<i8").astype(np.int64)


def read_rows(path: Path, manifest: dict[str, Any], room: np.ndarray) -> None:
    """Read the rows into memory at hand and check every byte of it there: what is searched is what was vouched for.

    Args:
        path: the file of rows.
        manifest: what `read_manifest` gave.
        room: (N * D * 2,) uint8, contiguous.

    Raises:
        OSError: it cannot be read.
        ValueError: a byte is not as it was written, or the length is another.
    """
    blocks, checksums = _blocks(room), manifest["checksums"]
    if os.path.getsize(path) != len(room) or len(blocks) != len(checksums):
        raise ValueError("the length is not the one written")
    with ThreadPoolExecutor(min(READERS, os.cpu_count() or 1)) as pool:
        found = pool.map(lambda number: _read_block(path, number, blocks[number]), range(len(blocks)))
        if list(found) != checksums:
            raise ValueError("a checksum does not fit")


def _read_block(path: Path, number: int, room: memoryview) -> int:
    """The checksum of a block as it is in memory once read; the lock of the interpreter is free meanwhile."""
    with open(path, "rb", buffering=0) as file:
        file.seek(number * BLOCK)
        done = 0
        while done < len(room) and (count := file.readinto(room[done:])):
            done += count
    if done < len(room):
        raise ValueError("the file ends early")
    return zlib.crc32(room)


def _blocks(data: np.ndarray) -> list[memoryview]:
    whole = memoryview(data)  # type: ignore[arg-type]
    return [whole[first : first + BLOCK] for first in range(0, len(whole), BLOCK)]


def _text(manifest: dict[str, Any]) -> bytes:
    return json.dumps(manifest, sort_keys=True).encode()
