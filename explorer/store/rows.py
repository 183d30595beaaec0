"""The records a store hands out: folders, videos, windows, candidates and counts as they are kept."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from explorer.records import VideoInfo

INFO_COLUMNS = (
    "duration",
    "width",
    "height",
    "fps",
    "codec",
    "container",
    "rotation",
    "audio_codec",
    "pixel_format",
    "created",
    "timecode",
    "interlaced",
    "plain",
)
VIDEO_COLUMNS = (
    "id",
    "public_id",
    "root_id",
    "path",
    "size",
    "mtime_ns",
    "fingerprint",
    "state",
    "reason",
    "set_id",
    "indexed_at",
    "recorded",
    "recorded_by",
    "notes",
    *INFO_COLUMNS,
)
SEARCHABLE = ("indexed", "damaged")  # states of a video whose windows may be shown


@dataclass(frozen=True)
class Root:
    """A folder of the person's: its state is online or offline (unreachable, empty or suddenly much smaller)."""

    id: int
    path: str
    state: str
    reason: str
    added: float  # seconds since the epoch
    scanned: float | None
    motion_photos: bool = False  # whether motion parts of photos are searched


@dataclass(frozen=True)
class StoredVideo:
    """A file of the library: state is new, indexed, damaged, failed or missing; info is None until it was probed."""

    id: int
    public_id: str  # opaque; the only name the page's addresses carry
    root_id: int
    path: str
    size: int
    mtime_ns: int
    fingerprint: str
    state: str
    reason: str
    set_id: int | None
    indexed_at: float | None
    info: VideoInfo | None
    recorded: float | None = None  # seconds since the epoch
    recorded_by: str = ""  # what says so: container, name or file (its own time)
    notes: tuple[str, ...] = ()  # sentences on what was read otherwise than one would expect


@dataclass(frozen=True)
class StoredWindow:
    """A window with its number and its video's; frames [first, first + count) of the file's kept frames."""

    id: int
    video_id: int
    ordinal: int
    start: float  # seconds
    end: float
    first: int
    count: int


@dataclass(frozen=True)
class Candidates:
    """Kept frames of V windows: features (V, F, D) float16 with zeros where padded, mask (V, F) True where real."""

    windows: tuple[StoredWindow, ...]
    features: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Counts:
    """What the page says of the library; hours are of searchable videos."""

    roots: int
    offline: int
    videos: int
    new: int
    indexed: int
    damaged: int
    failed: int
    missing: int
    windows: int
    seconds: float


def as_text(sentence: str) -> str:
    """A sentence that any database and page can hold: bytes of a file name that are no text are spelled out."""
    return sentence.encode("utf-8", "backslashreplace").decode("utf-8")


def to_root(row: tuple) -> Root:
    return Root(row[0], os.fsdecode(row[1]), row[2], row[3], row[4], row[5], bool(row[6]))


def to_video(row: tuple[Any, ...]) -> StoredVideo:
    known = len(VIDEO_COLUMNS) - len(INFO_COLUMNS)
    fields = dict(zip(VIDEO_COLUMNS[:known], row))
    fields["path"], fields["notes"] = os.fsdecode(fields["path"]), to_notes(fields["notes"])
    return StoredVideo(**fields, info=VideoInfo(*row[known:]) if row[known] is not None else None)


def to_notes(text: str) -> tuple[str, ...]:
    """Notes as they are kept, one sentence a line."""
    return tuple(text.splitlines())


def from_notes(notes: Iterable[str]) -> str:
    """Notes as text for the database, each one line, none twice."""
    return "\n".join(dict.fromkeys(" ".join(as_text(note).split()) for note in notes))


def select_videos(connection: sqlite3.Connection, where: str = "1", values: tuple = ()) -> list[StoredVideo]:
    """Videos that fit a condition, in the order of their paths."""
    names = ", ".join(VIDEO_COLUMNS)
    rows = connection.execute(f"SELECT {names} FROM videos WHERE {where} ORDER BY path", values)
    return [to_video(row) for row in rows]
