"""Reads the words said in a film where they are written down: subtitle files that lie beside it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from explorer.records import Cue

log = logging.getLogger(__name__)

SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
LARGEST = 8 << 20  # bytes: a day of talk is a tenth of it
LONGEST = 500  # characters of one cue
MOST = 200_000  # cues of one film


def find_side_files(video: str) -> tuple[Path, ...]:
    """Subtitle files of a video by name: film.srt, film.en.srt beside film.mp4, in any letter case."""
    path = Path(video)
    stem = path.stem.casefold() + "."
    try:
        beside = sorted(entry.name for entry in os.scandir(path.parent) if entry.name.casefold().startswith(stem))
    except OSError:
        return ()
    return tuple(path.parent / name for name in beside if name.casefold().endswith(SUFFIXES))


def read_side_file(path: Path) -> tuple[Cue, ...]:
    """The cues of a subtitle file, markup removed; one that cannot be read has none, and the log says why."""
    import pysubs2

    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return ()
        events = pysubs2.SSAFile.from_string(_decode(path.read_bytes())).events
    except (OSError, ValueError, pysubs2.Pysubs2Error) as error:
        log.info("cannot read the subtitles %s: %s", path, error)
        return ()
    raw = ((event.start / 1000, event.end / 1000, event.plaintext) for event in events if not event.is_comment)
    return tuple(clean_cues(raw, source=path.name))


def clean_cues(raw: Iterator[tuple[float, float, str]], *, source: str) -> Iterator[Cue]:
    """Cues with one line of text each, as long as a film can have; empty and backward ones are left out.

    >>> list(clean_cues(iter([(0.5, 1.0, " an\\nowl "), (2.0, 1.0, "no"), (3.0, 4.0, " ")]), source="a.srt"))
    [Cue(start=0.5, end=1.0, text='an owl', source='a.srt')]
    """
    for count, (start, end, text) in enumerate(raw):
        words = " ".join(text.split())[:LONGEST]
        if count >= MOST:
            return
        if words and 0 <= start < end:
            yield Cue(round(start, 3), round(end, 3), words, source)


def _decode(data: bytes) -> str:
    """The text of a file: by its byte order mark, as UTF-8, or as the Western encoding that most old files have."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
