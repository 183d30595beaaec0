"""A tower by its name: the starter, an open_clip model, or either with what a checkpoint trained of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from explorer.model.device import pick_device
from explorer.model.towers import clip, starter
from explorer.model.towers.tower import Tower, digest_of, split_trained
from explorer.records import ExplorerError


def load_tower(
    name: str,
    *,
    device: str = "auto",
    weights: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype | None = None,
    late_images: bool = False,
    engines: Path | None = None,
    folder: Path | None = None,
) -> Tower:
    """Load a tower by name.

    Args:
        name: "starter"; an open_clip name, "ViT-B-16/openai"; or "ARCHITECTURE@/path/to/weights.safetensors". With what
            a checkpoint trained of it "starter:DIGEST" or "NAME#DIGEST".
        device: auto, cpu, cuda, cuda:N or mps.
        weights: those trained tensors, laid over the tower's own.
        dtype: of the weights; None takes the device's quickest.
        late_images: the starter's image tower is made when the first frame comes: words are read seconds sooner.
        engines: where image towers converted for the processor are kept; None has torch encode frames.
        folder: of downloaded towers; None is the usual data folder's.

    Raises:
        ExplorerError: an unknown name, weights missing, damaged or of another training, or a download not agreed to.
    """
    plain, digest = split_trained(name)
    if digest and not weights:
        raise ExplorerError(
            f"the trained weights of tower {name} are missing; restore the checkpoint that holds them or choose another"
        )
    if weights and digest_of(weights) != digest:
        raise ExplorerError(
            f"the trained weights at hand are not those of tower {name}; restore the checkpoint from a copy "
            "or choose another"
        )
    if plain == "starter":
        tower = starter.load(
            device=pick_device(device), name=name, weights=weights, dtype=dtype, late_images=late_images
        )
    else:
        tower = clip.load(plain, device=pick_device(device), folder=folder, called=name, weights=weights, dtype=dtype)
    tower.engines = engines
    return tower
