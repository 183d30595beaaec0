"""Seeded mutations of sound files, each decoded in the child: the parent lives, each file ends in time and in one sentence.

    python -m benchmarks.faults.mutations [--count 5000] [--seed 1]
Prints the figure last; exits 1 where the parent saw anything but frames or a sentence, or a file overran its deadline.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.hostile import GOOD, WAYS, try_file
from explorer.media.decode import DecodeWorker
from tests.support.videos import Recipe, numbered

GRACE = 25.0  # seconds: the deadline of so short a file, and a little


@dataclass
class Tally:
    """What became of the mutations."""

    tried: int = 0
    decoded: int = 0
    refused: int = 0
    crashed: int = 0  # of the refused: the child died and the parent said so
    overrun: int = 0
    wrong: int = 0


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One to three of the ways of the hostile folder, one after the other."""
    for way in rng.choices(sorted(WAYS), k=rng.randint(1, 3)):
        data = WAYS[way](data, rng) or b"\0"
    return data


def run(count: int, *, seed: int = 1) -> Tally:
    """Decode `count` mutations; the same seed makes the same files."""
    rng, tally = random.Random(seed), Tally()
    with tempfile.TemporaryDirectory() as folder, DecodeWorker() as worker:
        originals = [
            numbered(Path(folder) / f"good_{codec}{suffix}", Recipe(codec=codec, suffix=suffix, frames=30, height=64))
            for codec, suffix in GOOD
        ]
        contents = [(path.suffix, path.read_bytes()) for path in originals]
        for number in range(count):
            suffix, data = contents[number % len(contents)]
            path = Path(folder) / f"{number}{suffix}"
            path.write_bytes(mutate(data, rng))
            _try(worker, path, tally)
            path.unlink()
    return tally


def _try(worker: DecodeWorker, path: Path, tally: Tally) -> None:
    begin = time.monotonic()
    tally.tried += 1
    try:
        came, told = try_file(worker, str(path))
    except Exception as error:
        print(f"{path.name}: {type(error).__name__}: {error}")
        tally.wrong += 1
        return
    tally.decoded, tally.refused = tally.decoded + came, tally.refused + (not came)
    tally.crashed += "crashed" in told
    tally.wrong += not came and (not told.startswith("cannot ") or "\n" in told)
    tally.overrun += time.monotonic() - begin > GRACE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    tally = run(chosen.count, seed=chosen.seed)
    print(
        f"R2: {tally.tried} mutations (seed {chosen.seed}): {tally.decoded} decoded in part, {tally.refused} refused, {tally.crashed} children "
        f"crashed, the parent lived, {tally.overrun} overruns, {tally.wrong} wrong"
    )
    return 0 if tally.tried == chosen.count and not tally.overrun and not tally.wrong else 1


if __name__ == "__main__":
    sys.exit(main())
