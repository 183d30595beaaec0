"""The benchmark that trains the hierarchy further: its composed videos own their captions, the coarse level is held, the choice keeps
what it says."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.hierarchy import beats, choose, further
from explorer.config import ModelConfig, TrainConfig
from explorer.model.hcmi import HCMI
from explorer.training.dataset import PairData
from explorer.training.evaluate import level_scores, measure, rsum
from explorer.training.level_weights import choose_weights, shows_of, weightings
from explorer.training.train import fit
from tests.support.synthetic import DIM, pairs


def photos(count: int) -> PairData:
    """Videos of one frame."""
    data = pairs(count, 3)
    return replace(data, frames=tuple(vectors[:1] for vectors in data.frames))


@pytest.fixture
def moved() -> HCMI:
    """A hierarchy with every weight moved from its silent start."""
    torch.manual_seed(0)
    model = HCMI(ModelConfig(dim=DIM, heads=2, adapter=8, token_weights=True)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight))
    return model


@pytest.mark.parametrize("slides", [1, 2, 4])
def test_a_caption_belongs_to_the_video_that_shows_its_photo(slides: int) -> None:
    data = photos(8)
    made = shows_of(data, slides=slides, count=5, seed=3)
    owner = {data.texts[i].text: data.owners[i] for i in range(len(data))}
    assert len(made) == 5 * slides
    for number in range(len(made)):
        photo = data.frames[owner[made.texts[number].text]][0].astype(np.float32)
        assert (made.frames[made.owners[number]].astype(np.float32) @ photo).max() > 0.9


def test_weightings_are_every_mix_once() -> None:
    mixes = [w.normalised() for w in weightings()]
    assert len(mixes) == len(set(mixes)) == 36 and all(abs(sum(mix) - 1) < 1e-9 for mix in mixes)


def test_the_finer_levels_learn_from_where_the_checkpoint_stands_and_the_coarse_one_is_held() -> None:
    torch.manual_seed(1)
    shipped = HCMI(ModelConfig(dim=DIM, heads=2, token_weights=True))
    with torch.no_grad():
        for weight in shipped.parameters():
            weight.add_(torch.randn_like(weight))
    model, data = further(SimpleNamespace(config=shipped.config, model=shipped), seed=0), pairs(12, 2, noise=0.9)
    before, start = level_scores(shipped.eval(), data), level_scores(model.eval(), data)
    for level in ("video_sentence", "clip_phrase", "frame_word"):
        np.testing.assert_allclose(start[level], before[level], atol=1e-6)
    steps = [*fit(model, data, TrainConfig(epochs=4, batch_size=12, lr=1e-2, denoise=False, objective="total"))]
    after = level_scores(model.eval(), data)
    assert set(steps[0].losses) == {"hinge", "loss"} and steps[-1].losses["loss"] < steps[0].losses["loss"]
    np.testing.assert_array_equal(after["video_sentence"], start["video_sentence"])
    assert all(np.abs(after[level] - start[level]).max() > 1e-3 for level in ("clip_phrase", "frame_word"))


def ranked(model: HCMI, data: PairData) -> dict[tuple[float, ...], tuple[float, float]]:
    """Mix -> (how far below the mean pool it falls, negative; its sum of recalls), the slow way."""
    found = {}
    for mix in weightings():
        metrics = measure(level_scores(model, data, weights=mix), data)
        pairs_of = [(m["total"], m["mean_pool"]) for m in metrics.values()]
        short = sum(
            min(0.0, getattr(total, name) - getattr(pool, name))
            for total, pool in pairs_of
            for name in ("r1", "r5", "r10")
        )
        found[mix.normalised()] = round(short, 6), round(rsum(metrics), 6)
    return found


def test_the_choice_falls_least_below_the_mean_pool_and_of_equals_is_best(moved: HCMI) -> None:
    held = pairs(6, 2, noise=0.9)
    chosen = choose(moved, [held], seed=0)
    assert rsum(measure(level_scores(chosen.model, held), held)) == pytest.approx(chosen.score, abs=1e-4)
    found = ranked(chosen.model, held)
    assert found[chosen.model.config.level_weights.normalised()] == pytest.approx(max(found.values()), abs=1e-4)


def test_stills_decide_and_slide_shows_tell_equals_apart(moved: HCMI) -> None:
    shows = pairs(6, 2, noise=0.9)
    found = ranked(moved, shows)
    assert found[choose_weights(moved, [shows])[1].normalised()] == pytest.approx(max(found.values()), abs=1e-4)
    assert len({score for _, score in found.values()}) > 1
    easy = pairs(1, 1)  # one video: every mix finds it
    by_sum = {mix: score for mix, (_, score) in found.items()}
    assert by_sum[choose_weights(moved, [easy, shows])[1].normalised()] == pytest.approx(max(by_sum.values()), abs=1e-4)


def test_a_gain_within_the_spread_is_none() -> None:
    def found(total: float) -> dict:
        return {d: {"total": {"R@1": total}, "mean_pool": {"R@1": 50.0}} for d in ("text_to_video", "video_to_text")}

    assert beats([found(52.0), found(53.0)]) and not beats([found(50.1), found(51.0), found(49.0)])
