"""Kept frame features as rows of blocks: a window's frames are read without reading the whole file's."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence

import numpy as np

from explorer.records import ExplorerError

BLOCK_ROWS = 12  # frames a block: 12 KB at D = 512; measured least space (3.66 MiB an hour), speed within 3 ms
BLOCK_BITS = 24  # blocks a set: 16 million, 6 years at one frame a second
MAX_IDS = 20_000  # numbers handed to SQLite at once


def block_id(set_id: int, block: int) -> int:
    """The key of a block: blocks of one set are neighbours in the file."""
    return set_id << BLOCK_BITS | block


def pack(set_id: int, vectors: np.ndarray) -> list[tuple[int, int, bytes]]:
    """Rows of the table of blocks.

    Args:
        set_id: the feature set they belong to.
        vectors: (N, D) float16, N frames.

    Returns:
        (id, crc32, bytes) for each run of BLOCK_ROWS frames; the last may be shorter.
    """
    rows = []
    for block, first in enumerate(range(0, len(vectors), BLOCK_ROWS)):
        data = np.ascontiguousarray(vectors[first : first + BLOCK_ROWS]).tobytes()
        rows.append((block_id(set_id, block), zlib.crc32(data), data))
    return rows


def unpack(data: bytes, dim: int) -> np.ndarray:
    """(n, D) float16 view of a stored block."""
    return np.frombuffer(data, dtype=np.float16).reshape(-1, dim)


def blocks_of_set(connection: sqlite3.Connection, set_id: int) -> list[tuple[int, int, bytes]]:
    """(id, crc32, bytes) of a set's blocks, in order."""
    return connection.execute(
        "SELECT id, crc, vectors FROM feature_blocks WHERE id BETWEEN ? AND ? ORDER BY id",
        (block_id(set_id, 0), block_id(set_id + 1, 0) - 1),
    ).fetchall()


def delete_set(connection: sqlite3.Connection, set_id: int) -> None:
    """Forget a feature set and its blocks; no video may point to it any more."""
    connection.execute(
        "DELETE FROM feature_blocks WHERE id BETWEEN ? AND ?", (block_id(set_id, 0), block_id(set_id + 1, 0) - 1)
    )
    connection.execute("DELETE FROM feature_sets WHERE id = ?", (set_id,))


def read_set(connection: sqlite3.Connection, set_id: int, *, dim: int) -> np.ndarray:
    """(N, D) float16, every frame of a set.

    Raises:
        ExplorerError: a block is damaged (its checksum does not fit).
    """
    parts = []
    for key, crc, data in blocks_of_set(connection, set_id):
        if zlib.crc32(data) != crc:
            raise ExplorerError(
                f"kept features are damaged (set {set_id}, block {key & (1 << BLOCK_BITS) - 1}); "
                "run `python -m explorer check --repair`, then index again"
            )
        parts.append(unpack(data, dim))
    return np.concatenate(parts) if parts else np.zeros((0, dim), np.float16)


def read_runs(
    connection: sqlite3.Connection, runs: Sequence[tuple[int, int, int]], *, dim: int
) -> tuple[np.ndarray, np.ndarray]:
    """Frames of many windows at once, padded.

    Args:
        connection: a reader of the database.
        runs: (set_id, first, count) of V windows.
        dim: D, the width every set must have.

    Returns:
        (V, F, D) float16 with zeros where padded, and (V, F) bool mask, F the longest count.
    """
    blocks = _fetch(connection, _needed_blocks(runs), dim=dim)
    longest = max((count for _, _, count in runs), default=0)
    features = np.zeros((len(runs), longest, dim), np.float16)
    mask = np.zeros((len(runs), longest), bool)
    for row, (set_id, first, count) in enumerate(runs):
        mask[row, : _fill(features[row], blocks, set_id, first, count)] = True
    return features, mask


def _needed_blocks(runs: Sequence[tuple[int, int, int]]) -> set[int]:
    return {
        block_id(set_id, block)
        for set_id, first, count in runs
        if count
        for block in range(first // BLOCK_ROWS, (first + count - 1) // BLOCK_ROWS + 1)
    }


def _fetch(connection: sqlite3.Connection, keys: Iterable[int], *, dim: int) -> dict[int, np.ndarray]:
    wanted = sorted(keys)
    found: dict[int, np.ndarray] = {}
    for start in range(0, len(wanted), MAX_IDS):
        rows = connection.execute(
            "SELECT id, vectors FROM feature_blocks WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(wanted[start : start + MAX_IDS]),),
        )
        found.update((key, unpack(data, dim)) for key, data in rows)
    return found


def _fill(out: np.ndarray, blocks: dict[int, np.ndarray], set_id: int, first: int, count: int) -> int:
    """Copy frames [first, first + count) of a set into out, block by block; returns how many there were."""
    written = 0
    while written < count:
        block, offset = divmod(first + written, BLOCK_ROWS)
        part = blocks.get(block_id(set_id, block), out[:0])[offset : offset + count - written]
        if not len(part):
            break  # a set shorter than its windows claim; `check` reports it
        out[written : written + len(part)] = part
        written += len(part)
    return written
