"""Goal R17: a library of 100,000 files and 2 million windows (synthetic vectors): seconds from start to the first search.

Run: python -m benchmarks.index_size [--files 100000] [--windows 20]. Two processes are timed from their start, after one that made
the caches, as a first start does: everything of a search that grows with the library, without the model; and the whole app
with the shipped model. The last line is the figure; exit 1 where either takes more than 10 s.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from explorer.records import VideoInfo
from explorer.store import features
from explorer.store.store import Store

DIM = 512
AT_ONCE = 1000  # files a statement
LIMIT = 10.0  # seconds
FRAMES, HOP = 12, 6  # of a window, and from one to the next

# What a search asks of the index: filters, two probes, the candidates' frames, the sample and the count of the calibration, files.
INDEX = """
import json, sys, time
began = time.monotonic()
import numpy as np
from explorer.store.store import Store
from explorer.store.vectors import VectorCache
from explorer.search.library import StoredLibrary
from explorer.search.query import parse
folder, encoder = sys.argv[1:]
store = Store(folder + "/index.db")
library = StoredLibrary(store, VectorCache(store, f"{folder}/vectors/{encoder}.faiss", encoder=encoder))
probes = np.full((2, 512), 512 ** -0.5, np.float32)
probes[1, ::2] *= -1
def search():
    t = time.monotonic()
    ids, _ = library.nearest(probes, 500, allowed=library.allowed(parse("a red car")))
    batch = library.windows(ids[0])
    return time.monotonic() - t, len(library.videos(batch.video_ids.tolist()))
_, files = search()
library.windows(library.sample(256))
windows = len(library.sample(1 << 31))
first = time.monotonic() - began
print(json.dumps({"first": first, "warm": sorted(search()[0] for _ in range(5))[2], "windows": windows, "files": files}))
"""

# The app as it is started by hand, less its page: the model loads in a thread, and a person searches at once.
APP = """
import json, sys, time
began = time.monotonic()
from pathlib import Path
from explorer.config import Settings
from explorer.service import Explorer
with Explorer(Settings(data_dir=Path(sys.argv[1]))) as app:
    app.warm_up()
    hits = len(app.searches.search("a red car near the sea", remember=False).hits)
    print(json.dumps({"first": time.monotonic() - began, "hits": hits}), flush=True)
"""


def fill(store: Store, *, files: int, windows: int, encoder: str = "synthetic") -> None:
    """Rows as indexing writes them, all in one transaction; all files share one set of kept frames, and differ in their windows.

    Vectors are drawn once for a thousand files and turned for each further thousand, so that all differ and little is drawn.
    """
    root, chance = store.add_root("/synthetic"), np.random.default_rng(0)
    drawn, frames = _unit(chance, AT_ONCE * windows), _unit(chance, HOP * (windows - 1) + FRAMES)
    times = np.arange(len(frames), dtype=np.float64).tobytes()
    info = json.dumps(asdict(VideoInfo(float(len(frames)), 64, 48, 25.0, "h264", "mp4")))
    with store.database.write() as connection:
        connection.execute("INSERT INTO encoders VALUES (1, ?)", (encoder,))
        connection.execute(
            "INSERT INTO feature_sets VALUES (1, 'f', 't', 's', ?, ?, ?, ?, ?, '', '')",
            (len(frames), DIM, times, zlib.crc32(times), info),
        )
        connection.executemany("INSERT INTO feature_blocks VALUES (?, ?, ?)", features.pack(1, frames))
        for first in range(0, files, AT_ONCE):
            numbers = range(first + 1, min(first + AT_ONCE, files) + 1)
            connection.executemany(
                """INSERT INTO videos (id, public_id, root_id, path, size, mtime_ns, fingerprint, state, set_id, duration, width, height, fps,
                   codec, container, rotation) VALUES (?, ?, ?, ?, 1, 1, ?, 'indexed', 1, ?, 64, 48, 25, 'h264', 'mp4', 0)""",
                [(n, f"p{n}", root.id, f"/synthetic/{n}.mp4".encode(), f"f{n}", float(len(frames))) for n in numbers],
            )
            data = np.ascontiguousarray(np.roll(drawn, first // AT_ONCE, axis=1)).view(np.uint8)
            places = [(numbers[i // windows], i % windows, HOP * (i % windows)) for i in range(len(numbers) * windows)]
            connection.executemany(
                """INSERT INTO windows (video_id, ordinal, start, end, first, count, encoder_id, crc, vector)
                   VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?)""",
                (
                    (
                        video,
                        place,
                        first_frame,
                        first_frame + FRAMES,
                        first_frame,
                        FRAMES,
                        zlib.crc32(data[i]),
                        data[i].tobytes(),
                    )
                    for i, (video, place, first_frame) in enumerate(places)
                ),
            )


def _unit(chance: np.random.Generator, count: int) -> np.ndarray:
    drawn = chance.standard_normal((count, DIM), np.float32)
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float16)


def timed(program: str, *arguments: str) -> dict[str, Any]:
    """What a program in a process of its own measured of itself, and with "all" the seconds it took whole."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program, *arguments], cwd=PROJECT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the search failed: {done.stderr[-2000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "all": time.monotonic() - began}


def main() -> int:
    from explorer.model.checkpoint import describe

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--windows", type=int, default=20)
    chosen = parser.parse_args()
    encoder = describe(PROJECT / "checkpoints" / "starter")["id"]
    with tempfile.TemporaryDirectory() as folder:
        with Store(Path(folder) / "index.db") as store:
            began = time.monotonic()
            fill(store, files=chosen.files, windows=chosen.windows, encoder=encoder)
            print(f"writing the rows: {time.monotonic() - began:.1f} s", flush=True)
        made = timed(APP, folder)
        print(
            f"without caches: first search {made['first']:.1f} s after start, closed and caches kept after {made['all']:.1f} s",
            flush=True,
        )
        index, app = timed(INDEX, folder, encoder), timed(APP, folder)
    whole = index["windows"] == chosen.files * chosen.windows and index["files"] and app["hits"]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    print(
        f"R17 {chosen.files} files, {index['windows']} windows: first search {index['first']:.2f} s after start without the model, "
        f"{app['first']:.2f} s for the whole app (limit {LIMIT:.0f}), the index alone warm {1000 * index['warm']:.0f} ms; load {load:.1f}"
    )
    return 0 if max(index["first"], app["first"]) <= LIMIT and whole else 1


if __name__ == "__main__":
    sys.exit(main())
