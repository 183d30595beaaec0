"""A tower of each family comes whole from the hub into the data folder, and is what open_clip makes of it, offline."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from explorer.model.towers import clip, folder
from explorer.model.towers.tower import Tower
from explorer.records import ExplorerError
from tests.support.hub import COMMIT, Hub, serving
from tests.support.published import FAMILIES, OPENAI, SIZE, Family, plain_tokenizer, publish, random_model

TEXTS = ["a dog runs", "Zwei Leute, ein Schirm!", "", "a long day " * 20]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("published")


@pytest.fixture(scope="module")
def served(files: Path) -> Iterator[Hub]:
    with serving() as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.url)
        publish(hub, files, patch)
        yield hub


@pytest.fixture
def towers(tmp_path: Path) -> Path:
    return tmp_path / "towers"


@pytest.fixture
def nobody_is_asked(served: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever is done under this opens no connection at all."""

    def refuse(*_: object) -> None:
        raise AssertionError("a tower reached for the network")

    before = len(served.asked)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield
    assert len(served.asked) == before


def brought(family: Family, towers: Path) -> None:
    steps = list(folder.bring(family.name, towers))
    assert steps[-1].done == steps[-1].total > 0


def load(name: str, towers: Path) -> Tower:
    return clip.load(name, device=torch.device("cpu"), folder=towers)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.arch)
def test_each_family_comes_whole_and_is_what_open_clip_makes_of_it(
    family: Family, served: Hub, files: Path, towers: Path, request: pytest.FixtureRequest
) -> None:
    brought(family, towers)
    request.getfixturevalue("nobody_is_asked")
    tower = load(family.name, towers)
    model, tokenizer = random_model(family, files), plain_tokenizer(family, files)
    with torch.inference_mode():
        wanted = model.encode_text(tokenizer([text or " " for text in TEXTS]), normalize=True).numpy()
    np.testing.assert_allclose(tower.encode_texts(TEXTS), wanted, atol=1e-5)
    picture = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    preprocess = image_transform_v2(PreprocessCfg(**{**family.pixels, "size": (SIZE, SIZE)}), is_train=False)
    with torch.inference_mode():
        batch = torch.stack([preprocess(Image.fromarray(pixels)) for pixels in picture])
        wanted = model.encode_image(batch, normalize=True).numpy()
    np.testing.assert_allclose(tower.encode_frames(picture), wanted, atol=1e-3)
    assert tower.frame_size.fit == ("squash" if family.pixels["resize_mode"] == "squash" else "crop")


def test_the_record_names_where_it_came_from_and_the_list_its_size(served: Hub, towers: Path) -> None:
    brought(FAMILIES[3], towers)
    (own,) = folder.list_towers(towers)
    assert own.name == FAMILIES[3].name and own.source == f"{FAMILIES[3].repository}@{COMMIT}"
    assert own.size > len(served.files[FAMILIES[3].repository, folder.WEIGHTS])
    folder.remove(own.name, towers)
    assert folder.list_towers(towers) == [] and folder.find(own.name, towers) is None


def test_a_half_brought_tower_is_not_there_and_goes_on_later(served: Hub, towers: Path) -> None:
    served.rate = 400_000
    steps = folder.bring(FAMILIES[0].name, towers)
    next(step for step in steps if step.done)
    steps.close()
    served.rate = 0
    assert folder.find(FAMILIES[0].name, towers) is None and folder.list_towers(towers) == []
    brought(FAMILIES[0], towers)
    assert served.starts()[-1] > 0 and load(FAMILIES[0].name, towers).name == FAMILIES[0].name


def test_pickled_weights_are_never_fetched(served: Hub, towers: Path) -> None:
    repository = FAMILIES[0].repository
    kept = served.files.pop((repository, folder.WEIGHTS))
    served.add(repository, "open_clip_pytorch_model.bin", b"a pickle" * 100)
    try:
        with pytest.raises(ExplorerError, match="pickled weights only"):
            list(folder.bring(FAMILIES[0].name, towers))
        assert not any(path.endswith(".bin") for verb, path, _ in served.asked)
    finally:
        served.add(repository, folder.WEIGHTS, kept)


