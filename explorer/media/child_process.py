"""The parent's hold on one decoding child: start, ask, read within a time budget, kill, and say why it was lost."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from explorer.config import IMPORT_DIR
from explorer.media.child import wire
from explorer.media.gate import NotVideo, Unreadable, refusal
from explorer.records import ExplorerError

TOO_MUCH_MEMORY = 77  # the child's exit code where it passed its memory limit
GOING = 5.0  # seconds a killed child may take to be gone
STARVED = 10.0  # a child on a busy machine may take its budget so many times over by the clock, no more
LOOK = 0.03  # seconds between two looks at whether it runs
log = logging.getLogger(__name__)


class Cancelled(Exception):
    """The call in flight was ended by kill(); the file is not at fault."""


@dataclass
class Budget:
    """Seconds the child may still take without getting on; time in which the parent is busy, or the processor not free,
    does not count."""

    left: float
    given: float = 0.0

    def __post_init__(self) -> None:
        self.given = self.given or self.left

    def renew(self) -> None:
        """The child got on."""
        self.left = self.given


class Clock:
    """Seconds a process has had since now: working, or asleep as a hung one is, but not waiting for a free processor.

    Linux says how long a process stood in line for a processor; elsewhere every second counts.
    """

    def __init__(self, pid: int) -> None:
        self._pid, self._begin, self._waited = pid, time.monotonic(), scheduled(pid)[1]

    def seconds(self) -> float:
        return max(self.passed() - max(scheduled(self._pid)[1] - self._waited, 0.0), self.passed() / STARVED)

    def passed(self) -> float:
        return time.monotonic() - self._begin

    def in_line(self) -> bool:
        """Whether a thread of it stands in line now: ready, yet not run for a moment. Such a wait is counted only
        when it ends."""
        before = _threads(self._pid)
        time.sleep(LOOK)
        return any(now.ready and before.get(thread) == now for thread, now in _threads(self._pid).items())


class _Thread(NamedTuple):
    """What the scheduler says of a thread."""

    ready: bool  # running or in line for a processor
    figures: bytes  # nanoseconds run and waited, as the system writes them


def scheduled(pid: int) -> tuple[float, float]:
    """Seconds the main thread of a process has run, and stood ready without a processor; zeros where the system does
    not say."""
    try:
        with open(f"/proc/{pid}/schedstat", "rb") as file:
            ran, waited, _ = file.read().split()
        return int(ran) / 1e9, int(waited) / 1e9
    except (OSError, ValueError):
        return 0.0, 0.0


def _threads(pid: int) -> dict[str, _Thread]:
    """Thread -> its state; empty where the system does not say."""
    found = {}
    with contextlib.suppress(OSError, IndexError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            place = f"/proc/{pid}/task/{thread}"
            with open(f"{place}/schedstat", "rb") as figures, open(f"{place}/stat", "rb") as state:
                found[thread] = _Thread(state.read().rpartition(b") ")[2][:1] == b"R", figures.read())
    return found


def _told(answer: dict[str, Any]) -> ExplorerError:
    """The child's own sentence, as the kind of error that it names."""
    sentence = str(answer["error"])
    if answer.get("no_video"):
        return NotVideo(sentence, str(answer["no_video"]))
    return Unreadable(sentence) if answer.get("unread") else ExplorerError(sentence)


class Child:
    """One process of `explorer.media.child.worker`. Any thread may kill it; one thread talks to it."""

    def __init__(self, *, memory_mb: int, may_write: bool = False, niceness: int = 0) -> None:
        command = [
            sys.executable,
            "-m",
            "explorer.media.child.worker",
            "--memory",
            str(memory_mb),
            "--parent",
            str(os.getpid()),
            "--niceness",
            str(niceness),
        ]
        places = [str(IMPORT_DIR), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(places),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        }
        self.memory_mb = memory_mb
        self.ended_by = ""  # cancel | deadline, where we ended it
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            command + ["--may-write"] * may_write,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self.ended_by and self._process.poll() is None

    def ask(self, request: dict[str, Any]) -> None:
        """Send a request; a child that is gone is noticed when its answer is read."""
        try:
            wire.send(self._process.stdin, request)  # type: ignore[arg-type]
        except OSError as error:
            log.debug("the child is gone: %s", error)

    def read(self, path: str, budget: Budget) -> tuple[dict[str, Any], list[bytes]]:
        """The next message about `path`; signs of life on the way to it renew the budget.

        Raises:
            Cancelled: kill() was called.
            Unreadable: the file's drive does not give it.
            ExplorerError: the child's own sentence, or why the child was lost.
        """
        while True:
            message = self._next(path, budget)
            budget.renew()
            if "alive" not in message[0]:
                return message

    def _next(self, path: str, budget: Budget) -> tuple[dict[str, Any], list[bytes]]:
        clock, over = Clock(self.pid), threading.Event()
        threading.Thread(
            target=self._watch, args=(clock, budget.left, over), name="decode-deadline", daemon=True
        ).start()
        try:
            message = wire.receive(self._process.stdout)  # type: ignore[arg-type]
        except (wire.WireError, OSError, ValueError) as error:
            log.debug("the child speaks nonsense: %s", error)
            message = None
        except BaseException:  # Ctrl-C in the middle of a message: its rest must not be read as another
            self.kill("cancel")
            raise
        finally:
            over.set()
            budget.left -= clock.seconds()
        if message is None or self.ended_by:
            self.kill("lost")
            raise self._loss(path, budget)
        if "error" in message[0]:
            raise _told(message[0])
        return message

    def _watch(self, clock: Clock, left: float, over: threading.Event) -> None:
        """Kill the child when its time is up; one that is kept waiting by other work gets its time later, within
        limits."""
        while not over.wait(max(left - clock.seconds(), 0.0)):
            if clock.passed() >= STARVED * left or (not clock.in_line() and clock.seconds() >= left):
                self.kill("deadline")
                return

    def kill(self, why: str = "cancel") -> None:
        """End the process now, stopped or not, and wait until it is gone. The first reason is kept."""
        with self._lock:
            self.ended_by = self.ended_by or why
        self._process.kill()
        try:
            self._process.wait(GOING)
        except subprocess.TimeoutExpired:
            log.warning("decoding process %d does not go away", self.pid)

    def release(self) -> None:
        """Kill it and give its pipes back; only by the thread that talks to it."""
        self.kill("closed")
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                pipe.close()  # type: ignore[union-attr]
            except OSError:
                pass

    def _loss(self, path: str, budget: Budget) -> Exception:
        if self.ended_by == "cancel":
            return Cancelled(f"stopped while decoding {path}")
        if self.ended_by == "deadline":
            return refusal(
                path,
                f"it did not get on for longer than {budget.given:.0f} s",
                remedy="convert it or remove it from the folder",
            )
        code = self._process.returncode
        if code == TOO_MUCH_MEMORY:
            return refusal(
                path, f"it needs more than {self.memory_mb} MB of memory", remedy="convert it to a smaller size"
            )
        return refusal(
            path, f"the decoder crashed on it (exit {code})", remedy="convert it or remove it from the folder"
        )
