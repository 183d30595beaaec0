"""Goal R5: kill the indexing process with SIGKILL at random moments; nothing acknowledged is lost, nothing is torn.

Run: python -m benchmarks.faults.kill_index [--kills 200] [--seed 0]. The last line is the figure; exit 1 if it falls short.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from explorer.store.check import check
from explorer.store.store import Store
from explorer.store.vectors import VectorCache
from tests.support.indexing import rows, three_colours

CHILD = """
import os, sys
from tests.support.colour import ColourEncoder
from tests.support.indexing import SAMPLING
from explorer.index.indexer import index
from explorer.store.stills import Stills
from explorer.store.store import Store
from explorer.store.vectors import VectorCache
from explorer.media.decode import DecodeWorker
data, library = sys.argv[1:]
store, encoder = Store(data + "/index.db"), ColourEncoder()
cache, told = VectorCache(store, data + "/vectors.faiss", encoder=encoder.name), set()
print("BEGIN", flush=True)
with DecodeWorker() as decoder:
    for _ in index(store, [store.add_root(library)], encoder=encoder, decoder=decoder, sampling=SAMPLING,
                   stills=Stills(data + "/stills.db")):
        cache.save()
        for video in store.videos(state="indexed"):
            if video.path not in told:
                told.add(video.path)
                print("DONE", video.path, flush=True)
print("END", flush=True)
"""


@dataclass
class Figures:
    """What the kills came to."""

    kills: int = 0
    lost: int = 0  # videos said to be done that were not there
    findings: int = 0  # inconsistencies seen by `check`
    unequal: int = 0  # resumed indexes that differ from an unbroken one
    resumed: int = 0  # indexes brought to their end

    @property
    def sound(self) -> bool:
        return self.resumed > 0 and self.lost == self.findings == self.unequal == 0


def make_library(folder: Path, *, videos: int) -> None:
    """Short plain-colour videos, each with an order of its own."""
    folder.mkdir(parents=True)
    colours = ("red", "green", "blue")
    for i in range(videos):
        order = tuple(colours[(i // 3**k) % 3] for k in range(3))
        three_colours(folder / f"{i:02d}.mp4", order=order, seconds=2 + i % 3)


def start(data: Path, library: Path) -> subprocess.Popen[str]:
    """The process that indexes, begun up to its first line."""
    data.mkdir(parents=True, exist_ok=True)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(data), str(library)],
        cwd=PROJECT,
        text=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert child.stdout is not None and child.stdout.readline() == "BEGIN\n"
    return child


def finish(child: subprocess.Popen[str]) -> tuple[list[str], bool]:
    """(videos it said were done, whether it came to its end)."""
    lines = (child.communicate()[0] or "").splitlines()
    return [line[5:] for line in lines if line.startswith("DONE ")], "END" in lines


def look(data: Path, told: list[str], figures: Figures) -> dict[str, list[tuple]]:
    """Count what is lost or inconsistent; the rows of the index as they are."""
    with Store(data / "index.db") as store:
        kept = {video.path for video in store.videos(state="indexed")}
        figures.lost += len(set(told) - kept)
        cache = VectorCache(store, data / "vectors.faiss", encoder="colour-1")
        figures.findings += sum(f.kind != "vectors" for f in check(store))  # a torn cache file is rebuilt, by design
        cache.refresh()
        figures.findings += len(cache) != store.counts().windows
        return rows(store)


def run(kills: int, *, seed: int, videos: int, folder: Path) -> Figures:
    """Index a library again and again, each time killed until it is done; compare with an unbroken index."""
    make_library(folder / "library", videos=videos)
    began = time.monotonic()
    finish(start(folder / "whole", folder / "library"))
    length, figures, chance = time.monotonic() - began, Figures(), random.Random(seed)
    whole, told, data = look(folder / "whole", [], figures), [], folder / "killed"
    while figures.kills < kills or data.exists():  # after the last kill it is brought to its end
        child = start(data, folder / "library")
        if figures.kills < kills:
            time.sleep(chance.uniform(0, length * 0.6))
            child.kill()
        done, ended = finish(child)
        figures.kills += not ended
        told += done
        now = look(data, told, figures)
        if ended:
            figures.resumed, figures.unequal, told = figures.resumed + 1, figures.unequal + (now != whole), []
            shutil.rmtree(data)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = run(chosen.kills, seed=chosen.seed, videos=9, folder=Path(folder))
    print(
        f"R5 kill -9 while indexing: {figures.kills} kills, {figures.resumed} indexes resumed to the end, {figures.lost} "
        f"acknowledged videos lost, {figures.findings} torn, {figures.unequal} unequal to an unbroken index"
    )
    return 0 if figures.sound and figures.kills >= chosen.kills else 1


if __name__ == "__main__":
    sys.exit(main())
