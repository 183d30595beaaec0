"""Writes a small file whole or not at all: a reader, or a kill at any moment, sees the old bytes or the new ones."""
from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

from explorer.records import ExplorerError


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file: temporary file in the same folder, flush, fsync, rename, fsync of the folder.

    Raises:
        ExplorerError: the disk refuses; the old file is as it was.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise ExplorerError(f"cannot write {path}: {error.strerror}; free space or choose another folder") from error


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder last; Windows has no such call and needs none."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
