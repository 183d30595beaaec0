"""What stands in the person's folders besides films: files that are none, and what each folder is told to leave out."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from explorer.records import VideoFile
from explorer.store import writes
from explorer.store.database import Database

MOTION = "motion parts of photos"  # the kind of other that a folder may ask to have searched


@dataclass(frozen=True)
class Other:
    """A file with a video's ending that is none; `kind` says in the plural what it is."""

    path: str
    root_id: int
    size: int
    mtime_ns: int
    kind: str


@dataclass(frozen=True)
class Rules:
    """What a folder leaves out: patterns, None for the usual ones, and whether motion parts of photos are searched."""

    patterns: tuple[str, ...] | None = None
    motion_photos: bool = False


def others(database: Database, root_ids: Iterable[int]) -> dict[str, Other]:
    """path -> what was set aside in these folders."""
    with database.read() as connection:
        rows = connection.execute(
            "SELECT path, root_id, size, mtime_ns, kind FROM others WHERE root_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(root_ids)),),
        ).fetchall()
    return {os.fsdecode(row[0]): Other(os.fsdecode(row[0]), *row[1:]) for row in rows}


def counted(found: Iterable[Other]) -> list[str]:
    """One sentence on the files of a folder that are no videos, and one on the motion parts of photos.

    Example:
        >>> counted([Other("/a.ts", 1, 9, 9, "texts"), Other("/b.ogg", 1, 9, 9, "sounds")])
        ['2 files have the ending of a video and are none: 1 sounds, 1 texts']
    """
    kinds = Counter(other.kind for other in found)
    motion = kinds.pop(MOTION, 0)
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    notes = [f"{kinds.total()} files have the ending of a video and are none: {listed}"] if kinds else []
    return notes + ([f"{motion} {MOTION} are left out; the folder can be told to search them"] if motion else [])


def set_aside(database: Database, video_id: int, file: VideoFile, kind: str) -> None:
    """A file of the library is no video: it leaves the library and is not looked at again until it changes."""
    with database.write() as connection:
        row = connection.execute("SELECT root_id, fingerprint FROM videos WHERE id = ?", (video_id,)).fetchone()
        if row is None:
            return
        connection.execute(
            "INSERT OR REPLACE INTO others (path, root_id, size, mtime_ns, kind) VALUES (?, ?, ?, ?, ?)",
            (os.fsencode(file.path), row[0], file.size, file.mtime_ns, kind),
        )
        connection.execute("DELETE FROM videos WHERE id = ?", (video_id,))
        writes.forget_content(connection, row[1])
        writes.touch(connection, removals=True)


def forget_others(database: Database, paths: Sequence[str]) -> None:
    """Files that went or changed are looked at anew."""
    if paths:
        with database.write() as connection:
            connection.executemany("DELETE FROM others WHERE path = ?", [(os.fsencode(path),) for path in paths])


def forget_videos(database: Database, video_ids: Sequence[int]) -> None:
    """Take files out of the library because the person excluded them; they themselves are not touched."""
    if video_ids:
        with database.write() as connection:
            connection.executemany("DELETE FROM videos WHERE id = ?", [(video_id,) for video_id in video_ids])
            writes.forget_unused(connection)
            writes.touch(connection, removals=True)


def rules(database: Database, root_id: int) -> Rules:
    """What a folder leaves out."""
    with database.read() as connection:
        row = connection.execute("SELECT excluded, motion_photos FROM roots WHERE id = ?", (root_id,)).fetchone()
    if row is None:
        return Rules()
    return Rules(None if row[0] is None else tuple(json.loads(row[0])), bool(row[1]))


def set_rules(database: Database, root_id: int, chosen: Rules) -> None:
    """Say what a folder leaves out, from the next indexing on."""
    patterns = None if chosen.patterns is None else json.dumps(list(chosen.patterns))
    with database.write() as connection:
        connection.execute(
            "UPDATE roots SET excluded = ?, motion_photos = ? WHERE id = ?",
            (patterns, chosen.motion_photos, root_id),
        )
        if chosen.motion_photos:
            connection.execute("DELETE FROM others WHERE root_id = ? AND kind = ?", (root_id, MOTION))
