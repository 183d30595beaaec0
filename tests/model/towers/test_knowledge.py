"""The knowledge part of the starter's vectors: a share of every cosine, the likeliest classes alone, exportable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from explorer.config import SHIPPED_CHECKPOINTS
from explorer.model.checkpoint import describe, load_tensors
from explorer.model.towers import knowledge, starter
from explorer.model.towers.knowledge import ClassKnowledge, PartedText, Parts, join_parts, parts_in
from explorer.model.towers.load import load_tower

SHIPPED = SHIPPED_CHECKPOINTS / "starter"


def test_a_cosine_is_the_weighted_mean_of_the_cosines_of_the_parts() -> None:
    joint, names = torch.randn(2, 5, 8), torch.randn(2, 5, 3)
    first, second = (join_parts(joint[i], names[i], 0.3) for i in range(2))
    torch.testing.assert_close(first.norm(dim=-1), torch.ones(5))
    wanted = 0.7 * F.cosine_similarity(joint[0], joint[1]) + 0.3 * F.cosine_similarity(names[0], names[1])
    torch.testing.assert_close((first * second).sum(-1), wanted)


def test_only_the_likeliest_classes_count_and_their_shares_sum_to_one() -> None:
    model = ClassKnowledge(16, 4)
    pooled = torch.randn(3, 16)
    shares = model.shares(pooled)
    assert ((shares > 0).sum(1) == knowledge.LIKELIEST).all()
    torch.testing.assert_close(shares.sum(1), torch.ones(3))
    likeliest = model.classes(pooled).topk(knowledge.LIKELIEST, dim=1).indices.sort().values
    assert torch.equal(shares.topk(knowledge.LIKELIEST, dim=1).indices.sort().values, likeliest)
    torch.nn.init.normal_(model.names)
    torch.testing.assert_close(model(pooled), shares @ model.names)


def test_the_split_is_read_off_a_checkpoint_and_an_older_one_has_none() -> None:
    head = PartedText(6, Parts(joint=5, knowledge=3, share=0.25))
    tensors = {f"text.proj.{name}": value.half() for name, value in head.state_dict().items()}
    assert parts_in(tensors) == Parts(5, 3, 0.25) and parts_in(tensors).dim == 8
    assert parts_in({"text.proj.weight": torch.zeros(8, 6)}) is None and parts_in(None) is None


def test_a_starter_of_one_part_still_loads() -> None:
    weights = {"text.proj.weight": torch.randn(512, 384), "visual.head.proj.weight": torch.randn(512, 1280)}
    tower = starter.load(device=torch.device("cpu"), weights=weights)
    vectors = tower.encode_frames(np.zeros((1, 256, 256, 3), np.uint8))
    assert vectors.shape == (1, 512) and tower.dim == 512 and tower.model.parts is None


def test_the_shipped_starter_names_its_split() -> None:
    tensors = load_tensors(SHIPPED, "tower.safetensors")
    parts = parts_in(tensors)
    assert parts is not None and describe(SHIPPED)["parts"] == parts._asdict()
    tower = load_tower(describe(SHIPPED)["tower"], device="cpu", weights=tensors)
    assert tower.dim == parts.dim
    vectors = tower.encode_texts(["an owl on a branch", "a piano"])
    np.testing.assert_allclose((vectors[:, parts.joint :] ** 2).sum(1), parts.share, atol=1e-4)


@pytest.mark.parametrize(("picture", "right", "wrong"), [("chelsea", "cat", "coffee"), ("coffee", "coffee", "cat")])
def test_the_knowledge_part_alone_tells_what_is_seen(picture: str, right: str, wrong: str) -> None:
    from PIL import Image
    from skimage import data

    tensors = load_tensors(SHIPPED, "tower.safetensors")
    tower = load_tower(describe(SHIPPED)["tower"], device="cpu", weights=tensors)
    frame = np.asarray(Image.fromarray(getattr(data, picture)()).resize((256, 256)))
    joint = parts_in(tensors).joint
    frames = tower.encode_frames(frame[None])[:, joint:].astype(np.float32)
    texts = tower.encode_texts([right, wrong])[:, joint:]
    scores = texts @ frames[0]
    assert scores[0] > scores[1]


def test_the_image_tower_can_be_traced_for_an_engine(tmp_path: Path) -> None:
    tower = load_tower(describe(SHIPPED)["tower"], device="cpu", weights=load_tensors(SHIPPED, "tower.safetensors"))
    pixels = tower.preprocess(np.random.default_rng(0).integers(0, 256, (3, 256, 256, 3), dtype=np.uint8))
    with torch.inference_mode():
        traced = torch.jit.trace(tower.model.images(), pixels[:1], check_trace=False)
        torch.testing.assert_close(traced(pixels), tower.model.encode_image(pixels), atol=1e-5, rtol=1e-4)
