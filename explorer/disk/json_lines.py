"""A file of JSON lines that belongs to the person: what the app adds is appended and on disk; lines they broke are
passed over."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from explorer.disk.atomic import sync_folder
from explorer.records import ExplorerError

Line = Mapping[str, object]


class JsonLines:
    """One file of JSON objects, a line each. Any thread may call any method; the person may edit it at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._known: tuple[tuple[int, int], list[Line]] = ((0, 0), [])

    def append(self, line: Line) -> None:
        """Keep a line.

        Raises:
            ExplorerError: the disk refuses it.
        """
        data = json.dumps(line, ensure_ascii=True) + "\n"
        try:
            with self._lock, open(self.path, "a", encoding="ascii") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(self.path.parent)
        except OSError as error:
            raise ExplorerError(f"cannot write {self.path}: {error.strerror}; free some space and try again") from error

    def lines(self) -> list[Line]:
        """Every object of the file, oldest first; read again only where the file changed, for each search asks."""
        try:
            status = self.path.stat()
        except OSError:
            return []
        state, lines = self._known
        if state != (status.st_mtime_ns, status.st_size):
            lines = _parse(self.path.read_text("utf-8", "replace"))
            self._known = ((status.st_mtime_ns, status.st_size), lines)
        return list(lines)


def _parse(text: str) -> list[Line]:
    lines: list[Line] = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            lines.append(value)
    return lines
