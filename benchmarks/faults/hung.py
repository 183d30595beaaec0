"""Goal R15: a decoder that hangs, asleep or spinning, is killed at its deadline, and the next file comes within 2 s.

Run: python -m benchmarks.faults.hung [--times 5]. The last line is the figure; exit 1 if it falls short.
"""
from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.faults.common import finish
from explorer.config import SamplingConfig
from explorer.media.child import scheduled
from explorer.media.decode import DecodeWorker
from explorer.records import ExplorerError, FrameSize
from tests.media.videos import Recipe, numbered

PATIENCE = 1.5             # seconds given to a file here, so that the goal takes seconds to try
GRACE = 1.0                # seconds past the deadline
NEXT = 2.0
SIZE, SAMPLING = FrameSize(64, 64), SamplingConfig()


def hang(worker: DecodeWorker, path: str, *, half_way: bool) -> float:
    """Seconds that passed beyond the deadline until a child that stopped for good was told to be one."""
    if half_way:
        worker.patience = 60.0
        clip = worker.open(path, sampling=SamplingConfig(fps=25, frames=64, hop=64), size=SIZE, still_width=0)
        frames = iter(clip)
        next(frames)
        clip._budget.left = worker.patience = PATIENCE
    os.kill(worker.pid or 0, signal.SIGSTOP)
    worker.patience, began = PATIENCE, time.monotonic()
    try:
        list(frames) if half_way else worker.open(path, sampling=SAMPLING, size=SIZE)
    except ExplorerError as error:
        if "took longer than" not in str(error):
            raise
        return time.monotonic() - began - PATIENCE
    raise SystemExit("a stopped child gave an answer")


def after(worker: DecodeWorker, path: str) -> float:
    """Seconds until the next file was decoded whole, less those in which no processor was free."""
    worker.patience, began = 20.0, time.monotonic()
    list(worker.open(path, sampling=SAMPLING, size=SIZE))
    return time.monotonic() - began - scheduled(worker.pid or 0)[1]


def run(folder: Path, *, times: int) -> tuple[list[float], list[float], int]:
    """(seconds past the deadline, seconds to the next file, children left) over stopped children, before and in a file."""
    short = str(numbered(folder / "short.mp4", Recipe(frames=50, height=64)))
    long = str(numbered(folder / "long.mp4", Recipe(frames=1000, height=240)))
    late, again, left = [], [], 0
    with DecodeWorker() as worker:
        for number in range(times):
            worker.patience = 60.0
            worker.probe(short)
            child = worker.pid or 0
            late.append(hang(worker, long, half_way=number % 2 == 1))
            again.append(after(worker, short))
            left += os.path.exists(f"/proc/{child}")
    return late, again, left


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=6)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        late, again, left = run(Path(folder), times=chosen.times)
    return finish("R15", f"{len(late)} hung decoders: killed at most {max(late):.2f} s after the deadline of {PATIENCE} s, next file after at most "
                  f"{max(again):.2f} s, {left} left", good=max(late) <= GRACE and max(again) <= NEXT and not left)


if __name__ == "__main__":
    sys.exit(main())
