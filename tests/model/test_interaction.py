"""Similarities against values worked out by hand and against an obvious loop."""

from __future__ import annotations

import doctest

import pytest
import torch

from explorer.model import interaction, losses
from explorer.model.hierarchy import unit
from explorer.model.interaction import (
    frame_word_similarity,
    late_interaction,
    reweight,
    softmax_weights,
    total_similarity,
    uniform_weights,
    video_sentence_similarity,
)
from explorer.records import LEVELS, LevelWeights


def slow_late_interaction(rows, columns, row_mask, column_mask, a, b) -> torch.Tensor:  # type: ignore[no-untyped-def]
    """The formula, pair by pair, over the real positions alone."""
    scores = torch.zeros(len(rows), len(columns))
    for q in range(len(rows)):
        for v in range(len(columns)):
            table = rows[q][row_mask[q]] @ columns[v][column_mask[v]].T
            towards = (a[q][row_mask[q]] * table.max(1).values).sum()
            back = (b[v][column_mask[v]] * table.max(0).values).sum()
            scores[q, v] = (towards + back) / 2
    return scores


def ragged(n: int, longest: int, *, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(1, longest + 1, (n, 1), generator=generator)
    return unit(torch.randn(n, longest, 6, generator=generator)), torch.arange(longest) < counts


def test_doctests() -> None:
    for module in (interaction, losses):
        result = doctest.testmod(module, extraglobs={"torch": torch})
        assert result.attempted > 0 and result.failed == 0


def test_frame_word_by_hand() -> None:
    """Words x, y against frames x, -x: word x 1, word y 0 -> 1/2; frame x 1, frame -x 0 (with y) -> 1/2."""
    words, frames = torch.eye(2)[None], torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]])
    real = torch.ones(1, 2, dtype=torch.bool)
    assert frame_word_similarity(frames, words, real, real).item() == pytest.approx(0.5)
    a, b = torch.tensor([[0.75, 0.25]]), torch.tensor([[0.2, 0.8]])
    weighted = frame_word_similarity(frames, words, real, real, word_weights=a, frame_weights=b)
    assert weighted.item() == pytest.approx((0.75 + 0.2) / 2)


def test_padding_never_wins_a_maximum_even_where_every_cosine_is_negative() -> None:
    words = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    frames = torch.tensor([[[-1.0, 0.0], [0.0, 0.0]]])
    first = torch.tensor([[True, False]])
    assert frame_word_similarity(frames, words, first, first).item() == -1.0


@pytest.mark.parametrize("budget", [1, 40, 700, 1 << 24])
def test_late_interaction_equals_the_loop_at_any_budget(budget: int) -> None:
    rows, row_mask = ragged(7, 5, seed=0)
    columns, column_mask = ragged(9, 4, seed=1)
    a = softmax_weights(torch.randn(7, 5), row_mask)
    b = softmax_weights(torch.randn(9, 4), column_mask)
    expected = slow_late_interaction(rows, columns, row_mask, column_mask, a, b)
    found = late_interaction(rows, columns, row_mask, column_mask, row_weights=a, column_weights=b, budget=budget)
    assert torch.allclose(found, expected, atol=1e-6)
    plain = slow_late_interaction(
        rows, columns, row_mask, column_mask, uniform_weights(row_mask), uniform_weights(column_mask)
    )
    assert torch.allclose(late_interaction(rows, columns, row_mask, column_mask, budget=budget), plain, atol=1e-6)


def test_half_precision_stays_close_and_masked() -> None:
    rows, row_mask = ragged(4, 5, seed=2)
    columns, column_mask = ragged(4, 5, seed=3)
    exact = late_interaction(rows, columns, row_mask, column_mask)
    rough = late_interaction(rows.bfloat16(), columns.bfloat16(), row_mask, column_mask)
    assert (rough.float() - exact).abs().max() < 0.03
    weights = [uniform_weights(mask, torch.bfloat16) for mask in (row_mask, column_mask)]
    mixed = late_interaction(rows, columns, row_mask, column_mask, row_weights=weights[0], column_weights=weights[1])
    assert (mixed - exact).abs().max() < 0.01  # fp32 cosines under half weights: padding must not become 0 * -inf


def test_gradient_passes_through_chunks() -> None:
    rows, row_mask = ragged(3, 4, seed=4)
    columns, column_mask = ragged(3, 4, seed=5)
    inputs = [rows.double().requires_grad_(), columns.double().requires_grad_()]
    assert torch.autograd.gradcheck(lambda r, c: late_interaction(r, c, row_mask, column_mask, budget=20), inputs)


def test_gradients_of_learned_weights_are_those_of_the_real_positions_alone() -> None:
    """A strong gradient over many videos: the padding's part of it must not overflow."""
    (rows, row_mask), (columns, column_mask) = ragged(5, 7, seed=1), ragged(40, 6, seed=2)
    row_logits, column_logits = torch.randn(5, 7, requires_grad=True), torch.randn(40, 6, requires_grad=True)
    found = []
    for score in (
        lambda a, b: late_interaction(rows, columns, row_mask, column_mask, row_weights=a, column_weights=b),
        lambda a, b: slow_late_interaction(rows, columns, row_mask, column_mask, a, b),
    ):
        total = (score(softmax_weights(row_logits, row_mask), softmax_weights(column_logits, column_mask)) * 50).sum()
        found.append(torch.autograd.grad(total, (row_logits, column_logits)))
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-4, rtol=1e-4)


def test_empty_rows_are_refused() -> None:
    rows, mask = ragged(2, 3, seed=6)
    empty = mask.clone()
    empty[1] = False
    with pytest.raises(ValueError, match="real position"):
        late_interaction(rows, rows, empty, mask)
    with pytest.raises(ValueError, match="real position"):
        late_interaction(rows, rows, mask, empty)


def test_a_persons_weights() -> None:
    a = uniform_weights(torch.tensor([[True, True, True, False]]))
    assert torch.allclose(reweight(a, torch.tensor([[2.0, 1.0, 0.0, 1.0]])), torch.tensor([[2 / 3, 1 / 3, 0.0, 0.0]]))
    with pytest.raises(ValueError, match="keep at least one"):
        reweight(a, torch.zeros(1, 4))


def test_softmax_weights_by_hand() -> None:
    logits, mask = torch.tensor([[0.0, torch.log(torch.tensor(3.0)), 50.0]]), torch.tensor([[True, True, False]])
    weights = softmax_weights(logits, mask)
    assert torch.allclose(weights, torch.tensor([[0.25, 0.75, 0.0]]))


def test_total_is_the_weighted_mean() -> None:
    levels = {name: torch.tensor([[value]]) for name, value in zip(LEVELS, (0.6, 0.3, 0.0))}
    assert total_similarity(levels, LevelWeights()).item() == pytest.approx(0.3)
    assert total_similarity(levels, LevelWeights(video=2, clip=1, frame=1)).item() == pytest.approx(0.375)
    assert total_similarity(levels, LevelWeights(video=1, clip=0, frame=0)).item() == pytest.approx(0.6)


def test_video_sentence_is_rows_of_texts() -> None:
    video, sentence = torch.eye(2), torch.tensor([[0.6, 0.8]])
    assert video_sentence_similarity(video, sentence).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]
