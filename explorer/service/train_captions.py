"""Training from the command line: captions and videos -> kept features -> a better checkpoint, or the base and why."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.config import ModelConfig, TrainConfig
from explorer.records import ExplorerError, LevelWeights, Progress
from explorer.service.bank import bank_features
from explorer.service.evaluation import load_pairs, load_pixels
from explorer.service.teaching import follow
from explorer.training.captions import read_captions

if TYPE_CHECKING:
    from explorer.model.encoder import Encoder
    from explorer.service import Explorer
    from explorer.training.captions import CaptionSet
    from explorer.training.dataset import PairData
    from explorer.training.towers.unfrozen import Unfrozen

STATES = "training"  # folder of the data folder: saved states of runs that have not ended
MANY = 2000  # captions from which the whole hierarchy is trained rather than fine-tuned with an anchor
HELD_VIDEOS = 0.1  # share of videos that choose the epoch


def learn(explorer: Explorer, chosen: argparse.Namespace) -> Iterator[Progress]:
    """Train on a captions file; the last record's summary is {"checkpoint", "kept", "before", "after", "seconds",
    "notices"}.

    Few captions are learned with guard-rails on the base's own hierarchy; many, or --model hgr, train a hierarchy anew
    on the base's tower, kept only where it beats the base on videos held out.

    Raises:
        ExplorerError: captions or videos that cannot be used, or a base that cannot be trained.
    """
    base = chosen.base or explorer.checkpoint
    captions = read_captions(chosen.captions)
    if chosen.unfreeze != "none":
        yield from learn_unfrozen(explorer, chosen, captions, base=base)
        return
    encoder, data, notices = load_pairs(explorer, captions, chosen.videos, checkpoint=base)
    if chosen.model == "hgr" or len(data) >= MANY:
        summary = yield from train_anew(encoder, data, explorer, chosen, base=base)
    else:
        summary = yield from fine_tune(encoder, data, explorer, chosen, base=base)
    yield Progress("done", summary={**summary, "notices": [*summary.get("notices", ()), *notices]})


def fine_tune(
    encoder: Encoder, data: PairData, explorer: Explorer, chosen: argparse.Namespace, *, base: str
) -> Generator[Progress, None, dict[str, Any]]:
    """The same guarded fine-tune as the page's."""
    from explorer.training.finetune import DEFAULT, Surroundings, finetune

    if encoder.config.model != "hcmi":
        raise ExplorerError(f"{base} is an HGR model; fine-tune an HCMI model, or train anew with --model hgr")
    config = replace(DEFAULT, **options(chosen))
    steps = finetune(
        encoder.model,
        data,
        config,
        around=Surroundings(bank=bank_features(encoder, explorer.settings.data_dir / "banks")),
    )
    outcome = yield from follow(steps, f"{len(data)} captions")
    name = explorer.teaching.keep(outcome, encoder, explorer.shelf, base, data=len(data), name=chosen.name)
    return {**outcome.as_json(), "checkpoint": name}


def train_anew(
    encoder: Encoder, data: PairData, explorer: Explorer, chosen: argparse.Namespace, *, base: str
) -> Generator[Progress, None, dict[str, Any]]:
    """A fresh hierarchy on the base's tower, kept where it beats the base on held-out videos; a killed run, asked
    again, goes on."""
    from explorer.training.state import folder_of
    from explorer.training.train import begin, fit, identity, validate

    started = time.monotonic()
    train, held = split_videos(data, seed=chosen.seed)
    defaults = TrainConfig(epochs=50, batch_size=64) if chosen.model == "hgr" else TrainConfig()
    config = replace(defaults, **options(chosen))
    model = begin(fresh_config(encoder.config, chosen.model), seed=config.seed)
    before = validate(encoder.model, held)
    states = folder_of(
        explorer.settings.data_dir / STATES, {**identity(model, train, config), "tower": encoder.tower_name}
    )
    yield from follow(fit(model, train, config, validation=held, folder=states), f"{len(train)} captions")
    shutil.rmtree(states, ignore_errors=True)
    after = validate(model, held)
    kept = after["rsum"] > before["rsum"]
    name = base
    if kept:
        name = explorer.teaching.save(
            model,
            encoder,
            explorer.shelf,
            base,
            name=chosen.name,
            data=f"{len(train)} captions",
            metrics={"before": before, "after": after},
        )
    notices = (
        ()
        if kept
        else (
            "the new model was not better on the videos held out, so the base stays; train longer or on more captions",
        )
    )
    return {
        "checkpoint": name,
        "kept": kept,
        "before": before,
        "after": after,
        "seconds": round(time.monotonic() - started, 1),
        "notices": notices,
    }


