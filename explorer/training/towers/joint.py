"""A tower and a hierarchy that learn as one, and which parts of the tower do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from explorer.model.towers.load import load_tower
from explorer.model.towers.tower import Tower

BLOCK = re.compile(r"(.*?\b(?:resblocks|blocks|layers?|stages))\.(\d+)\.")  # also ModifiedResNet's layer1..4 by LAYER
LAYER = re.compile(r"(.*?\blayer)(\d)\.")
TAIL = re.compile(
    r"(visual\.|text\.)?(trunk\.)?(proj|ln_post|ln_final|text_projection|head|attn_?pool|norm|fc_norm|conv_head|bn2)\b"
)
NEVER = ("logit_scale", "logit_bias")  # of the tower: the hierarchy has its own


class Joint(nn.Module):
    """A tower's network and a hierarchy as one, so that they share an optimiser; the config is the hierarchy's."""

    def __init__(self, tower: Tower, model: nn.Module, part: str) -> None:
        super().__init__()
        self.tower, self.hierarchy, self.config = tower.model, model.requires_grad_(True), model.config
        thaw(self.tower, part)

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that learn, by name."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}


def own_tower(name: str, *, device: str, weights: Mapping[str, Tensor], folder: Path | None = None) -> Tower:
    """A tower of its own, in single precision, that may be changed without anyone else seeing it."""
    return load_tower(name, device=device, weights=weights, dtype=torch.float32, folder=folder)


def thaw(network: nn.Module, part: str) -> None:
    """Let a part of both towers learn: "last" is the last block of each with all behind it, "all" is everything.

    Raises:
        ValueError: no such part, or a network whose last blocks are not known by name.
    """
    if part not in ("last", "all"):
        raise ValueError(f"part must be last or all, not {part!r}")
    names = [name for name, _ in network.named_parameters() if name not in NEVER]
    chosen = (
        set(names) if part == "all" else {name for name in names if name in _last_blocks(names) or TAIL.match(name)}
    )
    sides = {name.startswith("visual.") for name in chosen}
    if sides != {True, False}:
        raise ValueError("the last blocks of this tower are not known; train all of it")
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in chosen)


def _last_blocks(names: Sequence[str]) -> set[str]:
    """Names of the parameters in the last block of each outermost row of numbered blocks."""
    last: dict[str, int] = {}
    found = {name: match for name in names if (match := BLOCK.match(name) or LAYER.match(name))}
    for match in found.values():
        last[match[1]] = max(last.get(match[1], 0), int(match[2]))
    return {name for name, match in found.items() if int(match[2]) == last[match[1]]}
