"""The one way captions become a better model, whether they come from the page or from a file: learned with guard-rails,
kept only where it beats the base."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from explorer.config import ModelConfig, TrainConfig
from explorer.records import ExplorerError, LevelWeights, Progress, TextFeatures, TrainStep
from explorer.service.adding import OWN
from explorer.service.encoders import TOWER_FILE, Encoders
from explorer.service.material import Material
from explorer.service.requests import FineTuneRequest

if TYPE_CHECKING:
    from torch import Tensor, nn

    from explorer.model.encoder import Encoder
    from explorer.training.dataset import PairData

T = TypeVar("T")

STATES = "training"  # folder of the data folder: saved states of runs that have not ended
KEPT_MODELS = 8  # of the person's own; older ones go
MANY = 2000  # captions from which the whole hierarchy is trained rather than fine-tuned with an anchor
HELD_VIDEOS = 0.1  # share of videos that choose the epoch
CURVE_POINTS = 300  # of the live loss curve
FRAMES = 12  # F of a clip


def fine_tune(
    encoders: Encoders, material: Material, choices: FineTuneRequest, *, bank: Sequence[TextFeatures]
) -> Iterator[Progress]:
    """Learn captions on a checkpoint; the last record's summary is {"checkpoint", "kept", "before", "after",
    "seconds", "notices", "curve"}.

    Few captions are learned with guard-rails on the base's own hierarchy; many, or the choice of hgr, train a hierarchy
    anew on the base's tower, kept only where it beats the base on videos held out.

    Args:
        encoders: loads the base, and keeps the new checkpoint.
        material: the captions, their features, and videos that must go on being found as before.
        choices: the person's; `base` names the checkpoint to start from.
        bank: features of unrelated captions, which must not be drawn to the taught videos.

    Raises:
        ExplorerError: too little to learn from, or a base that cannot be trained.
    """
    encoder = encoders.encoder(choices.base)
    data = material.data(encoder)
    curve: list[list[float]] = []
    if choices.model == "hgr" or len(data) >= MANY:
        summary = yield from _train_anew(encoders, encoder, data, choices, curve)
    else:
        summary = yield from _fine_tune(encoders, encoder, material, data, choices, bank, curve)
    notices = [*_texts(summary.get("notices")), *material.notices]
    yield Progress("done", summary={**summary, "notices": notices, "curve": curve})


Run = Generator[Progress, None, dict[str, object]]


def _fine_tune(
    encoders: Encoders,
    encoder: Encoder,
    material: Material,
    data: PairData,
    choices: FineTuneRequest,
    bank: Sequence[TextFeatures],
    curve: list[list[float]],
) -> Run:
    """A few captions, with an anchor to what the base does."""
    from explorer.training.finetune import DEFAULT, Surroundings, finetune

    if encoder.config.model != "hcmi":
        raise ExplorerError(
            f"{choices.base} is an HGR model, and fine-tuning is HCMI's; choose an HCMI model, "
            "or train anew with `train --model hgr`"
        )
    library = tuple(features.vectors.astype(np.float32) for features in material.others)
    around, config = Surroundings(library=library, bank=bank), with_choices(DEFAULT, choices)
    steps = finetune(encoder.model, data, config, around=around, frames=FRAMES)
    what = f"{len(data)} captions of {len(set(data.files))} videos"
    outcome = yield from follow(steps, what, curve=curve)
    name = choices.base
    if outcome.kept:
        metrics = {"before": outcome.before, "after": outcome.after}
        name = save_model(encoders, outcome.model, choices, captions=len(data), metrics=metrics)
    return {**outcome.as_json(), "checkpoint": name}


def _train_anew(
    encoders: Encoders, encoder: Encoder, data: PairData, choices: FineTuneRequest, curve: list[list[float]]
) -> Run:
    """A fresh hierarchy on the base's tower; a killed run, asked again, goes on from its saved states."""
    from explorer.training.state import folder_of
    from explorer.training.train import begin, fit, identity, validate

    started = time.monotonic()
    train, held = split_videos(data, seed=choices.seed)
    defaults = TrainConfig(epochs=50, batch_size=64) if choices.model == "hgr" else TrainConfig()
    config = with_choices(defaults, choices)
    model = begin(fresh_config(encoder.config, choices.model), seed=config.seed)
    before = validate(encoder.model, held)
    made_of = {**identity(model, train, config), "tower": encoder.tower_name}
    states = folder_of(encoders.settings.data_dir / STATES, made_of)
    yield from follow(fit(model, train, config, validation=held, folder=states), f"{len(train)} captions", curve=curve)
    shutil.rmtree(states, ignore_errors=True)
    after = validate(model, held)
    kept = after["rsum"] > before["rsum"]
    name, metrics = choices.base, {"before": before, "after": after}
    if kept:
        name = save_model(encoders, model, choices, captions=len(train), metrics=metrics)
    worse = "the new model was not better on the videos held out, so the base stays; train longer or on more captions"
    notices = [] if kept else [worse]
    return {
        "checkpoint": name,
        "kept": kept,
        **metrics,
        "seconds": round(time.monotonic() - started, 1),
        "notices": notices,
    }


