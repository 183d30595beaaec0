"""Goal R15: a decoder that hangs, asleep or spinning, is killed at its deadline, and the next file comes within 2 s.

Run: python -m benchmarks.faults.hung [--times 8]. Half of the children are stopped by a signal, half calculate for ever in C code
in the decoder's place, with and without letting the child's other threads run; before a file's first frame, and in the middle of
it. The last line is the figure; exit 1 if it falls short.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.common import finish
from explorer.config import SamplingConfig
from explorer.media.child_process import scheduled
from explorer.media.decode import DecodeWorker
from explorer.records import ExplorerError, FrameSize
from tests.support.videos import Recipe, numbered

PATIENCE = 1.5  # seconds given to a file here, so that the goal takes seconds to try
GRACE = 1.0  # seconds past the deadline
NEXT = 2.0
BUSY = 0.7  # share of its time that a spinning child must have spent calculating, to be one
SIZE, SAMPLING, DENSE = FrameSize(64, 64), SamplingConfig(), SamplingConfig(fps=25, frames=64, hop=64)
WAYS = ("stopped", "stopped in a file", "spinning", "spinning in a file")

# Read by Python at the start of a child: for files of these names it calculates what takes longer than anybody waits.
SPINS = """
import hashlib, os, re
from dataclasses import replace
from explorer.media.child import backends
real = backends.read

def then_spin(runs):
    yield next(runs)
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2 ** 31 - 1)      # lets the child's other threads run, as PyAV does


def read(path, *arguments, **named):
    name = os.path.basename(path)
    if name == "spins.mp4":
        re.match("(a+)+b", 400 * "a")                           # lets none of them run
    reading = real(path, *arguments, **named)
    return replace(reading, runs=then_spin(reading.runs)) if name == "spins later.mp4" else reading

backends.read = read
"""


@dataclass
class Figures:
    """What became of the hung children, in seconds."""

    late: list[float] = field(default_factory=list)  # past the deadline, less those in which no processor was free
    again: list[float] = field(default_factory=list)  # to the next file
    spun: list[float] = field(default_factory=list)  # of processor time, of each that spins
    left: int = 0

    @property
    def good(self) -> bool:
        return (
            max(self.late) <= GRACE
            and max(self.again) <= NEXT
            and min(self.spun, default=BUSY * PATIENCE) >= BUSY * PATIENCE
            and not self.left
        )


@contextmanager
def spinning_children(folder: Path) -> Iterator[None]:
    """Children started meanwhile spin on files named so."""
    before = os.environ.get("PYTHONPATH")
    (folder / "sitecustomize.py").write_text(SPINS)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), before]))
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


def hang(worker: DecodeWorker, path: str, way: str) -> float:
    """Seconds that passed beyond the deadline until a child that hangs for good was told to do so."""
    frames = None
    if way.endswith("in a file"):
        worker.patience = 60.0
        clip = worker.open(path, sampling=DENSE, size=SIZE, still_width=0)
        frames = iter(clip)
        next(frames)
        clip._budget.left = clip._budget.given = PATIENCE
    if way.startswith("stopped"):
        os.kill(worker.pid or 0, signal.SIGSTOP)
    worker.patience, began = PATIENCE, time.monotonic()
    try:
        worker.open(path, sampling=SAMPLING, size=SIZE) if frames is None else list(frames)
    except ExplorerError as error:
        if "longer than" not in str(error):
            raise
        return time.monotonic() - began - PATIENCE
    raise SystemExit(f"a child that was {way} gave an answer")


def after(worker: DecodeWorker, path: str) -> float:
    """Seconds until the next file was decoded whole, less those in which no processor was free."""
    worker.patience, began = 20.0, time.monotonic()
    list(worker.open(path, sampling=SAMPLING, size=SIZE))
    return time.monotonic() - began - scheduled(worker.pid or 0)[1]


def run(folder: Path, *, times: int) -> Figures:
    """Hang `times` children, each in the next of WAYS."""
    short = str(numbered(folder / "short.mp4", Recipe(frames=50, height=64)))
    long = numbered(folder / "long.mp4", Recipe(frames=1000, height=240))
    names = {
        way: str(folder / name) for way, name in zip(WAYS, ("long.mp4", "long.mp4", "spins.mp4", "spins later.mp4"))
    }
    for way in WAYS[2:]:
        os.link(long, names[way])
    figures = Figures()
    with spinning_children(folder), DecodeWorker() as worker:
        for number in range(times):
            way, worker.patience = WAYS[number % len(WAYS)], 60.0
            worker.probe(short)
            child, before = worker.pid or 0, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            started = scheduled(child)[0]
            late = hang(worker, names[way], way)
            if way.startswith("spinning"):  # its deadline runs while it does, not while it waits for a processor
                figures.spun.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before - started)
                late = min(late, figures.spun[-1] - PATIENCE)
            figures.late.append(late)
            figures.again.append(after(worker, short))
            figures.left += os.path.exists(f"/proc/{child}")
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=8)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = run(Path(folder), times=chosen.times)
    return finish(
        "R15",
        f"{len(figures.late)} hung decoders, {len(figures.spun)} of them spinning (at least {min(figures.spun, default=0.0):.1f} s of "
        f"processor time each): killed at most {max(figures.late):.2f} s after the deadline of {PATIENCE} s, next file after at most "
        f"{max(figures.again):.2f} s, {figures.left} left",
        good=figures.good,
    )


if __name__ == "__main__":
    sys.exit(main())
