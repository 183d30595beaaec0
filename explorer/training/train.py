"""Trains a model on pairs: setup, fit, validate; a generator of TrainStep that a kill cannot make different."""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explorer.config import ModelConfig, TrainConfig, to_dict
from explorer.model.checkpoint import build
from explorer.records import ExplorerError, TrainStep
from explorer.training.dataset import Batch, PairData, batches, epoch
from explorer.training.evaluate import as_json, level_scores, measure, rsum
from explorer.training.objective import device_of, losses
from explorer.training.parallel import average_gradients, world
from explorer.training.state import Position, capture, load_state, restore, save_state

BETAS = (0.9, 0.98)  # AdamW, as CLIP and CLIP4Clip
SAVE_EVERY = 50  # steps between saved states
NAMED = 3  # texts of a bad batch to name

Penalty = Callable[[nn.Module, int], Tensor]  # (model, step) -> a term added to the loss


@dataclass
class Run:
    """What one training run holds in memory."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    config: TrainConfig
    steps_per_epoch: list[int]
    position: Position
    best: dict[str, Tensor]
    identity: dict[str, Any]

    @property
    def steps(self) -> int:
        return sum(self.steps_per_epoch)


def begin(config: ModelConfig, *, seed: int) -> nn.Module:
    """An untrained model, the same for the same seed."""
    torch.manual_seed(seed)
    return build(config)


def learning_rate(step: int, steps: int, *, peak: float, warmup: float) -> float:
    """Linear warm-up over a share of all steps, then half a cosine to 0.

    >>> [round(learning_rate(s, 10, peak=1.0, warmup=0.2), 3) for s in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    rising = max(1, round(steps * warmup))
    if step < rising:
        return peak * (step + 1) / rising
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, steps - rising))))


def groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Parameter groups: matrices decay, biases, norms and the logit scale do not; `tower.*` has its own rate.

    HGR's recipe is plain Adam (arXiv 2003.00392), so nothing of it decays.
    """
    decay = 0.0 if model.config.model == "hgr" else config.weight_decay
    table: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            table.setdefault((name.startswith("tower."), parameter.ndim >= 2), []).append(parameter)
    return [
        {"params": found, "peak": config.tower_lr if tower else config.lr, "weight_decay": decay if matrix else 0.0}
        for (tower, matrix), found in table.items()
    ]


def data_key(data: PairData) -> str:
    """A digest of the pairs and features, so that a run never goes on with other data."""
    digest = hashlib.sha256(data.owners.tobytes() + data.spans.tobytes())
    for file, vectors in zip(data.files, data.frames, strict=True):
        digest.update(file.encode("utf-8", "surrogateescape") + np.ascontiguousarray(vectors).tobytes())
    for index in range(len(data)):
        digest.update(data.texts[index].text.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


def setup(model: nn.Module, data: PairData, config: TrainConfig, *, folder: Path | None = None) -> Run:
    """Make the optimiser, and go on from the newest saved state in `folder` where there is one."""
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("the model has no weight to train; choose a ModelConfig with a learned part")
    if len(data) < 2:
        raise ExplorerError(f"{len(data)} caption is too few to train on; write at least two, of different videos")
    torch.manual_seed(config.seed)
    optimizer = torch.optim.AdamW(groups(model, config), lr=config.lr, betas=BETAS)
    counts = [
        len(batches(data, config.batch_size, np.random.default_rng([config.seed, number])))
        for number in range(config.epochs)
    ]
    run = Run(model, optimizer, config, counts, Position(), {}, identity(model, data, config) if folder else {})
    saved = load_state(folder, run=run.identity) if folder else None
    if saved:
        weights, run.best = restore(saved[0], optimizer)
        run.position = saved[1]
        model.load_state_dict(weights)
    return run


def identity(model: nn.Module, data: PairData, config: TrainConfig) -> dict[str, Any]:
    """What makes a run this run: it goes on only with the same settings, model and data."""
    return {"train": to_dict(config), "model": to_dict(model.config), "data": data_key(data)}


def validate(model: nn.Module, data: PairData, *, frames: int = 12) -> dict[str, Any]:
    """Retrieval on held-out pairs: both directions, every level, and the rsum a checkpoint is chosen by."""
    found = measure(level_scores(model, data, frames=frames), data)
    return {**as_json(found), "rsum": rsum(found)}


def fit(
    model: nn.Module,
    data: PairData,
    config: TrainConfig,
    *,
    validation: PairData | None = None,
    folder: Path | None = None,
    save_every: int = SAVE_EVERY,
    frames: int = 12,
    penalty: Penalty | None = None,
) -> Generator[TrainStep, None, None]:
    """Train in place, a record a step; not asking for the next record stops it, and the same call goes on later.

    With validation pairs the model ends with the weights of the best epoch by rsum, the start among them (so the
    result is never below the start on them); without, with the last ones. Under torchrun every rank calls it with
    the same data: each encodes its share of the global batch, all score the whole.

    Args:
        model: HCMI or HGR on its device; changed in place.
        data: pairs over kept features.
        config: batch_size is that of the global batch.
        validation: pairs to choose the epoch by; None takes the last one.
        folder: of saved states; None saves nothing.
        save_every: steps between two states; one more is saved at each epoch's end.
        frames: F, frames a video.
        penalty: adds a term to the loss, for example the distance to a base.

    Yields:
        TrainStep; its metrics are filled after each epoch's validation, with the best so far under "best_rsum".

    Raises:
        ExplorerError: the loss or the gradient is not finite; the batch is named and the model keeps its last good
            weights. Or the folder holds another run.
    """
    run = setup(model, data, config, folder=folder)
    started, first = time.monotonic(), run.position.step
    if validation is not None and not run.best:
        _consider(run, validate(model, validation, frames=frames))
    while run.position.epoch < config.epochs:
        yield from _epoch(
            run, data, validation, folder, save_every=save_every, frames=frames, penalty=penalty, clock=(started, first)
        )
    if run.best:
        model.load_state_dict(run.best)
    model.eval()


def _epoch(
    run: Run,
    data: PairData,
    validation: PairData | None,
    folder: Path | None,
    *,
    save_every: int,
    frames: int,
    penalty: Penalty | None,
    clock: tuple[float, int],
) -> Iterator[TrainStep]:
    config, position, number = run.config, run.position, run.position.epoch
    views = 2 if config.denoise and run.model.config.model == "hcmi" else 1
    for batch in epoch(
        data,
        batch_size=config.batch_size,
        frames=frames,
        views=views,
        seed=config.seed,
        number=number,
        first=position.batch,
    ):
        rate, named = _step(run, batch, penalty)
        position.step, position.batch = position.step + 1, position.batch + 1
        last = position.batch >= run.steps_per_epoch[number]
        metrics: dict[str, Any] = {}
        if last:
            position.epoch, position.batch = number + 1, 0
            metrics = _consider(run, validate(run.model, validation, frames=frames)) if validation is not None else {}
        if folder and world()[0] == 0 and (last or position.step % save_every == 0):
            save_state(
                folder, capture(run.model.state_dict(), run.optimizer, run.best), position=position, run=run.identity
            )
        yield TrainStep(number, position.step, run.steps, named, rate, _seconds_left(run, clock), metrics)


def _seconds_left(run: Run, clock: tuple[float, int]) -> float:
    started, first = clock
    return (time.monotonic() - started) / max(1, run.position.step - first) * (run.steps - run.position.step)


def _consider(run: Run, metrics: dict[str, Any]) -> dict[str, Any]:
    """Keep the weights where they are the best on validation so far; the earlier of equals stays."""
    if metrics["rsum"] > run.position.best:
        run.position.best, run.position.metrics = metrics["rsum"], metrics
        run.best = copy.deepcopy({name: value.detach() for name, value in run.model.state_dict().items()})
    return {**metrics, "best_rsum": run.position.best}


def _step(run: Run, batch: Batch, penalty: Penalty | None) -> tuple[float, dict[str, float]]:
    """One optimiser step. Nothing is changed unless loss and gradient are finite."""
    rate = 0.0
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate(run.position.step, run.steps, peak=group["peak"], warmup=run.config.warmup)
        rate = max(rate, group["lr"])
    run.model.train()
    run.optimizer.zero_grad(set_to_none=True)
    with _precision(run.model, run.config):
        named = losses(run.model, batch, run.config)
    loss = named["loss"] if penalty is None else named["loss"] + penalty(run.model, run.position.step)
    if not torch.isfinite(loss):
        raise _not_finite(run, batch, "loss")
    loss.backward()
    average_gradients(run.model)
    norm = nn.utils.clip_grad_norm_([p for p in run.model.parameters() if p.grad is not None], run.config.clip_grad)
    if not torch.isfinite(norm):
        raise _not_finite(run, batch, "gradient")
    run.optimizer.step()
    if hasattr(run.model, "limit_scale"):
        run.model.limit_scale()
    return rate, {**{name: float(value.detach()) for name, value in named.items()}, "loss": float(loss.detach())}


def _precision(model: nn.Module, config: TrainConfig) -> torch.autocast:
    device = device_of(model).type
    able = device == "cuda" and torch.cuda.is_bf16_supported()
    wanted = config.precision == "bf16" or (config.precision == "auto" and able)
    return torch.autocast(device, dtype=torch.bfloat16, enabled=wanted)


def _not_finite(run: Run, batch: Batch, what: str) -> ExplorerError:
    bad = [text for row, text in enumerate(batch.texts) if not _finite(batch, row)] or batch.texts
    shown = ", ".join(repr(text.text[:60]) for text in bad[:NAMED])
    position = run.position
    return ExplorerError(
        f"training stopped at epoch {position.epoch + 1}, batch {position.batch + 1}: the {what} is "
        f"not a finite number (captions {shown}); the last good weights are kept, check these "
        "videos and captions or lower the learning rate"
    )


def _finite(batch: Batch, row: int) -> bool:
    text = batch.texts[row]
    arrays = [text.sentence, text.words, text.phrases, *(vectors[row] for vectors, _ in batch.views)]
    return all(bool(np.isfinite(array).all()) for array in arrays)
