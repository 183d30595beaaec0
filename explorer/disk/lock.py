"""One writer per data folder: a lock of the operating system that dies with the process, and a note of who holds it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from explorer.disk.atomic import write_bytes
from explorer.records import ExplorerError

LOCK_NAME = "writer.lock"
OWNER_NAME = "owner.json"  # beside the lock: on Windows a locked file cannot be read


class AlreadyRunning(ExplorerError):
    """Another HCMI Explorer works with this data folder; `port` is its page's, 0 where it has none or is not known."""

    def __init__(self, folder: Path, *, pid: int, port: int, url: str = "") -> None:
        self.folder, self.pid, self.port, self.url = folder, pid, port, url
        where = f" on http://127.0.0.1:{port}" if port else ""
        super().__init__(
            f"HCMI Explorer is already running{where} with {folder} (process {pid or 'unknown'}); "
            "use that one, or choose another data folder"
        )


class DataLock:
    """The right to write to a data folder, held until `release` or the end of the process."""

    def __init__(self, folder: Path | str, *, port: int = 0) -> None:
        """Take the lock, at once or not at all.

        Args:
            folder: the data folder; made where missing.
            port: of the page, 0 where it has none yet (see `set_port`).

        Raises:
            AlreadyRunning: another process, or another part of this one, holds it.
            ExplorerError: the folder cannot be written to.
        """
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.folder / LOCK_NAME, timeout=0, is_singleton=False)
            self._lock.acquire()
        except Timeout as error:
            raise AlreadyRunning(self.folder, **owner(self.folder)) from error
        except OSError as error:
            raise ExplorerError(
                f"cannot write to {self.folder}: {error.strerror}; make it writable or choose another data folder"
            ) from error
        self.set_port(port)

    def set_port(self, port: int, url: str = "") -> None:
        """Tell a second start where the page is; its link is a secret, so the note is for this user alone."""
        note = json.dumps({"pid": os.getpid(), "port": port, "url": url}).encode()
        try:
            write_bytes(self.folder / OWNER_NAME, note, private=True)
        except ExplorerError:
            self._lock.release()
            raise

    def release(self) -> None:
        """Let another process write."""
        if self._lock.is_locked:
            (self.folder / OWNER_NAME).unlink(missing_ok=True)
            self._lock.release()

    def __enter__(self) -> DataLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def owner(folder: Path) -> dict[str, Any]:
    """{"pid", "port", "url"} of the holder as it wrote them, zeros and "" where that cannot be read."""
    try:
        data = json.loads((Path(folder) / OWNER_NAME).read_text("utf-8"))
        return {"pid": int(data["pid"]), "port": int(data["port"]), "url": str(data.get("url", ""))}
    except (OSError, ValueError, KeyError, TypeError):
        return {"pid": 0, "port": 0, "url": ""}
