"""A folder is named by choosing or by typing, however a person writes it, and what it holds is told before it is indexed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from explorer.records import ExplorerError
from explorer.service import places
from tests.support.app import real_clips


@pytest.mark.parametrize(
    "written",
    [
        "{0}",
        "  {0}  ",
        '"{0}"',
        "'{0}'",
        "“{0}”",
        "{0}/",
        "{0}///",
        "file://{0}",
        "file://localhost{0}",
        "{0}/film.mp4",
    ],
)
def test_a_path_is_understood_however_it_is_typed(tmp_path: Path, written: str) -> None:
    (tmp_path / "film.mp4").write_bytes(b"")
    assert places.typed_path(written.format(tmp_path)) == str(tmp_path)


def test_home_percent_signs_and_windows_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert places.typed_path("~/My Videos ") == os.path.join(str(tmp_path), "My Videos")
    assert places.typed_path("file:///a/My%20Videos%2F2024") == "/a/My Videos/2024"
    if os.name == "posix":
        assert places.typed_path("D:\\Videos\\New") == "/mnt/d/Videos/New"
        assert places.typed_path("file:///C:/Videos") == "/mnt/c/Videos"
        assert places.typed_path("/") == "/"


def test_a_folder_is_listed_by_name_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b", "A", ".hidden", "<b>x", "$RECYCLE.BIN"):
        (tmp_path / name).mkdir()
    for name in ("one.mp4", "TWO.MKV", "note.txt", ".three.mp4"):
        (tmp_path / name).write_bytes(b"")
    found = places.look_into(str(tmp_path))
    assert found.folders == ("<b>x", "A", "b") and found.videos == 2 and found.parent == str(tmp_path.parent)
    assert places.look_into(os.path.abspath(os.sep)).parent == ""


def test_many_folders_are_counted_and_not_all_listed(tmp_path: Path) -> None:
    for number in range(places.LISTED + 5):
        (tmp_path / f"{number:04d}").mkdir()
    found = places.look_into(str(tmp_path))
    assert len(found.folders) == places.LISTED and found.more == 5


def test_what_is_no_folder_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"")
    with pytest.raises(ExplorerError, match="is a file"):
        places.look_into(str(tmp_path / "film.mp4"))
    with pytest.raises(ExplorerError, match="no folder"):
        places.look_into(str(tmp_path / "gone"))


def test_places_stand_once_and_only_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own").mkdir()
    found = places.places([str(tmp_path / "own"), str(tmp_path / "gone"), str(tmp_path)])
    paths = [place.path for place in found]
    assert str(tmp_path / "own") in paths and str(tmp_path / "gone") not in paths
    assert len(paths) == len(set(paths)) and all(os.path.isdir(path) for path in paths)


def test_a_forecast_counts_files_and_reckons_their_length(tmp_path: Path) -> None:
    films = real_clips(tmp_path / "films")
    (films / "sub").mkdir()
    (films / "carphone_pristine.mp4").rename(films / "sub" / "c.mp4")
    (films / "broken.mp4").write_bytes(b"not a film")
    found = places.forecast(str(films))
    assert found.files == 4 and found.whole and 5 < found.seconds < 60
    assert places.forecast(str(tmp_path / "films" / "sub")).files == 1
