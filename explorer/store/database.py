"""One SQLite file: a single writing connection behind a lock, pooled readers, and sentences in place of its errors."""

from __future__ import annotations

import errno
import queue
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from explorer.records import ExplorerError
from explorer.store import schema

BUSY_SECONDS = 30.0  # a backup or a check by another process holds the file for seconds at most
WAL_BYTES_KEPT = 64 << 20  # the write-ahead log is cut back to this after a checkpoint
FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(ExplorerError):
    """There is no room left where the data folder lies."""


class Database:
    """A database file with one writer and many readers.

    Before SQLite 3.51.3 the write-ahead log can be corrupted when two connections write or checkpoint at once,
    so one connection writes, readers cannot, and nothing is mapped into memory.
    """

    def __init__(self, path: Path | str, *, read_only: bool = False) -> None:
        """Open, and where needed create or migrate, the database.

        Raises:
            ExplorerError: it cannot be opened, is damaged, or belongs to a newer release.
        """
        self.path = Path(path)
        self.read_only = read_only
        self._lock = threading.RLock()
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._closed = False
        with self._sentences():
            self._writer = None if read_only else self._open_writer()
            self._expect_version()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is kept, durably, or none. A write inside a write belongs to the outer one."""
        with self._lock, self._sentences():
            connection = self._writer
            if connection is None:
                raise ExplorerError(f"{self.path} is open for reading only or closed; close the other window and retry")
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A reading connection of one's own, from a pool."""
        with self._sentences():
            connection = self._take_reader()
            try:
                yield connection
            finally:
                self._give_back(connection)

    def close(self) -> None:
        """Close every connection; the last one folds the write-ahead log into the file."""
        with self._lock:
            self._closed = True
            while not self._readers.empty():
                self._readers.get().close()
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def _open_writer(self) -> sqlite3.Connection:
        _make_folder(self.path.parent)
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # an acknowledged video survives a power cut
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA mmap_size = 0")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
            schema.migrate(connection, self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_reader(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={'ro' if self.read_only else 'rw'}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA mmap_size = 0")
        connection.execute("PRAGMA cache_size = -16000")
        return connection

    def _expect_version(self) -> None:
        with self.read() as connection:
            version = schema.version_of(connection)
        newest = schema.MIGRATIONS[-1].version
        if version != newest:
            raise ExplorerError(
                f"{self.path} is at version {version}, this release reads {newest}; "
                "start the app once to bring it up to date"
            )

    def _take_reader(self) -> sqlite3.Connection:
        if self._closed:
            raise ExplorerError(f"{self.path} was closed; start the app again")
        try:
            return self._readers.get_nowait()
        except queue.Empty:
            return self._open_reader()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if self._closed:
            connection.close()
        else:
            self._readers.put(connection)

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise  # our own mistake: a traceback is right
        except sqlite3.DatabaseError as error:
            raise in_a_sentence(error, self.path) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise in_a_sentence(error, folder) from error


def in_a_sentence(error: Exception, path: Path) -> ExplorerError:
    """What went wrong with a file of ours, and what a person can do about it."""
    text = str(error)
    if is_full(error):
        return DiskFull(f"no space left for {path}; free some space on that disk and the work goes on")
    if "malformed" in text or "not a database" in text:
        return ExplorerError(
            f"{path} is damaged ({text}); run `python -m explorer check --repair`, or move the file away to index anew"
        )
    if "readonly" in text or isinstance(error, PermissionError):
        return ExplorerError(f"{path} cannot be written to; make its folder writable or choose another data folder")
    if "unable to open" in text:
        return ExplorerError(f"cannot open {path}; check that its folder exists and may be read")
    if "locked" in text:
        return ExplorerError(f"{path} is in use by another program; close it and retry")
    return ExplorerError(f"cannot use {path}: {text}; check the disk, then run `python -m explorer check`")


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is a full disk."""
    while error is not None:
        if isinstance(error, DiskFull) or (isinstance(error, OSError) and error.errno in FULL_ERRORS):
            return True
        if isinstance(error, sqlite3.Error) and "disk is full" in str(error):
            return True
        error = error.__cause__
    return False
