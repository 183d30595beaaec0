"""What was decoded of a long film so far, kept apart from the library until the film is whole: a kill costs minutes."""

from __future__ import annotations

import json
import time
import zlib
from dataclasses import asdict, dataclass

import numpy as np

from explorer.records import FrameFeatures, VideoInfo
from explorer.store.database import Database

Key = tuple[str, str, str]  # fingerprint, tower, sampling


@dataclass(frozen=True)
class Kept:
    """The part of a film that is kept: N frames, and whether something before their end could not be decoded."""

    features: FrameFeatures
    damaged: bool


def kept(database: Database, key: Key) -> Kept | None:
    """What is kept of a film; None where nothing is, or where a piece is missing or fails its checksum."""
    with database.read() as connection:
        draft = connection.execute(
            "SELECT id, damaged FROM drafts WHERE (fingerprint, tower, sampling) = (?, ?, ?)", key
        ).fetchone()
        parts = (
            connection.execute(
                "SELECT first, dim, crc, times, vectors FROM draft_parts WHERE draft_id = ? ORDER BY first", draft[:1]
            ).fetchall()
            if draft
            else []
        )
    times, vectors, count = [], [], 0
    for first, dim, crc, seconds, data in parts:
        if first != count or zlib.crc32(data, zlib.crc32(seconds)) != crc:
            return None
        times.append(np.frombuffer(seconds, np.float64))
        vectors.append(np.frombuffer(data, np.float16).reshape(-1, dim))
        count += len(times[-1])
    return Kept(FrameFeatures(np.concatenate(times), np.concatenate(vectors)), bool(draft[1])) if count else None


def keep_part(database: Database, key: Key, first: int, part: FrameFeatures, *, info: VideoInfo, damaged: bool) -> None:
    """Keep the next frames of a film, in a transaction of its own.

    Args:
        database: where to.
        key: whose content, tower and sampling they are.
        first: how many frames were kept before; with 0 what was kept is begun anew.
        part: the frames.
        info: what the film is.
        damaged: whether something before the end of this part could not be decoded.
    """
    times = np.ascontiguousarray(part.times, np.float64).tobytes()
    data = np.ascontiguousarray(part.vectors, np.float16).tobytes()
    with database.write() as connection:
        if first == 0:
            connection.execute("DELETE FROM drafts WHERE (fingerprint, tower, sampling) = (?, ?, ?)", key)
        connection.execute(
            """INSERT INTO drafts (fingerprint, tower, sampling, info, damaged, changed) VALUES (?, ?, ?, ?, ?, ?)
               ON CONFLICT (fingerprint, tower, sampling) DO UPDATE SET damaged = excluded.damaged,
               changed = excluded.changed""",
            (*key, json.dumps(asdict(info)), damaged, time.time()),
        )
        connection.execute(
            """INSERT INTO draft_parts SELECT id, ?, ?, ?, ?, ? FROM drafts
               WHERE (fingerprint, tower, sampling) = (?, ?, ?)""",
            (first, part.vectors.shape[1], zlib.crc32(data, zlib.crc32(times)), times, data, *key),
        )


def forget_unused(database: Database) -> None:
    """Drop what was kept of films that are whole by now, or that no file of the library is any more."""
    with database.write() as connection:
        connection.execute(
            """DELETE FROM drafts WHERE fingerprint NOT IN (SELECT fingerprint FROM videos)
               OR EXISTS (SELECT 1 FROM feature_sets s WHERE (s.fingerprint, s.tower, s.sampling) =
               (drafts.fingerprint, drafts.tower, drafts.sampling))"""
        )
