"""Checkpoints: a round trip, every flipped bit noticed, kills and damage refused with a sentence, the best kept."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as to_bytes

from explorer.config import ModelConfig
from explorer.disk import atomic
from explorer.model import checkpoint
from explorer.model import tensor_files as files
from explorer.model.checkpoint import describe, list_checkpoints, load, load_tensors, prune, save, verify
from explorer.model.hcmi import HCMI
from explorer.records import ExplorerError

META = {"tower": "starter", "data": "drawn", "seed": 3, "metrics": {"R@1": 51.5, "note": "Übung 1e5"}}
SMALL = ModelConfig(dim=8, heads=2, adapter=2)


def trained(config: ModelConfig = SMALL, *, seed: int = 0) -> HCMI:
    torch.manual_seed(seed)
    model = HCMI(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


def rewrite(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Put other weights in a checkpoint with a manifest that is right for them, as a foreign program would."""
    manifest = files.read_manifest(folder)
    body = {key: value for key, value in manifest.items() if key not in ("sha256", "files")}
    data = to_bytes(tensors)
    entry = {"file": "weights.safetensors", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / "weights.safetensors").write_bytes(data)
    write_manifest(folder, {**body, "files": {"weights.safetensors": entry}})


def write_manifest(folder: Path, manifest: dict[str, object]) -> None:
    """A manifest whose own digest is right."""
    text = json.dumps({**manifest, "sha256": files.BLANK})
    digest = hashlib.sha256(text.encode()).hexdigest()
    (folder / "model.json").write_text(text.replace(files.BLANK, digest, 1))


def test_round_trip(tmp_path: Path) -> None:
    model = trained()
    description = save(tmp_path / "first", model, META)
    assert sorted(p.name for p in (tmp_path / "first").iterdir()) == ["model.json", "weights.safetensors"]
    again = load(tmp_path / "first", width=8)
    assert again.config == SMALL and not again.training
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
    assert {key: description[key] for key in META} == META and description["name"] == "first"
    assert description == describe(tmp_path / "first") and description["bytes"] > 0 and verify(tmp_path / "first")


def test_loading_leaves_the_random_state_alone(tmp_path: Path) -> None:
    save(tmp_path / "a", trained(), META)
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    load(tmp_path / "a")
    assert torch.equal(torch.rand(3), expected)


def test_half_precision_and_more_files(tmp_path: Path) -> None:
    model, heads = trained(), {"visual.proj": torch.randn(8, 4), "steps": torch.tensor([3])}
    full = save(tmp_path / "full", model, META, files={"tower.safetensors": heads})
    half = save(tmp_path / "half", model, META, files={"tower.safetensors": heads}, half=True)
    assert half["bytes"] < full["bytes"]
    weight = load(tmp_path / "half").state_dict()["adapters.video.layers.1.weight"]
    assert weight.dtype == torch.float32
    assert torch.equal(weight, model.state_dict()["adapters.video.layers.1.weight"].half().float())
    assert torch.equal(load_tensors(tmp_path / "full", "tower.safetensors")["visual.proj"], heads["visual.proj"])
    assert load_tensors(tmp_path / "half", "tower.safetensors")["steps"].tolist() == [3]
    with pytest.raises(ExplorerError, match=r"holds no other\.safetensors"):
        load_tensors(tmp_path / "full", "other.safetensors")


def test_the_id_names_the_weights(tmp_path: Path) -> None:
    first = save(tmp_path / "a", trained(), META)["id"]
    assert first.startswith("a-") and first == save(tmp_path / "a", trained(), {**META, "metrics": {}})["id"]
    assert first != save(tmp_path / "a", trained(seed=1), META)["id"]
    assert first != save(tmp_path / "a", trained(), {**META, "tower": "ViT-B-16/openai"})["id"]


def test_200_flipped_bits_are_all_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    save(folder, trained(), META)
    generator, missed = random.Random(0), []
    for _ in range(200):
        path = folder / generator.choice(["model.json", "weights.safetensors"])
        sound = path.read_bytes()
        damaged, bit = bytearray(sound), generator.randrange(8 * len(sound))
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            load(folder)
            missed.append((path.name, bit))
        except ExplorerError as error:
            assert str(path) in str(error)
        path.write_bytes(sound)
    assert not missed
    assert load(folder)


