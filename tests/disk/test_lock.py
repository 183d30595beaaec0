"""One writer per data folder, over races of real processes, and a lock that dies with its holder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from explorer.disk.lock import AlreadyRunning, DataLock, owner
from explorer.records import ExplorerError

PROJECT = Path(__file__).resolve().parents[2]
RACE = """
import os, sys, time
from explorer.disk.lock import AlreadyRunning, DataLock
folder = sys.argv[1]
print("READY", flush=True)
for line in sys.stdin:                     # one line a race: all begin at the same moment
    try:
        lock = DataLock(folder, port=os.getpid())
        os.close(os.open(folder + "/inside", os.O_CREAT | os.O_EXCL))     # fails where another writer is inside
        time.sleep(0.005)
        os.unlink(folder + "/inside")
        print("WON", flush=True)
        sys.stdin.readline()               # holds it until all have tried
        lock.release()
    except AlreadyRunning as error:
        print("LOST", error.port, flush=True)
        sys.stdin.readline()
    print("DONE", flush=True)
"""


def test_one_writer_ever_over_fifty_races(tmp_path: Path) -> None:
    players = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(tmp_path)],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for _ in range(4)
    ]
    try:
        assert all(p.stdout.readline() == "READY\n" for p in players)
        for _ in range(50):
            for order in ("go\n", "on\n"):
                for player in players:
                    player.stdin.write(order)
                    player.stdin.flush()
                answers = [player.stdout.readline().split() for player in players]
                if order == "go\n":
                    assert sorted(a[0] for a in answers) == ["LOST", "LOST", "LOST", "WON"], answers
    finally:
        for player in players:
            player.kill()
            player.communicate()


def test_a_second_start_learns_where_the_first_is(tmp_path: Path) -> None:
    with DataLock(tmp_path) as lock:
        lock.set_port(7861)
        with pytest.raises(AlreadyRunning, match="http://127.0.0.1:7861") as caught:
            DataLock(tmp_path)
        assert (caught.value.port, caught.value.pid) == (7861, os.getpid())
    with DataLock(tmp_path):
        assert owner(tmp_path)["port"] == 0


def test_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    code = "import sys, time; from explorer.disk.lock import DataLock; lock = DataLock(sys.argv[1]); print('HELD', flush=True); time.sleep(60)"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "HELD\n"
    with pytest.raises(AlreadyRunning):
        DataLock(tmp_path)
    holder.kill()
    holder.communicate()
    DataLock(tmp_path).release()


def test_a_damaged_note_and_a_file_for_a_folder(tmp_path: Path) -> None:
    with DataLock(tmp_path):
        (tmp_path / "owner.json").write_text("[")
        with pytest.raises(AlreadyRunning, match="already running"):
            DataLock(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ExplorerError, match="cannot write to"):
        DataLock(tmp_path / "file")
