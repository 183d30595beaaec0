"""Decodes files in a killable child: what a file is, its sampled frames as they come, single frames."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from types import TracebackType
from typing import Any

import numpy as np

from explorer.config import SamplingConfig
from explorer.media import gate
from explorer.media.child_process import Budget, Cancelled, Child
from explorer.records import ExplorerError, Frames, FrameSize, VideoInfo

__all__ = ["Cancelled", "Clip", "DecodeWorker"]

MEMORY_MB = 1024  # most a child may hold
PATIENCE = 20.0  # seconds in which a child must get on, however long the whole file takes
FILES_A_CHILD = 200  # then a fresh one: what a decoder leaks goes with it


class Clip:
    """One file being decoded: `info` at once, frames by iterating once, then `bad_packets`, `damaged` and `notes`, and
    `info` with its length as it was found.

    `decoder` is the one at work, `note` says why it is not the one asked for. Frames are decoded ahead by a few runs
    while the caller is busy. A clip that is left before its end costs its worker a new child.
    """

    def __init__(self, child: Child, path: str, budget: Budget) -> None:
        self.path, self.bad_packets, self.damaged, self.finished = path, 0, False, False
        self._child, self._budget = child, budget
        header, _ = child.read(path, budget)
        self.info = _info(header)
        self.decoder, self.note = str(header.get("decoder", "pyav")), str(header.get("note", ""))
        self.notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Frames]:
        while not self.finished:
            header, blobs = self._read()
            if header.get("end"):
                self.finished = True
                self.bad_packets, self.damaged = int(header["bad_packets"]), bool(header["damaged"])
                self.decoder, self.note = str(header["decoder"]), str(header["note"])
                self.notes = tuple(str(note) for note in header["notes"])
                self.info = replace(self.info, duration=float(header["length"]))
                return
            self.damaged = bool(header.get("damaged"))
            yield _frames(header, blobs)

    def _read(self) -> tuple[dict[str, Any], list[bytes]]:
        try:
            return self._child.read(self.path, self._budget)
        except Exception:
            self.finished = True
            raise


class DecodeWorker:
    """A decoding child that is started when needed, killed on overrun, renewed after 200 files. Close it, or use
    `with`.

    One thread opens and reads; kill() may come from any thread. `decoder` decord is used where it is right.
    """

    def __init__(
        self,
        decoder: str = "pyav",
        *,
        memory_mb: int = MEMORY_MB,
        threads: int = 1,
        patience: float = PATIENCE,
        niceness: int = 0,
    ) -> None:
        if decoder not in ("pyav", "decord"):
            raise ValueError(f"decoder must be pyav or decord, not {decoder!r}")
        self.decoder, self.memory_mb, self.threads, self.patience = decoder, memory_mb, threads, patience
        self.niceness = niceness
        self._child: Child | None = None
        self._clip: Clip | None = None
        self._files = 0
        self._lock = threading.Lock()

    def another(self) -> DecodeWorker:
        """A worker like this one, with a child of its own."""
        return DecodeWorker(
            self.decoder,
            memory_mb=self.memory_mb,
            threads=self.threads,
            patience=self.patience,
            niceness=self.niceness,
        )

    def __enter__(self) -> DecodeWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the child, None where there is none now."""
        child = self._child
        return child.pid if child is not None and child.alive else None

    def open(
        self,
        path: str,
        *,
        sampling: SamplingConfig,
        size: FrameSize,
        still_width: int = 320,
        root: str | None = None,
        after: float = -1.0,
        adaptive: bool = False,
    ) -> Clip:
        """Start decoding a file.

        Args:
            path: the file.
            sampling: which frames.
            size: the pixels wanted.
            still_width: pixels of the JPEG beside each frame, 0 for none.
            root: the library folder; a file that really lies elsewhere is refused.
            after: seconds; frames up to there are kept already and are not given again.
            adaptive: leave out the pixels of a frame that looks like the one before (see Frames.fresh).

        Raises:
            ExplorerError: one sentence: refused, damaged beyond use, too slow or too large.
            Cancelled: kill() came.
        """
        about = {"sampling": asdict(sampling), "size": asdict(size), "still_width": still_width}
        return self._open({"do": "sample", "after": after, "adaptive": adaptive, **about}, path, root)

    def probe(self, path: str, *, root: str | None = None) -> VideoInfo:
        """What a file is; errors as in `open`."""
        gate.check(path, root=root)
        child = self._ready()
        child.ask({"do": "probe", "path": path, "threads": self.threads})
        header, _ = child.read(path, Budget(self.patience))
        return _info(header)

    def cues(self, path: str) -> list[tuple[float, float, str, str]]:
        """(start, end, text, language) of the text tracks inside a file; errors as in `open`."""
        gate.check(path)
        child = self._ready()
        child.ask({"do": "cues", "path": path})
        header, _ = child.read(path, Budget(self.patience))
        try:
            return [
                (float(start), float(end), str(text), str(language)) for start, end, text, language in header["cues"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise ExplorerError(f"the decoding process answered wrongly ({error}); try again") from error

    def frames_at(
        self, path: str, times: Sequence[float] | np.ndarray, *, size: FrameSize, still_width: int = 0
    ) -> Frames:
        """The frames on display at some times, each once, ascending; errors as in `open`.

        Args:
            path: the file.
            times: seconds, in any order, at least one, none NaN.
            size: the pixels wanted.
            still_width: pixels of the JPEG beside each frame, 0 for none.
        """
        wanted = np.unique(np.asarray(times, dtype=np.float64))
        if len(wanted) == 0 or not np.isfinite(wanted).all():
            raise ValueError(f"times must be finite and at least one, not {times}")
        request = {"do": "frames_at", "times": wanted.tolist(), "size": asdict(size), "still_width": still_width}
        runs = list(self._open(request, path, None))
        return Frames(
            np.concatenate([run.times for run in runs]),
            np.concatenate([run.pixels for run in runs]),
            tuple(still for run in runs for still in run.stills),
        )

    def _open(self, request: dict[str, Any], path: str, root: str | None) -> Clip:
        gate.check(path, root=root)
        child = self._ready()
        child.ask({**request, "path": path, "threads": self.threads, "decoder": self.decoder})
        try:
            self._clip = Clip(child, path, Budget(self.patience))
        except BaseException:
            self._clip = None
            raise
        return self._clip

    def _ready(self) -> Child:
        """A child with nothing in hand: the one there is, or a fresh one."""
        with self._lock:
            busy = self._clip is not None and not self._clip.finished
            if self._child is not None and (busy or not self._child.alive or self._files >= FILES_A_CHILD):
                self._child.release()
                self._child = None
            if self._child is None:
                self._child, self._files = Child(memory_mb=self.memory_mb, niceness=self.niceness), 0
            self._files, self._clip = self._files + 1, None
            return self._child

    def kill(self) -> None:
        """End the child now, from any thread: the call in flight, or the next read of an open clip, raises
        Cancelled."""
        with self._lock:
            if self._child is not None:
                self._child.kill("cancel")

    def close(self) -> None:
        """End the child; the worker may be used again."""
        with self._lock:
            if self._child is not None:
                self._child.release()
            self._child = self._clip = None


def _info(header: dict[str, Any]) -> VideoInfo:
    try:
        return VideoInfo(**header["info"])
    except (KeyError, TypeError, ValueError) as error:
        raise ExplorerError(f"the decoding process answered wrongly ({error}); try again") from error


def _frames(header: dict[str, Any], blobs: list[bytes]) -> Frames:
    try:
        pixels = np.frombuffer(blobs[0], dtype=np.uint8).reshape(header["shape"])
        fresh = None if header["fresh"] is None else np.array(header["fresh"], dtype=bool)
        return Frames(np.array(header["times"], dtype=np.float64), pixels, tuple(blobs[1:]), fresh)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ExplorerError(f"the decoding process answered wrongly ({error}); try again") from error
