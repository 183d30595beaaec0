"""Goal R16: the decoding child stays below 600 MB on 8K 10-bit HEVC; the parent grows by at most 100 MB over thousands of files.

Run: python -m benchmarks.faults.memory [--files 10000]. The last line is the figure; exit 1 if it falls short.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.faults.common import SAMPLING, children, finish
from explorer.config import SamplingConfig
from explorer.index.indexer import index
from explorer.media.decode import DecodeWorker
from explorer.records import FrameSize
from explorer.store.stills import Stills
from explorer.store.store import Store
from tests.support.colour import ColourEncoder
from tests.support.videos import Recipe, coloured, encode, plain

WORKER_MB, GROWTH_MB, HANDLES, WAL_MB = 600, 100, 20, 80
SMALL = Recipe(fps=5, width=32, height=32, gop=5)


def status(pid: int | str, name: str) -> int:
    """A line of /proc/PID/status in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(f"{name}:"))


def eight_k(path: Path, *, frames: int = 6) -> Path:
    """7680 x 4320, 10 bit, HEVC."""
    recipe = Recipe(codec="libx265", width=7680, height=4320, fps=5, gop=3, pixel_format="yuv420p10le")
    return encode(path, (plain((40 * n % 256, 90, 160), 7680, 4320) for n in range(frames)), recipe)


def peak_of_child(path: Path) -> tuple[int, int]:
    """(MB the decoding child held at most, frames that came) over one file."""
    with DecodeWorker() as worker:
        clip = worker.open(str(path), sampling=SamplingConfig(), size=FrameSize(224, 224))
        frames = sum(len(run) for run in clip)
        return status(worker.pid or 0, "VmHWM"), frames


def many(folder: Path, files: int) -> dict[str, float]:
    """Index `files` small files of content of their own; what grew in this process, and what was left."""
    first, library = coloured(folder / "first.mp4", [("red", 1.0)], SMALL).read_bytes(), folder / "library"
    library.mkdir()
    for number in range(files):  # a box that no reader heeds makes each file another content
        (library / f"{number:05d}.mp4").write_bytes(first + b"\x00\x00\x00\x10free%08d" % number)
    with Store(folder / "data" / "index.db") as store, DecodeWorker() as decoder:
        stills, before, handles, done, wal = Stills(folder / "data" / "stills.db"), 0, 0, 0, 0
        for step in index(
            store, [store.add_root(library)], encoder=ColourEncoder(), decoder=decoder, sampling=SAMPLING, stills=stills
        ):
            done = store.counts().indexed if step.stage != "done" else done
            if not before and done >= min(200, files // 4):  # libraries are loaded, pools are full
                gc.collect()
                before, handles = status("self", "VmRSS"), len(os.listdir("/proc/self/fd"))
            wal = max(wal, (folder / "data" / "index.db-wal").stat().st_size)
        gc.collect()
        found = {
            "growth": status("self", "VmRSS") - before,
            "handles": len(os.listdir("/proc/self/fd")) - handles,
            "wal": wal / 1e6,
            "indexed": store.counts().indexed,
        }
        stills.close()
    return {**found, "children": len(children())}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peak, frames = peak_of_child(eight_k(Path(folder) / "8k.mp4"))
        print(f"8K 10-bit HEVC: the child held {peak} MB at most, {frames} frames came", flush=True)
        grown = many(Path(folder), chosen.files)
    good = (
        frames > 0
        and peak <= WORKER_MB
        and grown["growth"] <= GROWTH_MB
        and grown["handles"] <= HANDLES
        and not grown["children"]
    )
    good = good and grown["wal"] <= WAL_MB and grown["indexed"] == chosen.files
    return finish(
        "R16",
        f"child {peak} MB on 8K 10-bit; over {grown['indexed']:.0f} files the parent grew {grown['growth']} MB and "
        f"{grown['handles']} handles, write-ahead log at most {grown['wal']:.1f} MB, {grown['children']} children left",
        good=good,
    )


if __name__ == "__main__":
    sys.exit(main())
