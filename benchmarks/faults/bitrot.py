"""Goal R13: single flipped bits are noticed in features, vectors, stills, search cache, checkpoints, saved training and settings.

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

from explorer.config import SEEN, SETTINGS, Settings
from explorer.records import ExplorerError
from explorer.service import Explorer
from explorer.store.check import check
from explorer.store.stills import Stills
from explorer.store.store import Store
from explorer.store.vectors import VectorCache
from tests.support.indexing import rows, run_index, three_colours

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


def sealed_files(folder: Path) -> dict[Path, Callable[[], bool]]:
    """File -> whether the app notices that it changed, over every file outside the index that the app writes and reads again."""
    import torch

    from explorer.config import ModelConfig
    from explorer.model.checkpoint import save, verify
    from explorer.model.hcmi import HCMI
    from explorer.service.desk import Desk
    from explorer.training.state import Position, load_state, save_state

    save(folder / "model", HCMI(ModelConfig(dim=8, heads=2, adapter=4)), {"tower": "colour"})
    save_state(folder / "states", {"a": torch.arange(64.0)}, position=Position(step=1), run={})
    save_state(folder / "states", {"a": torch.arange(64.0) + 1}, position=Position(step=2), run={})
    desk = Desk(folder)
    desk.set_current("mine")
    desk.remember("a red car")

    def refused() -> bool:
        try:
            verify(folder / "model")
        except ExplorerError:
            return True
        return False

    def older() -> bool:
        found = load_state(folder / "states", run={})
        return found is not None and found[1].step == 1

    return {
        folder / "model" / "weights.safetensors": refused,
        folder / "model" / "model.json": refused,
        folder / "states" / "state-00000002.safetensors": older,
        folder / "states" / "state-00000002.json": older,
        folder / "desk.json": lambda: bool(Desk(folder).notice),
    }


def run_files(flips: int, *, seed: int, folder: Path) -> int:
    """How many of `flips` bits turned in checkpoints, saved training and the desk were noticed."""
    folder.mkdir(parents=True, exist_ok=True)
    files, chance, noticed = list(sealed_files(folder).items()), random.Random(seed), 0
    for number in range(flips):
        path, notices = files[number % len(files)]
        sound = path.read_bytes()
        path.write_bytes(flipped(sound, chance))
        noticed += notices()
        path.write_bytes(sound)
    return noticed


def run_settings(flips: int, *, seed: int, folder: Path) -> int:
    """How many of `flips` bits turned in settings.json, which a person writes, or in the app's checksum of it, the next start tells."""
    written, chance, noticed = (
        b'{"port": 7860, "device": "cpu", "decoder": "pyav", "sampling": {"fps": 1.0}}',
        random.Random(seed),
        0,
    )
    for number in range(flips):
        data = folder / f"settings{number}"
        data.mkdir(parents=True)
        (data / SETTINGS).write_bytes(written)
        if said := told_at_start(data):
            raise SystemExit(f"sound settings were taken for changed: {said}")
        rot_file(data / (SETTINGS, SEEN)[number % 4 == 3], chance)
        noticed += bool(told_at_start(data))
        if number % 4 == 3 and told_at_start(data):
            raise SystemExit("it was told twice")
    return noticed


def told_at_start(data: Path) -> str:
    """What a start of the app says of its settings: that they are none, or the notice that its page shows."""
    try:
        with Explorer(Settings.load(data_dir=data)) as app:
            return "\n".join(app.status().notices)
    except ExplorerError as error:
        return str(error)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        part = 2 * chosen.flips // 5
        rest = chosen.flips - 2 * part
        noticed, mended = run(part, seed=chosen.seed, folder=Path(folder) / "index")
        others = run_files(part, seed=chosen.seed, folder=Path(folder) / "files")
        settings = run_settings(rest, seed=chosen.seed, folder=Path(folder))
    print(
        f"R13 single-bit flips: index and its caches {noticed} of {part} noticed, {mended} mended; checkpoints, saved training and desk "
        f"{others} of {part} noticed; settings {settings} of {rest} told at the next start"
    )
    return 0 if noticed == mended == others == part and settings == rest else 1


if __name__ == "__main__":
    sys.exit(main())
