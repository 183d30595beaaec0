"""A CLIP small enough for tests: open_clip's own code over random weights, registered as an architecture of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

ARCH, CUSTOM = "tiny-clip-for-tests", "tiny-custom-clip-for-tests"
SIZE, LENGTH, DIM = 32, 24, 32
TEXT = {"context_length": LENGTH, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
CONFIG = {
    "embed_dim": DIM,
    "vision_cfg": {"image_size": SIZE, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": TEXT,
}


def register(folder: Path) -> None:
    """Let open_clip know both architectures; `folder` must stay as long as the tests run."""
    for arch, more in ((ARCH, {}), (CUSTOM, {"custom_text": True})):
        path = folder / f"{arch}.json"
        path.write_text(json.dumps({**CONFIG, **more}))
        open_clip.add_model_config(path)


def make(folder: Path, arch: str = ARCH, *, seed: int = 0) -> str:
    """Random weights as a file; the tower's name."""
    register(folder)
    torch.manual_seed(seed)
    model = open_clip.create_model(arch)
    with torch.no_grad():  # as made, texts hardly differ
        model.token_embedding.weight.mul_(20) if arch == ARCH else model.text.token_embedding.weight.mul_(20)
    path = folder / f"{arch}-{seed}.safetensors"
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, str(path))
    return f"{arch}@{path}"


def plain(name: str) -> tuple[Any, Any]:
    """The model and preprocessing as open_clip itself loads them from that file."""
    arch, _, path = name.partition("@")
    model, _, preprocess = open_clip.create_model_and_transforms(arch, pretrained=path, pretrained_hf=False)
    return model.eval(), preprocess
