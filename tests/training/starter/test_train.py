"""The starter's own command from photos to a checkpoint that loads, and going on from an earlier one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from explorer.model.checkpoint import describe, load, load_tensors
from explorer.model.towers.knowledge import Parts, parts_in
from explorer.model.towers.load import load_tower
from explorer.training.starter import classes, train
from explorer.training.starter.pair import StarterConfig
from explorer.training.starter.photos import Photos, early, late

COLOURS = ("red", "green", "blue", "yellow", "white", "black")


def test_a_narrower_joint_part_keeps_every_inner_product() -> None:
    generator = torch.Generator().manual_seed(0)
    image, text = (torch.randn(512, width, generator=generator) for width in (1280, 384))
    first, second = train.compress(image, text, 384)
    assert first.shape == (384, 1280) and second.shape == (384, 384)
    torch.testing.assert_close(second.T @ first, text.T @ image, atol=0.02, rtol=1e-3)
    assert train.compress(first, second, 384) == (first, second)


def paint(path: Path, colour: str, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 60, (64, 64, 3), dtype=np.uint8)
    plain = np.asarray(Image.new("RGB", (64, 64), colour)) // 2
    Image.fromarray((plain + noise).astype(np.uint8)).save(path)


@pytest.fixture
def material(tmp_path: Path) -> tuple[Path, Path]:
    """Flickr8k's layout with 12 photos of train and 6 of val and test, and two further sources."""
    data, more = tmp_path / "flickr8k", tmp_path / "more"
    rows = []
    for split, count in (("train", 12), ("val", 6), ("test", 6)):
        files = [f"{split}{i}.jpg" for i in range(count)]
        (data).mkdir(exist_ok=True)
        (data / f"{split}.txt").write_text("\n".join(files))
        for i, file in enumerate(files):
            paint(data / "images" / file, COLOURS[i % 6], i)
            rows += [f"{file},a {COLOURS[i % 6]} wall number {i}", f"{file},a wall in {COLOURS[i % 6]}"]
    (data / "captions.csv").write_text("image,caption\n" + "\n".join(rows) + "\n")
    for name, label in (("objects", True), ("coco", False)):
        lines = []
        for i in range(20):
            colour = COLOURS[i % 4]
            paint(more / name / "images" / f"{i}.jpg", colour, 100 + i)
            lines.append(
                {"file": f"{i}.jpg", "captions": [f"a photo of {colour} cloth"]}
                | ({"label": f"{colour} cloth"} if label else {})
            )
        (more / name / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return data, more


def test_the_command_makes_a_checkpoint_that_loads_and_goes_on_from_it(
    material: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classes, "TEMPLATES", ("{}",))
    data, more = material
    config = StarterConfig(
        head_steps=2,
        head_batch=16,
        steps=1,
        level_steps=1,
        batch=16,
        mix={"flickr8k": 0.4, "captioned": 0.3, "labelled": 0.3},
    )
    out = tmp_path / "out"
    metrics = train.train(data, out, more=more, cache=tmp_path / "cache", config=config)
    assert {"start", "heads", "towers", "levels", "val", "test"} <= set(metrics)
    assert set(metrics["heads"]) == {"flickr8k", "flickr8k, image to text", "captioned", "keywords"}
    about, tensors = describe(out), load_tensors(out, "tower.safetensors")
    assert parts_in(tensors) == Parts(384, 128, 0.25) and about["data"].count("(") == 3
    tower = load_tower(about["tower"], device="cpu", weights=tensors)
    assert load(out).config.dim == tower.dim == 512
    changed = {name.split(".")[1] for name in tensors if name.startswith("visual.trunk")}
    assert changed == {"trunk"} and not any("conv_dw" in name or "blocks.2." in name for name in tensors)
    again = tmp_path / "again"
    train.train(
        data,
        again,
        more=more,
        cache=tmp_path / "cache",
        towers=out / "tower.safetensors",
        config=StarterConfig(**{**vars(config), "steps": 0}),
    )
    kept = load_file(again / "tower.safetensors")
    assert all(torch.equal(kept[name], tensors[name]) for name in tensors if name.startswith("visual.trunk"))
    assert not torch.equal(kept["visual.head.proj.weight"], tensors["visual.head.proj.weight"])


def test_late_layers_over_kept_maps_are_the_whole_tower() -> None:
    pair = train.Pair(StarterConfig())
    pixels = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        trunk = pair.model.visual.trunk
        torch.testing.assert_close(late(trunk, early(trunk, pixels)), trunk(pixels), atol=1e-4, rtol=1e-4)


def test_a_batch_holds_every_kind_by_its_share_and_no_photo_twice(material: tuple[Path, Path], tmp_path: Path) -> None:
    known, held = train.gather(material[0], material[1])
    photos = Photos.__new__(Photos)
    photos.kinds = {
        kind: np.flatnonzero([photo.kind == kind for photo in known]) for kind in ("flickr8k", "captioned", "labelled")
    }
    rows = photos.mixed({"flickr8k": 0.5, "captioned": 0.25, "labelled": 0.25}, 16, torch.Generator().manual_seed(1))
    assert len(set(rows.tolist())) == len(rows) == 16
    assert sorted(known[row].kind for row in rows).count("flickr8k") == 8
    assert len(held) == 6 + 4 + 4
