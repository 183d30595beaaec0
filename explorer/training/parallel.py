"""Joins the ranks of a torchrun: features are gathered with their gradient, so every rank scores the global batch."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

Levels = TypeVar("Levels")


def world() -> tuple[int, int]:
    """(rank, ranks); (0, 1) outside a process group."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def share(count: int) -> np.ndarray:
    """The items of a global batch of `count` that this rank encodes: a contiguous run; sizes differ by one at most.

    With fewer items than ranks the last ones get the first item as a stand-in, which `gather` leaves out: a rank that
    encoded nothing would take no part in the gathering, and the others would wait for it for ever.
    """
    rank, ranks = world()
    mine = np.array_split(np.arange(count), ranks)[rank]
    return mine if len(mine) else np.zeros(1, np.int64)


class _Gather(torch.autograd.Function):
    """(B, ...) on each rank -> (ranks, B, ...) on all; backwards each rank gets the sum of what all ranks ask of it."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        parts = [torch.empty_like(local) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, local.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient[dist.get_rank()]


def gather(local: Tensor, *, count: int) -> Tensor:
    """The global (count, ...) tensor from each rank's share of rows, padded with 0 where ranks differ in length.

    Args:
        local: (b, ...) rows of this rank, as `share` says; of a stand-in nothing is kept.
        count: rows of the global batch.
    """
    if world()[1] == 1:
        return local
    shape = torch.tensor(local.shape, device=local.device)
    dist.all_reduce(shape, op=dist.ReduceOp.MAX)
    missing = [
        amount
        for size, full in zip(reversed(local.shape), reversed(shape.tolist()), strict=True)
        for amount in (0, full - size)
    ]
    whole = local.to(torch.uint8) if local.dtype == torch.bool else local
    parts = _Gather.apply(functional.pad(whole, missing))  # (ranks, b, ...)
    sizes = [len(part) for part in np.array_split(np.arange(count), world()[1])]
    rows = torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])
    return rows.bool() if local.dtype == torch.bool else rows


def gather_levels(levels: Levels, *, count: int) -> Levels:
    """A dataclass of tensors (or None) with every tensor gathered; other fields stay this rank's own."""
    gathered = {
        field.name: gather(value, count=count)
        for field in dataclasses.fields(levels)  # type: ignore[arg-type]
        if isinstance(value := getattr(levels, field.name), Tensor)
    }
    return dataclasses.replace(levels, **gathered)  # type: ignore[type-var]


def average_gradients(model: nn.Module) -> None:
    """Every rank holds the gradient of the same global loss times the number of ranks, in parts: sum and divide."""
    ranks = world()[1]
    if ranks == 1:
        return
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    used = torch.tensor([float(parameter.grad is not None) for parameter in parameters])
    used = used.to(parameters[0].device) if parameters else used
    dist.all_reduce(used)  # a part that only some ranks' items needed: every rank must take part, with 0 of its own
    for parameter, ranks_with in zip(parameters, used.tolist(), strict=True):
        if ranks_with:
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            dist.all_reduce(parameter.grad)
            parameter.grad /= ranks
