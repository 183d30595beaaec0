"""Makes every file playable in the browser: as it is where it can be, else a copy made in the background and kept."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from explorer.media.proxies import make_playable, playability
from explorer.records import ExplorerError, Progress
from explorer.service.answers import Playable
from explorer.store.rows import StoredVideo

log = logging.getLogger(__name__)

LEFT = 20.0  # seconds without a question after which nobody waits for a copy any more
KEPT_BYTES = 4 << 30  # copies kept; the oldest go first


@dataclass
class _Copy:
    """A copy being made."""

    progress: float = 0.0
    message: str = ""
    wanted: float = field(default_factory=time.monotonic)  # when a player last asked for it
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


class Copies:
    """Playable copies, one made at a time, named by content so that a moved file keeps its copy.

    Args:
        folder: where copies are kept; may be emptied at any time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._copies: dict[str, _Copy] = {}
        self._lock, self._free = threading.Lock(), threading.Condition()
        self._line: list[_Copy] = []
        self._busy = False

    def request(self, video: StoredVideo) -> Playable:
        """Where a browser finds a video's bytes; asking starts the making of a copy where one is needed."""
        if video.info is None:
            return Playable("failed", message=video.reason or "This file has not been indexed yet.")
        if playability(video.info) == "direct":
            return Playable("ready", path=video.path)
        out = self.folder / f"{video.fingerprint}.mp4"
        if out.is_file():
            return Playable("ready", path=str(out))
        with self._lock:
            copy = self._copies.get(video.fingerprint) or self._begin(video, out)
        if copy.message:
            with self._lock:  # the next click tries again
                self._copies.pop(video.fingerprint, None)
            return Playable("failed", message=copy.message)
        copy.wanted = time.monotonic()
        return Playable("making", progress=min(1.0, copy.progress))

    def close(self) -> None:
        """Stop what is being made; half a copy is never kept."""
        for copy in list(self._copies.values()):
            copy.stop.set()
        for copy in list(self._copies.values()):
            if copy.thread is not None:
                copy.thread.join(5)

    def _begin(self, video: StoredVideo, out: Path) -> _Copy:
        copy = self._copies[video.fingerprint] = _Copy()
        copy.thread = threading.Thread(target=self._make, args=(video, out, copy), name="playable", daemon=True)
        copy.thread.start()
        return copy

    def _make(self, video: StoredVideo, out: Path, copy: _Copy) -> None:
        try:
            with self._turn(copy):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._make_room()
                assert video.info is not None
                self._follow(make_playable(video.path, str(out), info=video.info), copy)
        except (ExplorerError, OSError) as error:
            copy.message = str(error)
            return
        with self._lock:
            self._copies.pop(video.fingerprint, None)

    @contextmanager
    def _turn(self, copy: _Copy) -> Iterator[None]:
        """Wait until no other copy is made; of those that wait the newest goes first."""
        with self._free:
            self._line.append(copy)
            while self._busy or self._line[-1] is not copy:
                self._free.wait()
            self._line.remove(copy)
            self._busy = True
        try:
            yield
        finally:
            with self._free:
                self._busy = False
                self._free.notify_all()

    @staticmethod
    def _follow(steps: Iterator[Progress], copy: _Copy) -> None:
        for step in steps:
            copy.progress = step.done / step.total if step.total else 0.0
            if copy.stop.is_set() or time.monotonic() - copy.wanted > LEFT:
                steps.close()  # type: ignore[attr-defined]  # a generator, which ends its child
                return

    def _make_room(self) -> None:
        kept = sorted(self.folder.glob("*.mp4"), key=os.path.getmtime, reverse=True)
        room = KEPT_BYTES
        for path in kept:
            room -= path.stat().st_size
            if room < 0:
                path.unlink(missing_ok=True)
