"""Finds the video files of a folder and says what is new, changed, moved, missing or out of reach since the last
look."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from explorer.media.gate import shown
from explorer.records import ExplorerError, Failure, VideoFile

EXTENSIONS = frozenset("mp4 mov m4v mkv webm avi ts m2ts mts mpg mpeg vob wmv asf flv 3gp 3g2 gif ogv ogg".split())
_SYSTEM = frozenset(
    (
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "__macosx",
        "@eadir",
        "#recycle",
        "#snapshot",
        "node_modules",
        "recycler",
    )
)
CHUNK = 256 << 10  # bytes read at the beginning, middle and end of a file for its fingerprint
FEW = 10  # known files below which a shrunken folder is believed
FRESH = 5.0  # seconds since the last write in which a file may still be growing
PAUSE = 0.3  # seconds between two looks at a fresh file
log = logging.getLogger(__name__)
Report = Callable[[Failure], None]


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


def scan(root: str, *, report: Report | None = None) -> Iterator[VideoFile]:
    """Every video file under a folder, in the order of names; links are not followed, so loops cannot be.

    Hidden and system folders and files are skipped; of hard-link twins the first is given.

    Args:
        root: a folder; it may itself be a link.
        report: told of each folder or file that cannot be read.

    Raises:
        ExplorerError: the folder itself is missing or unreadable.
    """
    root = os.path.abspath(root)
    try:
        os.scandir(root).close()
    except OSError as error:
        raise ExplorerError(
            f"cannot read the folder {shown(root)}: {error.strerror}; connect its drive or remove it from the library"
        ) from error
    seen: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        folders, files = _listed(waiting.pop(), report)
        waiting.extend(reversed(folders))
        for path in files:
            found = _video_file(path, seen, report)
            if found is not None:
                yield found


def _listed(folder: str, report: Report | None) -> tuple[list[str], list[str]]:
    """Paths of the folders and of the files with a video's extension, each by name."""
    folders, files = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if (
                    entry.name.startswith(".")
                    or entry.name.lower() in _SYSTEM
                    or entry.is_symlink()
                    or _is_junction(entry)
                ):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif os.path.splitext(entry.name)[1].lower().lstrip(".") in EXTENSIONS and entry.is_file(
                    follow_symlinks=False
                ):
                    files.append(entry.path)
    except OSError as error:
        _tell(report, folder, f"cannot read the folder {shown(folder)}: {error.strerror}; check its permissions")
    return sorted(folders), sorted(files)


def _is_junction(entry: os.DirEntry[str]) -> bool:
    return bool(getattr(entry, "is_junction", lambda: False)())  # Windows, Python 3.12 on


def _video_file(path: str, seen: set[tuple[int, int]], report: Report | None) -> VideoFile | None:
    try:
        status = os.lstat(path)
    except OSError as error:
        _tell(report, path, f"cannot read {shown(path)}: {error.strerror}; check its permissions")
        return None
    identity = (status.st_dev, status.st_ino)
    if status.st_nlink > 1 and status.st_ino and identity in seen:
        return None
    seen.add(identity)
    return VideoFile(path=path, size=status.st_size, mtime_ns=status.st_mtime_ns)


def _tell(report: Report | None, path: str, reason: str) -> None:
    log.info("%s", reason)
    if report is not None:
        report(Failure(path, reason))


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
        status = os.lstat(file.path)
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
