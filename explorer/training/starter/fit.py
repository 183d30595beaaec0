"""Runs one stage of the starter's training: optimiser, schedule, the running mean of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from explorer.training.starter.losses import Material
from explorer.training.starter.pair import Pair, StarterConfig

Loss = Callable[[Pair, Material, StarterConfig, torch.Generator], Tensor]


def fit(
    pair: Pair,
    material: Material,
    config: StarterConfig,
    *,
    loss_of: Loss,
    steps: int,
    rate: float,
    alone: bool,
    seed: int,
) -> Iterator[tuple[int, float]]:
    """One stage; yields (step, loss). After the last, the pair holds the running mean of its weights.

    Args:
        pair: what learns.
        material: what it learns from.
        config: batches, rates and weights.
        loss_of: the loss of one batch.
        steps: how many.
        seed: of the draws.
        rate: of the joint heads.
        alone: the layers of the towers stay as they are.
    """
    generator = torch.Generator().manual_seed(seed)
    groups = _groups(pair, config, rate=rate, alone=alone)
    learned = [parameter for group in groups for parameter in group["params"]]
    for parameter in (*pair.late_image, *pair.late_text, *learned):
        parameter.requires_grad_(False)
    for parameter in learned:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _warm_cosine(step, steps))
    mean = [parameter.detach().clone() for parameter in learned]
    for step in range(1, steps + 1):
        pair.eval()  # BatchNorm keeps ImageNet's statistics
        pair.training = True  # our own dropout stays on
        loss = loss_of(pair, material, config, generator)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        schedule.step()
        share = min(config.average, (1 + step) / (10 + step))
        for kept, parameter in zip(mean, learned):
            kept.lerp_(parameter.detach(), 1 - share)
        yield step, loss.item()
    for kept, parameter in zip(mean, learned):
        parameter.data.copy_(kept)


def _groups(pair: Pair, config: StarterConfig, *, rate: float, alone: bool) -> list[dict[str, Any]]:
    """Parameters by rate, without weight decay on biases, norms, scales and names."""
    parts = [
        (pair.heads(), rate, config.weight_decay),
        (pair.names(), config.knowledge_lr, 0.0),
        (list(pair.hierarchy.token_weights.parameters()), config.level_lr, config.weight_decay),
        (pair.scales(), rate, 0.0),
    ]
    if not alone:
        parts += [
            (pair.late_image, config.lr, config.weight_decay),
            (pair.late_text, config.text_lr, config.weight_decay),
        ]
    return [
        {"params": [p for p in part if (p.ndim > 1) == wide], "lr": lr, "weight_decay": decay * wide}
        for part, lr, decay in parts
        for wide in (True, False)
        if any((p.ndim > 1) == wide for p in part)
    ]


def _warm_cosine(step: int, steps: int, warmup: float = 0.1) -> float:
    if step < warmup * steps:
        return (step + 1) / (warmup * steps)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup * steps) / ((1 - warmup) * steps)))
