"""Training where the towers learn too, from pixels: kept, with a tower of its own, where that is better."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from explorer.config import ModelConfig, TrainConfig
from explorer.records import ExplorerError, Progress
from explorer.service.adding import TOWERS
from explorer.service.encoders import Encoders
from explorer.service.fine_tune import MANY, STATES, follow, fresh_config, save_model, split_videos, with_choices
from explorer.service.material import load_pixels
from explorer.service.requests import TrainRequest

if TYPE_CHECKING:
    from torch import nn

    from explorer.training.captions import CaptionSet

WORSE = "the trained towers were not better on the videos held out, so the base stays; train longer or on more captions"


def train_unfrozen(encoders: Encoders, captions: CaptionSet, request: TrainRequest) -> Iterator[Progress]:
    """Train a base and its towers; the last record's summary is as that of `fine_tune`.

    The base's hierarchy goes on learning; one without learned modules gets them where there are many captions. A
    killed run, asked again, goes on from its newest saved state.

    Raises:
        ExplorerError: an HGR model, or captions or videos that cannot be used.
    """
    from explorer.model.checkpoint import describe, load
    from explorer.training.state import folder_of
    from explorer.training.towers.joint import own_tower
    from explorer.training.towers.unfrozen import fit_unfrozen, identity

    choices, settings, started = request.choices, encoders.settings, time.monotonic()
    folder = encoders.folder(choices.base)
    about, weights = describe(folder), encoders.tower_tensors(folder)
    if "hgr" in (choices.model, about["config"]["model"]):
        raise ExplorerError("--unfreeze trains HCMI; choose an HCMI base, or leave the towers frozen for HGR")
    towers = settings.data_dir / TOWERS
    tower = own_tower(about["tower"], device=settings.device, weights=weights, folder=towers)
    data, notices = yield from load_pixels(settings, captions, request.videos, size=tower.frame_size)
    train, held = split_videos(data.pairs, seed=choices.seed)
    config = with_choices(TrainConfig(unfreeze=request.unfreeze), choices)
    model = load(folder, width=tower.dim).to(tower.device)
    if len(train) >= MANY and not _learned_modules(model):
        model = grow(model, seed=config.seed).to(tower.device)
    states = folder_of(settings.data_dir / STATES, identity(tower, model, data, train, config))
    steps = fit_unfrozen(tower, model, data, train, held, config, folder=states)
    outcome = yield from follow(steps, f"{len(train)} captions")
    shutil.rmtree(states, ignore_errors=True)
    name, metrics = choices.base, {"before": outcome.before, "after": outcome.after}
    if outcome.kept:
        tensors = {**weights, **outcome.tensors}
        name = save_model(encoders, outcome.model, choices, captions=len(train), metrics=metrics, tower=tensors)
    yield Progress(
        "done",
        summary={
            "checkpoint": name,
            "kept": outcome.kept,
            **metrics,
            "seconds": round(time.monotonic() - started, 1),
            "notices": [*notices, *(() if outcome.kept else (WORSE,))],
        },
    )


def _learned_modules(model: nn.Module) -> bool:
    return any("aggregator" in name or "attention" in name for name in model.state_dict())


def grow(model: nn.Module, *, seed: int) -> nn.Module:
    """The learned hierarchy with a base's logit scale and level weights; until it is trained it ranks as the base
    does."""
    from explorer.training.train import begin

    config = model.config
    assert isinstance(config, ModelConfig)  # as every model of this app carries one
    fresh = begin(replace(fresh_config(config, "hcmi"), level_weights=config.level_weights), seed=seed)
    fresh.load_state_dict(model.state_dict(), strict=False)
    return fresh
