"""Brings a file of the hub here: resumed where it stopped, stopped at once, verified before it has its name."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx

from explorer.disk.atomic import sync_folder
from explorer.model.towers.hub import Lost, Remote, open_at, open_client
from explorer.records import ExplorerError

log = logging.getLogger(__name__)

CHUNK = 1 << 18  # bytes read at once
HASHED = 64 << 20  # bytes hashed between two records of progress
SHOW_EVERY = 0.25  # seconds between two records of progress
TRIES = 5  # connections in a row that bring nothing
WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before each new one
ROOM = 64 << 20  # bytes left free beside a download
PACE = 5.0  # seconds over which the speed is measured


@dataclass(frozen=True)
class Transfer:
    """How far a download is: bytes, bytes a second, seconds left where that can be told."""

    done: int
    total: int
    rate: float = 0.0
    eta: float | None = None
    verifying: bool = False


def fetch(remote: Remote, target: Path) -> Iterator[Transfer]:
    """Bring a file of the hub here; close the generator to stop, and begin again to go on where it stopped.

    The bytes lie in a part file beside `target`, named by their digest, which takes the target's place once they are
    all there and have that digest.

    Raises:
        ExplorerError: no room on the disk, refused, connection lost, or other bytes than the hub promised.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{remote.digest[:16]}.part")
    _ask_for_room(remote, part)
    if _size(part) < remote.size or not part.exists():
        yield from _receive(remote, part)
    yield from _verify(remote, part)
    os.replace(part, target)
    sync_folder(target.parent)


def fetch_small(remote: Remote, target: Path) -> None:
    """Bring a small file here, without progress; errors as `fetch`."""
    for _ in fetch(remote, target):
        pass


def _ask_for_room(remote: Remote, part: Path) -> None:
    free, needed = shutil.disk_usage(part.parent).free, remote.size - _size(part) + ROOM
    if free < needed:
        raise ExplorerError(
            f"{remote.file} needs {needed / 1e6:,.0f} MB in {part.parent} and {free / 1e6:,.0f} MB are free; free some "
            "space and resume"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


class _Reader:
    """Writes the hub's bytes into a part file in a thread of its own, so that whoever waits hears a stop at once.

    The thread dies with the process. Told to stop it writes no more, also where it still waits for the network.
    """

    def __init__(self, remote: Remote, part: Path) -> None:
        self.remote, self.part, self.done = remote, part, _size(part)
        self.error: Exception | None = None
        self._stopped, self._writing = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._work, name="download", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether the work is over within that time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def stop(self) -> None:
        self._stopped.set()
        with self._writing:  # whoever comes after us has the part file to himself
            pass

    def _work(self) -> None:
        try:
            _insist(self._connect, lambda: self.done, self._stopped)
        except Exception as error:  # told by the thread that waits
            self.error = error

    def _connect(self) -> None:
        """One connection: from where the part file ends to the file's end.

        Raises:
            Lost: it ended early; ExplorerError: refused, or the disk is full.
        """
        try:
            with open_client() as client, closing(open_at(client, self.remote, self.done)) as answer:
                if answer.status_code == 200 and self.done:
                    self._restart()
                for chunk in answer.iter_bytes(CHUNK):
                    if not self._write(chunk):
                        return
        except httpx.HTTPError as error:
            raise Lost(str(error) or type(error).__name__) from error
        if self.done < self.remote.size:
            raise Lost("the file ended early")

    def _restart(self) -> None:
        """The hub knows no ranges and sends all again."""
        with self._writing:
            if not self._stopped.is_set():
                self.part.unlink(missing_ok=True)
                self.done = 0

    def _write(self, chunk: bytes) -> bool:
        with self._writing:
            if self._stopped.is_set():
                return False
            try:
                with open(self.part, "ab") as file:
                    file.write(chunk)
            except OSError as error:
                raise ExplorerError(
                    f"cannot write {self.part}: {error.strerror}; free some space and resume: what came is kept"
                ) from error
            self.done += len(chunk)
            return True


def _insist(connect: Callable[[], None], done: Callable[[], int], stopped: threading.Event) -> None:
    """Connect again where a connection is lost, until several in a row have brought nothing.

    Raises:
        ExplorerError: they did, or the hub refuses.
    """
    fruitless = 0
    while not stopped.is_set():
        before = done()
        try:
            return connect()
        except Lost as error:
            fruitless = 0 if done() > before else fruitless + 1
            log.info("connection lost at %d bytes: %s", done(), error)
            if fruitless >= TRIES:
                raise ExplorerError(
                    f"the connection was lost at {done() / 1e6:,.0f} MB and does not come back ({error}); resume "
                    "when it does: what came is kept"
                ) from error
        stopped.wait(WAITS[fruitless])


def _receive(remote: Remote, part: Path) -> Iterator[Transfer]:
    reader, pace = _Reader(remote, part), Pace(remote.size)
    try:
        yield pace.at(reader.done)
        while not reader.wait(SHOW_EVERY):
            yield pace.at(reader.done)
        if reader.error is not None:
            raise reader.error
        yield pace.at(reader.done)
    finally:
        reader.stop()


class Pace:
    """Speed over the last seconds, and what it says of the time left."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._seen: list[tuple[float, int]] = []

    def at(self, done: int) -> Transfer:
        """The record for now, with `done` bytes here."""
        now = time.monotonic()
        self._seen = [(when, count) for when, count in self._seen if now - when <= PACE] + [(now, done)]
        since, first = self._seen[0]
        rate = (done - first) / (now - since) if now > since else 0.0
        return Transfer(done, self.total, rate, (self.total - done) / rate if rate > 0 else None)


def _verify(remote: Remote, part: Path) -> Iterator[Transfer]:
    """Read what the disk holds and compare it with what the hub promised; what differs is thrown away.

    Raises:
        ExplorerError: it differs.
    """
    digest = hashlib.sha1(b"blob %d\0" % remote.size) if len(remote.digest) == 40 else hashlib.sha256()
    done = 0
    with open(part, "rb") as file:
        while block := file.read(HASHED):
            digest.update(block)
            done += len(block)
            yield Transfer(done, remote.size, verifying=True)
        os.fsync(file.fileno())
    if done != remote.size or digest.hexdigest() != remote.digest:
        part.unlink()
        raise ExplorerError(
            f"{remote.file} arrived with other bytes than the hub promised and was thrown away; try again"
        )
