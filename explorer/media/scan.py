"""Says what of a folder's files is new, changed, moved, missing or out of reach since the last look."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from explorer.media.gate import shown
from explorer.media.walk import EXTENSIONS, scan
from explorer.records import ExplorerError, VideoFile

__all__ = ["EXTENSIONS", "Changes", "compare", "fingerprint", "offline_reason", "scan"]

CHUNK = 256 << 10  # bytes read at the beginning, middle and end of a file for its fingerprint
FEW = 10  # known files below which a shrunken folder is believed
FRESH = 5.0  # seconds since the last write in which a file may still be growing
PAUSE = 0.3  # seconds between two looks at a fresh file
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Changes:
    """What a look at a folder found. Records in `new`, `changed`, `moved` and `unchanged` are as on disk, with
    fingerprint.

    Where `offline` holds a reason nothing is missing: the folder is out of reach as a whole. `pending` are files still
    being written, or unreadable now: they are looked at again next time.
    """

    new: tuple[VideoFile, ...] = ()
    changed: tuple[VideoFile, ...] = ()
    moved: tuple[tuple[VideoFile, VideoFile], ...] = ()  # (as known, as found)
    missing: tuple[VideoFile, ...] = ()
    unchanged: tuple[VideoFile, ...] = ()
    pending: tuple[VideoFile, ...] = ()
    offline: str = ""


def fingerprint(path: str, size: int) -> str:
    """Content key of a file: BLAKE2b over its size and its first, middle and last 256 KB; of a small file over all of
    it.

    Args:
        path: the file.
        size: bytes, as listed; a file that has another size by now is still being written.

    Returns:
        32 hexadecimal digits.

    Raises:
        ExplorerError: the file cannot be read, or has changed its size.
    """
    digest = hashlib.blake2b(str(size).encode("ascii"), digest_size=16)
    starts = [0] if size <= 3 * CHUNK else [0, (size - CHUNK) // 2, size - CHUNK]
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(handle, "rb") as file:
            if os.fstat(file.fileno()).st_size != size:
                raise ExplorerError(f"cannot read {shown(path)}: it is being written; it is looked at again later")
            for start in starts:
                file.seek(start)
                digest.update(file.read(3 * CHUNK if len(starts) == 1 else CHUNK))
    except OSError as error:
        raise ExplorerError(
            f"cannot read {shown(path)}: {error.strerror}; check its permissions and its drive"
        ) from error
    return digest.hexdigest()


def offline_reason(root: str, *, known: int, found: int) -> str:
    """Why a folder counts as out of reach, "" where it does not: unreachable, empty, or suddenly under half of at
    least 10.

    Args:
        root: the folder.
        known: files of this folder that were there at the last look.
        found: files there now.
    """
    if not os.path.isdir(root):
        return f"the folder {shown(root)} cannot be reached; connect its drive"
    if known and not found:
        return f"the folder {shown(root)} is empty now, but held {known} videos; connect its drive"
    if known >= FEW and 2 * found < known:
        return (
            f"the folder {shown(root)} holds {found} of {known} known videos; "
            "connect its drive, or confirm that they are gone"
        )
    return ""


def compare(
    known: Iterable[VideoFile],
    found: Iterable[VideoFile],
    *,
    root: str = "",
    unreadable: Iterable[str] = (),
    confirmed: bool = False,
    present: int | None = None,
) -> Changes:
    """Sort a folder's files into new, changed, moved, missing and unchanged.

    A file of the same path, size and time is unchanged unread; of another time but the same content too. Content that
    left its path and is found at a new one has moved. A copy beside its original is new.

    Args:
        known: files as stored, with fingerprints, missing ones included.
        found: files as `scan` gave them.
        root: the folder, asked whether it is offline; "" does not ask.
        unreadable: folders and files that could not be read this time: what was known there is not missing.
        confirmed: the person said that the vanished files are gone: a shrunken folder is believed.
        present: how many of the known were there at the last look; None: all.
    """
    before = {file.path: file for file in known}
    now = {file.path: file for file in found}
    if root and not confirmed:
        reason = offline_reason(root, known=len(before) if present is None else present, found=len(now))
        if reason:
            return Changes(offline=reason)
    growing = _growing([file for path, file in now.items() if not _same(before.get(path), file)])
    read, pending = _fingerprinted(before, now, growing)
    unchanged = {p: f for p, f in read.items() if p in before and before[p].fingerprint == f.fingerprint}
    gone = {p: f for p, f in before.items() if p not in unchanged and p not in pending}
    moved = _moves(gone, {p: f for p, f in read.items() if p not in before})
    left = {old.path for old, _ in moved}
    arrived = {new.path for _, new in moved}
    hidden = tuple(os.path.join(path, "") for path in unreadable)
    return Changes(
        new=_sorted(f for p, f in read.items() if p not in arrived and (p not in before or p in left)),
        changed=_sorted(f for p, f in read.items() if p in before and p not in unchanged and p not in left),
        moved=tuple(sorted(moved, key=lambda pair: pair[1].path)),
        missing=_sorted(
            f
            for p, f in gone.items()
            if p not in now and p not in left and not os.path.join(p, "").startswith(hidden or ("\0",))
        ),
        unchanged=_sorted(unchanged.values()),
        pending=_sorted(pending.values()),
    )


def _same(old: VideoFile | None, new: VideoFile) -> bool:
    return old is not None and (old.size, old.mtime_ns) == (new.size, new.mtime_ns)


def _growing(files: list[VideoFile]) -> set[str]:
    """Paths of fresh files whose size or time changes while we look: someone is still copying them."""
    fresh = [file for file in files if abs(time.time() - file.mtime_ns / 1e9) < FRESH]
    if fresh:
        time.sleep(PAUSE)
    return {file.path for file in fresh if not _still(file)}


def _still(file: VideoFile) -> bool:
    try:
        status = os.stat(file.path)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (file.size, file.mtime_ns)


def _fingerprinted(
    before: dict[str, VideoFile], now: dict[str, VideoFile], growing: set[str]
) -> tuple[dict[str, VideoFile], dict[str, VideoFile]]:
    """(files with their fingerprint, files to look at later), by path."""
    read, pending = {}, {}
    for path, file in now.items():
        if _same(before.get(path), file):
            read[path] = replace(file, fingerprint=before[path].fingerprint)
            continue
        try:
            if path in growing:
                raise ExplorerError(f"{shown(path)} is being written")
            read[path] = replace(file, fingerprint=fingerprint(path, file.size))
        except ExplorerError as error:
            log.info("%s", error)
            pending[path] = file
    return read, pending


def _moves(gone: dict[str, VideoFile], fresh: dict[str, VideoFile]) -> list[tuple[VideoFile, VideoFile]]:
    """Pairs of equal content, in the order of paths, each file once."""
    by_content: dict[str, list[VideoFile]] = {}
    for file in sorted(gone.values(), key=lambda f: f.path, reverse=True):
        by_content.setdefault(file.fingerprint, []).append(file)
    moved = []
    for file in sorted(fresh.values(), key=lambda f: f.path):
        if by_content.get(file.fingerprint):
            moved.append((by_content[file.fingerprint].pop(), file))
    return moved


def _sorted(files: Iterable[VideoFile]) -> tuple[VideoFile, ...]:
    return tuple(sorted(files, key=lambda file: file.path))
