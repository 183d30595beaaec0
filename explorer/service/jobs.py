"""Long work that outlives a page: each job is a generator of Progress run by a thread and kept in the table of jobs."""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from explorer.records import ExplorerError, Failure, Job, Progress
from explorer.store.database import is_full
from explorer.store.rows import as_text
from explorer.store.store import Store

log = logging.getLogger(__name__)

Maker = Callable[[dict[str, Any]], Iterator[Progress]]

WRITE_EVERY = 0.25  # seconds between two records of one job in the table
LISTED_FAILURES = 1000  # failures kept with a job; the library lists every failed file anyway
ROOM = 64 << 20  # bytes that must be free before a job that met a full disk goes on
LOOK_EVERY = 2.0  # seconds between two looks at the free space
CLOSE_SECONDS = 5.0
FINISHED = ("done", "failed", "cancelled")
COLUMNS = "id, kind, state, arguments, progress, created, finished, error"


@dataclass
class _Run:
    """A job of this process: what it does, what is wanted of it, how far it is."""

    job: Job
    maker: Maker
    stop: Callable[[], None] | None = None
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
        self._makers: dict[str, tuple[Maker, Callable[[], None] | None]] = {}
        self._runs: dict[int, _Run] = {}
        self._waiting: dict[str, list[_Run]] = {}
        self._active: dict[str, _Run] = {}
        self._lock = threading.RLock()
        with store.database.write() as connection:
            connection.execute(
                "UPDATE jobs SET state = 'interrupted', error = 'the app ended before this was done; "
                "resume it to go on' WHERE state IN ('running', 'queued')"
            )

    def register(self, kind: str, maker: Maker, *, stop: Callable[[], None] | None = None) -> None:
        """Say how jobs of a kind are made from their arguments, so that those of an earlier run can be resumed."""
        self._makers[kind] = (maker, stop)

    def start(
        self,
        kind: str,
        arguments: dict[str, Any],
        maker: Maker | None = None,
        *,
        stop: Callable[[], None] | None = None,
    ) -> int:
        """Put a job in line; it begins at once where no other of its kind runs.

        Args:
            kind: index, train, proxy, ...
            arguments: JSON values, kept with the job and handed to the maker.
            maker: makes the generator; None takes the registered one.
            stop: called on pause and cancel, to wake a generator that waits for a child.

        Returns:
            The job's number.
        """
        maker, stop = self._maker(kind, maker, stop)
        text, created = json.dumps(arguments), time.time()
        with self.store.database.write() as connection:
            job_id = connection.execute(
                "INSERT INTO jobs (kind, state, arguments, created) VALUES (?, 'queued', ?, ?)", (kind, text, created)
            ).lastrowid
        assert job_id is not None  # an INSERT has one
        job = Job(job_id, kind, "queued", json.loads(text), Progress("queued"), created)
        self._queue(_Run(job, maker, stop))
        return job_id

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
            maker, stop = (run.maker, run.stop) if run else self._maker(job.kind, None, None)
            fresh = _Run(replace(job, state="queued", finished=None, error=""), maker, stop)
            self._write(fresh)
            self._queue(fresh)

    def get(self, job_id: int) -> Job:
        """One job as it is now.

        Raises:
            ExplorerError: there is none.
        """
        run = self._runs.get(job_id)
        if run is not None:
            return run.job
        with self.store.database.read() as connection:
            row = connection.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            raise ExplorerError(f"there is no job {job_id}; reload the page")
        return _to_job(row)

    def list(self, *, limit: int = 50) -> tuple[Job, ...]:
        """The newest jobs, newest first."""
        with self.store.database.read() as connection:
            rows = connection.execute(f"SELECT {COLUMNS} FROM jobs ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
        return tuple(self._runs[row[0]].job if row[0] in self._runs else _to_job(row) for row in rows)

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

    def _maker(
        self, kind: str, maker: Maker | None, stop: Callable[[], None] | None
    ) -> tuple[Maker, Callable[[], None] | None]:
        if maker is not None:
            return maker, stop
        if kind not in self._makers:
            raise ExplorerError(f"this app does not know how to do a job of kind {kind}; start it anew")
        known = self._makers[kind]
        return known[0], stop or known[1]

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
        if run.stop is not None:
            run.stop()

    def _ask_resting(self, job_id: int, run: _Run | None, wanted: str) -> None:
        """A job that does not run: one that waits for space is told, a paused or interrupted one may be cancelled."""
        if run is not None and run.full:
            run.wanted = run.wanted or wanted
            run.asked.set()
        elif wanted == "cancelled" and self.get(job_id).state in ("paused", "interrupted"):
            resting = run or _Run(self.get(job_id), lambda _: iter(()))
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
            steps = run.maker(run.job.arguments)
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
        """Copy a job to the table. A full disk must not end it: what is shown comes from memory."""
        run.written = time.monotonic()
        job = run.job
        try:
            with self.store.database.write() as connection:
                connection.execute(
                    "UPDATE jobs SET state = ?, progress = ?, finished = ?, error = ? WHERE id = ?",
                    (job.state, json.dumps(asdict(job.progress)), job.finished, as_text(job.error), job.id),
                )
        except (ExplorerError, sqlite3.Error) as error:
            log.warning("cannot record job %d: %s", job.id, error)

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


def _to_job(row: tuple) -> Job:
    job_id, kind, state, arguments, progress, created, finished, error = row
    return Job(job_id, kind, state, json.loads(arguments), _to_progress(json.loads(progress)), created, finished, error)


def _to_progress(data: dict[str, Any]) -> Progress:
    failures = tuple(Failure(**failure) for failure in data.get("failures", ()))
    return Progress(**{"stage": "queued", **data, "failures": failures})
