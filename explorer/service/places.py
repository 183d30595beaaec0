"""Helps a person name a folder: places of this machine, what lies in a folder, a path as typed, what it holds."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from explorer.media.decode import DecodeWorker
from explorer.media.scan import EXTENSIONS, scan
from explorer.records import ExplorerError, Failure, VideoFile

LISTED = 300  # folders shown of one folder
LOOK_SECONDS = 4.0  # a forecast counts files for so long at most
PROBED = 6  # files whose length is read for a forecast
QUOTES = "\"'`“”‘’«»"
WINDOWS_PATH = re.compile(r"([A-Za-z]):[\\/](.*)", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """A folder to begin at. kind: home, videos, desktop, downloads, drive or library."""

    name: str
    path: str
    kind: str


@dataclass(frozen=True)
class Listing:
    """What lies in a folder: its folders by name, and how many videos lie directly in it."""

    path: str
    parent: str  # empty at the top
    folders: tuple[str, ...]
    videos: int
    more: int = 0  # folders beyond those listed


@dataclass(frozen=True)
class Forecast:
    """What a folder holds with all below it; seconds are reckoned from some of its files.

    `whole` is False where the folder was too large to be counted to the end: the numbers are then the least there is.
    """

    path: str
    files: int
    bytes: int
    seconds: float
    skipped: tuple[Failure, ...] = ()
    whole: bool = True


def places(library: Iterable[str] = ()) -> tuple[Place, ...]:
    """The folders a person begins at: home, videos, desktop, downloads, drives, and those of the library; each once."""
    import platformdirs

    found = [
        Place("Home", os.path.expanduser("~"), "home"),
        Place("Videos", platformdirs.user_videos_dir(), "videos"),
        Place("Desktop", platformdirs.user_desktop_dir(), "desktop"),
        Place("Downloads", platformdirs.user_downloads_dir(), "downloads"),
        *(Place(os.path.basename(drive.rstrip("\\/")) or drive, drive, "drive") for drive in drives()),
        *(Place(os.path.basename(path) or path, path, "library") for path in library),
    ]
    known = {os.path.abspath(place.path): place for place in reversed(found)}
    return tuple(place for place in found if known.get(os.path.abspath(place.path)) is place and _is_folder(place.path))


def drives() -> list[str]:
    """The disks that are connected now, as this system mounts them."""
    if sys.platform == "win32":
        return [f"{letter}:\\" for letter in "CDEFGHIJKLMNOPQRSTUVWXYZAB" if os.path.isdir(f"{letter}:\\")]
    user = os.environ.get("USER") or os.path.basename(os.path.expanduser("~"))
    homes = ["/Volumes"] if sys.platform == "darwin" else [f"/media/{user}", f"/run/media/{user}", "/mnt"]
    return [path for home in homes for path in _folders(home)]


def look_into(path: str) -> Listing:
    """The folders and the number of videos of a folder; hidden ones are left out.

    Raises:
        ExplorerError: it is not there, no folder, or must not be read.
    """
    name = os.path.abspath(path)
    try:
        with os.scandir(name) as entries:
            seen = [entry for entry in entries if not entry.name.startswith((".", "$"))]
    except NotADirectoryError as error:
        raise ExplorerError(f"{path!r} is a file; choose the folder it lies in") from error
    except FileNotFoundError as error:
        raise ExplorerError(f"there is no folder {path!r}; choose another one") from error
    except OSError as error:
        raise ExplorerError(f"{path!r} cannot be read: {error.strerror}; choose another folder") from error
    folders = sorted((entry.name for entry in seen if _entry_is_folder(entry)), key=str.casefold)
    parent = os.path.dirname(name)
    return Listing(
        path=name,
        parent="" if parent == name else parent,
        folders=tuple(folders[:LISTED]),
        videos=sum(_ending(entry.name) in EXTENSIONS for entry in seen),
        more=max(0, len(folders) - LISTED),
    )


def typed_path(text: str) -> str:
    """A path as a person types or pastes it, made plain: spaces and quotes around it, ~, file://; a file is its folder.

    A Windows path is found under /mnt where this is Linux on Windows.

    Example:
        >>> typed_path(' "file:///home/you/My%20Videos/" ')
        '/home/you/My Videos'
    """
    name = text.strip().strip(QUOTES).strip()
    if name.lower().startswith("file:"):
        parts = urlsplit(name)
        name = unquote(parts.path if parts.netloc in ("", "localhost") else f"//{parts.netloc}{parts.path}")
        name = name[1:] if re.match(r"/[A-Za-z]:[\\/]", name) else name
    name = os.path.expanduser(name)
    windows = WINDOWS_PATH.fullmatch(name)
    if windows and os.name == "posix":
        name = f"/mnt/{windows[1].lower()}/" + windows[2].replace("\\", "/")
    if os.path.isfile(name):
        name = os.path.dirname(os.path.abspath(name))
    return (name.rstrip("\\/") or name[:1]) if not name.endswith(":\\") else name


def forecast(path: str) -> Forecast:
    """Count the videos under a folder and reckon their length from some of them, before anything is indexed.

    Raises:
        ExplorerError: the folder cannot be read.
    """
    look_into(path)  # says what is wrong with it
    until, files, skipped, whole = time.monotonic() + LOOK_SECONDS, list[VideoFile](), list[Failure](), True
    for file in scan(path, report=skipped.append):
        files.append(file)
        if time.monotonic() > until:
            whole = False
            break
    size = sum(file.size for file in files)
    return Forecast(path, len(files), size, _length(files, size), tuple(skipped), whole)


def _length(files: list[VideoFile], size: int) -> float:
    """Seconds of video in these files, from the length of a few of them; 0.0 where none can be opened."""
    chosen = files[:: max(1, len(files) // PROBED)][:PROBED]
    seconds, seen = 0.0, 0
    with DecodeWorker() as worker:
        for file in chosen:
            try:
                seconds += worker.probe(file.path).duration
                seen += file.size
            except ExplorerError:
                continue  # it will be listed as a failure when it is indexed
    return seconds * size / seen if seen else 0.0


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower().removeprefix(".")


def _is_folder(path: str) -> bool:
    return bool(path) and Path(path).is_dir()


def _entry_is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _folders(path: str) -> list[str]:
    """The folders in a folder; none where it cannot be read."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.path for entry in entries if _entry_is_folder(entry) and not entry.name.startswith("."))
    except OSError:
        return []