def test_every_bit_of_the_manifest_counts(tmp_path: Path) -> None:
    """All of them, not a sample: letters' case, white space and numbers' spelling parse alike but are not the same."""
    save(tmp_path / "a", HCMI(ModelConfig()), META)
    sound = (tmp_path / "a" / "model.json").read_bytes()
    assert files.parse_manifest(sound) is not None
    for bit in range(8 * len(sound)):
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << bit % 8
        assert files.parse_manifest(bytes(damaged)) is None, bit


@pytest.mark.parametrize("cut", [0, 1, 100])
@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_truncated_missing_and_longer_files_are_refused(tmp_path: Path, name: str, cut: int) -> None:
    save(tmp_path / "a", trained(), META)
    path = tmp_path / "a" / name
    sound = path.read_bytes()
    for data in (sound[:cut], sound + b"x"):
        path.write_bytes(data)
        with pytest.raises(ExplorerError, match=name):
            load(tmp_path / "a")
    path.unlink()
    with pytest.raises(ExplorerError, match="cannot read"):
        load(tmp_path / "a")


@pytest.mark.parametrize("text", ["[]", "{}", '{"sha256": 3}', '{"sha256": ["0"], "files": 1}', "null", "[" * 100000])
def test_foreign_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ExplorerError, match="damaged or was changed"):
        describe(tmp_path)


@pytest.mark.parametrize(("value", "word"), [(float("nan"), "NaN"), (float("inf"), "infinite values")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float, word: str) -> None:
    model = trained()
    save(tmp_path / "a", model, META)
    tensors = {**model.state_dict(), "logit_scale": torch.tensor(value)}
    rewrite(tmp_path / "a", tensors)
    with pytest.raises(ExplorerError, match=f"weights of a/weights.safetensors hold {word} in logit_scale"):
        load(tmp_path / "a")
    model.logit_scale.data.fill_(value)
    with pytest.raises(ExplorerError, match=f"hold {word}"):
        save(tmp_path / "b", model, META)
    assert not (tmp_path / "b").exists()


def test_values_too_large_for_half_precision_are_refused(tmp_path: Path) -> None:
    model = trained()
    model.logit_scale.data.fill_(1e6)
    with pytest.raises(ExplorerError, match="infinite values"):
        save(tmp_path / "a", model, META, half=True)


def test_another_width_and_foreign_weights_are_refused(tmp_path: Path) -> None:
    model = trained()
    save(tmp_path / "a", model, META)
    with pytest.raises(ExplorerError, match="vectors of width 8, the tower gives 512; choose the tower starter"):
        load(tmp_path / "a", width=512)
    state = dict(model.state_dict())
    rewrite(tmp_path / "a", {"extra": torch.zeros(1), **{k: v for k, v in state.items() if k != "logit_scale"}})
    with pytest.raises(ExplorerError, match=r"1 missing \(logit_scale\); 1 unexpected \(extra\)"):
        load(tmp_path / "a")
    rewrite(tmp_path / "a", trained(ModelConfig(dim=16, heads=2, adapter=2)).state_dict())
    with pytest.raises(ExplorerError, match=r"30 of another shape \(adapters\.clip.*\(16,\) where the config asks"):
        load(tmp_path / "a")


def test_a_config_of_a_later_version_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a", trained(), META)
    wrong = (({"dim": 8, "novel": 1}, "unknown setting novel"), ({"dim": "8"}, "dim must be int"), (None, "config"))
    for config, word in wrong:
        manifest = files.read_manifest(tmp_path / "a")
        write_manifest(tmp_path / "a", {**manifest, "config": config})
        with pytest.raises(ExplorerError, match=word):
            load(tmp_path / "a")


def test_meta_must_name_the_tower_and_be_json(tmp_path: Path) -> None:
    for meta in ({}, {"tower": "starter", "metrics": {"R@1": float("nan")}}, {"tower": "starter", "sha256": "x"}):
        with pytest.raises(ValueError):
            save(tmp_path / "a", trained(), meta)
    assert not list_checkpoints(tmp_path)


def test_replacing_keeps_the_old_until_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fails at every write in turn: the folder always loads, as the old model or as the new one."""
    old, new = trained(seed=1), trained(seed=2)
    save(tmp_path / "a", old, META)
    real, calls = atomic.os.replace, []

    def failing(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == failing_call:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(atomic.os, "replace", failing)
    for failing_call in (1, 2):
        calls.clear()
        with pytest.raises(ExplorerError, match="No space left"):
            save(tmp_path / "a", new, META)
        assert torch.equal(load(tmp_path / "a").logit_scale, old.logit_scale)
        assert not list((tmp_path / "a").glob(".*.tmp"))
    failing_call = 0
    save(tmp_path / "a", new, META)
    assert torch.equal(load(tmp_path / "a").logit_scale, new.logit_scale)
    assert len(list((tmp_path / "a").iterdir())) == 2  # nothing stale is left behind


KILLED = """
import sys, os, torch
from pathlib import Path
from explorer.config import ModelConfig
from explorer.disk import atomic
from explorer.model import tensor_files as files
from explorer.model.checkpoint import save
from explorer.model.hcmi import HCMI
real, count = atomic.os.replace, 0
def replace(source, target):
    global count
    count += 1
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), 9)
    real(source, target)
