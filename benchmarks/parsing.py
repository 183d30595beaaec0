"""Sentences parsed a second in batches, and one query's graph while warm; the bare spaCy pipeline is the reference.

    python benchmarks/parsing.py [--captions FILE.csv] [--count 3000]

FILE has a caption in its last column; without it captions are made from a few patterns.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from explorer.language import phrases

GOAL_PER_SECOND = 400
GOAL_MS = 50
QUERIES = 200


def made_captions() -> list[str]:
    """Drawn sentences: every doer with every deed and place."""
    who = (
        "a man in a red hat",
        "two dogs",
        "a girl who wears glasses",
        "an old couple",
        "a group of children",
        "a black cat",
    )
    what = (
        "is riding a bicycle",
        "run and jump",
        "is thrown a ball by a boy",
        "looks at the camera",
        "plays with a toy",
        "is putting on a jacket",
        "carries a heavy box",
    )
    where = ("in the snow", "next to a fence", "on the beach in the evening", "through a crowded street", "near a lake")
    return [" ".join(parts) for parts in itertools.product(who, what, where)]


def read_captions(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return [row[-1] for row in csv.reader(file)][1:]


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds: on a busy machine only the second says what the work costs."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--captions", type=Path)
    parser.add_argument("--count", type=int, default=3000)
    options = parser.parse_args()
    captions = read_captions(options.captions) if options.captions else made_captions()
    captions = random.Random(0).choices(captions, k=options.count)
    phrases.parse(captions[:256])  # warm
    pipeline = phrases._pipeline()
    bare = min(seconds(lambda: list(pipeline.pipe(captions, batch_size=phrases.BATCH))) for _ in range(2))
    ours = min(seconds(lambda: phrases.parse(captions)) for _ in range(2))
    queries = [f"{caption} {number}" for number, caption in enumerate(captions[:QUERIES])]  # none is in the cache
    times = np.array([seconds(lambda query=query: phrases.graph(query)) for query in queries]) * 1000
    count = len(captions)
    print(
        f"batches: {count / ours[0]:.0f} sentences/s (goal {GOAL_PER_SECOND}), {count / ours[1]:.0f} a processor second; "
        f"spaCy alone {count / bare[0]:.0f}/s, {count / bare[1]:.0f} a processor second; "
        f"share of spaCy in ours {bare[1] / ours[1]:.2f}"
    )
    print(
        f"one query: median {np.median(times[:, 0]):.1f} ms, p95 {np.percentile(times[:, 0], 95):.1f} ms (goal {GOAL_MS}); "
        f"processor median {np.median(times[:, 1]):.1f} ms"
    )


if __name__ == "__main__":
    main()
