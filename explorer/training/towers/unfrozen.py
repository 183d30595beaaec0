"""Trains the towers with the hierarchy: pixels and captions -> changed tower tensors and model, kept where they are
better."""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explorer.config import TrainConfig, to_dict
from explorer.model.encoder import Encoder
from explorer.model.towers.tower import Tower, digest_of
from explorer.records import ExplorerError, TrainStep
from explorer.training.dataset import PairData, batches
from explorer.training.state import Position, capture, load_state, restore, save_state
from explorer.training.towers.gradients import gradients, precision
from explorer.training.towers.joint import Joint
from explorer.training.towers.pixels import PixelData
from explorer.training.train import BETAS, NAMED, data_key, groups, learning_rate, validate

SAVE_EVERY = 10  # steps between saved states: a step of the towers takes seconds
RATIO = 1e-3  # tower rate to module rate, as the paper's 1e-7 to 1e-4


@dataclass(frozen=True)
class Unfrozen:
    """The end of a run: retrieval on held-out videos before and after, and what to store where it was better."""

    kept: bool
    before: dict[str, Any]
    after: dict[str, Any]
    model: nn.Module
    tensors: dict[str, Tensor]  # trained tower tensors as stored, float16


def encode(tower: Tower, model: nn.Module, data: PixelData, part: PairData) -> PairData:
    """A part of the captions, and all videos, as the features that the tower gives now."""
    encoder = Encoder(tower, copy.deepcopy(model), name="unfrozen")
    with precision(tower):
        frames = tuple(tower.encode_frames(data.frames(video)) for video in range(len(data.counts)))
        texts = encoder.texts([part.texts[i].text for i in range(len(part))])
    return PairData(part.files, part.spans, frames, texts, part.owners)


@dataclass
class Run:
    """What one run holds in memory."""

    joint: Joint
    optimizer: torch.optim.Optimizer
    order: list[list[np.ndarray]]  # of each epoch, its batches of caption numbers
    position: Position
    best: Mapping[str, Tensor]
    identity: dict[str, Any]

    @property
    def steps(self) -> int:
        return sum(map(len, self.order))


def identity(tower: Tower, model: nn.Module, data: PixelData, train: PairData, config: TrainConfig) -> dict[str, Any]:
    """What makes a run this run: it goes on only from the same towers and hierarchy, with the same settings, captions
    and pixels."""
    pixels = hashlib.sha256(np.ascontiguousarray(data.pixels))
    return {
        "train": to_dict(config),
        "model": to_dict(model.config),
        "base": digest_of(model.state_dict()),
        "tower": tower.name,
        "data": data_key(train),
        "pixels": pixels.hexdigest(),
    }


def fit_unfrozen(
    tower: Tower,
    model: nn.Module,
    data: PixelData,
    train: PairData,
    held: PairData,
    config: TrainConfig,
    *,
    folder: Path | None = None,
    save_every: int = SAVE_EVERY,
) -> Generator[TrainStep, None, Unfrozen]:
    """Train tower and hierarchy in place; use as `outcome = yield from fit_unfrozen(...)`.

    The tower's rate is the modules' times 1e-3, the paper's 1e-7 at its 1e-4. BatchNorm and dropout stay as at test.
    The best epoch by rsum on the held-out captions is taken, and measured again as stored, in half precision.

    Args:
        tower: from `own_tower`.
        model: HCMI on its device.
        data: pixels of all videos.
        train: the pairs to learn.
        held: the pairs to choose the epoch by.
        config: unfreeze says which part of the tower learns.
        folder: of saved states; the same call goes on from the newest.
        save_every: steps between two states; one more is saved at each epoch's end.

    Yields:
        TrainStep, its metrics filled after each epoch.

    Returns:
        Unfrozen (the generator's value).

    Raises:
        ExplorerError: too few captions, or a loss or gradient that is not finite; the batch is named. Or the folder
        holds another run.
    """
    if len(train) < 2:
        raise ExplorerError(f"{len(train)} caption is too few to train on; write at least two, of different videos")
    before = _measure(tower, model, data, held)
    run = _setup(tower, model, data, train, config, folder, score=before["rsum"])
    position, started, first = run.position, time.monotonic(), run.position.step
    while position.epoch < config.epochs:
        where, epoch = (position.epoch, position.batch), run.order[position.epoch]
        rate, named = _step(run, tower, data, train, config)
        position.step, position.batch, metrics = position.step + 1, position.batch + 1, {}
        last = position.batch == len(epoch)
        if last:
            position.epoch, position.batch, metrics = where[0] + 1, 0, _measure(tower, model, data, held)
            if metrics["rsum"] > position.best:
                run.best, position.best = _weights(run.joint), metrics["rsum"]
        if folder and (last or position.step % save_every == 0):
            save_state(
                folder, capture(run.joint.trained(), run.optimizer, run.best), position=position, run=run.identity
            )
        left = (time.monotonic() - started) / (position.step - first) * (run.steps - position.step)
        yield TrainStep(where[0], position.step, run.steps, named, rate, left, metrics)
    tensors = _lay(run.joint, run.best)
    after = _measure(tower, model, data, held)
    return Unfrozen(after["rsum"] > before["rsum"], before, after, model, tensors)


