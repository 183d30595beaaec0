"""Counts what the child gets done, so that the parent ends one that stands still and no other. Runs in the child."""

from __future__ import annotations


class Pulse:
    """Packets read from a file since this process began: it rises while anything goes on, however slowly."""

    def __init__(self) -> None:
        self.count = 0

    def beat(self) -> None:
        self.count += 1


PULSE = Pulse()  # one process, one file at a time