def test_a_flipped_bit_of_kept_weights_is_noticed(served: Hub, towers: Path) -> None:
    brought(FAMILIES[0], towers)
    path = folder.home(FAMILIES[0].name, towers) / folder.WEIGHTS
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ExplorerError, match="is damaged; remove"):
        load(FAMILIES[0].name, towers)


# ---- local files


def adopt(path: Path, arch: str, towers: Path) -> str:
    *steps, name = folder.adopt(path, arch, towers)
    assert steps and isinstance(name, str)
    return name


def test_the_configuration_beside_a_file_decides(
    served: Hub, files: Path, tmp_path: Path, towers: Path, nobody_is_asked: None
) -> None:
    family, own = FAMILIES[1], tmp_path / "mine"  # QuickGELU, which the file alone does not say
    own.mkdir()
    shutil.copy(files / f"{family.arch}.safetensors", own / "w.safetensors")
    known = {"embed_dim": 32, **family.config, "quick_gelu": True}
    (own / folder.CONFIG).write_text(json.dumps({"model_cfg": known, "preprocess_cfg": {"mean": [0.1] * 3}}))
    name = adopt(own / "w.safetensors", "", towers)
    shutil.rmtree(own)  # its drive is gone
    tower = load(name, towers)
    assert type(tower.model.visual.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"
    assert tower._mean.flatten().tolist() == pytest.approx([25.5] * 3)
    texts = plain_tokenizer(family, files)(TEXTS[:2])
    with torch.inference_mode():
        wanted = random_model(family, files).encode_text(texts, normalize=True).numpy()
    np.testing.assert_allclose(tower.encode_texts(TEXTS[:2]), wanted, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.arch)
def test_without_a_configuration_the_architectures_published_pixels_count(
    family: Family, served: Hub, files: Path, nobody_is_asked: None
) -> None:
    config, told = folder.local_config(files / f"{family.arch}.safetensors", family.arch)
    assert {key: tuple(v) if isinstance(v, list) else v for key, v in config["preprocess_cfg"].items()} == family.pixels
    assert "all its published weights agree" in told


def test_what_a_file_does_not_say_is_told(served: Hub, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family = FAMILIES[0]
    both = {"web": {**OPENAI, "hf_hub": "a/b/"}, "quick": {**OPENAI, "hf_hub": "a/c/", "quick_gelu": True}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, family.arch, both)
    _, told = folder.local_config(files / f"{family.arch}.safetensors", family.arch)
    assert "differ in activation" in told and "beside it to be sure" in told
    assert "SigLIP" not in told and folder.local_config(files / "small-clip.safetensors", "ViT-B-16-SigLIP")[0][
        "preprocess_cfg"
    ]["mean"] == (0.5, 0.5, 0.5)


def test_two_files_of_one_architecture_live_side_by_side(
    served: Hub, files: Path, tmp_path: Path, towers: Path
) -> None:
    from safetensors.torch import load_file, save_file

    other = {name: -value for name, value in load_file(files / "small-clip.safetensors").items()}
    save_file(other, tmp_path / "small-clip.safetensors")
    names = [adopt(path / "small-clip.safetensors", "small-clip", towers) for path in (files, tmp_path)]
    assert len(set(names)) == 2 and [tower.name for tower in folder.list_towers(towers)] == sorted(names)
    vectors = [load(name, towers).encode_texts(["a dog"]) for name in names]
    assert not np.allclose(*vectors, atol=1e-3)


@pytest.mark.parametrize(
    "file, arch, said",
    [
        ("gone.safetensors", "ViT-B-32", "there is no file"),
        ("w.pt", "ViT-B-32", "explorer convert"),
        ("w.bin", "", "explorer convert"),
        ("small-clip.safetensors", "", "write ARCHITECTURE@"),
    ],
)
def test_what_cannot_be_taken_is_said(served: Hub, files: Path, towers: Path, file: str, arch: str, said: str) -> None:
    with pytest.raises(ExplorerError, match=said) as caught:
        list(folder.adopt(files / file, arch, towers))
    assert "\n" not in str(caught.value) and not towers.exists()
