"""Goal R20: several processes want the same data folder at the same moment, a thousand times: one gets it, ever.

Run: python -m benchmarks.faults.races [--races 1000]. The last line is the figure; exit 1 if it falls short.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.faults.common import PROJECT, finish

PLAYERS = 4
PLAYER = """
import sys
from explorer.disk.lock import AlreadyRunning, DataLock
print("READY", flush=True)
while sys.stdin.readline():
    try:
        with DataLock(sys.argv[1]):
            print("WON", flush=True)
            sys.stdin.readline()
    except AlreadyRunning:
        print("LOST", flush=True)
        sys.stdin.readline()
    print("DONE", flush=True)
"""


def run(folder: Path, races: int) -> list[int]:
    """How many won each race."""
    players = [
        subprocess.Popen(
            [sys.executable, "-c", PLAYER, str(folder)],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for _ in range(PLAYERS)
    ]
    try:
        _answers(players)
        winners = []
        for _ in range(races):
            _say(players)
            winners.append(_answers(players).count("WON\n"))
            _say(players)
            _answers(players)
        return winners
    finally:
        for player in players:
            player.kill()
            player.communicate()


def _say(players: list[subprocess.Popen[str]]) -> None:
    for player in players:
        assert player.stdin is not None
        player.stdin.write("go\n")
        player.stdin.flush()


def _answers(players: list[subprocess.Popen[str]]) -> list[str]:
    return [player.stdout.readline() for player in players if player.stdout is not None]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=1000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        winners = run(Path(folder), chosen.races)
    return finish(
        "R20",
        f"{len(winners)} races of {PLAYERS} processes: one writer in {winners.count(1)}, two or more in {sum(w > 1 for w in winners)}, "
        f"none in {winners.count(0)}",
        good=winners.count(1) == chosen.races,
    )


if __name__ == "__main__":
    sys.exit(main())
