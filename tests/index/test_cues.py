"""Subtitles are read once, again when they change, and beside files go before tracks inside."""

from __future__ import annotations

from pathlib import Path

from explorer.index.cues import read_cues
from explorer.media.decode import DecodeWorker
from explorer.store.cues import Cues
from explorer.store.store import Store
from tests.support.indexing import run_index
from tests.support.subtitles import film_with_track, srt


def read(store: Store) -> list[str]:
    """The films whose subtitles were read."""
    with DecodeWorker() as decoder:
        return [Path(step.current).name for step in read_cues(store, decoder)]


def test_subtitles_are_read_once_and_again_when_they_change(tmp_path: Path) -> None:
    films, store = tmp_path / "films", Store(tmp_path / "index.db")
    films.mkdir()
    film_with_track(films / "inside.mkv")
    film_with_track(films / "beside.mp4")
    (films / "beside.srt").write_text(srt([(1.0, 2.0, "a dog barks")]), "utf-8")
    run_index(store, films)
    assert read(store) == ["beside.mp4", "inside.mkv"] and read(store) == []
    cues = Cues(store.database)
    assert [Path(hit.path).name for hit in cues.search("owl")] == ["inside.mkv"]
    assert [(Path(hit.path).name, hit.cue.source) for hit in cues.search("dogs")] == [("beside.mp4", "beside.srt")]

    (films / "beside.srt").unlink()
    assert read(store) == ["beside.mp4"]
    assert cues.search("dogs") == () and len(cues.search("owl")) == 2


def test_a_film_that_cannot_be_read_any_more_is_passed_over(tmp_path: Path) -> None:
    films, store = tmp_path / "films", Store(tmp_path / "index.db")
    films.mkdir()
    film_with_track(films / "a.mkv")
    run_index(store, films)
    (films / "a.mkv").write_bytes(b"gone")
    assert read(store) == ["a.mkv"] and Cues(store.database).count() == 0