def learn_unfrozen(
    explorer: Explorer, chosen: argparse.Namespace, captions: CaptionSet, *, base: str
) -> Iterator[Progress]:
    """The towers learn too (--unfreeze), from pixels; kept as a checkpoint with a tower of its own where that is
    better.

    The base's hierarchy goes on learning; one without learned modules gets them where there are many captions. A
    killed run, asked again, goes on from its newest saved state.

    Raises:
        ExplorerError: an HGR model, or captions or videos that cannot be used.
    """
    from explorer.model.checkpoint import describe, load
    from explorer.service.adding import TOWERS
    from explorer.training.state import folder_of
    from explorer.training.towers.joint import own_tower
    from explorer.training.towers.unfrozen import fit_unfrozen, identity

    started, folder = time.monotonic(), explorer.shelf.folder(base)
    about, weights = describe(folder), explorer.shelf.tower_tensors(folder)
    if chosen.model == "hgr" or about["config"]["model"] == "hgr":
        raise ExplorerError("--unfreeze trains HCMI; choose an HCMI base, or leave the towers frozen for HGR")
    tower = own_tower(
        about["tower"],
        device=explorer.settings.device,
        weights=weights,
        folder=explorer.settings.data_dir / TOWERS,
    )
    data, notices = yield from load_pixels(explorer, captions, chosen.videos, size=tower.frame_size)
    train, held = split_videos(data.pairs, seed=chosen.seed)
    config = replace(TrainConfig(unfreeze=chosen.unfreeze), **options(chosen))
    model = load(folder, width=tower.dim).to(tower.device)
    if len(train) >= MANY and not any("aggregator" in name or "attention" in name for name in model.state_dict()):
        model = grown(model, seed=config.seed).to(tower.device)
    states = folder_of(explorer.settings.data_dir / STATES, identity(tower, model, data, train, config))
    outcome = yield from follow(
        fit_unfrozen(tower, model, data, train, held, config, folder=states), f"{len(train)} captions"
    )
    shutil.rmtree(states, ignore_errors=True)
    name = base
    if outcome.kept:
        name = chosen.name or time.strftime("tuned-%Y%m%d-%H%M%S")
        keep_unfrozen(
            explorer, outcome, {**weights, **outcome.tensors}, name=name, base=base, data=f"{len(train)} captions"
        )
    else:
        notices += (
            "the trained towers were not better on the videos held out, so the base stays; "
            "train longer or on more captions",
        )
    yield Progress(
        "done",
        summary={
            "checkpoint": name,
            "kept": outcome.kept,
            "before": outcome.before,
            "after": outcome.after,
            "seconds": round(time.monotonic() - started, 1),
            "notices": list(notices),
        },
    )


def keep_unfrozen(
    explorer: Explorer, outcome: Unfrozen, tensors: dict[str, Any], *, name: str, base: str, data: str
) -> None:
    """Save a trained model with its tower's tensors, under a tower name of its own."""
    from explorer.model.checkpoint import describe, save
    from explorer.model.towers.tower import trained_name
    from explorer.service.adding import OWN
    from explorer.service.models import TOWER_FILE

    tower = trained_name(describe(explorer.shelf.folder(base))["tower"], tensors)
    save(
        explorer.settings.data_dir / OWN / name,
        outcome.model,
        {"tower": tower, "base": base, "data": data, "metrics": {"before": outcome.before, "after": outcome.after}},
        files={TOWER_FILE: tensors},
    )
    explorer.shelf.forget(name)


def grown(model: Any, *, seed: int) -> Any:
    """The learned hierarchy with a base's logit scale and level weights; until it is trained it ranks as the base
    does."""
    from explorer.training.train import begin

    fresh = begin(replace(fresh_config(model.config, "hcmi"), level_weights=model.config.level_weights), seed=seed)
    fresh.load_state_dict(model.state_dict(), strict=False)
    return fresh


def fresh_config(config: ModelConfig, model: str) -> ModelConfig:
    """The learned hierarchy over a tower of the same width."""
    kind = {"model": "hgr"} if model == "hgr" else {"frame_layers": 4, "learned_merge": True, "token_weights": True}
    return replace(config, level_weights=LevelWeights(), **kind)


def options(chosen: argparse.Namespace) -> dict[str, Any]:
    """Fields of TrainConfig that were given."""
    given = {"epochs": chosen.epochs, "lr": chosen.lr, "seed": chosen.seed}
    return {name: value for name, value in given.items() if value is not None}


def split_videos(data: PairData, *, seed: int) -> tuple[PairData, PairData]:
    """Captions of most videos to learn from, of the others to choose the epoch.

    Raises:
        ExplorerError: too few videos to hold any out.
    """
    videos = np.unique(data.owners)
    if len(videos) < 4:
        raise ExplorerError(
            f"{len(videos)} captioned videos are too few to train on and to check on; caption at least 4"
        )
    away = np.random.default_rng(seed).permutation(videos)[: max(2, round(len(videos) * HELD_VIDEOS))]
    inside = np.isin(data.owners, away)
    return data.take(np.flatnonzero(~inside)), data.take(np.flatnonzero(inside))
