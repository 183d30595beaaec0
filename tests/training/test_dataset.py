"""Batches without hidden positives, segment views, and an order that a restart cannot change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from explorer.records import CaptionPair, FrameFeatures, Phrase, TextFeatures
from explorer.training.dataset import (
    PairData,
    batches,
    centre_view,
    draw,
    epoch,
    merge,
    pad,
    pair_data,
    positives,
    random_view,
)
from explorer.training.texts import load_table, save_table, text_table
from tests.support.synthetic import pairs, text, unit, whole


def spans_data() -> PairData:
    """Three captions of file a (whole, 0-4 s, 6-9 s) and one of file b."""
    rng = np.random.default_rng(0)
    times = np.arange(10.0)
    features = {name: FrameFeatures(times, unit(rng.normal(size=(10, 4))).astype(np.float16)) for name in "ab"}
    given = [
        CaptionPair("a", "whole"),
        CaptionPair("a", "early", 0.0, 4.0),
        CaptionPair("a", "late", 6.0, 9.0),
        CaptionPair("b", "other"),
        CaptionPair("gone", "left out"),
    ]
    return pair_data(given, features, lambda texts: [text(t, unit(rng.normal(size=4)), rng) for t in texts])


def test_pairs_join_features_and_spans_take_their_frames() -> None:
    data = spans_data()
    assert data.files == ("a", "a", "a", "b") and data.owners.tolist() == [0, 1, 2, 3]
    assert [len(f) for f in data.frames] == [10, 5, 4, 10]
    assert data.correct().astype(int).tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]


def test_a_span_between_two_frames_takes_the_nearest() -> None:
    features = {"a": FrameFeatures(np.array([0.0, 5.0, 10.0]), np.eye(3, 4, dtype=np.float16))}
    data = pair_data(
        [CaptionPair("a", "x", 6.0, 7.0)], features, lambda t: [text(t[0], np.ones(4), np.random.default_rng(0))]
    )
    assert data.frames[0].tolist() == [[0, 1, 0, 0]]


def test_captions_of_one_video_and_equal_captions_are_positives() -> None:
    data = pairs(3, 2)
    texts = list(data.texts)
    texts[5] = replace(texts[5], text="Caption 0  of video 0")  # the same words about video 2
    found = positives(replace(data, texts=texts), np.arange(6))
    expected = np.kron(np.eye(3, dtype=int), np.ones((2, 2), int))
    expected[0, 5] = expected[5, 0] = 1
    assert found.astype(int).tolist() == expected.tolist()


def test_spans_of_one_file_that_do_not_overlap_never_share_a_batch() -> None:
    data = spans_data()
    for seed in range(20):
        order = batches(data, 4, np.random.default_rng(seed))
        assert sorted(np.concatenate(order).tolist()) == [0, 1, 2, 3]
        assert not any({1, 2} <= set(batch.tolist()) for batch in order)


def test_every_text_once_and_no_lonely_last_one() -> None:
    order = batches(pairs(5, 1), 2, np.random.default_rng(0))
    assert sorted(np.concatenate(order).tolist()) == list(range(5)) and [len(b) for b in order] == [2, 3]


def test_an_epoch_begun_in_the_middle_is_the_rest_of_the_whole() -> None:
    data = pairs(8, 2)
    every = list(epoch(data, batch_size=4, frames=4, views=2, seed=7, number=1))
    rest = list(epoch(data, batch_size=4, frames=4, views=2, seed=7, number=1, first=2))
    for a, b in zip(every[2:], rest, strict=True):
        assert a.numbers.tolist() == b.numbers.tolist()
        assert all((x[0] == y[0]).all() for x, y in zip(a.views, b.views, strict=True))
    other = next(epoch(data, batch_size=4, frames=4, views=2, seed=8, number=1))
    assert other.numbers.tolist() != every[0].numbers.tolist()


def test_views_take_one_frame_a_segment() -> None:
    assert centre_view(12, 12).tolist() == list(range(12))
    assert centre_view(24, 4).tolist() == [3, 9, 15, 21]
    assert centre_view(2, 12).tolist() == [0, 1]
    rng = np.random.default_rng(0)
    for count, frames, segments in ((24, 4, 4), (12, 12, 6), (1, 12, 1), (3, 12, 1), (7, 3, 3)):
        edges = np.arange(segments + 1) * count / segments
        for _ in range(50):
            view = random_view(count, frames, rng)
            assert len(view) == segments and (view >= np.floor(edges[:-1])).all() and (view < np.ceil(edges[1:])).all()
    assert len({tuple(random_view(12, 12, rng)) for _ in range(20)}) > 10


def test_draw_pads_with_a_mask() -> None:
    data = pairs(2, 1)
    data = replace(data, frames=(data.frames[0], data.frames[1][:2]))
    batch = draw(data, np.array([0, 1]), frames=4, views=1, rng=np.random.default_rng(0))
    frames, mask = batch.views[0]
    assert frames.shape == (2, 4, 16) and mask.sum(axis=1).tolist() == [4, 1] and not frames[1, 1:].any()
    assert pad([np.ones((1, 2)), np.ones((3, 2))])[1].tolist() == [[True, False, False], [True, True, True]]


def test_merging_keeps_both_and_renumbers() -> None:
    a, b = pairs(2, 2), pairs(3, 1, seed=4)
    both = merge(a, replace(b, files=("v1.mp4", "x.mp4", "y.mp4")))
    assert len(both) == 7 and both.owners.tolist() == [0, 0, 1, 1, 2, 3, 4]
    assert both.texts[6].text == b.texts[2].text
    assert both.correct()[2].tolist() == [False, True, True, False, False]  # v1.mp4 is in both


@pytest.mark.parametrize("wrong", [{"owners": np.array([0, 9])}, {"spans": whole(1)}, {"owners": np.array([0])}])
def test_data_that_does_not_fit_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError):
        replace(pairs(2, 1), **wrong)


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(ValueError, match="no caption belongs"):
        pair_data([CaptionPair("a", "x")], {}, lambda texts: [])


def test_a_text_table_keeps_each_vector_once(tmp_path) -> None:
    rng = np.random.default_rng(0)
    vectors = {
        name: unit(rng.normal(size=(1, 8)))[0].astype(np.float32)
        for name in ("red", "blue", "car", "red car", "car, blue car")
    }

    def features(text: str, phrase: str) -> TextFeatures:
        words = tuple(text.replace(",", "").split())
        start = text.rindex(phrase)
        return TextFeatures(
            text,
            vectors[text],
            np.stack([vectors[word] for word in words]),
            words,
            vectors[phrase][None],
            (Phrase(phrase, start, start + len(phrase)),),
        )

    given = [features("red car", "car"), features("car, blue car", "car")]
    table = text_table(given)
    assert table.labels == ("red", "car", "blue") and table.vectors.shape == (3, 8)
    save_table(tmp_path / "t.npz", table)
    for made in (table, load_table(tmp_path / "t.npz")):
        for item, wanted in zip(made, given, strict=True):
            assert (item.text, item.word_texts, item.phrase_spans) == (
                wanted.text,
                wanted.word_texts,
                wanted.phrase_spans,
            )
            for name in ("sentence", "words", "phrases"):
                assert np.allclose(getattr(item, name), getattr(wanted, name), atol=1e-3)
    assert table[1].phrase_spans[0].start == 10  # the second "car" of the two


def test_a_text_without_phrases_has_none_in_the_table() -> None:
    plain = TextFeatures(
        "go", np.eye(4, dtype=np.float32)[0], np.eye(4, dtype=np.float32)[:2], ("g", "o"), np.zeros((0, 4), np.float32)
    )
    assert text_table([plain])[0].phrases.shape == (0, 4) and text_table([plain])[0].phrase_spans == ()
