"""Local fine-tuning: it helps with few captions, leaves the rest alone, starts as the base, and keeps nothing that harms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from explorer.config import ModelConfig, TrainConfig
from explorer.model.hcmi import HCMI
from explorer.records import ExplorerError
from explorer.training.dataset import PairData
from explorer.training.evaluate import level_scores
from explorer.training.finetune import Surroundings, finetune, gallery_of, grow, interpolate, run, split
from explorer.training.metrics import ranks
from tests.support.synthetic import DIM, pairs

CONFIG = TrainConfig(epochs=20, batch_size=32, lr=2e-3, denoise=False)


def base() -> HCMI:
    torch.manual_seed(0)
    return HCMI(ModelConfig(dim=DIM, heads=2)).eval()


def world(seed: int = 0) -> tuple[PairData, PairData, PairData, Surroundings]:
    """Forty videos, all captioned a little beside the point: (taught pairs, other captions of them, untaught, around)."""
    every = pairs(40, 5, turn=0.9, noise=0.9, seed=seed)
    taught = every.owners < 10
    place = np.arange(len(every)) % 5
    library = every.frames[10:]
    train = every.take(np.flatnonzero(taught & (place < 3)))
    train = replace(train, files=every.files[:10], spans=every.spans[:10], frames=every.frames[:10])
    bank = pairs(30, 1, seed=77, turn=0.9).texts
    return (
        train,
        every.take(np.flatnonzero(taught & (place >= 3))),
        every.take(np.flatnonzero(~taught)),
        Surroundings(library=library, bank=bank),
    )


def recall(model: torch.nn.Module, data: PairData) -> float:
    return 100 * float((ranks(level_scores(model, data)["total"], data.correct()) == 1).mean())


def test_taught_videos_are_found_better_and_the_others_no_worse() -> None:
    train, other, untaught, around = world()
    model = base()
    outcome = run(model, train, CONFIG, around=around)
    assert outcome.kept and outcome.ratio > 0
    assert recall(outcome.model, other) >= recall(model, other) + 10
    assert recall(outcome.model, untaught) >= recall(model, untaught) - 1
    assert set(outcome.before["taught"]) == {"text_to_video", "video_to_text"}
    assert set(outcome.after["taught"]["text_to_video"]) == {
        "total",
        "video_sentence",
        "clip_phrase",
        "frame_word",
        "mean_pool",
    }


def test_the_start_is_the_base_exactly() -> None:
    model, (train, *_) = base(), world()
    assert all(
        (a == b).all()
        for a, b in zip(level_scores(model, train).values(), level_scores(grow(model), train).values(), strict=True)
    )


def test_the_base_is_never_changed() -> None:
    model, (train, _, _, around) = base(), world()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run(model, train, replace(CONFIG, epochs=1), around=around)
    assert (
        all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        and model.config.adapter == 0
    )


def test_wrong_captions_change_nothing_unless_they_help_on_held_out_ones() -> None:
    # Captions of other places: by heart they can be learned, but unrelated captions would then find taught videos.
    train, _, _, around = world()
    shuffled = np.random.default_rng(0).permutation(len(train))
    model = base()
    outcome = run(model, replace(train, owners=train.owners[shuffled]), replace(CONFIG, epochs=5), around=around)
    assert not outcome.kept and outcome.model is model and outcome.ratio == 0
    assert "nothing was changed" in outcome.notices[-1]


def test_the_last_step_is_the_outcome() -> None:
    train, _, _, around = world()
    steps = list(finetune(base(), train, replace(CONFIG, epochs=2), around=around))
    assert {"kept", "ratio", "before", "after", "seconds"} <= set(steps[-1].metrics)
    assert all(np.isfinite(step.losses["loss"]) for step in steps[:-1])


def test_a_step_far_too_long_does_not_collapse_what_is_kept() -> None:
    train, _, untaught, around = world()
    model = base()
    outcome = run(model, train, replace(CONFIG, epochs=3, lr=1.0), around=around)
    assert recall(outcome.model, untaught) >= recall(model, untaught) - 5


@pytest.mark.parametrize("seed", range(4))
def test_a_split_holds_out_both_ways(seed: int) -> None:
    data = pairs(20, 2)
    parts = split(data, seed=seed)
    every = np.concatenate([parts.train, parts.captions, parts.videos])
    assert sorted(every.tolist()) == list(range(40))
    assert len(parts.videos) == 8 and len(parts.captions) == 8
    assert set(data.owners[parts.captions]) <= set(data.owners[parts.train])
    assert not set(data.owners[parts.videos]) & set(data.owners[parts.train])


def test_interpolation_ends_are_exact() -> None:
    start, end = {"a": torch.tensor([1.0, 3.0])}, {"a": torch.tensor([2.0, 7.0])}
    assert interpolate(start, end, 0.0)["a"].tolist() == [1.0, 3.0]
    assert interpolate(start, end, 0.5)["a"].tolist() == [1.5, 5.0]
    assert interpolate(start, end, 1.0)["a"].tolist() == [2.0, 7.0]


def test_the_gallery_is_the_taught_videos_and_then_the_library() -> None:
    train, _, _, around = world()
    gallery = gallery_of(train, around)
    assert len(gallery.files) == 40 and gallery.correct()[:, 10:].sum() == 0


@pytest.mark.parametrize(("data", "words"), [(pairs(2, 2), "4 captions are too few"), (pairs(1, 9), "one video")])
def test_too_little_is_said(data: PairData, words: str) -> None:
    with pytest.raises(ExplorerError, match=words):
        run(base(), data, CONFIG)


def test_unrelated_captions_cap_how_far_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    from explorer.training import finetune as module

    train, _, _, around = world()
    model = base()
    free = run(model, train, CONFIG, around=replace(around, bank=()))
    start, end = grow(model), free.model
    gallery, drifts = gallery_of(train, around), {}
    for ratio in module.RATIOS[1:]:
        drifts[ratio] = module._drift(model, module._at(start, end, ratio), gallery, len(train.files), around.bank, 12)
    allowed = sorted(drifts.values())[len(drifts) // 2]
    monkeypatch.setattr(module, "ALLOWED_DRIFT", (allowed + 1e-9) * len(gallery.files) / len(train.files) / 100)
    ratio, drift = module._calmest(model, start, end, gallery, around.bank, 12, most=1.0, taught=len(train.files))
    assert ratio == max(r for r, found in drifts.items() if found <= allowed) and drift == drifts[ratio]
    monkeypatch.setattr(module, "ALLOWED_DRIFT", -1.0)
    assert module._calmest(model, start, end, gallery, around.bank, 12, most=1.0, taught=len(train.files))[0] == 0.0


def test_one_held_out_caption_more_or_less_is_chance_and_two_are_harm() -> None:
    from explorer.training.finetune import Split, _harmless

    gallery = pairs(8, 1)
    right = np.eye(8, dtype=np.float32)
    parts = Split(np.zeros(0, np.int64), np.zeros(0, np.int64), np.arange(8))
    worse = {lost: np.where(np.arange(8)[:, None] < lost, 1 - right, right) for lost in (1, 2)}
    assert _harmless(right, worse[1], gallery, parts) and not _harmless(right, worse[2], gallery, parts)
