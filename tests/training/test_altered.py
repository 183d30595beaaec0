"""The altered-sentence term by hand, its draws, and that training on it teaches the difference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from explorer.config import TrainConfig
from explorer.records import LevelWeights
from explorer.training.altered import AlteredPairs, accuracies, altered_hinge, margins, pair_scores
from explorer.training.train import fit
from tests.support.synthetic import DIM, model, pairs, text, unit


def questions(count: int = 12, seed: int = 1) -> AlteredPairs:
    """Videos of `pairs`; an altered text is its true one moved along one direction, the same for all."""
    data, rng = pairs(count, 1), np.random.default_rng(seed)
    away = unit(rng.normal(size=DIM))
    altered = [text(f"altered {i}", data.texts[i].sentence + 0.7 * away, rng) for i in range(count)]
    return AlteredPairs(data.frames, [data.texts[i] for i in range(count)], altered, ["roles", "cut"] * (count // 2))


def test_scores_are_those_of_each_pair_alone() -> None:
    asked, net = questions(), model().eval()
    with torch.no_grad():
        true, altered = pair_scores(net, asked, range(6))
        for row in range(6):
            one = pair_scores(net, asked, [row])
            assert true[row].item() == pytest.approx(one[0].item(), abs=1e-5)
            assert altered[row].item() == pytest.approx(one[1].item(), abs=1e-5)


def test_the_term_by_hand_and_its_draws() -> None:
    asked, net = questions(), model().eval()
    with torch.no_grad():
        found = [
            altered_hinge(asked, batch=8, margin=0.3, weight=2.0, seed=seed)(net, step).item()
            for seed, step in ((0, 0), (0, 0), (0, 1), (1, 0))
        ]
        true, altered = (scores.numpy() for scores in pair_scores(net, asked, range(len(asked))))
    rng = np.random.default_rng([0, 0])
    rows = [int(rng.choice([np.arange(0, 12, 2), np.arange(1, 12, 2)][i % 2])) for i in range(8)]
    assert found[0] == found[1] == pytest.approx(2 * np.maximum(altered - true + 0.3, 0)[rows].mean(), abs=1e-5)
    assert len(set(found)) == 3


def test_margins_are_how_far_the_true_text_is_above_at_each_level() -> None:
    asked, net = questions(), model().eval()
    gaps = margins(net, asked, rows=5)
    with torch.no_grad():
        true, altered = pair_scores(net, asked, range(12), level="clip_phrase")
    assert gaps.shape == (3, 12)
    np.testing.assert_allclose(gaps[1], (true - altered).numpy(), atol=1e-5)


def test_accuracies_by_hand() -> None:
    gaps = np.array([[1.0, -1.0, 1.0, 0.0], [0.0, 3.0, 0.0, 0.0], [-3.0, 0.0, 0.0, 0.0]])
    kinds = ["roles", "roles", "cut", "cut"]
    assert accuracies(gaps, kinds, LevelWeights(1, 0, 0)) == {"roles": 50.0, "cut": 75.0}
    assert accuracies(gaps, kinds, LevelWeights(1, 0.5, 0)) == {"roles": 100.0, "cut": 75.0}
    assert accuracies(gaps, kinds, LevelWeights(1, 0, 0.5)) == {"roles": 0.0, "cut": 75.0}


def test_training_on_it_tells_them_apart() -> None:
    asked, net = questions(), model()
    before = float(np.subtract(*(s.detach().numpy() for s in pair_scores(net.eval(), asked, range(12)))).mean())
    for _ in fit(
        net,
        pairs(12, 1),
        TrainConfig(epochs=10, batch_size=6, lr=5e-3),
        penalty=altered_hinge(asked, batch=8, weight=5.0),
    ):
        pass
    with torch.no_grad():
        after = float(np.subtract(*(s.numpy() for s in pair_scores(net.eval(), asked, range(12)))).mean())
    assert after > before + 0.02


def test_lengths_must_agree() -> None:
    asked = questions()
    with pytest.raises(ValueError, match="11 altered texts"):
        AlteredPairs(asked.frames, asked.true, asked.altered[:-1], asked.kinds)
