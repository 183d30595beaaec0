"""Decoding that runs ahead of encoding: threads read the decoders' frames into one short queue, several files at
once."""

from __future__ import annotations

import logging
import os
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

LOOK_AHEAD = 4  # runs of at most 32 frames: 25 MB at 256 pixels
MOST_DECODERS = 4  # processes: each may hold a gigabyte, and four feed the quickest encoder
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
class Decoded:
    """The next frames of a file."""

    task: Task
    frames: Frames


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


Step = Spoiled | Opened | Decoded | Ended | Broken


class Ahead:
    """The threads, a decoder each, and their queue. One consumer; `stop` leaves neither thread nor call behind.

    As many files are decoded at once as there are cores, since a decoder takes longer than the encoder it feeds; the
    last file has several threads instead. The steps of one file come in order, those of several are mixed.
    """

    def __init__(
        self,
        decoder: DecodeWorker,
        tasks: Iterable[Task],
        *,
        sampling: SamplingConfig,
        size: FrameSize,
        still_width: int,
        kept_until: Callable[[Task], float] = lambda task: -1.0,
        cores: int | None = None,
    ) -> None:
        """kept_until: seconds of a file up to which its frames are kept from an earlier run."""
        self._tasks, self._cores = list(tasks)[::-1], cores or os.cpu_count() or 1
        count = max(1, min(self._cores, MOST_DECODERS, len(self._tasks)))
        self._own = [decoder.another() for _ in range(count - 1)]
        self._decoders, self._kept_until = [decoder, *self._own], kept_until
        about: dict[str, Any] = {"sampling": sampling, "size": size, "still_width": still_width}
        self._wanted = {**about, "adaptive": sampling.adaptive}
        self._queue: queue.Queue[Step | None] = queue.Queue(LOOK_AHEAD)
        self._stopping, self._taking, self._at_work = threading.Event(), threading.Lock(), count
        self._threads = [
            threading.Thread(target=self._run, args=(worker,), name="decode-ahead", daemon=True)
            for worker in self._decoders
        ]
        for thread in self._threads:
            thread.start()

    def steps(self) -> Iterator[Step | None]:
        """Steps as they come; None where the decoders have nothing yet, so that the caller may look up."""
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
        """Kill the calls in flight, if there are any, and wait for the threads."""
        self._stopping.set()
        if self._at_work:
            self._kill()
            for thread in self._threads:
                thread.join(JOIN_SECONDS)
            self._kill()  # a child begun between the two looks at the same moment
            if any(thread.is_alive() for thread in self._threads):
                log.warning("a decoder has not stopped within %.0f s", JOIN_SECONDS)
        for worker in self._own:
            worker.close()

    def _kill(self) -> None:
        for worker in self._decoders:
            worker.kill()

    def _run(self, worker: DecodeWorker) -> None:
        while (task := self._next(worker)) is not None:
            try:
                self._decode(worker, task)
            except Exception as error:  # the one broad except: a file's trouble becomes a listed failure
                self._put(Broken(task, error))
                if isinstance(error, Cancelled):
                    return
        with self._taking:
            self._at_work -= 1
            last = not self._at_work
        if last:
            self._put(None)

    def _next(self, worker: DecodeWorker) -> Task | None:
        """The next file, and the cores it may have: all of them where it is the last."""
        with self._taking:
            if self._stopping.is_set() or not self._tasks:
                return None
            worker.threads = max(1, self._cores // min(len(self._decoders), len(self._tasks)))
            return self._tasks.pop()

    def _decode(self, worker: DecodeWorker, task: Task) -> None:
        path, root = real_place(task.file.path, task.root)
        clip = worker.open(path, root=root, after=self._kept_until(task), **self._wanted)
        if not self._put(Opened(task, clip.info)):
            return
        spoiled = False
        for frames in clip:
            if clip.damaged and not spoiled:
                spoiled = self._put(Spoiled(task))
            if not self._put(Decoded(task, frames)):
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
