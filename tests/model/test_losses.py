"""Every loss against values derived by hand, alone and together, and by gradcheck."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck

from explorer.model.hierarchy import unit
from explorer.model.losses import (
    contrastive,
    denoised_positives,
    hierarchical,
    hinge,
    marginal_samples,
    positives_by_id,
)

OWN = torch.eye(2, dtype=torch.bool)
SIMILARITY = torch.tensor([[0.8, 0.2], [0.4, 0.6]])  # text i against video j


def test_contrastive_by_hand() -> None:
    """Scale 1: rows (.8,.2), (.4,.6); columns (.8,.4), (.2,.6); each term is log(1 + exp(wrong - right))."""
    rows = (math.log1p(math.exp(-0.6)) + math.log1p(math.exp(-0.2))) / 2
    columns = (math.log1p(math.exp(-0.4)) + math.log1p(math.exp(-0.4))) / 2
    assert contrastive(SIMILARITY, 1.0, OWN).item() == pytest.approx((rows + columns) / 2)
    rows = (math.log1p(math.exp(-6)) + math.log1p(math.exp(-2))) / 2
    columns = math.log1p(math.exp(-4))
    assert contrastive(SIMILARITY, 10.0, OWN).item() == pytest.approx((rows + columns) / 2, rel=1e-5)


def test_contrastive_with_several_positives_by_hand() -> None:
    """One anchor with both as positives: minus the mean of both log shares; the other with its own alone."""
    positives = torch.tensor([[True, True], [False, True]])
    shares = [
        SIMILARITY[0].log_softmax(0).mean(),
        SIMILARITY[1].log_softmax(0)[1],
        SIMILARITY[:, 0].log_softmax(0).mean(),
        SIMILARITY[:, 1].log_softmax(0)[1],
    ]
    assert contrastive(SIMILARITY, 1.0, positives).item() == pytest.approx(-sum(s.item() for s in shares) / 4)


def test_equal_scores_cost_the_log_of_the_batch() -> None:
    assert contrastive(torch.zeros(8, 8), 100.0, torch.eye(8, dtype=torch.bool)).item() == pytest.approx(math.log(8))


def test_denoising_by_hand_is_per_anchor() -> None:
    """Video 0 changes much between its views (cos 0), video 1 little (cos 1).

    Video 0: views x, y. Video 1: x, x. Mean of the four cosines: (1 + 1 + 0 + 0)/4 = 0.5 >= 0, so 1 is a positive
    of 0; for anchor 1 the bar is 1 and 0.5 misses it.
    """
    x, y = torch.eye(2)
    first, second = torch.stack([x, x]), torch.stack([y, x])
    assert denoised_positives(first, second, torch.arange(2)).tolist() == [[True, True], [False, True]]


def test_denoising_equals_the_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    first = unit(torch.randn(20, 3, generator=generator).double())
    second = unit(first + 0.8 * torch.randn(20, 3, generator=generator).double())
    found = denoised_positives(first, second, torch.arange(20))
    expected = torch.eye(20, dtype=torch.bool)
    for i in range(20):
        for j in range(20):
            four = sum(torch.dot(v, w) for v in (first[i], second[i]) for w in (first[j], second[j])) / 4
            expected[i, j] |= four >= torch.dot(first[i], second[i])
    assert torch.equal(found, expected)
    assert 20 < int(found.sum()) < 400 and not torch.equal(found, found.T)


def test_captions_of_one_video_are_never_negatives() -> None:
    """Pairs 0 and 2 are one video: no loss may push their scores against each other down."""
    ids = torch.tensor([5, 6, 5])
    positives = positives_by_id(ids)
    x, y, z = torch.eye(3)
    apart = denoised_positives(torch.stack([x, y, z]), torch.stack([x, y, z]), ids)
    assert torch.equal(apart, positives)  # before the test, whatever the views say
    similarity = torch.tensor([[0.5, 0.1, 0.9], [0.2, 0.5, 0.2], [0.9, 0.1, 0.5]])
    assert hinge(similarity, positives, 0.2).item() == 0.0  # 0.9 would cost 0.6 as a negative
    assert hinge(similarity, torch.eye(3, dtype=torch.bool), 0.2).item() > 0
    higher = similarity.clone().requires_grad_()
    contrastive(higher, 1.0, torch.eye(3, dtype=torch.bool)).backward()
    assert higher.grad is not None and higher.grad[0, 2] > 0  # as a negative it would be pushed down
    equal = torch.tensor([[0.5, 0.1, 0.5], [0.2, 0.5, 0.2], [0.5, 0.1, 0.5]]).requires_grad_()
    contrastive(equal, 1.0, positives).backward()
    assert equal.grad is not None and equal.grad[0, 2] == pytest.approx(equal.grad[0, 0].item())
    assert equal.grad[0, 2] < 0  # as a positive it is pulled up like the own pair


def test_hinge_and_marginal_by_hand() -> None:
    """Margin .5. Text 0: .2 - .8 + .5 < 0, text 1: .4 - .6 + .5 = .3, video 0: .4 - .8 + .5, video 1: .2 - .6 + .5."""
    assert hinge(SIMILARITY, OWN, 0.5).item() == pytest.approx((0.0 + 0.3 + 0.1 + 0.1) / 2)
    assert marginal_samples(SIMILARITY, OWN, 0.5).item() == pytest.approx(0.5 / 4)
    assert marginal_samples(SIMILARITY, OWN, 0.1).item() == 0.0


def test_hardest_negative_skips_denoised_positives() -> None:
    similarity = torch.tensor([[0.5, 0.9, 0.3], [0.0, 0.9, 0.0], [0.0, 0.0, 0.9]])
    positives = torch.eye(3, dtype=torch.bool)
    # Text 0 meets video 1 at .9: .9 - .5 + .1 = .5. Video 1 meets text 0 at .9: .9 - .9 + .1 = .1.
    assert marginal_samples(similarity, positives, 0.1).item() == pytest.approx((0.5 + 0.1) / 6)
    positives[0, 1] = True  # anchor 0 looks past video 1, to .3; anchor 1 still sees text 0
    assert marginal_samples(similarity, positives, 0.1).item() == pytest.approx(0.1 / 6)
    positives[1, 0] = True
    assert marginal_samples(similarity, positives, 0.1).item() == 0.0


def test_a_batch_of_one_video_costs_nothing_at_the_margin() -> None:
    everything = torch.ones(3, 3, dtype=torch.bool)
    similarity = torch.rand(3, 3, requires_grad=True)
    value = hinge(similarity, everything, 0.2)
    value.backward()
    assert value.item() == 0.0 and similarity.grad is not None and similarity.grad.isfinite().all()


def test_hierarchical_names_its_terms_and_sums_them() -> None:
    levels = {
        "video_sentence": SIMILARITY,
        "clip_phrase": SIMILARITY / 2,
        "frame_word": -SIMILARITY,
        "total": SIMILARITY,
    }
    terms = hierarchical(levels, 10.0, positives=OWN, margin=0.5, margin_weight=2.0, level_weights={"clip_phrase": 0.5})
    assert set(terms) == {
        "contrastive_video_sentence",
        "contrastive_clip_phrase",
        "contrastive_frame_word",
        "marginal",
        "loss",
    }
    assert terms["contrastive_clip_phrase"].item() == pytest.approx(contrastive(SIMILARITY / 2, 10.0, OWN).item())
    expected = (
        terms["contrastive_video_sentence"]
        + 0.5 * terms["contrastive_clip_phrase"]
        + terms["contrastive_frame_word"]
        + 2 * terms["marginal"]
    )
    assert terms["loss"].item() == pytest.approx(expected.item())
    alone = hierarchical(
        levels, 10.0, positives=OWN, margin_weight=0, level_weights={"clip_phrase": 0, "frame_word": 0}
    )
    assert set(alone) == {"contrastive_video_sentence", "loss"}
    with pytest.raises(ValueError, match="no loss term"):
        hierarchical({}, 1.0, positives=OWN, margin_weight=0)


@pytest.mark.parametrize("seed", [0, 1])
def test_gradients(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    similarity = (2 * torch.rand(4, 4, generator=generator, dtype=torch.double) - 1).requires_grad_()
    scale = torch.tensor(7.0, dtype=torch.double, requires_grad=True)
    positives = positives_by_id(torch.tensor([0, 1, 0, 2]))
    assert gradcheck(lambda s, k: contrastive(s, k, positives), (similarity, scale))
    assert gradcheck(lambda s: hinge(s, positives, 0.2), (similarity,))
    assert gradcheck(
        lambda s, k: hierarchical({"video_sentence": s, "frame_word": s**2}, k, positives=positives, margin=0.3)[
            "loss"
        ],
        (similarity, scale),
    )
