"""Goal R13, the index's part: single flipped bits in kept features, window vectors, stills and the search cache are noticed.

Run: python -m benchmarks.faults.bitrot [--flips 200]. The last line is the figure; exit 1 if it falls short.
"""
from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from explorer.index.check import check                                         # noqa: E402
from explorer.index.stills import Stills                                       # noqa: E402
from explorer.index.store import Store                                         # noqa: E402
from explorer.index.vectors import VectorCache                                 # noqa: E402
from tests.index.help import rows, run_index, three_colours                    # noqa: E402

BLOBS = (("feature_blocks", "vectors"), ("feature_sets", "times"), ("windows", "vector"))


def flipped(data: bytes, chance: random.Random) -> bytes:
    """The same bytes with one bit turned."""
    changed, bit = bytearray(data), chance.randrange(8 * len(data))
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def rot_blob(store: Store, table: str, column: str, chance: random.Random) -> None:
    """Turn a bit of one stored vector, as a disk would: behind the back of every checksum."""
    with store.database.write() as connection:
        row, data = chance.choice(connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall())
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (flipped(data, chance), row))


def rot_still(stills: Stills, chance: random.Random) -> None:
    with stills._connection as connection:
        row, data = chance.choice(connection.execute("SELECT rowid, jpeg FROM stills").fetchall())
        connection.execute("UPDATE stills SET jpeg = ? WHERE rowid = ?", (flipped(data, chance), row))


def rot_file(path: Path, chance: random.Random) -> None:
    path.write_bytes(flipped(path.read_bytes(), chance))


def run(flips: int, *, seed: int, folder: Path) -> tuple[int, int]:
    """(flips noticed, times the index was equal to the sound one again after repair and indexing), of `flips`."""
    library, data, chance = folder / "library", folder / "data", random.Random(seed)
    library.mkdir(parents=True)
    three_colours(library / "a.mp4")
    three_colours(library / "b.mp4", order=("blue", "green"))
    with Store(data / "index.db") as store:
        stills = Stills(data / "stills.db")
        run_index(store, library, stills=stills)
        sound, noticed, mended = rows(store), 0, 0
        kinds: list[Callable[[], None]] = [lambda t=t, c=c: rot_blob(store, t, c, chance) for t, c in BLOBS]
        kinds += [lambda: rot_still(stills, chance)]
        kinds += [lambda e=e: rot_file(data / f"vectors.{e}", chance) for e in ("faiss", "ids", "json")]
        for number in range(flips):
            VectorCache(store, data / "vectors.faiss", encoder="colour-1").save()
            kinds[number % len(kinds)]()
            cache = VectorCache(store, data / "vectors.faiss", encoder="colour-1")
            noticed += bool(check(store, vectors=cache, stills=stills, repair=True))
            run_index(store, library, stills=stills)
            mended += rows(store) == sound and check(store, vectors=cache, stills=stills) == []
        stills.close()
    return noticed, mended


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        noticed, mended = run(chosen.flips, seed=chosen.seed, folder=Path(folder))
    print(f"R13 single-bit flips in the index and its caches: {noticed} of {chosen.flips} noticed, {mended} mended")
    return 0 if noticed == mended == chosen.flips else 1


if __name__ == "__main__":
    sys.exit(main())
