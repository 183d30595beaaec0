"""Jobs: one of a kind at a time, really stopped, resumed after a crash, patient with a full disk."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from explorer.records import ExplorerError, Failure, Progress
from explorer.service.jobs import Jobs
from explorer.service.requests import IndexRequest, Request, SamplesRequest, TowerRequest
from explorer.store.store import Store

PROJECT = Path(__file__).resolve().parents[2]


class Work:
    """A generator of progress that waits for a gate at each step, and remembers how it ended."""

    def __init__(self, steps: int = 1000) -> None:
        self.steps, self.made, self.closed, self.asked = steps, 0, 0, 0
        self.gate = threading.Event()
        self.begun = threading.Event()

    def __call__(self, request: Request) -> Iterator[Progress]:
        self.made += 1
        try:
            for i in range(self.steps):
                self.asked += 1
                yield Progress("encode", done=i + 1, total=self.steps, current=getattr(request, "tower", ""))
                self.begun.set()
                self.gate.wait(0.01)
        finally:
            self.closed += 1


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path / "index.db") as opened:
        yield opened


@pytest.fixture
def jobs(store: Store):
    runner = Jobs(store, look_every=0.05)
    yield runner
    runner.close()


def begin(jobs: Jobs, make, request: Request | None = None, *, stop=lambda: None) -> int:
    """Start a job that is made by `make`; its number."""
    request = request or IndexRequest()
    jobs.register(type(request), make, stop=stop)
    return jobs.start(request)


def until(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_a_job_runs_to_its_end_and_is_remembered(jobs: Jobs, store: Store) -> None:
    job = jobs.wait(begin(jobs, Work(5), TowerRequest("films")), 10)
    assert (job.state, job.progress.done, job.progress.current, job.arguments) == (
        "done",
        5,
        "films",
        {"tower": "films"},
    )
    assert job.finished >= job.created
    later = Jobs(store).get(job.id)  # as another start of the app reads it
    assert later == job and Jobs(store).list() == (job,)


def test_one_of_a_kind_at_a_time_and_others_beside_it(jobs: Jobs) -> None:
    first, second, other = Work(), Work(3), Work(3)
    a, b = begin(jobs, first), begin(jobs, second)
    c = begin(jobs, other, SamplesRequest())
    assert jobs.wait(c, 10).state == "done"
    assert jobs.get(a).state == "running" and jobs.get(b).state == "queued" and second.made == 0
    jobs.cancel(a)
    assert jobs.wait(b, 10).state == "done" and jobs.get(a).state == "cancelled" and first.closed == 1


def test_cancel_is_quick_and_wakes_a_generator_that_waits(jobs: Jobs) -> None:
    woken = threading.Event()

    def stuck(request: Request) -> Iterator[Progress]:
        yield Progress("decode")
        woken.wait(30)  # as if a child had to be killed first
        raise RuntimeError("the child is gone")

    job = begin(jobs, stuck, stop=woken.set)
    until(lambda: jobs.get(job).progress.stage == "decode")
    began = time.monotonic()
    jobs.cancel(job)
    assert jobs.wait(job, 5).state == "cancelled" and time.monotonic() - began < 2


def test_pause_closes_the_generator_and_resume_makes_a_new_one(jobs: Jobs) -> None:
    work = Work()
    job = begin(jobs, work)
    work.begun.wait(5)
    jobs.pause(job)
    assert jobs.wait(job, 5).state == "paused" and (work.made, work.closed) == (1, 1)
    with pytest.raises(ExplorerError, match="no job 999"):
        jobs.resume(999)
    work.steps = work.asked and 3
    jobs.resume(job)
    assert jobs.wait(job, 5).state == "done" and work.made == 2
    with pytest.raises(ExplorerError, match="nothing to resume"):
        jobs.resume(job)


def test_queued_and_paused_jobs_can_be_cancelled(jobs: Jobs) -> None:
    first, second = Work(), Work()
    a, b = begin(jobs, first), begin(jobs, second)
    jobs.cancel(b)
    assert jobs.get(b).state == "cancelled" and second.made == 0
    first.begun.wait(5)
    jobs.pause(a)
    jobs.wait(a, 5)
    jobs.cancel(a)
    assert jobs.get(a).state == "cancelled"


def test_errors_become_one_sentence(jobs: Jobs) -> None:
    def person(request: Request) -> Iterator[Progress]:
        yield Progress("scan")
        raise ExplorerError("cannot read /x; check its permissions")

    def ours(request: Request) -> Iterator[Progress]:
        raise KeyError("oops")
        yield

    assert jobs.wait(begin(jobs, person), 5).error == "cannot read /x; check its permissions"
    failed = jobs.wait(begin(jobs, ours), 5)
    assert failed.state == "failed" and "KeyError" in failed.error


def test_failures_of_files_are_gathered(jobs: Jobs, store: Store) -> None:
    def work(request: Request) -> Iterator[Progress]:
        for i in range(5):
            yield Progress("decode", failures=(Failure(f"/v/{i % 3}.mp4", f"reason {i}"),))

    job = jobs.wait(begin(jobs, work), 5)
    assert [(f.path, f.reason) for f in job.progress.failures] == [
        ("/v/0.mp4", "reason 3"),
        ("/v/1.mp4", "reason 4"),
        ("/v/2.mp4", "reason 2"),
    ]
    assert Jobs(store).get(job.id).progress.failures == job.progress.failures


def test_progress_is_written_at_most_four_times_a_second(jobs: Jobs, store: Store) -> None:
    written = []
    store.database._writer.set_trace_callback(
        lambda sql: written.append(sql) if sql.startswith("UPDATE jobs SET state") else None
    )
    began = time.monotonic()
    jobs.wait(begin(jobs, Work(100)), 20)
    assert len(written) <= 4 * (time.monotonic() - began) + 3


def test_a_full_disk_pauses_and_the_job_goes_on_by_itself(store: Store) -> None:
    jobs = Jobs(store, room=1 << 60, look_every=0.05)  # no disk has that much room
    tries = []

    def work(request: Request) -> Iterator[Progress]:
        tries.append(1)
        yield Progress("encode", done=1)
        if len(tries) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")

    job = begin(jobs, work)
    until(lambda: jobs.get(job).state == "paused")
    assert "no space left" in jobs.get(job).error and store.counts().videos == 0  # reading still works
    jobs.room = 1  # the person frees some space
    until(lambda: jobs.get(job).state == "done")
    assert len(tries) == 2 and jobs.get(job).error == ""
    jobs.room = 1 << 60
    tries.clear()
    again = begin(jobs, work)
    until(lambda: jobs.get(again).state == "paused")
    jobs.cancel(again)
    until(lambda: jobs.get(again).state == "cancelled")
    jobs.close()


def test_closing_the_app_interrupts_and_the_next_start_resumes(store: Store) -> None:
    jobs, work, waiting = Jobs(store), Work(), Work()
    a, b = begin(jobs, work, TowerRequest("x")), begin(jobs, waiting)
    work.begun.wait(5)
    jobs.close()
    assert work.closed == 1 and jobs.get(a).state == jobs.get(b).state == "interrupted"
    again, rest = Jobs(store), Work(3)
    with pytest.raises(ExplorerError, match="does not know"):
        again.resume(a)
    again.register(TowerRequest, rest)
    again.resume(a)
    assert again.wait(a, 5).state == "done" and again.get(a).progress.current == "x"


def test_a_killed_app_leaves_interrupted_jobs(tmp_path: Path) -> None:
    code = """
import sys, time
from explorer.store.store import Store
from explorer.service.jobs import Jobs
from explorer.service.requests import IndexRequest
from explorer.records import Progress
def work(request):
    for i in range(10_000):
        yield Progress("encode", done=i)
        time.sleep(0.01)
jobs = Jobs(Store(sys.argv[1]))
jobs.register(IndexRequest, work)
jobs.start(IndexRequest())
jobs.start(IndexRequest())
time.sleep(0.5)
print("BEGUN", flush=True)
time.sleep(60)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "index.db")], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "BEGUN\n"
    child.kill()
    child.communicate()
    with Store(tmp_path / "index.db") as store:
        jobs = Jobs(store)
        assert [job.state for job in jobs.list()] == ["interrupted", "interrupted"]
        assert "resume" in jobs.get(1).error and jobs.get(1).progress.done > 0
        jobs.register(IndexRequest, Work(2))
        jobs.resume(1)
        assert jobs.wait(1, 5).state == "done"
        jobs.close()