def _setup(
    tower: Tower,
    model: nn.Module,
    data: PixelData,
    train: PairData,
    config: TrainConfig,
    folder: Path | None,
    *,
    score: float,
) -> Run:
    """The optimiser, and where the run stands: at its start, or at the newest saved state."""
    torch.manual_seed(config.seed)
    known = identity(tower, model, data, train, config) if folder else {}
    joint = Joint(tower, model, config.unfreeze)
    order = [
        batches(train, config.batch_size, np.random.default_rng([config.seed, number]))
        for number in range(config.epochs)
    ]
    optimizer = torch.optim.AdamW(_groups(joint, config), lr=config.lr, betas=BETAS)
    run = Run(joint, optimizer, order, Position(best=score), _weights(joint), known)
    saved = load_state(folder, run=known) if folder else None
    if saved:
        weights, run.best = restore(saved[0], optimizer)
        run.position = saved[1]
        _put(joint, weights)
    return run


def _measure(tower: Tower, model: nn.Module, data: PixelData, held: PairData) -> dict[str, Any]:
    try:
        return validate(model, encode(tower, model, data, held))
    except ValueError as error:  # features or scores that are no numbers, before any batch could show it
        raise ExplorerError(
            f"the towers give values that are not finite ({error}); nothing was changed, lower --lr"
        ) from error


def _groups(joint: Joint, config: TrainConfig) -> list[dict[str, Any]]:
    return groups(joint, replace(config, tower_lr=config.lr * RATIO))


def _weights(joint: Joint) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in joint.trained().items()}


def _put(joint: Joint, weights: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in joint.trained().items():
            parameter.copy_(weights[name])


def _lay(joint: Joint, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put weights back, the tower's rounded as they are stored; returns those."""
    stored = {name: value.half() for name, value in weights.items() if name.startswith("tower.")}
    _put(joint, {**weights, **stored})
    joint.eval()
    return {name.removeprefix("tower."): value.cpu() for name, value in stored.items()}


def _set_rates(run: Run, config: TrainConfig) -> float:
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate(run.position.step, run.steps, peak=group["peak"], warmup=config.warmup)
    return learning_rate(run.position.step, run.steps, peak=config.lr, warmup=config.warmup)


def _step(
    run: Run, tower: Tower, data: PixelData, train: PairData, config: TrainConfig
) -> tuple[float, dict[str, float]]:
    """One optimiser step on the next batch of captions. Nothing is changed unless loss and gradient are finite."""
    joint, epoch, batch = run.joint, run.position.epoch, run.position.batch
    numbers, rate = run.order[epoch][batch], _set_rates(run, config)
    joint.eval()
    joint.hierarchy.train()
    run.optimizer.zero_grad(set_to_none=True)
    named = gradients(
        joint, tower, data, train, numbers, config, rng=np.random.default_rng([config.seed, epoch, batch])
    )
    for what, value in (
        ("loss", named["loss"]),
        ("gradient", nn.utils.clip_grad_norm_(joint.parameters(), config.clip_grad)),
    ):
        if not torch.isfinite(value):
            shown = ", ".join(repr(train.texts[int(n)].text[:60]) for n in numbers[:NAMED])
            raise ExplorerError(
                f"training stopped at epoch {epoch + 1}, batch {batch + 1}: the {what} is not a finite "
                f"number (captions {shown}); nothing was changed, check these videos or lower --lr"
            )
    run.optimizer.step()
    joint.hierarchy.limit_scale()
    return rate, {name: float(value.detach()) for name, value in named.items()}
