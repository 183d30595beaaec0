"""Recalls and ranks against values worked out by hand: ties, several right answers, NaN, both directions."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.training.metrics import (
    both_directions,
    correct_matrix,
    dual_softmax,
    querybank_norm,
    ranks,
    retrieval,
    summarise,
)


def test_ranks_by_hand() -> None:
    similarity = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.9, 0.5, 0.1]])
    assert ranks(similarity, np.eye(3, dtype=bool)).tolist() == [1, 2, 3]


def test_a_tie_counts_against_the_right_answer_both_ways() -> None:
    similarity = np.full((4, 4), 0.3)
    found = both_directions(similarity, np.eye(4, dtype=bool))
    assert found["text_to_video"].r1 == found["video_to_text"].r1 == 0.0
    assert found["text_to_video"].mean_rank == found["video_to_text"].mean_rank == 4.0


def test_two_right_answers_do_not_hurt_each_other() -> None:
    similarity = np.array([[0.7, 0.7, 0.6]])
    assert ranks(similarity, np.array([[True, True, False]])).tolist() == [1]
    assert ranks(similarity, np.array([[True, False, True]])).tolist() == [2]


def test_several_captions_a_video_take_the_best_rank() -> None:
    # Captions 0 and 1 are of video 0, caption 2 of video 1. Video 0 scores 0.2, 0.8, 0.5: its best caption is first.
    similarity = np.array([[0.2, 0.1], [0.8, 0.9], [0.5, 0.4]])
    found = both_directions(similarity, correct_matrix(np.array([0, 0, 1]), 2))
    assert found["video_to_text"].mean_rank == 1.5  # video 0 ranks 1, video 1 ranks 2 (0.9 of caption 1 is above)
    assert found["text_to_video"].mean_rank == pytest.approx(5 / 3)  # ranks 1, 2, 2


def test_median_and_recalls_by_hand() -> None:
    metrics = summarise(np.array([1, 2, 5, 6, 10, 11]))
    assert (metrics.r1, metrics.r5, metrics.r10) == pytest.approx((100 / 6, 50.0, 500 / 6))
    assert metrics.median_rank == 5.5 and metrics.mean_rank == pytest.approx(35 / 6)
    assert list(metrics.as_json()) == ["R@1", "R@5", "R@10", "median_rank", "mean_rank"]


@pytest.mark.parametrize(
    ("similarity", "correct", "words"),
    [
        (np.array([[np.nan, 1.0]]), np.array([[True, False]]), "NaN"),
        (np.array([[0.5, 1.0]]), np.array([[False, False]]), "no correct item"),
        (np.array([[0.5, 1.0]]), np.array([[1, 0]]), "bool"),
        (np.zeros((2, 2)), np.ones((2, 3), bool), "shape"),
        (np.zeros((0, 2)), np.zeros((0, 2), bool), "no query"),
    ],
)
def test_what_cannot_be_measured_is_refused(similarity: np.ndarray, correct: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        retrieval(similarity, correct)


def test_a_video_without_a_caption_is_in_the_gallery_but_asks_nothing() -> None:
    similarity = np.array([[0.5, 0.9], [0.1, 0.2]])
    found = both_directions(similarity, np.array([[True, False], [True, False]]))
    assert found["text_to_video"].mean_rank == 2.0 and found["video_to_text"].mean_rank == 1.0


def test_ranks_agree_with_sorting_slowly() -> None:
    rng = np.random.default_rng(0)
    similarity, correct = rng.integers(0, 5, (40, 30)) / 5, rng.random((40, 30)) < 0.1
    correct[:, 0] |= ~correct.any(axis=1)
    slow = [
        1 + sum(s >= max(row[right]) for s, r in zip(row, right, strict=True) if not r)
        for row, right in zip(similarity, correct, strict=True)
    ]
    assert ranks(similarity, correct).tolist() == slow


def test_dual_softmax_by_hand() -> None:
    # Column 0: equal logits, so 1/2 each; column 1: logits 0 and ln 3, so 1/4 and 3/4.
    similarity = np.array([[1.0, 0.0], [1.0, np.log(3)]])
    assert dual_softmax(similarity, scale=1.0) == pytest.approx(np.array([[0.5, 0.0], [0.5, 0.75 * np.log(3)]]))


def test_querybank_norm_by_hand() -> None:
    # The bank's only favourite is item 0: the first query, whose best is item 0, is normalised, the second is not.
    bank = np.array([[np.log(2.0), 0.0], [np.log(4.0), 0.0]])
    similarity = np.array([[np.log(3.0), 0.0], [0.1, 0.2]])
    found = querybank_norm(similarity, bank, beta=1.0)
    assert found == pytest.approx(np.array([[3 / 6, 1 / 2], [0.1, 0.2]]))
    assert querybank_norm(similarity, bank[:0]) == pytest.approx(similarity)


def test_querybank_norm_demotes_a_hub() -> None:
    rng = np.random.default_rng(1)
    similarity = np.eye(20) * 0.3 + rng.normal(scale=0.02, size=(20, 20))
    similarity[:, 0] += 0.35  # item 0 answers everything
    bank = rng.normal(scale=0.02, size=(50, 20))
    bank[:, 0] += 0.35
    correct = np.eye(20, dtype=bool)
    assert retrieval(similarity, correct).r1 < 50 < 90 < retrieval(querybank_norm(similarity, bank), correct).r1