def save_model(
    encoders: Encoders,
    model: nn.Module,
    choices: FineTuneRequest,
    *,
    captions: int,
    metrics: Mapping[str, object],
    tower: Mapping[str, Tensor] | None = None,
) -> str:
    """Keep a trained model as a checkpoint of the person's own; its name.

    Args:
        encoders: know the base, and forget what had this name before.
        model: what was trained.
        choices: name the base, and the checkpoint where the person did.
        captions: how many were learned.
        metrics: before and after.
        tower: the tensors of a tower that learned too; None stands on the base's tower.
    """
    from explorer.model.checkpoint import describe, prune, save
    from explorer.model.towers.tower import trained_name

    parent, base = encoders.settings.data_dir / OWN, describe(encoders.folder(choices.base))
    name = choices.name or time.strftime("tuned-%Y%m%d-%H%M%S")
    about = {"base": choices.base, "data": f"{captions} captions", "metrics": metrics}
    if tower is not None:
        about |= {"tower": trained_name(base["tower"], tower)}
        save(parent / name, model, about, files={TOWER_FILE: tower})
    else:
        of = choices.base if TOWER_FILE in base["files"] else base.get("tower_of")
        save(parent / name, model, {**about, "tower": base["tower"], "tower_of": of})
    prune(
        parent,
        keep=KEPT_MODELS,
        score=lambda description: description["name"] == choices.base,  # which may answer now
        among=lambda description: bool(description.get("base")),  # a CLIP that was added is no fine-tune, and stays
    )
    encoders.forget(name)
    return name


def follow(
    steps: Generator[TrainStep, None, T], what: str, *, curve: list[list[float]] | None = None
) -> Generator[Progress, None, T]:
    """Training steps as progress with a live curve [[step, loss, lr], ...], written into `curve`; the value is the
    generator's own."""
    curve, count = [] if curve is None else curve, 0
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value
        count += 1
        if "loss" in step.losses:
            curve.append([count, round(step.losses["loss"], 5), step.lr])
        if len(curve) > CURVE_POINTS:
            curve[:] = curve[::2]
        epoch = f"{what}, epoch {step.epoch + 1}"
        yield Progress("train", step.step, step.steps, epoch, eta=step.eta, summary={"curve": list(curve)})


def fresh_config(config: ModelConfig, model: str) -> ModelConfig:
    """The learned hierarchy over a tower of the same width."""
    if model == "hgr":
        return replace(config, level_weights=LevelWeights(), model="hgr")
    return replace(config, level_weights=LevelWeights(), frame_layers=4, learned_merge=True, token_weights=True)


def with_choices(config: TrainConfig, choices: FineTuneRequest) -> TrainConfig:
    """A training run with what the person chose in place of its defaults."""
    epochs = config.epochs if choices.epochs is None else choices.epochs
    return replace(config, epochs=epochs, lr=config.lr if choices.lr is None else choices.lr, seed=choices.seed)


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


def _texts(value: object) -> list[str]:
    return [str(text) for text in value] if isinstance(value, (list, tuple)) else []