model = HCMI(ModelConfig(dim=8, heads=2, adapter=2))
model.logit_scale.data.fill_(1.0)
save(Path(sys.argv[1]), model, {"tower": "starter"})
atomic.os.replace = replace
model.logit_scale.data.fill_(2.0)
save(Path(sys.argv[1]), model, {"tower": "starter"})
"""


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")
def test_a_kill_before_the_manifest_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a"), "2"], capture_output=True, timeout=120)
    assert done.returncode == -9, done.stderr
    assert load(tmp_path / "a").logit_scale.item() == 1.0
    save(tmp_path / "a", trained(), META)
    assert len(list((tmp_path / "a").iterdir())) == 2  # what the kill left is gone


def test_list_shows_sound_and_broken(tmp_path: Path) -> None:
    for name in ("b", "a"):
        save(tmp_path / "one" / name, trained(), META)
    save(tmp_path / "two" / "c", trained(), META)
    (tmp_path / "one" / "b" / "model.json").write_text("{")
    (tmp_path / "one" / "empty").mkdir()
    found = list_checkpoints(tmp_path / "one", tmp_path / "two", tmp_path / "none")
    assert [item["name"] for item in found] == ["a", "b", "c"]
    assert ["error" in item for item in found] == [False, True, False]


def test_a_clip_that_was_added_stays_however_many_fine_tunes_come_after_it(tmp_path: Path) -> None:
    save(tmp_path / "clip", trained(), {"tower": "ViT-B-32/openai"})
    for number in range(3):
        save(tmp_path / f"tuned-{number}", trained(), {"tower": "ViT-B-32/openai", "base": "clip"})
    removed = prune(tmp_path, keep=1, among=lambda item: bool(item.get("base")))
    assert sorted(path.name for path in removed) == ["tuned-0", "tuned-1"] and (tmp_path / "clip").is_dir()


def test_prune_keeps_the_newest_two_and_the_best(tmp_path: Path) -> None:
    for number, recall in enumerate((50.0, 61.0, 55.0, 61.0, 40.0, 30.0)):
        save(tmp_path / f"step-{number}", trained(), {"tower": "starter", "metrics": {"R@1": recall}})
    (tmp_path / "step-0" / "model.json").write_text("broken")
    removed = prune(tmp_path, keep=2, score=lambda item: item["metrics"]["R@1"])
    assert sorted(path.name for path in removed) == ["step-1", "step-2"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-0", "step-3", "step-4", "step-5"]
    assert prune(tmp_path, keep=2, score=lambda item: item["metrics"]["R@1"]) == []
    assert [path.name for path in prune(tmp_path, keep=1)] == ["step-4", "step-3"]
    with pytest.raises(ValueError, match="at least 1"):
        prune(tmp_path, keep=0)


def test_prune_keeps_the_tower_that_a_kept_model_stands_on(tmp_path: Path) -> None:
    for i, about in enumerate([{}, {}, {"tower_of": "step-0"}]):
        save(tmp_path / f"step-{i}", trained(), {"tower": "starter", **about})
    assert [path.name for path in prune(tmp_path, keep=1)] == ["step-1"]


def test_nothing_is_unpickled() -> None:
    for module in (checkpoint, files):
        source = Path(module.__file__ or "").read_text("utf-8")
        assert "torch.load" not in source and "pickle" not in source.replace("No pickle", "")
