"""A CLIP tower gives what open_clip gives, says in one sentence what it cannot load, and never reaches for the network."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

from explorer.model.towers import clip
from explorer.model.towers.folder import find
from explorer.model.towers.load import load_tower
from explorer.model.towers.names import parameters, size_mb
from explorer.model.towers.tower import Tower, digest_of, trained_name
from explorer.records import ExplorerError
from tests.support.tiny_clip import ARCH, CUSTOM, DIM, LENGTH, SIZE, make, plain

TEXTS = ["a dog runs", "two people, one umbrella", "", "a long day " * 20, "it's the dog's \u2018toy\u2019, isn't it?"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("towers")


@pytest.fixture(scope="module", params=[ARCH, CUSTOM])
def name(request: pytest.FixtureRequest, folder: Path) -> str:
    return make(folder, request.param)


@pytest.fixture(scope="module")
def tower(name: str) -> Tower:
    return load_tower(name, device="cpu")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a tower reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def test_frames_are_encoded_as_open_clip_does(tower: Tower, name: str) -> None:
    pixels = pictures(19)  # more than one pass
    model, preprocess = plain(name)
    batch = torch.stack([preprocess(Image.fromarray(one)) for one in pixels])
    with torch.inference_mode():
        wanted = model.encode_image(batch, normalize=True).numpy()
    found = tower.encode_frames(pixels)
    assert found.dtype == np.float16 and found.shape == (19, DIM) and tower.dim == DIM
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert np.ptp(wanted, axis=0).max() > 0.02  # pictures do differ, so the comparison says something


def test_texts_are_encoded_as_open_clip_does_in_any_order(tower: Tower, name: str) -> None:
    model, _ = plain(name)
    tokens = open_clip.get_tokenizer(name.partition("@")[0])([text or " " for text in TEXTS])
    with torch.inference_mode():
        wanted = model.encode_text(tokens, normalize=True).numpy()
    np.testing.assert_allclose(tower.encode_texts(TEXTS), wanted, atol=1e-5)
    np.testing.assert_allclose(tower.encode_texts(TEXTS[::-1]), wanted[::-1], atol=1e-5)
    many = tower.encode_texts(TEXTS * 60)  # more than one pass
    np.testing.assert_allclose(many, np.tile(wanted, (60, 1)), atol=1e-5)
    assert tower.encode_texts([]).shape == (0, DIM) and tower.encode_frames(pictures(0)).shape == (0, DIM)


def slow_tokens(model: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """(L,) tokens of one text -> (L, D): embedding, places, blocks one after the other, norm, projection."""
    text = getattr(model, "text", model)
    x = text.token_embedding(tokens)[None] + text.positional_embedding
    for block in text.transformer.resblocks:
        x = block(x, attn_mask=text.attn_mask)
    return (text.ln_final(x) @ text.text_projection)[0]


def test_words_are_the_means_of_their_projected_tokens(tower: Tower, name: str) -> None:
    model, _ = plain(name)
    text = "an unbelievable zebra, unknowable"
    tokenizer = open_clip.get_tokenizer(name.partition("@")[0])
    tokens = tokenizer([text])[0]
    with torch.inference_mode():
        outputs = slow_tokens(model, tokens)
        whole = model.encode_text(tokens[None])[0]
    place = 1
    wanted, parts = [], []
    for piece in ("an", "unbelievable", "zebra", ",", "unknowable"):
        count = len(tokenizer.encode(piece))
        parts.append(count)
        if piece != ",":
            wanted.append(F.normalize(outputs[place : place + count].mean(0), dim=0).numpy())
        place += count
    assert max(parts) > 1  # a word of several tokens is among them
    torch.testing.assert_close(outputs[place], whole, atol=1e-5, rtol=1e-4)  # the end token's output is the text's own
    found = tower.encode_tokens([text])[0]
    assert [text[a:b] for a, b in found.spans] == ["an", "unbelievable", "zebra", "unknowable"]
    np.testing.assert_allclose(found.vectors, np.stack(wanted), atol=1e-5)


def test_words_keep_their_places_whatever_the_text(tower: Tower) -> None:
    texts = ["  A dog\u2019s life , don't\tcare! 'tis so &amp; so_on caf\u00e9 3x", "", "?!", "word " * 60]
    found = tower.encode_tokens(texts)
    words = [[text[a:b] for a, b in one.spans] for text, one in zip(texts, found)]
    assert words[0][:5] == ["A", "dog\u2019s", "life", "don't", "care"] and words[0][-2:] == ["caf\u00e9", "3x"]
    assert words[1] == words[2] == [] and found[1].vectors.shape == (0, DIM)
    assert words[3] == ["word"] * (LENGTH - 2)  # start and end take two places; the rest is cut
    for one in found:
        assert len(one.vectors) == len(one.spans)
        np.testing.assert_allclose(np.linalg.norm(one.vectors, axis=1), 1, atol=1e-5)
    alone = tower.encode_tokens([texts[0]])[0]
    np.testing.assert_allclose(alone.vectors, found[0].vectors, atol=1e-5)  # neighbours in a batch change nothing


@pytest.mark.parametrize(
    "shape, kind", [((2, SIZE, SIZE + 1, 3), np.uint8), ((2, SIZE, SIZE, 3), np.float32), ((SIZE, SIZE, 3), np.uint8)]
)
def test_other_pixels_are_a_callers_mistake(tower: Tower, shape: tuple[int, ...], kind: type) -> None:
    with pytest.raises(ValueError, match="frames must be uint8"):
        tower.encode_frames(np.zeros(shape, kind))


def test_what_cannot_be_loaded_is_said_in_one_sentence(folder: Path) -> None:
    name = make(folder)
    text = folder / "w.pt"
    text.write_bytes(b"not tensors")
    broken = folder / "broken.safetensors"
    broken.write_bytes(b"\xff" * 64)
    other = folder / "other.safetensors"
    save_file({"somebody.else": torch.zeros(3)}, str(other))
    for wrong, said in (
        ("NoSuchArch/openai", "no published CLIP"),
        ("nonsense", "no published CLIP"),
        ("ViT-B-16/nobody", "did you mean ViT-B-16/"),
        (f"{ARCH}@{folder / 'gone.safetensors'}", "there is no file"),
        (f"{ARCH}@{text}", "pickled file.*explorer convert"),
        (f"{ARCH}@{broken}", "not a safetensors file"),
        (f"{ARCH}@{other}", "does not hold the weights"),
        (f"RN50@{name.partition('@')[2]}", "does not hold the weights"),
    ):
        with pytest.raises(ExplorerError, match=said) as caught:
            load_tower(wrong, device="cpu")
        assert "\n" not in str(caught.value) and ";" in str(caught.value), caught.value


def test_weights_that_are_not_here_are_not_fetched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLORER_DATA_DIR", str(folder / "data"))
    with pytest.raises(ExplorerError, match="agree to the download"):
        load_tower("ViT-B-32/laion2b_s34b_b79k", device="cpu")
    assert find("ViT-B-32/laion2b_s34b_b79k", folder) is None


def test_the_size_is_counted_without_weights(folder: Path) -> None:
    name = make(folder)
    stored = sum(value.numel() for value in load_file(name.partition("@")[2]).values())
    assert parameters(name) == stored > 0
    # as open_clip's table of models says: 151,277,313 parameters
    assert parameters("ViT-B-32/laion2b_s34b_b79k") == 151_277_313 and size_mb("ViT-B-32/laion2b_s34b_b79k") == 605


def test_the_weights_tag_says_activation_and_pixels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI's weights want QuickGELU, SigLIP's other means and a squash: open_clip keeps that beside the tag, not in the file."""
    name = make(folder)
    other = load_tower(name, device="cpu")
    cache = folder / "models--some--tiny" / "snapshots" / "0"
    cache.mkdir(parents=True)
    shutil.copy(name.partition("@")[2], cache / "open_clip_model.safetensors")
    table = {
        "here": {
            "hf_hub": "some/tiny/",
            "quick_gelu": True,
            "mean": (0.5,) * 3,
            "std": (0.25,) * 3,
            "resize_mode": "squash",
        }
    }
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, ARCH, table)
    tower = clip.load(f"{ARCH}/here", device=torch.device("cpu"), folder=folder)
    assert tower.name == f"{ARCH}/here" and tower.frame_size.fit == "squash" and other.frame_size.fit == "crop"
    white = np.full((1, SIZE, SIZE, 3), 255, np.uint8)
    torch.testing.assert_close(tower.preprocess(white), torch.full((1, 3, SIZE, SIZE), 2.0))  # (1 - 0.5) / 0.25
    kinds = [type(one.model.visual.transformer.resblocks[0].mlp.gelu).__name__ for one in (tower, other)]
    assert kinds == ["QuickGELU", "GELU"]


