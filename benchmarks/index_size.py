"""Goal R17: a library of 100,000 files and 2 million windows (synthetic vectors): seconds from start to the first search.

Run: python -m benchmarks.index_size [--files 100000] [--windows 20]. The last line is the figure; exit 1 above 10 s.
"""
from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from explorer.index.store import Store  # noqa: E402
from explorer.index.vectors import VectorCache  # noqa: E402

DIM = 512
AT_ONCE = 1000         # files a statement
LIMIT = 10.0           # seconds

FIRST_SEARCH = """
import sys, time
began = time.monotonic()
import numpy as np
from explorer.index.store import Store
from explorer.index.vectors import VectorCache
store = Store(sys.argv[1] + "/index.db")
cache = VectorCache(store, sys.argv[1] + "/vectors.faiss", encoder="synthetic")
query = np.full(512, 512 ** -0.5, np.float32)
cache.search(query, 1000)
first, times = time.monotonic() - began, []
for _ in range(5):
    t = time.monotonic()
    cache.search(query, 1000)
    times.append(time.monotonic() - t)
print(first, sorted(times)[2], len(cache))
"""


def fill(store: Store, *, files: int, windows: int) -> None:
    """Rows as indexing writes them, all in one transaction; features are left out, the first search reads none.

    Vectors are drawn once for a thousand files and turned for each further thousand, so that all differ and little is drawn.
    """
    root, chance = store.add_root("/synthetic"), np.random.default_rng(0)
    drawn = chance.standard_normal((AT_ONCE * windows, DIM), np.float32)
    drawn = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float16)
    with store.database.write() as connection:
        connection.execute("INSERT INTO encoders VALUES (1, 'synthetic')")
        connection.execute("INSERT INTO feature_sets VALUES (1, 'f', 't', 's', 0, ?, x'', 0, '{}', '')", (DIM,))
        for first in range(0, files, AT_ONCE):
            numbers = range(first + 1, min(first + AT_ONCE, files) + 1)
            connection.executemany(
                """INSERT INTO videos (id, public_id, root_id, path, size, mtime_ns, fingerprint, state, set_id, duration)
                   VALUES (?, ?, ?, ?, 1, 1, 'f', 'indexed', 1, 100)""",
                [(n, f"p{n}", root.id, f"/synthetic/{n}.mp4".encode()) for n in numbers])
            data = np.ascontiguousarray(np.roll(drawn, first // AT_ONCE, axis=1)).view(np.uint8)
            connection.executemany(
                "INSERT INTO windows (video_id, ordinal, start, end, first, count, encoder_id, crc, vector) VALUES (?, ?, 0, 1, 0, 1, 1, ?, ?)",
                ((numbers[i // windows], i % windows, zlib.crc32(data[i]), data[i].tobytes()) for i in range(len(numbers) * windows)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--windows", type=int, default=20)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with Store(Path(folder) / "index.db") as store:
            began = time.monotonic()
            fill(store, files=chosen.files, windows=chosen.windows)
            print(f"writing the rows: {time.monotonic() - began:.1f} s", flush=True)
            began = time.monotonic()
            VectorCache(store, Path(folder) / "vectors.faiss", encoder="synthetic").save()
            print(f"building and writing the cache: {time.monotonic() - began:.1f} s")
        done = subprocess.run([sys.executable, "-c", FIRST_SEARCH, folder], cwd=PROJECT, capture_output=True, text=True, check=True)
    first, warm, count = done.stdout.split()
    print(f"R17 {chosen.files} files, {count} windows: first search {float(first):.2f} s after start (limit {LIMIT:.0f}), "
          f"warm {1000 * float(warm):.0f} ms")
    return 0 if float(first) <= LIMIT and int(count) == chosen.files * chosen.windows else 1


if __name__ == "__main__":
    sys.exit(main())
