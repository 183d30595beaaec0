"""How much of the machine indexing takes: it steps back while a person searches or plays."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

NICENESS = {"gently": 15, "normal": 5, "full": 0}  # of the decoding processes, in the system's own steps
AFTER = 0.5  # seconds a search counts on: the page then asks for its pictures
PLAYING = 3.0  # seconds that one request of a player counts
LONGEST = 2.0  # seconds of one wait: indexing goes on by steps beside a film, and hears a cancel
REST = 0.5  # seconds of a gentle rest at most


class Pace:
    """The pace of indexing, which the page may change at any time. Any thread may call any method.

    gently: half of the time at most, and nothing while someone is at work; normal: nothing while someone is at work;
    full: always on.
    """

    def __init__(self, mode: str = "normal") -> None:
        self._free = threading.Condition()
        self._searches, self._until, self._began = 0, 0.0, time.monotonic()
        self._mode = "normal"
        self.mode = mode

    @property
    def mode(self) -> str:
        """gently, normal or full."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in NICENESS:
            raise ValueError(f"pace must be one of {', '.join(NICENESS)}, not {mode!r}")
        with self._free:
            self._mode = mode
            self._free.notify_all()

    @property
    def niceness(self) -> int:
        """Of decoding processes begun now."""
        return NICENESS[self._mode]

    @contextlib.contextmanager
    def person(self) -> Iterator[None]:
        """A person waits for what is done in this block."""
        with self._free:
            self._searches += 1
        try:
            yield
        finally:
            with self._free:
                self._searches -= 1
                self._until = max(self._until, time.monotonic() + AFTER)
                self._free.notify_all()

    def playing(self) -> None:
        """A player has asked for a part of a film."""
        with self._free:
            self._until = max(self._until, time.monotonic() + PLAYING)

    def wait(self) -> None:
        """Called by indexing between two batches: returns when it may go on, after LONGEST at the latest."""
        worked = time.monotonic() - self._began
        with self._free:
            end = time.monotonic() + LONGEST
            while (left := min(end, self._busy_until()) - time.monotonic()) > 0:
                self._free.wait(left)
            if self._mode == "gently":
                self._free.wait(min(worked, REST))
        self._began = time.monotonic()

    def _busy_until(self) -> float:
        if self._mode == "full":
            return 0.0
        return float("inf") if self._searches else self._until
