"""Any CLIP by its open_clip name or from a local weights file; nothing is fetched unless a person agreed to the size."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from explorer.model.towers import Tower
from explorer.records import ExplorerError, FrameSize

DOWNLOAD_AT_MOST = 2 * 3600       # seconds; a slow line and a large tower


def split_name(name: str) -> tuple[str, str]:
    """'ViT-B-16/openai' -> ('ViT-B-16', 'openai'); 'ViT-B-16@/w.safetensors' -> ('ViT-B-16', '/w.safetensors').

    Raises:
        ExplorerError: an architecture or weights tag that open_clip does not know.
    """
    import open_clip
    arch, _, weights = name.partition("@") if "@" in name else name.rpartition("/")
    if arch not in open_clip.list_models():
        raise ExplorerError(f"unknown tower {name!r}; write ARCHITECTURE/WEIGHTS as in open_clip, such as ViT-B-16/openai")
    if "@" in name:
        return arch, weights
    if not open_clip.is_pretrained_cfg(arch, weights):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(arch)[:6]) or "none; give a file after @"
        raise ExplorerError(f"open_clip has no weights {weights!r} for {arch}; it has: {tags}")
    return arch, weights


def size_mb(name: str) -> int:
    """Megabytes of a tower's weights in single precision, counted from its architecture without fetching anything."""
    import open_clip
    arch, _ = split_name(name)
    with torch.device("meta"):
        model = open_clip.create_model(arch, pretrained=None, pretrained_hf=False)
    return round(sum(p.numel() for p in model.parameters()) * 4 / 1e6)


def weights_path(name: str, folder: Path) -> Path | None:
    """The weights file of a tower where it is on this machine already, else None."""
    import open_clip
    arch, weights = split_name(name)
    if "@" in name:
        return Path(weights)
    hub = open_clip.get_pretrained_cfg(arch, weights).get("hf_hub", "").strip("/")
    pattern = f"models--{hub.replace('/', '--')}/snapshots/*/*.safetensors" if hub else "*.safetensors"
    return next(iter(sorted(folder.glob(pattern))), None)


def download(name: str, folder: Path) -> subprocess.Popen[bytes]:
    """Fetch a tower's weights into a folder, in a child process that can be killed; the only door to the network.

    Call it only after the person agreed to `size_mb`. The caller waits for the child and reads its stderr.
    """
    split_name(name)
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.Popen([sys.executable, "-m", "explorer.model.clip", name, str(folder)],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)


def load(name: str, *, device: torch.device, folder: Path | None = None) -> Tower:
    """An open_clip model as a tower, from a safetensors file on this machine.

    Raises:
        ExplorerError: unknown name, weights not here yet, not safetensors, or not those of the architecture.
    """
    import open_clip
    arch, _ = split_name(name)
    path = weights_path(name, folder or default_folder())
    if path is None:
        raise ExplorerError(f"the weights of {name} are not on this machine; agree to the download on the Models tab, "
                            f"or give a local file as {arch}@/path/to/weights.safetensors")
    if not path.is_file() or path.suffix != ".safetensors":
        raise ExplorerError(f"{path} is not a safetensors file; convert the weights or choose another file")
    try:
        model = open_clip.create_model(arch, pretrained=str(path), pretrained_hf=False)
    except Exception as error:                     # open_clip raises many kinds for a file that does not fit
        raise ExplorerError(f"{path} does not hold the weights of {arch}: {_first_line(error)}; choose another file") from error
    return wrap(model, open_clip.get_tokenizer(arch), name=name, device=device)


def wrap(model: nn.Module, tokenizer: Any, *, name: str, device: torch.device) -> Tower:
    """A built open_clip model as a tower, with the preprocessing it was trained with."""
    from open_clip.model import get_model_preprocess_cfg
    config = get_model_preprocess_cfg(model)
    size = config["size"] if isinstance(config["size"], (tuple, list)) else (config["size"],) * 2
    fit = "squash" if config.get("resize_mode") == "squash" else "crop"
    mean = config.get("mean", (0.48145466, 0.4578275, 0.40821073))           # OpenAI's, open_clip's default
    std = config.get("std", (0.26862954, 0.26130258, 0.27577711))
    return Tower(model, tokenizer, name=name, mean=tuple(mean), std=tuple(std), size=FrameSize(*size, fit), device=device)


def default_folder() -> Path:
    """Where downloaded towers are kept."""
    from explorer.config import Settings
    return Settings.load().data_dir / "towers"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]


def _fetch(name: str, folder: str) -> None:
    import open_clip
    arch, weights = split_name(name)
    path = open_clip.download_pretrained(open_clip.get_pretrained_cfg(arch, weights), cache_dir=folder)
    if not str(path).endswith(".safetensors"):
        Path(path).unlink(missing_ok=True)
        raise ExplorerError(f"{name} is offered only as pickled weights, which are not loaded; choose another tower")


if __name__ == "__main__":
    try:
        _fetch(*sys.argv[1:3])
    except Exception as problem:
        sys.exit(_first_line(problem))
