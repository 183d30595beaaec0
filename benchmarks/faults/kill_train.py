"""Goal R6: kill training with SIGKILL at random steps; the newest state verifies and the end is bit-equal to an unbroken run.

Run: python -m benchmarks.faults.kill_train [--kills 50] [--seed 0]. The last line is the figure; exit 1 if it falls short.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))


def train(folder: Path, *, lines: int | None, delay: float) -> bool:
    """Run the real training process; kill it `delay` seconds after so many steps. True where it came to its end."""
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.synthetic", str(folder)],
        cwd=PROJECT,
        text=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    seen = 0
    while lines is not None and seen < lines and process.stdout.readline():
        seen += 1
    if lines is not None:
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
    process.communicate()
    if lines is None and process.returncode:
        raise SystemExit(f"training ended with code {process.returncode}: a saved state did not load")
    return process.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng, kills, runs, unequal = random.Random(chosen.seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole"
        train(whole, lines=None, delay=0.0)
        expected = (whole / "final.bin").read_bytes()
        while kills < chosen.kills:
            folder = Path(scratch) / f"run{runs}"
            runs += 1
            for _ in range(min(3, chosen.kills - kills)):
                kills += not train(folder, lines=rng.randrange(0, 6), delay=rng.random() * 0.03)
            train(folder, lines=None, delay=0.0)
            unequal += (folder / "final.bin").read_bytes() != expected
            print(f"{kills} kills, {runs} runs, {unequal} unequal", flush=True)
    print(f"R6: {kills} kills over {runs} runs, {unequal} ended otherwise than an unbroken run")
    return int(unequal > 0)


if __name__ == "__main__":
    sys.exit(main())
