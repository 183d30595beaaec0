"""Explanations of drawn scenes: the cells, spans and reasons are known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explorer.records import ExplorerError, LevelWeights, Match, WhyNot
from explorer.search.explain import clip_runs, explain, phrase_order, why_not
from explorer.search.find import encode_query, rank
from explorer.search.query import parse
from tests.support.tiny_search import FRAMES, TinyEncoder, make_library, scenes, word_vector

EQUAL = LevelWeights()


def test_an_explanation_points_at_the_right_clip_frame_and_second(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    library = make_library(tmp_path, {"a.mp4": scenes(("dog", 2), ("cat", 2), ("sea", 4))}, encoder)
    video = library.store.videos()[0]
    text = encode_query(encoder, parse("dog cat")).features
    shown = explain(text, video.id, 0.0, 4.0, library=library, encoder=encoder, weights=EQUAL)
    assert (shown.phrases, shown.words) == (("dog", "cat"), ("dog", "cat"))
    assert shown.word_frame.shape == (2, FRAMES) and shown.frame_times.tolist() == [0.5, 1.5, 2.5, 3.5]
    dog = shown.clip_spans[int(shown.phrase_clip[0].argmax())]
    cat = shown.clip_spans[int(shown.phrase_clip[1].argmax())]
    assert (dog, cat) == (((0.0, 2.0),), ((2.0, 4.0),))
    assert shown.word_frame[0, :2] == pytest.approx(1.0, abs=2e-3) and shown.word_frame[1, 2:] == pytest.approx(
        1.0, abs=2e-3
    )
    assert shown.word_frame[0, 2] == pytest.approx(float(word_vector("dog") @ word_vector("cat")), abs=2e-3)
    assert len(shown.curve) == 3 and shown.curve.argmax() == 0 and shown.curve_times.tolist() == [2.0, 4.0, 6.0]
    np.testing.assert_allclose(shown.assignment.sum(0), 1, atol=1e-6)


def test_a_phrase_that_is_off_is_not_explained(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    library = make_library(tmp_path, {"a.mp4": scenes(("dog", 4))}, encoder)
    shown = explain(
        encode_query(encoder, parse('"dog"^0 cat "sea"')).features,
        library.store.videos()[0].id,
        0.0,
        4.0,
        library=library,
        encoder=encoder,
        weights=EQUAL,
    )
    assert shown.phrases == ("sea",) and shown.phrase_clip.shape[0] == 1


def test_why_not_names_rank_level_and_phrase(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    library = make_library(
        tmp_path,
        {
            "both.mp4": scenes(("red", 4), ("dog", 4)),
            "dog.mp4": scenes(("sofa", 3), ("dog", 6)),
            "none.mp4": scenes(("sea", 7)),
        },
        encoder,
    )
    encoded = encode_query(encoder, parse("red dog"))
    scored = rank(encoded, library=library, encoder=encoder, weights=EQUAL)
    assert scored is not None
    ids = {Path(v.path).name: v.id for v in library.store.videos()}

    def reason(name: str) -> WhyNot:
        return why_not(scored, encoded.features, ids[name], library=library, encoder=encoder, weights=EQUAL)

    dog = reason("dog.mp4")
    assert (dog.rank, dog.of, dog.phrase) == (2, 3, "red") and '"red" scores' in dog.sentence
    assert reason("both.mp4").rank == 1 and reason("none.mp4").rank == 3


@pytest.mark.parametrize(("start", "end"), [(3.0, 5.0), (0.0, 40.0), (10.0, 11.0)])
def test_exactly_the_moment_shown_is_explained(tmp_path: Path, start: float, end: float) -> None:
    encoder = TinyEncoder()
    library = make_library(tmp_path, {"a.mp4": scenes(("dog", 20), ("cat", 20), ("sea", 9))}, encoder)
    text, video = encode_query(encoder, parse("dog cat")).features, library.store.videos()[0]
    shown = explain(text, video.id, start, end, library=library, encoder=encoder, weights=EQUAL)
    assert (shown.start, shown.end) == (start, end)
    assert shown.frame_times[0] == start + 0.5 and shown.frame_times[-1] == end - 0.5
    spans = sorted(span for clip in shown.clip_spans for span in clip)
    assert spans[0][0] == start and spans[-1][1] == end
    assert len(shown.frame_times) == min(end - start, 24)


def test_clips_stand_in_the_order_of_time(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    library = make_library(tmp_path, {"a.mp4": scenes(("sea", 3), ("dog", 3), ("cat", 3), ("sea", 3))}, encoder)
    text, video = encode_query(encoder, parse("dog cat")).features, library.store.videos()[0]
    shown = explain(text, video.id, 0.0, 12.0, library=library, encoder=encoder, weights=EQUAL)
    starts = [clip[0][0] for clip in shown.clip_spans]
    assert starts == sorted(starts) and ((0.0, 3.0), (9.0, 12.0)) in shown.clip_spans


def test_a_video_without_windows_is_said(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    library = make_library(tmp_path, {"a.mp4": scenes(("dog", 4))}, encoder)
    with pytest.raises(ExplorerError, match="no windows"):
        explain(
            encode_query(encoder, parse("dog")).features, 99, 0.0, 4.0, library=library, encoder=encoder, weights=EQUAL
        )


def test_runs_of_a_clip() -> None:
    assert clip_runs(np.array([0.25, 0.25, 0, 0.25, 0.25])) == [(0, 1), (3, 4)]
    assert clip_runs(np.array([0.0, 0.0, 1.0])) == [(2, 2)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dog then cat", True),
        ("cat and then dog", False),
        ("dog before cat", True),
        ("cat after dog", True),
        ("dog and cat", None),
        ("then dog", None),
    ],
)
def test_order_asked_by_words(text: str, expected: bool | None) -> None:
    matches = [Match("dog", 0.0, 2.0, 0.3, True), Match("cat", 5.0, 6.0, 0.3, True)]
    assert phrase_order(text, matches) is expected
