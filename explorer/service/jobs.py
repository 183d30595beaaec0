"""Long work that outlives a page: each job is a generator of Progress run by a thread and kept in the table of jobs."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import TypeVar

from explorer.config import from_dict
from explorer.records import ExplorerError, Failure, Job, Progress
from explorer.service.job_table import JobTable
from explorer.service.requests import (
    KINDS,
    FineTuneRequest,
    IndexRequest,
    MeasureRequest,
    Request,
    SamplesRequest,
    SwitchRequest,
    TowerRequest,
)
from explorer.store.database import is_full
from explorer.store.store import Store

log = logging.getLogger(__name__)

R = TypeVar("R", IndexRequest, SamplesRequest, TowerRequest, SwitchRequest, MeasureRequest, FineTuneRequest)

WRITE_EVERY = 0.25  # seconds between two records of one job in the table
LISTED_FAILURES = 1000  # failures kept with a job; the library lists every failed file anyway
ROOM = 64 << 20  # bytes that must be free before a job that met a full disk goes on
LOOK_EVERY = 2.0  # seconds between two looks at the free space
CLOSE_SECONDS = 5.0
FINISHED = ("done", "failed", "cancelled")


@dataclass(frozen=True)
class _Kind:
    """How jobs of a kind are made from their arguments, and what wakes one that waits for a child."""

    make: Callable[[dict[str, object]], Iterator[Progress]]
    stop: Callable[[], None] = lambda: None


@dataclass
class _Run:
    """A job of this process: how it is made, what is wanted of it, how far it is."""

    job: Job
    kind: _Kind
    wanted: str | None = None  # paused | cancelled | interrupted, where someone asked
    asked: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    full: bool = False  # paused by a full disk; its thread looks for space
    written: float = 0.0


class Jobs:
    """Runs jobs, one of a kind at a time; the others of that kind wait in line.

    A job stops by closing its generator. Pausing does the same, and resuming makes a new generator, which must go
    on from what was kept: so a paused job holds no memory and no processor, and a killed app loses nothing more.
    """

    def __init__(self, store: Store, *, room: int = ROOM, look_every: float = LOOK_EVERY) -> None:
        """Tie the runner to a store; jobs that a dead process left running become interrupted.

        Args:
            store: keeps the table of jobs; this process must be its only writer.
            room: bytes that must be free before a job that met a full disk goes on.
            look_every: seconds between two looks at the free space.
        """
        self.store, self.room, self.look_every = store, room, look_every
        self._table = JobTable(store)
        self._kinds: dict[str, _Kind] = {}
        self._runs: dict[int, _Run] = {}
        self._waiting: dict[str, list[_Run]] = {}
        self._active: dict[str, _Run] = {}
        self._lock = threading.RLock()
        self._table.interrupt_running()

    def register(
        self, request: type[R], make: Callable[[R], Iterator[Progress]], *, stop: Callable[[], None] = lambda: None
    ) -> None:
        """Say what answers a kind of request, so that jobs of an earlier run can be resumed too.

        Args:
            request: the record that asks for it; its fields are kept with the job as JSON values.
            make: the generator that does it.
            stop: called on pause and cancel, to wake a generator that waits for a child.
        """
        self._kinds[KINDS[request]] = _Kind(lambda arguments: make(from_dict(request, arguments)), stop)

    def start(self, request: Request) -> int:
        """Put a job in line; it begins at once where no other of its kind runs. Returns the job's number."""
        kind = KINDS[type(request)]
        known = self._kind(kind)
        job = self._table.add(kind, asdict(request))
        self._queue(_Run(job, known))
        return job.id

    def pause(self, job_id: int) -> None:
        """Stop a job so that it can go on later; nothing happens where it is over."""
        self._ask(job_id, "paused")

    def cancel(self, job_id: int) -> None:
        """Stop a job for good; what it has kept so far stays."""
        self._ask(job_id, "cancelled")

    def resume(self, job_id: int) -> None:
        """Let a job that is not running go on from what it kept.

        Raises:
            ExplorerError: it is running or done, or this app does not know how to do its kind.
        """
        with self._lock:
            job, run = self.get(job_id), self._runs.get(job_id)
            if run is not None and run.full:
                run.asked.set()  # look for space now
                return
            if job.state in ("queued", "running", "done"):
                raise ExplorerError(f"job {job_id} is {job.state}; there is nothing to resume")
            fresh = _Run(replace(job, state="queued", finished=None, error=""), self._kind(job.kind))
            self._write(fresh)
            self._queue(fresh)

    def get(self, job_id: int) -> Job:
        """One job as it is now.

        Raises:
            ExplorerError: there is none.
        """
        run = self._runs.get(job_id)
        return self._table.get(job_id) if run is None else run.job

    def list(self, *, limit: int = 50) -> tuple[Job, ...]:
        """The newest jobs, newest first."""
        rows = self._table.newest(limit)
        return tuple(self._runs[job.id].job if job.id in self._runs else job for job in rows)

    def wait(self, job_id: int, timeout: float | None = None) -> Job:
        """Wait until a job stands still (over, paused or interrupted), at most `timeout` seconds."""
        until = time.monotonic() + (timeout if timeout is not None else float("inf"))
        while self.get(job_id).state in ("queued", "running") and time.monotonic() < until:
            time.sleep(0.02)
        return self.get(job_id)

    def close(self) -> None:
        """Stop everything; running and queued jobs can be resumed at the next start."""
        runs = [run for run in list(self._runs.values()) if run.full or run.job.state in ("queued", "running")]
        for run in runs:
            self._ask(run.job.id, "interrupted")
        for run in runs:
            if run.thread is not None:
                run.thread.join(CLOSE_SECONDS)

    def _kind(self, kind: str) -> _Kind:
        if kind not in self._kinds:
            raise ExplorerError(f"this app does not know how to do a job of kind {kind}; start it anew")
        return self._kinds[kind]

    def _queue(self, run: _Run) -> None:
        with self._lock:
            self._runs[run.job.id] = run
            self._waiting.setdefault(run.job.kind, []).append(run)
        self._advance(run.job.kind)

    def _advance(self, kind: str) -> None:
        with self._lock:
            if kind in self._active or not self._waiting.get(kind):
                return
            run = self._active[kind] = self._waiting[kind].pop(0)
            run.job = replace(run.job, state="running")
            run.thread = threading.Thread(target=self._work, args=(run,), name=f"job-{run.job.id}", daemon=True)
        run.thread.start()

    def _ask(self, job_id: int, wanted: str) -> None:
        with self._lock:
            run = self._runs.get(job_id)
            if run is None or run.job.state not in ("queued", "running"):
                self._ask_resting(job_id, run, wanted)
                return
            run.wanted = wanted
            run.asked.set()
            if run in self._waiting.get(run.job.kind, []):
                self._waiting[run.job.kind].remove(run)
                self._settle(run, wanted)
                return
        run.kind.stop()

    def _ask_resting(self, job_id: int, run: _Run | None, wanted: str) -> None:
        """A job that does not run: one that waits for space is told, a paused or interrupted one may be cancelled."""
        if run is not None and run.full:
            run.wanted = run.wanted or wanted
            run.asked.set()
        elif wanted == "cancelled" and self.get(job_id).state in ("paused", "interrupted"):
            resting = run or _Run(self.get(job_id), _Kind(lambda _: iter(())))
            self._runs[job_id] = resting
            self._settle(resting, wanted)

    def _work(self, run: _Run) -> None:
        self._write(run)
        outcome, error = self._drive(run)
        while outcome == "full":
            run.full = True
            self._settle(run, "paused", error)
            if not self._room_again(run):
                outcome, error = run.wanted or "paused", ""
                break
            run.job = replace(run.job, state="running", finished=None, error="")
            self._write(run)
            outcome, error = self._drive(run)
        with self._lock:
            del self._active[run.job.kind]
        self._settle(run, outcome, error)
        self._advance(run.job.kind)

    def _drive(self, run: _Run) -> tuple[str, str]:
        """Ask the generator for its next step until it ends or someone wants it to; returns state and sentence."""
        try:
            steps = run.kind.make(dict(run.job.arguments))
            try:
                for progress in steps:
                    self._note(run, progress)
                    if run.wanted is not None:
                        return run.wanted, ""
            finally:
                if hasattr(steps, "close"):
                    steps.close()
        except Exception as error:
            return self._outcome(run, error)
        return "done", ""

    def _outcome(self, run: _Run, error: Exception) -> tuple[str, str]:
        if run.wanted is not None:
            return run.wanted, ""
        if is_full(error):
            return "full", (
                str(error)
                if isinstance(error, ExplorerError)
                else f"no space left on the disk of {self.store.path.parent}; free some and the work goes on"
            )
        if isinstance(error, ExplorerError):
            return "failed", str(error)
        log.exception("job %d failed", run.job.id)
        return "failed", f"something unexpected went wrong ({type(error).__name__}: {error}); start it again"

    def _note(self, run: _Run, progress: Progress) -> None:
        run.job = replace(run.job, progress=_with_failures(progress, run.job.progress.failures))
        if time.monotonic() - run.written >= WRITE_EVERY:
            self._write(run)

    def _settle(self, run: _Run, state: str, error: str = "") -> None:
        finished = time.time() if state in FINISHED else None
        run.job = replace(run.job, state=state, error=error, finished=finished)
        self._write(run)

    def _write(self, run: _Run) -> None:
        run.written = time.monotonic()
        self._table.write(run.job)

    def _room_again(self, run: _Run) -> bool:
        """Wait until there is space, or someone pauses or cancels the job (False)."""
        while run.wanted is None and shutil.disk_usage(self.store.path.parent).free < self.room:
            run.asked.wait(self.look_every)
            run.asked.clear()
        run.full = False
        return run.wanted is None


def _with_failures(progress: Progress, earlier: tuple[Failure, ...]) -> Progress:
    """The record with all failures so far, each file once, the newest reason counting."""
    merged = {failure.path: failure for failure in (*earlier, *progress.failures)}
    return replace(progress, failures=tuple(merged.values())[:LISTED_FAILURES])
