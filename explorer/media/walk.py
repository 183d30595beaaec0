"""Walks a folder for video files: follows links once, leaves out what is no place for films, and keeps count of it."""

from __future__ import annotations

import logging
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache

from explorer.media.gate import shown
from explorer.records import ExplorerError, Failure, VideoFile

# Endings that are looked into; what a file is, its content says.
EXTENSIONS = frozenset(
    "mp4 mov m4v mkv webm avi divx ts m2ts mts trp tp tod mod mpg mpeg mpe m1v m2v m2p vob vro dat wmv asf dvr-ms flv "
    "f4v 3gp 3g2 gif ogv ogg mxf dv insv 360 lrv h264 264 avc hevc h265 265 ivf y4m qt mk3d".split()
)
# Endings of films that no decoder here is allowed to read: they are named, so that nobody looks for them in vain.
UNSUPPORTED = frozenset("rm rmvb wtv braw r3d ari arx crm mlv cine nut swf bik bk2 smk nsv amv evo mj2 dav obu".split())
# Bins, snapshots, previews, and packages of programs, which keep copies of films under names of their own.
EXCLUDED = (
    ".*",
    "$RECYCLE.BIN",
    "RECYCLER",
    "System Volume Information",
    "lost+found",
    "__MACOSX",
    "node_modules",
    "@eaDir",
    "@Recycle",
    "@Recently-Snapshot",
    "@tmp",
    "#recycle",
    "#snapshot",
    "~snapshot",
    "*.photoslibrary",
    "*.photolibrary",
    "*.aplibrary",
    "*.migratedphotolibrary",
    "*.tvlibrary",
    "*.theater",
    "*.imovielibrary",
    "*.fcpbundle",
    "*.fcpcache",
    "*.lrdata",
    "*.app",
    "Adobe Premiere Pro * Previews",
    "*.PRV",
    "CacheClip",
)
NOTHING = r"(?!)"  # matches nothing
NAMED = 3  # names in one sentence
log = logging.getLogger(__name__)
Report = Callable[[Failure], None]


@dataclass
class Left:
    """What a walk met besides ordinary films: paths below the folder, for the notes on it."""

    unsupported: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)  # links that lead out of the folder
    unfollowed: list[str] = field(default_factory=list)  # links to what holds the folder, or to nothing

    def notes(self) -> list[str]:
        """One sentence a kind."""
        packages = [path for path in self.excluded if not os.path.basename(path).startswith(".")]
        told = (
            (self.unsupported, "look like video and are not supported", "looks like video and is not supported"),
            (packages, "are left out, as excluded", "is left out, as excluded"),
            (
                self.followed,
                "are links that lead out of the folder; what they show was read",
                "is a link that leads out of the folder; what it shows was read",
            ),
            (
                self.unfollowed,
                "are links that lead nowhere or around in a circle and were not followed",
                "is a link that leads nowhere or around in a circle and was not followed",
            ),
        )
        return [_counted(paths, many, one) for paths, many, one in told if paths]


def _counted(paths: list[str], many: str, one: str) -> str:
    names = sorted({shown(os.path.basename(path)) for path in paths})
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    listed = ", ".join(names[:NAMED]) + more
    return f"{len(paths)} files or folders {many}: {listed}" if len(paths) > 1 else f"{listed} {one}"


def excluded(path: str, root: str, patterns: Iterable[str]) -> bool:
    """Whether a path below a folder, or a folder on the way to it, is left out.

    A pattern is a name with * and ?, whatever its letters' case; one with a / is a place below the folder.

    Example:
        >>> excluded("/v/Trip/@Recycle/a.mp4", "/v", EXCLUDED), excluded("/v/Raw/a.mp4", "/v", ["raw/*"])
        (True, True)
    """
    names, places = _matchers(tuple(patterns))
    steps = _folded(os.path.relpath(path, root)).split(os.sep)
    below = ("/".join(steps[: n + 1]) for n in range(len(steps)))
    return any(map(names.fullmatch, steps)) or any(map(places.fullmatch, below))


