"""What one transaction changes: the statements behind the store's writing methods."""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from explorer.records import ExplorerError, FrameFeatures, Recorded, VideoFile, VideoInfo, Window
from explorer.store import features as feature_rows
from explorer.store.rows import INFO_COLUMNS, from_notes


def touch(connection: sqlite3.Connection, *, removals: bool = False) -> None:
    """Count a change of windows, or of what may be shown of them; `removals` where windows went."""
    names = ("generation", "removals") if removals else ("generation",)
    for name in names:
        connection.execute("UPDATE meta SET value = value + 1 WHERE key = ?", (name,))


def set_present(connection: sqlite3.Connection, video_ids: list[int]) -> None:
    """Missing files become again what they were."""
    connection.executemany(
        """UPDATE videos SET state = CASE WHEN set_id IS NULL THEN 'new' WHEN reason = '' THEN 'indexed'
           ELSE 'damaged' END WHERE id = ? AND state = 'missing'""",
        [(i,) for i in video_ids],
    )


def keep_set(
    connection: sqlite3.Connection,
    fingerprint: str,
    info: VideoInfo,
    features: FrameFeatures,
    tower: str,
    sampling: str,
    damage: str,
    notes: Sequence[str],
) -> int:
    """The number of the feature set of this content: the one there is, or a new one."""
    known = connection.execute(
        "SELECT id FROM feature_sets WHERE (fingerprint, tower, sampling) = (?, ?, ?)", (fingerprint, tower, sampling)
    ).fetchone()
    if known:
        return known[0]
    times = np.ascontiguousarray(features.times, np.float64).tobytes()
    vectors = features.vectors.astype(np.float16, copy=False)
    set_id = connection.execute(
        """INSERT INTO feature_sets (fingerprint, tower, sampling, frames, dim, times, crc, info, damage, notes)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            fingerprint,
            tower,
            sampling,
            *vectors.shape,
            times,
            zlib.crc32(times),
            json.dumps(asdict(info)),
            damage,
            from_notes(notes),
        ),
    ).lastrowid
    assert set_id is not None  # an INSERT has one
    connection.executemany("INSERT INTO feature_blocks VALUES (?, ?, ?)", feature_rows.pack(set_id, vectors))
    return set_id


def update_video(
    connection: sqlite3.Connection,
    video_id: int,
    file: VideoFile,
    info: VideoInfo,
    set_id: int,
    *,
    damage: str,
    notes: Sequence[str],
    recorded: Recorded,
) -> None:
    """Write what was learned of a file into its row."""
    columns = {
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "fingerprint": file.fingerprint,
        "set_id": set_id,
        "state": "damaged" if damage else "indexed",
        "reason": damage,
        "indexed_at": time.time(),
        "recorded": recorded.time,
        "recorded_by": recorded.by,
        "notes": from_notes(notes),
        **{name: getattr(info, name) for name in INFO_COLUMNS},
    }
    names = ", ".join(f"{name} = ?" for name in columns)
    found = connection.execute(f"UPDATE videos SET {names} WHERE id = ?", (*columns.values(), video_id)).rowcount
    if not found:
        raise ExplorerError(f"{file.path} was removed from the library while it was indexed; add its folder again")


def replace_windows(
    connection: sqlite3.Connection, video_id: int, windows: Sequence[Window], vectors: np.ndarray, encoder: str
) -> None:
    """Put V windows and their (V, D) vectors in the place of those a video had."""
    if len(windows) != len(vectors):
        raise ValueError(f"{len(vectors)} vectors for {len(windows)} windows")
    connection.execute("INSERT INTO encoders (name) VALUES (?) ON CONFLICT DO NOTHING", (encoder,))
    (encoder_id,) = connection.execute("SELECT id FROM encoders WHERE name = ?", (encoder,)).fetchone()
    gone = connection.execute("DELETE FROM windows WHERE video_id = ?", (video_id,)).rowcount
    data = [row.tobytes() for row in np.ascontiguousarray(vectors, np.float16)]
    connection.executemany(
        """INSERT INTO windows (video_id, ordinal, start, end, first, count, encoder_id, crc, vector)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        [
            (video_id, w.ordinal, w.start, w.end, w.first, w.count, encoder_id, zlib.crc32(vector), vector)
            for w, vector in zip(windows, data)
        ],
    )
    touch(connection, removals=gone > 0)


def forget_content(connection: sqlite3.Connection, fingerprint: str) -> None:
    """Drop features of content that no file of the library has any more (a missing file still has it)."""
    held = connection.execute("SELECT 1 FROM videos WHERE fingerprint = ?", (fingerprint,)).fetchone()
    sets = connection.execute("SELECT id FROM feature_sets WHERE fingerprint = ?", (fingerprint,)).fetchall()
    for (set_id,) in [] if held else sets:
        feature_rows.delete_set(connection, set_id)


def forget_unused(connection: sqlite3.Connection) -> int:
    """The same over the whole library; returns how many sets went."""
    unused = connection.execute(
        "SELECT id FROM feature_sets WHERE fingerprint NOT IN (SELECT fingerprint FROM videos)"
    ).fetchall()
    for (set_id,) in unused:
        feature_rows.delete_set(connection, set_id)
    return len(unused)


def fingerprint_of(connection: sqlite3.Connection, video_id: int) -> str:
    """The content a video had when it was last looked at; '' where it is unknown."""
    row = connection.execute("SELECT fingerprint FROM videos WHERE id = ?", (video_id,)).fetchone()
    return row[0] if row else ""
