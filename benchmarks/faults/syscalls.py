"""Goal R7: fsync, write, rename and open fail at every step of a use in turn: the store stays unharmed and the person is told.

Run: python -m benchmarks.faults.syscalls [--at-most 12]. strace makes the system call fail for files of the data folder alone;
without strace the goal is skipped. The last line is the figure; exit 1 if it falls short.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.common import PROJECT, finish, make_library, rows, skip
from explorer.records import ExplorerError
from explorer.store.check import check
from explorer.store.store import Store
from tests.support.indexing import run_index

CALLS = {
    "fsync": "EIO",
    "fdatasync": "EIO",
    "pwrite64": "EIO",
    "write": "ENOSPC",
    "rename": "EIO",
    "openat": "EMFILE",
    "ftruncate": "EIO",
}
REPLACED = (
    "vectors.faiss",
    "vectors.ids",
    "vectors.json",
    "desk.json",
)  # each by a temporary file, which USE gives a known name
FILES = (
    "index.db",
    "index.db-wal",
    "index.db-shm",
    "stills.db",
    "stills.db-wal",
    "captions.jsonl",
    *REPLACED,
    *(f".{name}.00000000.tmp" for name in REPLACED),
)

# Indexes, searches, remembers and teaches; each sentence it is told is printed, anything else is a traceback.
USE = """
import json, sys, uuid
from pathlib import Path
from explorer.disk import atomic
from explorer.service.desk import Desk
from explorer.index.indexer import index
from explorer.store.stills import Stills
from explorer.store.store import Store
from explorer.store.vectors import VectorCache
from explorer.media.decode import DecodeWorker
from explorer.records import ExplorerError
from explorer.service.judgements import Judgement, Judgements
from tests.support.colour import ColourEncoder, one_hot
from tests.support.indexing import SAMPLING
data, library = Path(sys.argv[1]), sys.argv[2]
encoder, told = ColourEncoder(), []
atomic.uuid.uuid4 = lambda: uuid.UUID(int=0)

def work(name, action):
    try:
        return action()
    except ExplorerError as error:
        told.append(f"{name}: {error}")

def indexing():
    with DecodeWorker() as decoder:
        for step in index(store, [store.add_root(library)], encoder=encoder, decoder=decoder, sampling=SAMPLING, stills=stills):
            told.extend(failure.reason for failure in step.failures)

store = work("open", lambda: Store(data / "index.db"))
stills = work("stills", lambda: Stills(data / "stills.db"))
if store is not None and stills is not None:
    work("index", indexing)
    cache = VectorCache(store, data / "vectors.faiss", encoder=encoder.name)
    work("search", lambda: cache.search(one_hot(0), 5))
    work("cache", cache.save)
    work("desk", lambda: Desk(data).save("red"))
    work("teach", lambda: Judgements(data / "feedback.jsonl").add(Judgement("video", "red", "a.mp4")))
    work("close", store.close)
    work("close", stills.close)
print("TOLD", json.dumps(told), flush=True)
"""


@dataclass
class Figures:
    """What became of the failures."""

    tried: int = 0
    told: int = 0
    wrong: list[str] = field(default_factory=list)


def strace(data: Path, library: Path, log: Path, *inject: str) -> subprocess.CompletedProcess[str]:
    """One use in a process of its own, its system calls on files of the data folder watched, or made to fail."""
    names = [str(data / name) for name in FILES]
    paths = [word for name in names for word in ("-P", name)]
    command = [
        "strace",
        "-f",
        "-qq",
        "-o",
        str(log),
        "-e",
        f"trace={','.join(CALLS)}",
        *paths,
        *inject,
        sys.executable,
        "-c",
        USE,
        str(data),
        str(library),
    ]
    return subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def count_calls(log: Path) -> collections.Counter[str]:
    """How often the main process made each call."""
    lines = log.read_text("utf-8", "replace").splitlines()
    main = lines[0].split()[0] if lines else ""
    found = (re.match(rf"{main}\s+(\w+)\(", line) for line in lines)
    return collections.Counter(match[1] for match in found if match)


def try_failure(call: str, number: int, folder: Path, whole: dict[str, list[tuple]], figures: Figures) -> None:
    """Fail the call at its n-th time, then see what the store holds and whether it comes to the same index in the end."""
    data, library, name = folder / "data", folder / "library", f"{call} {number}"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    done = strace(data, library, folder / "log", "-e", f"inject={call}:error={CALLS[call]}:when={number}")
    figures.tried += 1
    told = next((json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("TOLD ")), None)
    if told is None:
        figures.wrong.append(f"{name}: no end: {done.stderr.strip()[-300:]}")
    figures.told += bool(told)
    figures.wrong += [f"{name}: not a sentence: {text}" for text in told or () if "\n" in text]
    try:
        with Store(data / "index.db") as store:
            figures.wrong += [f"{name}: {one.message}" for one in check(store)]
            run_index(store, library)
            figures.wrong += (
                [] if rows(store) == whole and not check(store) else [f"{name}: the index differs afterwards"]
            )
    except ExplorerError as error:
        figures.wrong.append(f"{name}: the store is harmed: {error}")


def run(folder: Path, *, at_most: int, calls: tuple[str, ...] = tuple(CALLS)) -> Figures:
    """Fail each call at each of its steps, evenly spread ones where there are more than `at_most`."""
    library, data, figures = make_library(folder / "library", videos=2), folder / "sound", Figures()
    data.mkdir()
    done = strace(data, library, folder / "log")
    if "TOLD []" not in done.stdout:
        raise SystemExit(f"nothing failed, and yet: {done.stdout}{done.stderr}")
    with Store(data / "index.db") as store:
        whole = rows(store)
    for call, count in sorted(count_calls(folder / "log").items()):
        step = max(1, -(-count // at_most))
        for number in range((step + 1) // 2, count + 1, step) if call in calls else ():
            try_failure(call, number, folder, whole, figures)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-most", type=int, default=12, help="steps of each call")
    chosen = parser.parse_args()
    if not shutil.which("strace"):
        return skip("R7", "strace is not installed")
    with tempfile.TemporaryDirectory() as folder:
        figures = run(Path(folder), at_most=chosen.at_most)
    print(*figures.wrong, sep="\n")
    return finish(
        "R7",
        f"{figures.tried} failing system calls of {len(CALLS)} kinds: {figures.told} told in a sentence, the others had no effect; "
        f"{len(figures.wrong)} things wrong",
        good=figures.tried > 0 and not figures.wrong,
    )


if __name__ == "__main__":
    sys.exit(main())
