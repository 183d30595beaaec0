"""Trains the towers with the hierarchy: pixels and captions -> changed tower tensors and model, kept where they are better."""
from __future__ import annotations

import copy
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explorer.config import TrainConfig
from explorer.model.encoder import Encoder
from explorer.model.towers import Tower
from explorer.records import ExplorerError, TrainStep
from explorer.training.dataset import PairData, batches
from explorer.training.gradients import gradients, precision
from explorer.training.joint import Joint
from explorer.training.pixels import PixelData
from explorer.training.train import BETAS, NAMED, groups, learning_rate, validate

RATIO = 1e-3                   # tower rate to module rate, as the paper's 1e-7 to 1e-4


@dataclass(frozen=True)
class Unfrozen:
    """The end of a run: retrieval on held-out videos before and after, and what to store where it was better."""

    kept: bool
    before: dict[str, Any]
    after: dict[str, Any]
    model: nn.Module
    tensors: dict[str, Tensor]             # trained tower tensors as stored, float16


def encode(tower: Tower, model: nn.Module, data: PixelData, part: PairData) -> PairData:
    """A part of the captions, and all videos, as the features that the tower gives now."""
    encoder = Encoder(tower, copy.deepcopy(model), name="unfrozen")
    with precision(tower):
        frames = tuple(tower.encode_frames(data.frames(video)) for video in range(len(data.counts)))
        texts = encoder.texts([part.texts[i].text for i in range(len(part))])
    return PairData(part.files, part.spans, frames, texts, part.owners)


def fit_unfrozen(tower: Tower, model: nn.Module, data: PixelData, train: PairData, held: PairData,
                 config: TrainConfig) -> Generator[TrainStep, None, Unfrozen]:
    """Train tower and hierarchy in place; use as `outcome = yield from fit_unfrozen(...)`.

    The tower's rate is the modules' times 1e-3, the paper's 1e-7 at its 1e-4. BatchNorm and dropout stay as at test.
    The best epoch by rsum on the held-out captions is taken, and measured again as stored, in half precision.

    Args:
        tower: from `own_tower`. model: HCMI on its device.
        data: pixels of all videos. train, held: parts of data.pairs.
        config: unfreeze says which part of the tower learns.

    Yields:
        TrainStep, its metrics filled after each epoch.

    Returns:
        Unfrozen (the generator's value).

    Raises:
        ExplorerError: too few captions, or a loss or gradient that is not finite; the batch is named.
    """
    if len(train) < 2:
        raise ExplorerError(f"{len(train)} caption is too few to train on; write at least two, of different videos")
    torch.manual_seed(config.seed)
    joint = Joint(tower, model, config.unfreeze)
    optimizer = torch.optim.AdamW(_groups(joint, config), lr=config.lr, betas=BETAS)
    order = [batches(train, config.batch_size, np.random.default_rng([config.seed, number])) for number in range(config.epochs)]
    steps, done, started = sum(map(len, order)), 0, time.monotonic()
    before = _measure(tower, model, data, held)
    best, score = _weights(joint), before["rsum"]
    for number, epoch in enumerate(order):
        for index, numbers in enumerate(epoch):
            rate = _set_rates(optimizer, done, steps, config)
            rng = np.random.default_rng([config.seed, number, index])
            named = _step(joint, tower, data, train, numbers, config, optimizer, rng=rng, where=(number, index))
            done += 1
            metrics: dict[str, Any] = {}
            if index == len(epoch) - 1:
                metrics = _measure(tower, model, data, held)
                if metrics["rsum"] > score:
                    best, score = _weights(joint), metrics["rsum"]
            left = (time.monotonic() - started) / done * (steps - done)
            yield TrainStep(number, done, steps, named, rate, left, metrics)
    tensors = _lay(joint, best)
    after = _measure(tower, model, data, held)
    return Unfrozen(after["rsum"] > before["rsum"], before, after, model, tensors)


def _measure(tower: Tower, model: nn.Module, data: PixelData, held: PairData) -> dict[str, Any]:
    try:
        return validate(model, encode(tower, model, data, held))
    except ValueError as error:                # features or scores that are no numbers, before any batch could show it
        raise ExplorerError(f"the towers give values that are not finite ({error}); nothing was changed, lower --lr") from error


def _groups(joint: Joint, config: TrainConfig) -> list[dict[str, Any]]:
    return groups(joint, replace(config, tower_lr=config.lr * RATIO))


def _weights(joint: Joint) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in joint.trained().items()}


def _lay(joint: Joint, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put weights back, the tower's rounded as they are stored; returns those."""
    stored = {name: value.half() for name, value in weights.items() if name.startswith("tower.")}
    with torch.no_grad():
        for name, parameter in joint.trained().items():
            parameter.copy_(stored.get(name, weights[name]))
    joint.eval()
    return {name.removeprefix("tower."): value.cpu() for name, value in stored.items()}


def _set_rates(optimizer: torch.optim.Optimizer, step: int, steps: int, config: TrainConfig) -> float:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, steps, peak=group["peak"], warmup=config.warmup)
    return learning_rate(step, steps, peak=config.lr, warmup=config.warmup)


def _step(joint: Joint, tower: Tower, data: PixelData, train: PairData, numbers: np.ndarray, config: TrainConfig,
          optimizer: torch.optim.Optimizer, *, rng: np.random.Generator, where: tuple[int, int]) -> dict[str, float]:
    """One optimiser step on the captions `numbers`. Nothing is changed unless loss and gradient are finite."""
    joint.eval()
    joint.hierarchy.train()
    optimizer.zero_grad(set_to_none=True)
    named = gradients(joint, tower, data, train, numbers, config, rng=rng)
    for what, value in (("loss", named["loss"]), ("gradient", nn.utils.clip_grad_norm_(joint.parameters(), config.clip_grad))):
        if not torch.isfinite(value):
            shown = ", ".join(repr(train.texts[int(n)].text[:60]) for n in numbers[:NAMED])
            raise ExplorerError(f"training stopped at epoch {where[0] + 1}, batch {where[1] + 1}: the {what} is not a finite "
                                f"number (captions {shown}); nothing was changed, check these videos or lower --lr")
    optimizer.step()
    joint.hierarchy.limit_scale()
    return {name: float(value.detach()) for name, value in named.items()}