def test_trained_tensors_make_another_tower_of_another_name(folder: Path) -> None:
    name = make(folder)
    base = load_tower(name, device="cpu")
    tensors = {"visual.proj": -base.model.visual.proj.half(), "ln_final.bias": (base.model.ln_final.bias + 0.5).half()}
    trained = trained_name(name, tensors)
    assert trained == f"{name}#{digest_of(tensors)}" and trained_name(trained, tensors) == trained
    tower = load_tower(trained, device="cpu", weights=tensors)
    assert tower.name == trained != base.name
    torch.testing.assert_close(tower.model.visual.proj.detach(), tensors["visual.proj"].float())
    assert not np.allclose(tower.encode_frames(pictures(2)), base.encode_frames(pictures(2)), atol=1e-2)
    assert not np.allclose(tower.encode_texts(["a dog"]), base.encode_texts(["a dog"]), atol=1e-3)


def test_trained_tensors_of_another_training_are_refused(folder: Path) -> None:
    name = make(folder)
    tensors = {"visual.proj": torch.zeros(64, DIM).half()}
    trained = trained_name(name, tensors)
    with pytest.raises(ExplorerError, match="are missing"):
        load_tower(trained, device="cpu")
    with pytest.raises(ExplorerError, match="not those of"):
        load_tower(trained, device="cpu", weights={"visual.proj": torch.ones(64, DIM).half()})
    with pytest.raises(ExplorerError, match="not those of"):
        load_tower(name, device="cpu", weights=tensors)
    misfit = {"visual.nothing": torch.zeros(2).half()}
    with pytest.raises(ExplorerError, match="does not fit the tower"):
        load_tower(trained_name(name, misfit), device="cpu", weights=misfit)
