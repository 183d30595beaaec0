"""How quickly a CLIP would encode frames on this machine, measured on random weights before anything is fetched."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import nn

from explorer.model.towers import names
from explorer.model.towers.clip import frame_size
from explorer.model.towers.tower import Tower

FRAMES = 16  # what indexing encodes at once


class _Pictures(nn.Module):
    """The image tower alone, in the form that Tower asks for."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.visual(pixels)


@torch.inference_mode()
def seconds_a_frame(name: str, *, device: torch.device) -> float:
    """Time the image tower of a published CLIP on FRAMES random frames, after a first pass that is not counted.

    Random weights take as long as trained ones; nothing is read from the disk but open_clip's own table.

    Raises:
        ExplorerError: an unknown name.
    """
    config = names.published_config(name)
    with torch.device("meta"):  # the text tower costs nothing, and needs no description from the hub
        visual = _image_tower(config)
    visual = visual.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for value in (*visual.parameters(), *visual.buffers()):
        if value.is_floating_point():
            value.normal_(0, 0.02, generator=generator)
    size = frame_size(visual.image_size, config["preprocess_cfg"])
    tower = Tower(
        _Pictures(visual), None, name=f"speed of {name}", mean=(0.5,) * 3, std=(0.5,) * 3, size=size, device=device
    )
    frames = np.zeros((FRAMES, size.height, size.width, 3), np.uint8)
    tower.encode_frames(frames)
    began = time.perf_counter()
    tower.encode_frames(frames)
    return (time.perf_counter() - began) / FRAMES


def _image_tower(config: dict[str, Any]) -> Any:
    from open_clip.model import _build_vision_tower

    known = config["model_cfg"]
    return _build_vision_tower(known["embed_dim"], known["vision_cfg"], bool(known.get("quick_gelu")))
