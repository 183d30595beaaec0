"""Judgements re-rank the search they were made on, by one rule, and can be taken back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from explorer.records import Hit, LevelScores, Query, SearchResult, Verdict
from explorer.service.judgements import Judgement, Judgements, arrange, wording

ASKED = "a dog runs"


def hit(path: str, start: float, total: float) -> Hit:
    return Hit(0, path, path, start, start + 4, 0, LevelScores(total, total, total, total), 0.5)


HITS = (hit("a.mp4", 0, 0.5), hit("b.mp4", 0, 0.4), hit("a.mp4", 10, 0.3), hit("c.mp4", 0, 0.2))
ANSWER = SearchResult(Query(ASKED), (), HITS, Verdict("nothing", "Nothing here looks like that"))


@pytest.fixture
def kept(tmp_path: Path) -> Judgements:
    return Judgements(tmp_path / "feedback.jsonl")


def order(kept: Judgements, text: str = ASKED, k: int = 4) -> list[tuple[str, float]]:
    return [(one.path, one.start) for one in arrange(ANSWER, kept.of(text), k=k).hits]


def test_right_is_first_and_wrong_last_in_the_model_s_order(kept: Judgements) -> None:
    kept.add(Judgement("video", ASKED, "c.mp4", good=True))
    kept.add(Judgement("video", ASKED, "a.mp4", good=False))
    assert order(kept) == [("c.mp4", 0), ("b.mp4", 0), ("a.mp4", 0), ("a.mp4", 10)]
    result = arrange(ANSWER, kept.of(ASKED), k=4)
    assert result.confident and result.reason == ""
    assert [one.judged for one in result.hits] == [True, None, False, False]


def test_a_judged_clip_moves_only_the_moment_it_lies_in(kept: Judgements) -> None:
    kept.add(Judgement("clip", ASKED, "a.mp4", time=12.0, phrase="dog", good=False))
    assert order(kept) == [("a.mp4", 0), ("b.mp4", 0), ("c.mp4", 0), ("a.mp4", 10)]
    kept.add(Judgement("frame", ASKED, "a.mp4", time=11.0, word="dog", good=True))
    assert order(kept)[0] == ("a.mp4", 10)
    assert not arrange(ANSWER, kept.of("another query"), k=4).confident


def test_judged_hits_stay_where_fewer_are_wanted(kept: Judgements) -> None:
    kept.add(Judgement("video", ASKED, "c.mp4", good=True))
    kept.add(Judgement("video", ASKED, "b.mp4", good=False))
    assert order(kept, k=3) == [("c.mp4", 0), ("a.mp4", 0), ("b.mp4", 0)]
    assert order(kept, k=1) == [("c.mp4", 0)]


def test_the_last_word_counts_and_can_be_taken_back(kept: Judgements) -> None:
    kept.add(Judgement("video", ASKED, "b.mp4", good=False))
    kept.add(Judgement("video", ASKED, "b.mp4", good=True))
    assert order(kept)[0] == ("b.mp4", 0)
    kept.withdraw(ASKED, "b.mp4", 0, 4)
    assert order(kept) == [(one.path, one.start) for one in HITS] and kept.standing() == []
    kept.withdraw(ASKED, "b.mp4", 0, 4)
    assert len(kept.file.lines()) == 3 and kept.file.lines()[-1]["good"] is None


def test_the_same_words_with_filters_or_in_capitals_are_the_same_query(kept: Judgements) -> None:
    kept.add(Judgement("video", 'A "dog"^2 runs in:trips', "b.mp4", good=True))
    assert wording('A "dog"^2 runs in:trips -night') == "A dog runs" and wording('an open "quote') == "an open quote"
    assert wording("-night") == "-night"  # no query, so the text itself
    assert order(kept)[0] == ("b.mp4", 0) and kept.of("a cat runs") == []


def test_a_file_the_person_edited_is_read_again_and_broken_lines_are_passed_over(kept: Judgements) -> None:
    kept.add(Judgement("video", ASKED, "b.mp4", good=True))
    assert len(kept.of(ASKED)) == 1
    line = {"kind": "video", "text": ASKED, "file": "c.mp4", "time": None, "phrase": None, "word": None, "good": False}
    broken = (
        "{",
        "[1]",
        "{}",
        '{"kind": "video"}',
        '{"kind": "else", "file": "x", "good": true}',
        '{"kind": ["video"], "file": "x"}',
    )
    kept.file.path.write_text("\n".join([*broken, json.dumps(line)]), "utf-8")
    assert order(kept) == [("a.mp4", 0), ("b.mp4", 0), ("a.mp4", 10), ("c.mp4", 0)]


def test_a_kind_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="kind"):
        Judgement("file", ASKED, "b.mp4")
