"""Writes a file whole or not at all: a reader, or a kill at any moment, sees the old bytes or the new ones."""

from __future__ import annotations

import contextlib
import glob
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from explorer.records import ExplorerError

PRIVATE = 0o600  # a file that holds a secret is for its user alone
STALE = 3600.0  # seconds after which a temporary file is one that a kill left: none takes so long to write


def write_bytes(path: Path, data: bytes, *, private: bool = False) -> None:
    """Replace a file: temporary file in the same folder, flush, fsync, rename, fsync of the folder.

    Raises:
        ExplorerError: the disk refuses; the old file is as it was.
    """
    with open_replacement(path, private=private) as file:
        file.write(data)


@contextlib.contextmanager
def open_replacement(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """A file to write into, which takes the place of `path` where the block ends well; errors as in `write_bytes`."""
    with beside(path) as part:
        handle = os.open(
            part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), PRIVATE if private else 0o666
        )
        with open(handle, "wb") as file:
            yield file


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """The name of a file to make in the same folder, which takes the place of `path` where the block ends well.

    Half a file is taken away again: on a full disk it would keep others from their room.

    Raises:
        ExplorerError: the disk refuses; the old file is as it was.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_strays(path)
        yield part
        _flush(part)
        os.replace(part, path)
        sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            raise ExplorerError(
                f"cannot write {path}: {error.strerror}; free space or choose another folder"
            ) from error
        raise


def _remove_strays(path: Path) -> None:
    for stray in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - stray.stat().st_mtime > STALE:
                stray.unlink()


def _flush(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder last; Windows has no such call and needs none."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
