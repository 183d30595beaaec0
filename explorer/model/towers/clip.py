"""Any CLIP by its open_clip name or from a local weights file, built as its configuration says; nothing is fetched."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from explorer.model.towers.folder import CONFIG, TowerFiles, find, refuse_other_forms
from explorer.model.towers.names import split_name
from explorer.model.towers.tower import Tower, lay_over, sha256
from explorer.records import ExplorerError, FrameSize


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
        name: ARCHITECTURE/WEIGHTS, ARCHITECTURE@FILE, or a tower of the data folder.
        device: where it runs.
        folder: of downloaded towers; None is the data folder's.
        called: the tower's name where it is another one, since a checkpoint trained it.
        weights: what the checkpoint trained of it, laid over the file's.
        dtype: of the weights; None takes the device's quickest.

    Raises:
        ExplorerError: unknown name, weights not here yet, not safetensors, damaged, or not those of the architecture.
    """
    files = find(name, folder or default_folder())
    if files is None:
        raise ExplorerError(
            f"the weights of {name} are not on this machine; agree to the download on the Models tab, "
            f"or give a local file as {split_name(name)[0]}@/path/to/weights.safetensors"
        )
    refuse_other_forms(files.weights)
    _refuse_other_bytes(files.weights)
    tokenizer = tokenizer_of(files.config, files.tokenizer, name=name)
    with ThreadPoolExecutor(1) as beside:  # the bytes are checked while the modules are made
        digest = beside.submit(sha256, files.weights) if files.digest else None
        model = build(files, name=name)
    if digest is not None and digest.result() != files.digest:
        raise ExplorerError(f"{files.weights} is damaged; remove {name} on the Models tab and add it again")
    lay_over(model, weights or {}, name=called or name)
    return wrap(model, tokenizer, name=called or name, device=device, dtype=dtype)


def build(files: TowerFiles, *, name: str) -> nn.Module:
    """The model that a configuration describes, with the file's weights.

    Raises:
        ExplorerError: the file holds other weights, or parts of the model are missing.
    """
    from open_clip.factory import load_checkpoint

    try:
        model = make_model(files.config, files.text)
        load_checkpoint(model, str(files.weights))
    except Exception as error:  # open_clip raises many kinds for a file that does not fit
        raise ExplorerError(
            f"{files.weights} does not hold the weights of {name.partition('@')[0]}: {_first_line(error)}; choose "
            "another file"
        ) from error
    return model


def make_model(config: dict[str, Any], text: Path | None = None) -> nn.Module:
    """An open_clip model of a configuration, its weights still random.

    Args:
        config: {"model_cfg", "preprocess_cfg"}, as in an open_clip_config.json.
        text: folder with the config.json of a text tower in Hugging Face's form.
    """
    import open_clip

    known = deepcopy(config)
    if text is not None and "hf_model_name" in known["model_cfg"]["text_cfg"]:
        known["model_cfg"]["text_cfg"]["hf_model_name"] = str(text)
    with tempfile.TemporaryDirectory(prefix="tower-") as place:  # open_clip reads a configuration from a folder
        (Path(place) / CONFIG).write_text(json.dumps(known), "utf-8")
        with _quiet():
            return open_clip.create_model(
                f"local-dir:{place}", load_weights=False, pretrained_image=False, pretrained_text=False
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip warns, on the root logger itself, that a model has no weights: they come next."""
    root = logging.getLogger()
    root.addFilter(_nothing)
    try:
        yield
    finally:
        root.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return record.levelno > logging.WARNING


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


def tokenizer_of(config: dict[str, Any], folder: Path | None, *, name: str) -> Any:
    """open_clip's tokenizer of a configuration: CLIP's own, or Hugging Face's from a folder.

    Raises:
        ExplorerError: its files are not on this machine.
    """
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer, SimpleTokenizer

    text = config["model_cfg"].get("text_cfg", {})
    length, more = text.get("context_length", DEFAULT_CONTEXT_LENGTH), text.get("tokenizer_kwargs", {})
    if not text.get("hf_tokenizer_name"):
        return SimpleTokenizer(context_length=length, **more)
    if folder is None:
        raise ExplorerError(
            f"the tokenizer of {name} is not on this machine; add the model on the Models tab, or put its "
            "tokenizer.json and tokenizer_config.json beside the weights"
        )
    try:
        return HFTokenizer(str(folder), context_length=length, tokenizer_mode=text.get("tokenizer_mode"), **more)
    except Exception as error:  # transformers raises many kinds for files it cannot read
        raise ExplorerError(
            f"the tokenizer in {folder} cannot be read ({_first_line(error)}); remove {name} on the Models tab and add "
            "it again"
        ) from error


def wrap(
    model: nn.Module, tokenizer: Any, *, name: str, device: torch.device, dtype: torch.dtype | None = None
) -> Tower:
    """A built open_clip model as a tower, with the preprocessing it was trained with."""
    from open_clip.model import get_model_preprocess_cfg

    config = get_model_preprocess_cfg(model)
    mean = config.get("mean", (0.48145466, 0.4578275, 0.40821073))  # OpenAI's, open_clip's default
    std = config.get("std", (0.26862954, 0.26130258, 0.27577711))
    return Tower(
        model,
        tokenizer,
        name=name,
        mean=tuple(mean),
        std=tuple(std),
        size=frame_size(config["size"], config),
        device=device,
        dtype=dtype,
    )


def frame_size(size: int | Sequence[int], pixels: Mapping[str, Any]) -> FrameSize:
    """The pixels a model asks for: (height, width) or the side of a square, whole or cut as it was trained."""
    height, width = (size, size) if isinstance(size, int) else size
    return FrameSize(height, width, "squash" if pixels.get("resize_mode") == "squash" else "crop")


def default_folder() -> Path:
    """Where downloaded towers are kept."""
    from explorer.config import Settings

    return Settings.load().data_dir / "towers"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
