"""Words said in films are kept, found by their forms, and never taken for commands."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from explorer.records import Cue, VideoFile
from explorer.store.cues import Cues, match_words
from explorer.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "index.db")
    root = store.add_root(tmp_path)
    store.add_files(root.id, [VideoFile(str(tmp_path / f"{name}.mp4"), 10, 1, name) for name in ("a", "b")])
    with store.database.write() as connection:
        connection.execute("UPDATE videos SET state = 'indexed'")
    return store


def put(store: Store, name: str, *texts: str) -> int:
    video = next(video for video in store.videos() if video.path.endswith(f"{name}.mp4"))
    Cues(store.database).put(video.id, [Cue(i, i + 1.0, text, "x.srt") for i, text in enumerate(texts)], state="1")
    return video.id


def test_a_word_is_found_in_its_other_forms_and_without_accents(store: Store) -> None:
    put(store, "a", "The owls were hooting", "nothing here")
    put(store, "b", "un caf\u00e9 noir")
    cues = Cues(store.database)
    assert [(Path(hit.path).stem, hit.cue.start) for hit in cues.search("an owl hoots")] == [("a", 0.0)]
    assert [Path(hit.path).stem for hit in cues.search("cafe")] == ["b"]
    assert cues.search("owl elephant") == ()


@pytest.mark.parametrize(
    "text", ["", "the", '"', "owl OR NOT *", "a AND b)", "NEAR(owl)", "text:owl", "\U0001f989", "x" * 9999]
)
def test_what_is_typed_is_never_a_command(store: Store, text: str) -> None:
    put(store, "a", "An owl near a tree")
    assert all(hit.cue.text == "An owl near a tree" for hit in Cues(store.database).search(text))


def test_new_cues_take_the_place_of_old_ones_in_the_words_too(store: Store) -> None:
    video = put(store, "a", "an owl")
    put(store, "a", "a dog")
    cues = Cues(store.database)
    assert [cue.text for cue in cues.of(video)] == ["a dog"] and cues.count() == 1
    assert cues.search("owl") == () and len(cues.search("dog")) == 1
    with store.database.write() as connection:
        connection.execute("INSERT INTO cue_words (cue_words) VALUES ('integrity-check')")


def test_cues_leave_with_their_film(store: Store) -> None:
    put(store, "a", "an owl")
    store.remove_root(store.roots()[0].id)
    assert Cues(store.database).count() == 0 and Cues(store.database).search("owl") == ()


def test_films_out_of_reach_are_not_found(store: Store) -> None:
    store.mark_missing([put(store, "a", "an owl")])
    assert Cues(store.database).search("owl") == ()


def test_full_text_search_is_there() -> None:
    assert match_words("Owl owl the") == ('"owl"',)
    sqlite3.connect(":memory:").execute("CREATE VIRTUAL TABLE t USING fts5(x)")
