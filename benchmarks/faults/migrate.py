"""Goal R25: every older database opens; a kill inside a migration leaves the old version or the new, whole.

Run: python -m benchmarks.faults.migrate [--kills 50]. The last line is the figure; exit 1 if it falls short.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from explorer.store.schema import MIGRATIONS, Migration, migrate, version_of

ROWS = 20_000  # enough that a step takes long enough to be killed inside

# the real steps, then two made ones: the mechanism is what is tried, whatever the newest release holds
STEPS = (
    *MIGRATIONS,
    Migration(
        len(MIGRATIONS) + 1,
        (
            "ALTER TABLE searches ADD COLUMN length INTEGER",
            "UPDATE searches SET length = length(text)",
            "CREATE INDEX by_text ON searches (text)",
        ),
    ),
    Migration(
        len(MIGRATIONS) + 2, ("CREATE TABLE copies AS SELECT * FROM searches", "UPDATE copies SET text = upper(text)")
    ),
)

CHILD = """
import sqlite3, sys
from pathlib import Path
from benchmarks.faults.migrate import STEPS
from explorer.store import schema
path, apply = Path(sys.argv[1]), schema._apply
connection = sqlite3.connect(path, isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")

def told(connection, step):
    print("BEGIN", step.version, flush=True)
    apply(connection, step)
    print("DONE", step.version, flush=True)

schema._apply = told
print("START", flush=True)
schema.migrate(connection, path, steps=STEPS)
print("END", flush=True)
"""
PLACES = ("START", "BEGIN", "DONE")  # a kill comes a moment after the first or second of these
LONGEST = 0.06  # seconds of that moment; a step takes about as long


@dataclass
class Figures:
    """What the kills came to: how many hit before the end, databases neither old nor new, versions seen after."""

    kills: int = 0
    torn: int = 0
    inside: int = 0


def make_old(path: Path, *, version: int, searches: int = 100) -> None:
    """A database of an older version with something in it; version 0 is an empty file."""
    connection = sqlite3.connect(path, isolation_level=None)
    if version:
        migrate(connection, path, steps=STEPS[:version])
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO roots (path, added) VALUES (?, 0)", [(f"/v/{i}".encode(),) for i in range(50)]
        )
        connection.executemany(
            "INSERT INTO searches (text, made) VALUES (?, 0)", [(f"red car {i}",) for i in range(searches)]
        )
        connection.execute("COMMIT")
    connection.close()


def whole(path: Path, *, searches: int) -> tuple[bool, int]:
    """(whether the database is exactly what its version says, that version)."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        version, ok = version_of(connection), connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        columns = {row[1] for row in connection.execute("PRAGMA table_info(searches)")}
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        added = version - len(MIGRATIONS)
        ok = (
            ok
            and ("length" in columns) == ("by_text" in tables) == (added >= 1)
            and ("copies" in tables) == (added >= 2)
        )
        for table in ("searches", "copies")[: 1 + (added >= 2)]:
            ok = ok and connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == searches
        if added >= 1:
            ok = (
                ok
                and connection.execute("SELECT count(*) FROM searches WHERE length != length(text)").fetchone()[0] == 0
            )
        return ok, version
    finally:
        connection.close()


def run(kills: int, *, seed: int, folder: Path) -> Figures:
    """Kill the migrating process a moment after each kind of place in turn, look, and let the next one go on from there."""
    figures, chance, number = Figures(), random.Random(seed), 0
    while figures.kills < kills:
        path, number, ended = folder / f"{number}.db", number + 1, False
        make_old(path, version=len(MIGRATIONS), searches=ROWS)
        while not ended and figures.kills < kills:
            ended = migrate_until(path, PLACES[figures.kills % len(PLACES)], delay=chance.uniform(0, LONGEST))
            figures.kills += not ended
            good, version = whole(path, searches=ROWS)
            figures.torn += not good
            figures.inside += not ended and version == len(MIGRATIONS) + 1
        path.unlink()
    return figures


def migrate_until(path: Path, place: str, *, delay: float) -> bool:
    """Migrate in a process of its own, killed some time after it says where it is; True where it came to its end first."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = ""
    for line in child.stdout:
        said += line
        if line.startswith(place):
            time.sleep(delay)
            break
    child.kill()
    return "END" in said + child.communicate()[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = run(chosen.kills, seed=chosen.seed, folder=Path(folder))
    print(
        f"R25 kill -9 while migrating: {figures.kills} kills ({figures.inside} between two steps), {figures.torn} neither old nor new"
    )
    return 0 if figures.torn == 0 and figures.kills >= chosen.kills and figures.inside >= chosen.kills // 10 else 1


if __name__ == "__main__":
    sys.exit(main())
