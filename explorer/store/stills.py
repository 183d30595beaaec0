"""A cache of the small pictures that the page shows: one JPEG a kept frame, in a database of its own, rebuildable."""

from __future__ import annotations

import logging
import sqlite3
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path

from explorer.store.database import in_a_sentence, is_full

log = logging.getLogger(__name__)

SHAPE = """CREATE TABLE IF NOT EXISTS stills (fingerprint TEXT NOT NULL, frame INTEGER NOT NULL, crc INTEGER NOT NULL,
    jpeg BLOB NOT NULL, PRIMARY KEY (fingerprint, frame))"""


class Stills:
    """stills.db: a damaged file is moved aside and begun anew, a damaged picture is as good as absent."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._connection = self._open()

    def get(self, fingerprint: str, frame: int) -> bytes | None:
        """The JPEG of a kept frame, or None where there is none that is whole."""
        with self._lock:
            try:
                row = self._connection.execute(
                    "SELECT crc, jpeg FROM stills WHERE (fingerprint, frame) = (?, ?)", (fingerprint, frame)
                ).fetchone()
            except sqlite3.DatabaseError as error:
                log.warning("cannot read a still: %s", error)
                return None
        return row[1] if row and isinstance(row[1], bytes) and zlib.crc32(row[1]) == row[0] else None

    def put(self, fingerprint: str, first: int, jpegs: Iterable[bytes]) -> None:
        """Keep the JPEGs of frames first, first + 1, ...

        Raises:
            ExplorerError: the disk is full or the file cannot be written.
        """
        rows = [(fingerprint, first + i, zlib.crc32(jpeg), jpeg) for i, jpeg in enumerate(jpegs)]
        with self._lock:
            try:
                with self._connection:
                    self._connection.executemany("INSERT OR REPLACE INTO stills VALUES (?, ?, ?, ?)", rows)
            except sqlite3.DatabaseError as error:
                if is_full(error) or "malformed" not in str(error):
                    raise in_a_sentence(error, self.path) from error
                self._begin_anew()

    def frames(self, fingerprint: str) -> int:
        """How many stills of this content are kept."""
        with self._lock:
            return self._connection.execute(
                "SELECT count(*) FROM stills WHERE fingerprint = ?", (fingerprint,)
            ).fetchone()[0]

    def keep_only(self, fingerprints: Iterable[str]) -> int:
        """Drop the stills of content the library no longer has; returns how many went."""
        with self._lock, self._connection:
            self._connection.execute("CREATE TEMP TABLE kept (fingerprint TEXT PRIMARY KEY)")
            self._connection.executemany("INSERT OR IGNORE INTO kept VALUES (?)", [(f,) for f in fingerprints])
            gone = self._connection.execute("DELETE FROM stills WHERE fingerprint NOT IN kept").rowcount
            self._connection.execute("DROP TABLE kept")
        return gone

    def damaged(self) -> list[tuple[str, int]]:
        """(fingerprint, frame) of stills whose checksum does not fit."""
        with self._lock:
            rows = self._connection.execute("SELECT fingerprint, frame, crc, jpeg FROM stills")
            return [
                (name, frame)
                for name, frame, crc, jpeg in rows
                if not isinstance(jpeg, bytes) or zlib.crc32(jpeg) != crc
            ]

    def drop(self, damaged: Iterable[tuple[str, int]]) -> None:
        """Forget stills; the page draws them anew from the file."""
        with self._lock, self._connection:
            self._connection.executemany("DELETE FROM stills WHERE (fingerprint, frame) = (?, ?)", list(damaged))

    def sound(self) -> bool:
        """Whether SQLite finds its file in order."""
        with self._lock:
            try:
                return self._connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            except sqlite3.DatabaseError:
                return False

    def begin_anew(self) -> None:
        """Move the file aside and start an empty one."""
        with self._lock:
            self._begin_anew()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _begin_anew(self) -> None:
        self._connection.close()
        self._set_aside()
        self._connection = self._connect()

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if is_full(error) or not any(word in str(error) for word in ("malformed", "not a database")):
                raise in_a_sentence(error, self.path) from error
            log.warning("%s is damaged and begun anew: %s", self.path, error)
            self._set_aside()
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=30.0, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # a cache: a lost tail is drawn again
            connection.execute(SHAPE)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self) -> None:
        for end in ("-wal", "-shm"):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        if self.path.exists():
            self.path.replace(self.path.with_name(self.path.name + ".damaged"))
