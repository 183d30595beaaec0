"""The keywords benchmark: its figures by hand, and over real clips that banner, cards and chips never contradict."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.features import clips_with_times, open_encoder
from benchmarks.keywords import Keyword, answers, index_frames, measure, read_keywords
from explorer.records import FOUND, Hit, LevelScores, Query, SearchResult, Verdict
from tests.support.agreement import assert_agrees


def answer(*names: str, doubted: bool) -> SearchResult:
    hits = tuple(Hit(i, name, f"/c/{name}", 0, 1, 0, LevelScores(0, 0, 0, 0), 0.0) for i, name in enumerate(names))
    return SearchResult(Query("x"), (), hits, Verdict("nothing", "no") if doubted else FOUND)


def test_figures_by_hand() -> None:
    words = [Keyword("a", ("a",)), Keyword("b", ("b", "c")), Keyword("gone", ()), Keyword("away", ())]
    found = measure(
        words,
        [
            answer("a", "b", doubted=True),
            answer("x", "x", "c", doubted=False),
            answer("a", doubted=True),
            answer("b", doubted=False),
        ],
    )
    assert (found.first_right, found.right_in_five, found.present_doubted) == (50, 100, 50)
    assert (found.right_first_doubted, found.absent_passed, found.absent_unsure) == (100, 50, 0)


@pytest.mark.shared_data
def test_answers_to_keywords_never_contradict_themselves(tmp_path: Path, shared_data: Path) -> None:
    encoder, clips = open_encoder("starter", tmp_path / "data"), shared_data / "clips"
    data, times, durations = clips_with_times(encoder, clips, cache=tmp_path, most=5)
    library = index_frames(tmp_path, data.files, data.frames, times, durations, encoder)
    words = read_keywords(clips / "keywords.jsonl")
    for result in answers(encoder, library, [word.query for word in words]):
        assert_agrees(result)
