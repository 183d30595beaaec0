"""The short form of each reliability goal: the same functions as the scripts, with small counts."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.faults import __main__ as faults
from benchmarks.faults import (
    bitrot,
    cancel,
    common,
    drive,
    hung,
    memory,
    migrate,
    names,
    people,
    races,
    rescue,
    syscalls,
    tabs,
    told,
    unsafe,
)
from explorer.store.store import Store
from explorer.store.vectors import VectorCache

pytestmark = pytest.mark.fault
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


def test_r4_frames_before_a_cut_are_kept(tmp_path: Path) -> None:
    kept, whole, short = rescue.run(
        tmp_path, kinds=(("libx264", ".mkv"), ("mpeg4", ".avi"), ("mpeg2video", ".ts")), cuts=(0.6,)
    )
    assert whole > 150 and kept >= 0.95 * whole and not short


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_r7_a_failing_system_call_harms_nothing_and_is_told(tmp_path: Path) -> None:
    figures = syscalls.run(tmp_path, at_most=1, calls=("fdatasync", "pwrite64", "rename"))
    assert figures.tried == 3 and figures.told and not figures.wrong


def test_r8_a_full_disk_pauses_the_work() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults.disk_full", "--videos", "4"],
        cwd=common.PROJECT,
        capture_output=True,
        text=True,
    )
    if done.returncode == common.SKIPPED:
        pytest.skip(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr


def test_r9_a_drive_that_goes_and_comes_costs_nothing(tmp_path: Path) -> None:
    assert drive.vanish(tmp_path, rounds=4) == []


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_r9_a_drive_that_fails_inside_a_file_leaves_it_in_line(tmp_path: Path) -> None:
    assert drive.read_errors(tmp_path) == []


def test_r10_the_films_of_a_person_are_never_changed(tmp_path: Path) -> None:
    done, changed = drive.untouched(tmp_path)
    assert done > 20 and not changed


def test_r13_flipped_bits_are_noticed(tmp_path: Path) -> None:
    assert bitrot.run_files(40, seed=1, folder=tmp_path) == 40
    assert bitrot.run(7, seed=1, folder=tmp_path / "index") == (7, 7)
    assert bitrot.run_settings(8, seed=1, folder=tmp_path / "settings") == 8


@LINUX
def test_r14_cancel_is_heard_and_leaves_nobody_behind(tmp_path: Path) -> None:
    figures = cancel.run(tmp_path, times=1, shipped=False)
    assert figures.worst < 2 * max(1.0, os.getloadavg()[0] / 2) and not figures.orphans and not figures.wrong


@LINUX
def test_r15_a_hung_decoder_is_killed_at_its_deadline(tmp_path: Path) -> None:
    figures, slower = hung.run(tmp_path, times=4), max(1.0, os.getloadavg()[0] / 2)
    assert max(figures.late) < slower and max(figures.again) < 2 * slower and not figures.left
    assert len(figures.spun) == 2 and min(figures.spun) >= hung.BUSY * hung.PATIENCE


@LINUX
def test_r16_many_files_leave_no_handle_and_no_child(tmp_path: Path) -> None:
    grown = memory.many(tmp_path, 60)
    assert grown["indexed"] == 60 and grown["growth"] < 100 and grown["handles"] <= 20 and not grown["children"]


def test_r17_a_synthetic_library_is_searched(tmp_path: Path) -> None:
    from benchmarks.index_size import fill

    with Store(tmp_path / "index.db") as store:
        fill(store, files=50, windows=4)
        cache = VectorCache(store, tmp_path / "vectors.faiss", encoder="synthetic")
        ids, _ = cache.search(next(store.window_vectors(store.window_ids("synthetic")))[1][7].astype("float32"), 3)
        assert len(cache) == 200 and ids[0] == 8


def test_r18_tabs_get_their_own_answers_while_the_library_grows(tmp_path: Path) -> None:
    made, wrong, _, added = tabs.run(tmp_path, tabs=4, searches=4)
    assert made == 16 and not wrong and added


def test_r20_one_writer_ever(tmp_path: Path) -> None:
    assert races.run(tmp_path, 40) == [1] * 40


def test_r21_odd_names_work_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "NAMES", names.NAMES[::4])
    files, wrong = names.run(tmp_path)
    assert files >= 10 and not wrong


def test_r24_pickles_never_run(tmp_path: Path) -> None:
    tried, ran, _, wrong = unsafe.run(tmp_path)
    assert tried >= 40 and not ran and not wrong


def test_r24_the_code_unpickles_nothing(tmp_path: Path) -> None:
    assert unsafe.walk(common.PROJECT / "explorer") == []
    (tmp_path / "bad.py").write_text("import pickle\nimport torch\ntorch.load('a')\n")
    assert unsafe.walk(tmp_path) == ["bad.py:1", "bad.py:3"]


def test_r25_a_kill_inside_a_migration_leaves_old_or_new(tmp_path: Path) -> None:
    figures = migrate.run(3, seed=0, folder=tmp_path)
    assert figures.kills == 3 and figures.torn == 0


def test_r27_failures_reach_the_person(tmp_path: Path) -> None:
    for failure, sentence in told.others(tmp_path).items():
        assert told.a_sentence(sentence), (failure, sentence)


def test_every_goal_of_the_table_has_its_script() -> None:
    for goal in faults.GOALS:
        module = goal.command.split()[0]
        assert module == "pytest" or importlib.util.find_spec(module) is not None, goal
    assert len({goal.name for goal in faults.GOALS}) == len(faults.GOALS) == 26


def test_the_table_tells_a_goal_that_falls_short(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        faults,
        "GOALS",
        (faults.Goal("R98", "holds", "platform"), faults.Goal("R99", "fails", "json.tool nowhere.json")),
    )
    monkeypatch.setattr(sys, "argv", ["faults"])
    assert faults.main() == 1
    shown = capsys.readouterr().out.splitlines()
    assert "| ok |" in shown[2] and "| short |" in shown[3]


def test_r28_what_people_type_and_bring_is_read_or_told(tmp_path: Path) -> None:
    tried = people.run(tmp_path)
    assert len(tried) >= 80 and [one for one in tried if one.state in ("lost", "wrong")] == []