@lru_cache(maxsize=16)
def _matchers(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Patterns of names, and patterns of places below the folder, each as one expression; with none, one of nothing."""
    folded = [_folded(pattern).strip("/") for pattern in patterns if pattern.strip("/ ")]
    parts = [p for p in folded if "/" not in p], [p for p in folded if "/" in p]
    names, places = (re.compile("|".join(map(translate, part)) or NOTHING) for part in parts)
    return names, places


def _folded(text: str) -> str:
    """Letter case and the two spellings of an accent (one sign, or a letter and its mark) do not count."""
    return unicodedata.normalize("NFC", text).casefold()


def scan(
    root: str,
    *,
    report: Report | None = None,
    patterns: Iterable[str] = EXCLUDED,
    elsewhere: Iterable[str] = (),
    left: Left | None = None,
) -> Iterator[VideoFile]:
    """Every video file under a folder, in the order of names; of hard-link twins the first is given.

    Links are followed after everything else, each place once: what a link shows that was met already, or that another
    folder of the library holds, is not met again, and a link to what holds the folder is left.

    Args:
        root: a folder; it may itself be a link.
        report: told of each folder or file that cannot be read.
        patterns: names that are left out; see `excluded`.
        elsewhere: the library's other folders.
        left: filled with what was met besides.

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
    yield from _Walk(root, tuple(patterns), tuple(map(os.path.realpath, elsewhere)), report, left or Left()).files()


class _Walk:
    """One walk: what was met so far, so that nothing is met twice."""

    def __init__(
        self, root: str, patterns: tuple[str, ...], elsewhere: tuple[str, ...], report: Report | None, left: Left
    ) -> None:
        self.root, self.patterns, self.report, self.left = root, patterns, report, left
        self.real = os.path.realpath(root)
        self.elsewhere = [place for place in elsewhere if place != self.real]
        self.met: set[tuple[int, int]] = set()
        self.links: list[str] = []

    def files(self) -> Iterator[VideoFile]:
        yield from self._below(self.root)
        while self.links:
            link = self.links.pop(0)
            yield from self._through(link)

    def _below(self, folder: str) -> Iterator[VideoFile]:
        waiting = [folder]
        while waiting:
            folder = waiting.pop()
            if not self._is_new(folder):
                continue
            folders, files = self._listed(folder)
            waiting.extend(reversed(folders))
            for path in files:
                found = self._file(path)
                if found is not None:
                    yield found

    def _through(self, link: str) -> Iterator[VideoFile]:
        """What a link shows, where that is a folder or a film not met yet."""
        target = os.path.realpath(link)
        if not os.path.exists(target) or _holds(target, self.real):
            self.left.unfollowed += [link] if _ending(link) in {*EXTENSIONS, ""} else []
        elif any(_holds(place, target) for place in self.elsewhere):
            return
        elif os.path.isdir(target):
            if not _holds(self.real, target):
                self.left.followed.append(link)
            yield from self._below(link)
        elif os.path.isfile(target) and _ending(link) in EXTENSIONS and self._is_new(link):
            self.left.followed += [] if _holds(self.real, target) else [link]
            status = os.stat(link)
            yield VideoFile(path=link, size=status.st_size, mtime_ns=status.st_mtime_ns)

    def _is_new(self, path: str) -> bool:
        try:
            status = os.stat(path)
        except OSError as error:
            self._tell(path, f"cannot read {shown(path)}: {error.strerror}; check its permissions")
            return False
        identity = (status.st_dev, status.st_ino)
        if identity[1] and identity in self.met:
            return False
        self.met.add(identity)
        return True

    def _listed(self, folder: str) -> tuple[list[str], list[str]]:
        """Paths of the folders and of the files with a video's ending, each by name; links are put by for later."""
        folders, files = [], []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if self._is_excluded(entry):
                        self.left.excluded += [entry.path] * entry.is_dir(follow_symlinks=False)
                    elif entry.is_symlink() or _is_junction(entry):
                        self.links.append(entry.path)
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif _ending(entry.name) in EXTENSIONS and entry.is_file(follow_symlinks=False):
                        files.append(entry.path)
                    elif _ending(entry.name) in UNSUPPORTED and entry.is_file(follow_symlinks=False):
                        self.left.unsupported.append(entry.path)
        except OSError as error:
            self._tell(folder, f"cannot read the folder {shown(folder)}: {error.strerror}; check its permissions")
        self.links.sort()
        return sorted(folders), sorted(files)

    def _is_excluded(self, entry: os.DirEntry[str]) -> bool:
        """The same as `excluded` of what lies in a folder that is not."""
        names, places = _matchers(self.patterns)
        if names.fullmatch(_folded(entry.name)):
            return True
        return bool(places.pattern != NOTHING and excluded(entry.path, self.root, self.patterns))

    def _file(self, path: str) -> VideoFile | None:
        try:
            status = os.lstat(path)
        except OSError as error:
            self._tell(path, f"cannot read {shown(path)}: {error.strerror}; check its permissions")
            return None
        identity = (status.st_dev, status.st_ino)
        if status.st_ino and identity in self.met:
            return None
        self.met.add(identity)
        return VideoFile(path=path, size=status.st_size, mtime_ns=status.st_mtime_ns)

    def _tell(self, path: str, reason: str) -> None:
        log.info("%s", reason)
        if self.report is not None:
            self.report(Failure(path, reason))


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower().lstrip(".")


def _is_junction(entry: os.DirEntry[str]) -> bool:
    return bool(getattr(entry, "is_junction", lambda: False)())  # Windows, Python 3.12 on


def _holds(folder: str, path: str) -> bool:
    """Whether a path is a folder or lies in it; both are real places."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def real_place(path: str, root: str) -> tuple[str, str]:
    """(file, folder) that a decoder is given for a file of the library: where it was met through a link, its real
    place."""
    real, folder = os.path.realpath(path), os.path.realpath(root)
    straight = os.path.join(folder, os.path.relpath(path, root)) == real
    return (path, root) if straight else (real, os.path.dirname(real))
