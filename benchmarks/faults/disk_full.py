"""Goal R8: the disk runs full while indexing: the job pauses with a sentence, search works, the work goes on once there is space.

Run: python -m benchmarks.faults.disk_full. A small file system in memory plays the disk; without the right to mount one the
goal is skipped. The last line is the figure; exit 1 if it falls short.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.faults.common import (
    findings,
    finish,
    in_namespace,
    make_library,
    open_app,
    rows,
    skip,
    stands_still,
    until,
)
from explorer.store.store import Store
from tests.support.colour import ColourEncoder
from tests.support.indexing import run_index, three_colours

DISK_MB = 192  # more than the free space from which a paused job goes on
LEFT = 24 << 10  # bytes left free: less than the features and pictures of one video


def fill(path: Path, *, leave: int) -> None:
    """Write a file until `leave` bytes of its disk are free."""
    with open(path, "wb") as file:
        while (free := shutil.disk_usage(path.parent).free) > leave:
            file.write(bytes(min(1 << 20, free - leave)))
            file.flush()


def run(folder: Path, *, videos: int) -> list[str]:
    """What went wrong, of a disk filled in the middle of a library; empty where all held. Mounts a disk at folder/disk."""
    disk, library, wrong = folder / "disk", folder / "library", []
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none", str(disk)], check=True)
    make_library(library, videos=videos // 2)
    with open_app(disk / "data") as app:
        app.jobs.look_every = 0.2
        stands_still(app, app.library.add_folder(str(library)))
        for number in range(videos // 2, videos):
            three_colours(library / f"{number:02d}.mp4", order=("green", "blue"), seconds=20 + number)
        fill(disk / "ballast", leave=LEFT)
        job = stands_still(app, app.library.start_index())
        print(f"with a full disk the job is {job.state}: {job.error}")
        wrong += (
            []
            if job.state == "paused" and "free some" in job.error and "\n" not in job.error
            else [f"the job is {job.state}: {job.error}"]
        )
        wrong += [] if app.searches.search("red").hits else ["search gave nothing"]
        app.searches.search("a search never made before, green")  # its history cannot be written: no matter
        wrong += [f"with a full disk: {one}" for one in findings(app)]
        os.unlink(disk / "ballast")
        gone_on = until(lambda: app.jobs.list()[0].state == "done", 120)
        wrong += (
            []
            if gone_on is not None
            else [f"with space again the job is {app.jobs.list()[0].state}: {app.jobs.list()[0].error}"]
        )
        wrong += [f"at the end: {one}" for one in findings(app)] + compare(app.store, folder)
        print(f"with space again the job was done after {gone_on or 0:.1f} s, {app.status().videos} videos")
    return wrong


def compare(store: Store, folder: Path) -> list[str]:
    """Whether the index is, row by row, that of a disk which never filled."""
    with Store(folder / "whole" / "index.db") as whole:
        run_index(whole, folder / "library", ColourEncoder(tower_name="colour-1"))
        same = rows(store)["videos"] == rows(whole)["videos"] and rows(store)["features"] == rows(whole)["features"]
    return [] if same else ["the index differs from one of a disk that never filled"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=12)
    parser.add_argument("--inside", type=Path)
    chosen = parser.parse_args()
    if chosen.inside:
        wrong = run(chosen.inside, videos=chosen.videos)
        print(*wrong, sep="\n")
        return finish(
            "R8",
            f"disk filled while indexing {chosen.videos} videos: {len(wrong)} things wrong; paused with a sentence, "
            "searched, gone on",
            good=not wrong,
        )
    with tempfile.TemporaryDirectory() as folder:
        code = in_namespace("-m", "benchmarks.faults.disk_full", "--inside", folder, "--videos", str(chosen.videos))
    return skip("R8", "this machine lets nobody mount a small disk (unshare -m)") if code is None else code


if __name__ == "__main__":
    sys.exit(main())
