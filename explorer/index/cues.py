"""Brings the words said in films up to date: subtitle files beside a film first, else the text tracks inside it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from explorer.media.decode import Cancelled
from explorer.media.subtitles import clean_cues, find_side_files, read_side_file
from explorer.records import Cue, ExplorerError, Progress
from explorer.store.cues import Cues
from explorer.store.rows import StoredVideo
from explorer.store.store import Store

if TYPE_CHECKING:
    from explorer.media.decode import DecodeWorker

log = logging.getLogger(__name__)


def read_cues(store: Store, decoder: DecodeWorker) -> Iterator[Progress]:
    """Read the subtitles of every film whose own or whose subtitle files' state has changed since the last look.

    Args:
        store: the library; this process must be its only writer.
        decoder: the killable worker; the caller closes it.

    Yields:
        Progress of stage "subtitles", one record a film that is read.
    """
    cues = Cues(store.database)
    videos = [video for state in ("indexed", "damaged") for video in store.videos(state=state)]
    changed = [(video, state) for video in videos if (state := _state(video)) != cues.state_of(video.id)]
    for done, (video, state) in enumerate(changed):
        yield Progress("subtitles", done, len(changed), video.path)
        cues.put(video.id, _read(video, decoder), state=state)


def _state(video: StoredVideo) -> str:
    """What the cues depend on: the film's content, and name, size and time of each subtitle file beside it."""
    parts = [video.fingerprint]
    for path in find_side_files(video.path):
        try:
            about = path.stat()
        except OSError:
            continue
        parts.append(f"{path.name}:{about.st_size}:{about.st_mtime_ns}")
    return "|".join(parts).encode("utf-8", "replace").decode("utf-8")


def _read(video: StoredVideo, decoder: DecodeWorker) -> list[Cue]:
    beside = [cue for path in find_side_files(video.path) for cue in read_side_file(path)]
    if beside:
        return beside
    try:
        inside = decoder.cues(video.path)
    except Cancelled:
        raise
    except ExplorerError as error:  # the film plays and is found by its pictures all the same
        log.info("no subtitles of %s: %s", video.path, error)
        return []
    languages = dict.fromkeys(language for *_, language in inside)
    return [
        cue
        for language in languages
        for cue in clean_cues((row[:3] for row in inside if row[3] == language), source=f"track {language}")
    ]
