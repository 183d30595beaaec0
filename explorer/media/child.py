"""The parent's hold on one decoding child: start, ask, read within a time budget, kill, and say why it was lost."""
from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from explorer.config import PROJECT_DIR
from explorer.media import wire
from explorer.media.gate import refusal
from explorer.records import ExplorerError

TOO_MUCH_MEMORY = 77               # the child's exit code where it passed its memory limit
GOING = 5.0                        # seconds a killed child may take to be gone
log = logging.getLogger(__name__)


class Cancelled(Exception):
    """The call in flight was ended by kill(); the file is not at fault."""


@dataclass
class Budget:
    """Seconds the child may still take for a file; time in which the parent is busy does not count."""

    left: float
    given: float = 0.0

    def __post_init__(self) -> None:
        self.given = self.given or self.left

    def extend(self, seconds: float) -> None:
        self.left, self.given = self.left + seconds, self.given + seconds


class Child:
    """One process of `explorer.media.worker`. Any thread may kill it; one thread talks to it."""

    def __init__(self, *, memory_mb: int, may_write: bool = False) -> None:
        command = [sys.executable, "-m", "explorer.media.worker", "--memory", str(memory_mb)]
        places = [str(PROJECT_DIR), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        self.memory_mb = memory_mb
        self.ended_by = ""                                # cancel | deadline, where we ended it
        self._lock = threading.Lock()
        self._process = subprocess.Popen(command + ["--may-write"] * may_write, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.DEVNULL, env=environment)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self.ended_by and self._process.poll() is None

    def ask(self, request: dict[str, Any]) -> None:
        """Send a request; a child that is gone is noticed when its answer is read."""
        try:
            wire.send(self._process.stdin, request)         # type: ignore[arg-type]
        except OSError as error:
            log.debug("the child is gone: %s", error)

    def read(self, path: str, budget: Budget) -> tuple[dict[str, Any], list[bytes]]:
        """The next message about `path`.

        Raises:
            Cancelled: kill() was called.
            ExplorerError: the child's own sentence, or why the child was lost.
        """
        timer = threading.Timer(max(budget.left, 0.0), self.kill, ("deadline",))
        timer.daemon = True
        begin = time.monotonic()
        timer.start()
        try:
            message = wire.receive(self._process.stdout)    # type: ignore[arg-type]
        except (wire.WireError, OSError, ValueError) as error:
            log.debug("the child speaks nonsense: %s", error)
            message = None
        except BaseException:                             # Ctrl-C in the middle of a message: its rest must not be read as another
            self.kill("cancel")
            raise
        finally:
            timer.cancel()
            budget.left -= time.monotonic() - begin
        if message is None or self.ended_by:
            self.kill("lost")
            raise self._loss(path, budget)
        if "error" in message[0]:
            raise ExplorerError(str(message[0]["error"]))
        return message

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
                pipe.close()                              # type: ignore[union-attr]
            except OSError:
                pass

    def _loss(self, path: str, budget: Budget) -> Exception:
        if self.ended_by == "cancel":
            return Cancelled(f"stopped while decoding {path}")
        if self.ended_by == "deadline":
            return refusal(path, f"it took longer than {budget.given:.0f} s", remedy="convert it or remove it from the folder")
        code = self._process.returncode
        if code == TOO_MUCH_MEMORY:
            return refusal(path, f"it needs more than {self.memory_mb} MB of memory", remedy="convert it to a smaller size")
        return refusal(path, f"the decoder crashed on it (exit {code})", remedy="convert it or remove it from the folder")

