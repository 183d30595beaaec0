"""Any CLIP by its open_clip name or from a local weights file; nothing is fetched unless a person agreed to the
size."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from explorer.model.towers.tower import Tower, lay_over
from explorer.records import ExplorerError, FrameSize

PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")  # what open_clip's table of weights says of pixels


def split_name(name: str) -> tuple[str, str]:
    """'ViT-B-16/openai' -> ('ViT-B-16', 'openai'); 'ViT-B-16@/w.safetensors' -> ('ViT-B-16', '/w.safetensors').

    Raises:
        ExplorerError: an architecture or weights tag that open_clip does not know.
    """
    import open_clip

    arch, _, weights = name.partition("@") if "@" in name else name.rpartition("/")
    if arch not in open_clip.list_models():
        raise ExplorerError(
            f"unknown tower {name!r}; write ARCHITECTURE/WEIGHTS as in open_clip, such as ViT-B-16/openai"
        )
    if "@" in name:
        return arch, weights
    if not open_clip.is_pretrained_cfg(arch, weights):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(arch)[:6]) or "none; give a file after @"
        raise ExplorerError(f"open_clip has no weights {weights!r} for {arch}; it has: {tags}")
    return arch, weights


def size_mb(name: str) -> int:
    """Megabytes of a tower's weights in single precision, counted from its architecture without fetching anything.

    Raises:
        ExplorerError: an unknown name, or an architecture that is described elsewhere.
    """
    import open_clip

    arch, _ = split_name(name)
    try:
        with torch.device("meta"):
            model = open_clip.create_model(arch, pretrained=None, pretrained_hf=False, device="meta")
    except Exception as error:  # an architecture that open_clip itself asks Hugging Face about
        raise ExplorerError(f"the size of {name} is not known on this machine; choose a ViT-B or ViT-L CLIP") from error
    return round(sum(p.numel() for p in model.parameters()) * 4 / 1e6)


def weights_path(name: str, folder: Path) -> Path | None:
    """The weights file of a tower where it is on this machine already, else None."""
    import open_clip

    arch, weights = split_name(name)
    if "@" in name:
        return Path(weights)
    hub = open_clip.get_pretrained_cfg(arch, weights).get("hf_hub", "").strip("/")
    if not hub:  # offered as pickled weights only
        return None
    return next(iter(sorted(folder.glob(f"models--{hub.replace('/', '--')}/snapshots/*/*.safetensors"))), None)


def download(name: str, folder: Path) -> subprocess.Popen[bytes]:
    """Fetch a tower's weights into a folder, in a child process that can be killed; the only door to the network.

    Call it only after the person agreed to `size_mb`. The caller waits for the child and reads its stderr.
    """
    split_name(name)
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "explorer.model.towers.clip", name, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
    )


def load(
    name: str,
    *,
    device: torch.device,
    folder: Path | None = None,
    called: str | None = None,
    weights: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype | None = None,
) -> Tower:
    """An open_clip model as a tower, from a safetensors file on this machine.

    Args:
        folder: of downloaded towers; None is the data folder's.
        called: the tower's name where it is another one, since a checkpoint trained it.
        weights: what the checkpoint trained of it, laid over the file's.
        dtype: of the weights; None takes the device's quickest.

    Raises:
        ExplorerError: unknown name, weights not here yet, not safetensors, or not those of the architecture.
    """
    import open_clip

    arch, tag = split_name(name)
    path = weights_path(name, folder or default_folder())
    if path is None:
        raise ExplorerError(
            f"the weights of {name} are not on this machine; agree to the download on the Models tab, "
            f"or give a local file as {arch}@/path/to/weights.safetensors"
        )
    if not path.is_file() or path.suffix != ".safetensors":
        raise ExplorerError(f"{path} is not a safetensors file; convert the weights or choose another file")
    _refuse_other_bytes(path)
    known = {} if "@" in name else open_clip.get_pretrained_cfg(arch, tag)
    try:  # a file instead of the tag: so what the tag says of pixels is handed on
        model = open_clip.create_model(
            arch,
            pretrained=str(path),
            pretrained_hf=False,
            force_quick_gelu=bool(known.get("quick_gelu")),
            force_preprocess_cfg={key: known[key] for key in PREPROCESSING if key in known},
        )
    except Exception as error:  # open_clip raises many kinds for a file that does not fit
        raise ExplorerError(
            f"{path} does not hold the weights of {arch}: {_first_line(error)}; choose another file"
        ) from error
    lay_over(model, weights or {}, name=called or name)
    return wrap(model, tokenizer_of(arch), name=called or name, device=device, dtype=dtype)


def _refuse_other_bytes(path: Path) -> None:
    """Read the header alone, before seconds go into building a model for a file that only has the name of one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise ExplorerError(
            f"{path} is not a safetensors file ({error}); convert the weights or choose another file"
        ) from error


def tokenizer_of(arch: str) -> Any:
    """open_clip's tokenizer of an architecture.

    Raises:
        ExplorerError: it is one of Hugging Face's and not on this machine.
    """
    import open_clip

    try:
        return open_clip.get_tokenizer(arch)
    except Exception as error:  # transformers raises many kinds for a file it cannot reach
        raise ExplorerError(
            f"the tokenizer of {arch} is not on this machine; choose a ViT-B or ViT-L CLIP, which need none"
        ) from error


def wrap(
    model: nn.Module, tokenizer: Any, *, name: str, device: torch.device, dtype: torch.dtype | None = None
) -> Tower:
    """A built open_clip model as a tower, with the preprocessing it was trained with."""
    from open_clip.model import get_model_preprocess_cfg

    config = get_model_preprocess_cfg(model)
    height, width = config["size"] if isinstance(config["size"], (tuple, list)) else (config["size"], config["size"])
    fit = "squash" if config.get("resize_mode") == "squash" else "crop"
    mean = config.get("mean", (0.48145466, 0.4578275, 0.40821073))  # OpenAI's, open_clip's default
    std = config.get("std", (0.26862954, 0.26130258, 0.27577711))
    return Tower(
        model,
        tokenizer,
        name=name,
        mean=tuple(mean),
        std=tuple(std),
        size=FrameSize(height, width, fit),
        device=device,
        dtype=dtype,
    )


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
