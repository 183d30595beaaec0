"""Choices, exclusions in plain English, file names and days through the whole search over a real store."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from explorer.records import ExplorerError, LevelWeights, Recorded, SearchResult
from explorer.search.choices import nearest
from explorer.search.find import encode_query, find
from explorer.search.library import StoredLibrary
from explorer.search.query import parse
from tests.support.tiny_search import TinyEncoder, make_library, scenes

EQUAL = LevelWeights()
ENCODER = TinyEncoder()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> StoredLibrary:
    """Thirty videos of other things, one of a dog, one of a cat, one of a dog and later a cat."""
    videos = {f"other{i}.mp4": scenes((f"thing{i} place{i}", 8)) for i in range(30)}
    videos |= {"dog.mp4": scenes(("dog", 8)), "cat.mp4": scenes(("cat", 8))}
    videos |= {"both.mp4": scenes(("dog", 8), ("sky", 8), ("cat", 8)), "night/cafe\u0301.mp4": scenes(("car night", 8))}
    return make_library(tmp_path_factory.mktemp("library"), videos, ENCODER)


def search(library: StoredLibrary, typed: str, weights: dict[str, float] | None = None, **options: int) -> SearchResult:
    encoded = encode_query(ENCODER, parse(typed), weights)
    return find(encoded, library=library, encoder=ENCODER, weights=EQUAL, **options)


def names(result: SearchResult) -> list[str]:
    return [Path(hit.path).name for hit in result.hits]


def test_or_takes_the_best_of_both_at_the_higher_score(library: StoredLibrary) -> None:
    both = search(library, "dog or cat", k=4)
    alone = {hit.window: hit for typed in ("dog", "cat") for hit in search(library, typed).hits}
    assert set(names(both)) == {"dog.mp4", "cat.mp4", "both.mp4"} and len(both.hits) == 4
    for hit in both.hits:
        assert hit.scores.total == pytest.approx(
            max(h.scores.total for h in alone.values() if h.video_id == hit.video_id), abs=1e-5
        )
    assert [phrase.text for phrase in both.phrases] == ["dog", "cat"]
    assert names(search(library, "dog | cat", k=4)) == names(both)


def test_one_text_of_both_words_would_not_do(library: StoredLibrary) -> None:
    assert search(library, "dog or cat").hits[0].scores.total > search(library, '"dog cat"').hits[0].scores.total


def test_a_choice_that_is_switched_off_is_not_searched(library: StoredLibrary) -> None:
    assert "cat.mp4" not in names(search(library, "dog or cat", {"cat": 0.0}, k=2))
    with pytest.raises(ExplorerError, match="at least one"):
        search(library, "dog or cat", {"cat": 0.0, "dog": 0.0})


def test_filters_and_limits_hold_for_every_choice(library: StoredLibrary) -> None:
    assert set(names(search(library, "dog or cat file:both", per_file=1))) == {"both.mp4"}
    assert len(search(library, "dog or cat file:both", per_file=1).hits) == 1
    assert search(library, "dog or cat in:nowhere").hits == ()


def test_without_leaves_moments_out(library: StoredLibrary) -> None:
    assert names(search(library, "car"))[0] == "cafe\u0301.mp4"
    result = search(library, "car without night")
    assert "cafe\u0301.mp4" not in names(result) and result.query.excluded == ("night",) and result.query.notes


def test_a_file_is_found_by_its_name_however_its_accents_are_stored(library: StoredLibrary) -> None:
    for typed in ("file:caf\u00e9", "file:CAFE\u0301.mp4", 'dog file:"caf\u00e9.mp4"'):
        assert set(names(search(library, typed))) == {"cafe\u0301.mp4"}, typed
    assert search(library, "file:caf\u00e9").verdict.state == "found"
    assert 'is called "nothing.mp4"' in search(library, "file:nothing.mp4").reason


def test_days_are_those_of_recording_and_hits_say_where_they_come_from(library: StoredLibrary) -> None:
    video = next(v for v in library.store.videos() if v.path.endswith("dog.mp4"))
    library.store.set_recorded([(video.id, Recorded(datetime(2023, 7, 4, 12).timestamp(), "name"))])
    result = search(library, "dog on:2023-07-04")
    assert set(names(result)) == {"dog.mp4"} and {hit.recorded_by for hit in result.hits} == {"name"}
    assert set(names(search(library, 'dog on:"4 July 2023"'))) == {"dog.mp4"}
    assert search(library, "dog on:2023-07-05").hits == ()


def test_a_moment_is_explained_by_the_choice_it_meets(library: StoredLibrary) -> None:
    video = next(v for v in library.store.videos() if v.path.endswith("both.mp4"))
    texts = [choice.features for choice in encode_query(ENCODER, parse("dog or cat")).choices]
    chosen = [
        nearest(texts, video.id, start, start + 4, library=library, encoder=ENCODER, weights=EQUAL) for start in (2, 18)
    ]
    assert chosen == [0, 1]
