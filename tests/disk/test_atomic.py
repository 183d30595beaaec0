"""Small files are written whole or not at all, and what a kill leaves behind is taken away later."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from explorer.config import SEEN, SETTINGS, tell_changed_settings
from explorer.disk import atomic
from explorer.records import ExplorerError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_write_that_fails_half_way_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    atomic.write_bytes(path, b"old")
    with pytest.raises(KeyError), atomic.open_replacement(path) as file:
        file.write(b"new")
        raise KeyError
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a.json"]
    with pytest.raises(ExplorerError, match="cannot write .*a.json: No space left"), atomic.beside(path) as part:
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a.json"]


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_secret_is_for_its_user_alone(tmp_path: Path) -> None:
    atomic.write_bytes(tmp_path / "open", b"")
    atomic.write_bytes(tmp_path / "secret", b"", private=True)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600 and (tmp_path / "open").stat().st_mode & 0o044


def test_what_a_kill_left_is_taken_away_when_it_is_old(tmp_path: Path) -> None:
    for name, age in (
        (".a[1].json.0123.tmp", 2 * atomic.STALE),
        (".a[1].json.4567.tmp", 1),
        (".b.json.0123.tmp", 2 * atomic.STALE),
    ):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    atomic.write_bytes(tmp_path / "a[1].json", b"whole")
    assert names(tmp_path) == [".a[1].json.4567.tmp", ".b.json.0123.tmp", "a[1].json"]


def test_changed_settings_are_told_once(tmp_path: Path) -> None:
    assert tell_changed_settings(tmp_path) == "" and names(tmp_path) == []  # no settings, nothing to remember
    (tmp_path / SETTINGS).write_text('{"port": 7860}')
    assert tell_changed_settings(tmp_path) == "" == tell_changed_settings(tmp_path)  # seen for the first time
    (tmp_path / SETTINGS).write_text('{"port": 7868}')
    assert (
        "settings.json was changed since the last start" in tell_changed_settings(tmp_path)
        and tell_changed_settings(tmp_path) == ""
    )
    (tmp_path / SETTINGS).unlink()
    assert (
        "was removed since the last start" in tell_changed_settings(tmp_path) and tell_changed_settings(tmp_path) == ""
    )
    assert names(tmp_path) == [SEEN]


def test_a_record_of_the_settings_that_cannot_be_read_is_told_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / SEEN).mkdir()
    told = tell_changed_settings(tmp_path)
    assert f"{tmp_path / SEEN} cannot be read" in told and "make it readable" in told
