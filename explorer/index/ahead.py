"""Decoding that runs ahead of encoding: a thread reads the decoder's frames into a short queue, across files."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from explorer.config import SamplingConfig
from explorer.media.decode import Cancelled
from explorer.media.walk import real_place
from explorer.records import Frames, FrameSize, VideoFile, VideoInfo
from explorer.store.rows import StoredVideo

if TYPE_CHECKING:
    from explorer.media.decode import DecodeWorker

log = logging.getLogger(__name__)

LOOK_AHEAD = 4  # runs of at most 64 frames: 40 MB at 224 pixels
WAIT = 0.2  # seconds; how soon a stop is noticed
JOIN_SECONDS = 5.0


@dataclass(frozen=True)
class Task:
    """A file to bring into the store: its row, and how it was found on disk, with its fingerprint, in which folder."""

    video: StoredVideo
    file: VideoFile
    root: str
    motion_photos: bool = False  # whether motion parts of photos are wanted


@dataclass(frozen=True)
class Opened:
    """A file's decoding has begun."""

    task: Task
    info: VideoInfo


@dataclass(frozen=True)
class Ended:
    """A file's last frame was given; `damage` is a sentence where part of it could not be decoded.

    `notes` are sentences on what was read otherwise than one would expect; `info` is what is known of it by now.
    """

    task: Task
    damage: str
    notes: tuple[str, ...] = ()
    info: VideoInfo | None = None


@dataclass(frozen=True)
class Broken:
    """A file could not be decoded."""

    task: Task
    error: Exception


@dataclass(frozen=True)
class Spoiled:
    """Something of the file in hand could not be decoded; what comes after it is still read."""

    task: Task


Step = Spoiled | Opened | Frames | Ended | Broken


class Ahead:
    """The thread and its queue. One consumer; `stop` leaves neither thread nor call behind."""

    def __init__(
        self,
        decoder: DecodeWorker,
        tasks: Iterable[Task],
        *,
        sampling: SamplingConfig,
        size: FrameSize,
        still_width: int,
        kept_until: Callable[[Task], float] = lambda task: -1.0,
    ) -> None:
        """kept_until: seconds of a file up to which its frames are kept from an earlier run."""
        self._decoder, self._kept_until = decoder, kept_until
        self._wanted: dict[str, Any] = {"sampling": sampling, "size": size, "still_width": still_width}
        self._queue: queue.Queue[Step | None] = queue.Queue(LOOK_AHEAD)
        self._stopping = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(list(tasks),), name="decode-ahead", daemon=True)
        self._thread.start()

    def steps(self) -> Iterator[Step | None]:
        """Steps in order; None where the decoder has nothing yet, so that the caller may look up."""
        while True:
            try:
                step = self._queue.get(timeout=WAIT)
            except queue.Empty:
                yield None
                continue
            if step is None:
                return
            yield step

    def stop(self) -> None:
        """Kill the call in flight, if there is one, and wait for the thread."""
        self._stopping.set()
        if self._done.is_set():
            return
        self._decoder.kill()
        self._thread.join(JOIN_SECONDS)
        self._decoder.kill()  # a child begun between the two looks at the same moment
        if self._thread.is_alive():
            log.warning("the decoder has not stopped within %.0f s", JOIN_SECONDS)

    def _run(self, tasks: list[Task]) -> None:
        for task in tasks:
            if self._stopping.is_set():
                return
            try:
                self._decode(task)
            except Exception as error:  # the one broad except: a file's trouble becomes a listed failure
                self._put(Broken(task, error))
                if isinstance(error, Cancelled):
                    return
        self._done.set()
        self._put(None)

    def _decode(self, task: Task) -> None:
        path, root = real_place(task.file.path, task.root)
        clip = self._decoder.open(path, root=root, after=self._kept_until(task), **self._wanted)
        if not self._put(Opened(task, clip.info)):
            return
        spoiled = False
        for frames in clip:
            if clip.damaged and not spoiled:
                spoiled = self._put(Spoiled(task))
            if not self._put(frames):
                return
        damage = f"damaged: {clip.bad_packets} parts could not be decoded; the rest was kept" if clip.damaged else ""
        self._put(Ended(task, damage, clip.notes, clip.info))

    def _put(self, step: Step | None) -> bool:
        """Wait for room in the queue; False where a stop came first."""
        while not self._stopping.is_set():
            try:
                self._queue.put(step, timeout=WAIT)
                return True
            except queue.Full:
                continue
        return False
