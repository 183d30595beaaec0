"""The shape of the database, as numbered steps: each runs in one transaction, after a backup of what was there."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from explorer.disk.atomic import beside
from explorer.records import ExplorerError

log = logging.getLogger(__name__)

BACKUPS_KEPT = 2


@dataclass(frozen=True)
class Migration:
    """One step from version - 1 to version: SQL statements, then, where SQL is not enough, a function."""

    version: int
    statements: tuple[str, ...]
    then: Callable[[sqlite3.Connection], None] | None = None


# paths are BLOB: a file name is bytes, and not every one is text (os.fsencode, os.fsdecode)
FIRST = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "INSERT INTO meta VALUES ('store_id', lower(hex(randomblob(16)))), ('generation', '0'), ('removals', '0')",
    """CREATE TABLE roots (
        id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL UNIQUE,
        state TEXT NOT NULL DEFAULT 'online' CHECK (state IN ('online', 'offline')),
        reason TEXT NOT NULL DEFAULT '', added REAL NOT NULL, scanned REAL)""",
    """CREATE TABLE encoders (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE)""",
    """CREATE TABLE feature_sets (
        id INTEGER PRIMARY KEY AUTOINCREMENT, fingerprint TEXT NOT NULL, tower TEXT NOT NULL, sampling TEXT NOT NULL,
        frames INTEGER NOT NULL, dim INTEGER NOT NULL, times BLOB NOT NULL, crc INTEGER NOT NULL,
        info TEXT NOT NULL, damage TEXT NOT NULL DEFAULT '', UNIQUE (fingerprint, tower, sampling))""",
    # id = set_id << 24 | block, so that a file's rows lie together and need no second index
    "CREATE TABLE feature_blocks (id INTEGER PRIMARY KEY, crc INTEGER NOT NULL, vectors BLOB NOT NULL)",
    """CREATE TABLE videos (
        id INTEGER PRIMARY KEY AUTOINCREMENT, public_id TEXT NOT NULL UNIQUE,
        root_id INTEGER NOT NULL REFERENCES roots(id), path BLOB NOT NULL UNIQUE,
        size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, fingerprint TEXT NOT NULL DEFAULT '',
        state TEXT NOT NULL CHECK (state IN ('new', 'indexed', 'damaged', 'failed', 'missing')),
        reason TEXT NOT NULL DEFAULT '', set_id INTEGER REFERENCES feature_sets(id),
        duration REAL, width INTEGER, height INTEGER, fps REAL, codec TEXT, container TEXT, rotation INTEGER,
        audio_codec TEXT, pixel_format TEXT, indexed_at REAL)""",
    "CREATE INDEX videos_by_fingerprint ON videos (fingerprint)",
    "CREATE INDEX videos_by_state ON videos (state)",
    "CREATE INDEX videos_by_set ON videos (set_id)",
    # AUTOINCREMENT: a window's number is never given again, so a cache may trust numbers it has seen
    """CREATE TABLE windows (
        id INTEGER PRIMARY KEY AUTOINCREMENT, video_id INTEGER NOT NULL REFERENCES videos(id) ON DELETE CASCADE,
        ordinal INTEGER NOT NULL, start REAL NOT NULL, end REAL NOT NULL, first INTEGER NOT NULL,
        count INTEGER NOT NULL, encoder_id INTEGER NOT NULL REFERENCES encoders(id), crc INTEGER NOT NULL,
        vector BLOB NOT NULL, UNIQUE (video_id, ordinal))""",
    "CREATE INDEX windows_by_encoder ON windows (encoder_id)",
    """CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, state TEXT NOT NULL, arguments TEXT NOT NULL,
        progress TEXT NOT NULL DEFAULT '{}', created REAL NOT NULL, finished REAL, error TEXT NOT NULL DEFAULT '')""",
    """CREATE TABLE searches (
        id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL, name TEXT, data TEXT NOT NULL DEFAULT '{}',
        made REAL NOT NULL)""",
    "CREATE TABLE calibration (encoder TEXT PRIMARY KEY, generation INTEGER NOT NULL, data TEXT NOT NULL)",
)

# Sentences of notes stand one a line. A draft is what was decoded of a file so far: no part of the library until it is
# whole, kept so that a long file goes on where a stop or a kill left it.
SECOND = (
    "ALTER TABLE videos ADD COLUMN recorded REAL",
    "ALTER TABLE videos ADD COLUMN recorded_by TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE videos ADD COLUMN notes TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE videos ADD COLUMN created REAL",
    "ALTER TABLE videos ADD COLUMN timecode TEXT NOT NULL DEFAULT ''",
    "UPDATE videos SET recorded = mtime_ns / 1e9, recorded_by = 'file'",
    "ALTER TABLE feature_sets ADD COLUMN notes TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE roots ADD COLUMN excluded TEXT",  # JSON list of patterns; NULL: the usual ones
    "ALTER TABLE roots ADD COLUMN notes TEXT NOT NULL DEFAULT ''",
    """CREATE TABLE drafts (
        id INTEGER PRIMARY KEY AUTOINCREMENT, fingerprint TEXT NOT NULL, tower TEXT NOT NULL, sampling TEXT NOT NULL,
        info TEXT NOT NULL, damaged INTEGER NOT NULL DEFAULT 0, changed REAL NOT NULL,
        UNIQUE (fingerprint, tower, sampling))""",
    """CREATE TABLE draft_parts (
        draft_id INTEGER NOT NULL REFERENCES drafts(id) ON DELETE CASCADE, first INTEGER NOT NULL, dim INTEGER NOT NULL,
        crc INTEGER NOT NULL, times BLOB NOT NULL, vectors BLOB NOT NULL, PRIMARY KEY (draft_id, first))""",
)

# the words said in films, with an index of words over them
CUES = (
    """CREATE TABLE cues (
        id INTEGER PRIMARY KEY, video_id INTEGER NOT NULL REFERENCES videos(id) ON DELETE CASCADE,
        start REAL NOT NULL, end REAL NOT NULL, text TEXT NOT NULL, source TEXT NOT NULL)""",
    "CREATE INDEX cues_by_video ON cues (video_id)",
    # which state of the film and of its subtitle files was read last
    """CREATE TABLE cues_read (
        video_id INTEGER PRIMARY KEY REFERENCES videos(id) ON DELETE CASCADE, state TEXT NOT NULL)""",
    """CREATE VIRTUAL TABLE cue_words USING fts5(
        text, content='cues', content_rowid='id', tokenize="porter unicode61 remove_diacritics 2")""",
    """CREATE TRIGGER cues_in AFTER INSERT ON cues BEGIN
        INSERT INTO cue_words (rowid, text) VALUES (new.id, new.text); END""",
    """CREATE TRIGGER cues_out AFTER DELETE ON cues BEGIN
        INSERT INTO cue_words (cue_words, rowid, text) VALUES ('delete', old.id, old.text); END""",
)

# Files with a video's ending that are none are kept apart, so that they are looked at once and never count as failed.
OTHERS = (
    "ALTER TABLE videos ADD COLUMN interlaced INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE videos ADD COLUMN plain INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE roots ADD COLUMN motion_photos INTEGER NOT NULL DEFAULT 0",  # whether those seconds are indexed
    """CREATE TABLE others (
        path BLOB PRIMARY KEY, root_id INTEGER NOT NULL REFERENCES roots(id) ON DELETE CASCADE,
        size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, kind TEXT NOT NULL)""",
)

MIGRATIONS: tuple[Migration, ...] = (
    Migration(1, FIRST),
    Migration(2, SECOND),
    Migration(3, CUES),
    Migration(4, OTHERS),
)


def version_of(connection: sqlite3.Connection) -> int:
    """The version a database has reached; 0 is an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, path: Path, *, steps: Sequence[Migration] = MIGRATIONS) -> list[int]:
    """Bring a database to the newest version, step by step; a kill at any moment leaves the old or the new.

    Args:
        connection: open for writing, in autocommit mode.
        path: the database file; backups are written beside it as NAME.v1.bak.
        steps: the migrations, ascending.

    Returns:
        The versions that were applied.

    Raises:
        ExplorerError: the database was made by a newer release.
    """
    found, newest = version_of(connection), steps[-1].version
    if found > newest:
        raise ExplorerError(
            f"{path} was made by a newer HCMI Explorer (version {found}, this one reads up to "
            f"{newest}); update the app, or choose another data folder"
        )
    applied = []
    for step in steps[found:]:
        if found:
            back_up(connection, path, version=step.version - 1)
        _apply(connection, step)
        applied.append(step.version)
    return applied


def _apply(connection: sqlite3.Connection, step: Migration) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in step.statements:
            connection.execute(statement)
        if step.then is not None:
            step.then(connection)
        connection.execute(f"PRAGMA user_version = {step.version}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    log.info("database is at version %d", step.version)


def back_up(connection: sqlite3.Connection, path: Path, *, version: int) -> Path:
    """Copy the database beside itself, whole or not at all, and drop all but the newest copies."""
    target = path.with_name(f"{path.name}.v{version}.bak")
    with beside(target) as part, contextlib.closing(sqlite3.connect(part, isolation_level=None)) as copy:
        connection.backup(copy)
    _drop_old_backups(path)
    return target


def _drop_old_backups(path: Path) -> None:
    copies = sorted(path.parent.glob(f"{path.name}.v*.bak"), key=lambda p: p.stat().st_mtime_ns)
    for old in copies[:-BACKUPS_KEPT]:
        old.unlink(missing_ok=True)
