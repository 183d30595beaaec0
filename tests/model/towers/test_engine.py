"""An image tower is run by the quickest engine that does what torch does, and by torch where there is none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from explorer.model.device import describe
from explorer.model.towers import engine
from explorer.model.towers.load import load_tower
from explorer.model.towers.tower import Tower
from tests.support.tiny_clip import SIZE, make

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make(tmp_path_factory.mktemp("towers"))


@pytest.fixture(scope="module")
def converted(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of engines with the tiny CLIP's conversion in it."""
    folder = tmp_path_factory.mktemp("kept") / "engines"
    assert load_tower(name, device="cpu", engines=folder).engine().name == "OpenVINO"
    return folder


@pytest.fixture
def kept(converted: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(converted, tmp_path / "engines"))


def frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def forbid(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record each conversion."""
    made, convert = [], engine.convert
    monkeypatch.setattr(engine, "convert", lambda *given: made.append("converted") or convert(*given))
    return made


def tower_in(folder: Path | None, name: str) -> Tower:
    return load_tower(name, device="cpu", engines=folder)


@pytest.mark.parametrize("count", [1, 3, 16, 37])
def test_it_gives_what_torch_gives(name: str, converted: Path, count: int) -> None:
    quick, slow = tower_in(converted, name), tower_in(None, name)
    assert (quick.engine().name, slow.engine().name) == ("OpenVINO", "torch")
    pixels = frames(count)
    assert np.abs(unit(quick.engine().encode(pixels)) - unit(slow.engine().encode(pixels))).max() < 1e-5
    assert quick.encode_frames(pixels).dtype == np.float16
    np.testing.assert_allclose(quick.encode_frames(pixels), slow.encode_frames(pixels), atol=1e-3)


def test_a_second_call_leaves_what_the_first_gave(name: str, converted: Path) -> None:
    run = tower_in(converted, name).engine().encode
    first = run(frames(20))
    copy = first.copy()
    run(frames(20, seed=1))
    np.testing.assert_array_equal(first, copy)


def test_a_kept_conversion_is_used_again(name: str, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = forbid(monkeypatch)
    assert tower_in(kept, name).engine().name == "OpenVINO"
    assert made == []


@pytest.mark.parametrize("file", [*engine.FILES, engine.MANIFEST])
def test_one_flipped_bit_is_noticed(name: str, kept: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = next(kept.iterdir()) / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    made = forbid(monkeypatch)
    pixels = frames(4)
    again = tower_in(kept, name)
    np.testing.assert_allclose(again.encode_frames(pixels), tower_in(None, name).encode_frames(pixels), atol=1e-3)
    assert made == ["converted"]
    assert tower_in(kept, name).engine().name == "OpenVINO" and made == ["converted"], "the mended one is kept"


def test_another_model_under_a_good_manifest_is_noticed(
    name: str, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    tower_in(other, make(tmp_path, seed=1)).engine()
    mine, theirs = next(kept.iterdir()), next(other.iterdir())
    assert mine.name != theirs.name
    shutil.rmtree(mine)
    shutil.copytree(theirs, mine)
    assert json.loads((mine / engine.MANIFEST).read_text())
    made = forbid(monkeypatch)
    pixels = frames(4)
    np.testing.assert_allclose(
        tower_in(kept, name).encode_frames(pixels), tower_in(None, name).encode_frames(pixels), atol=1e-3
    )
    assert made == ["converted"]


def test_old_conversions_go(name: str, kept: Path, tmp_path: Path) -> None:
    for seed in range(1, engine.KEPT + 2):
        tower_in(kept, make(tmp_path, seed=seed)).engine()
    assert len(list(kept.iterdir())) == engine.KEPT


def test_without_openvino_torch_encodes_and_says_why(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # as where it is not installed
    tower = tower_in(tmp_path / "engines", name)
    pixels = frames(5)
    np.testing.assert_array_equal(tower.encode_frames(pixels), tower_in(None, name).encode_frames(pixels))
    assert "OpenVINO is not installed, so torch encodes frames" in describe(tower.device, engine=tower.engine_name)


def test_a_conversion_that_does_something_else_is_not_used(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, convert = tower_in(None, make(tmp_path, seed=1)).model, engine.convert
    monkeypatch.setattr(engine, "convert", lambda model, size: convert(other, size))
    tower = tower_in(tmp_path / "engines", name)
    assert tower.engine().name == "torch" and "differs from torch" in tower.engine().note
    assert not (tmp_path / "engines").exists()


def test_a_full_disk_costs_the_kept_file_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / "engines").write_text("a file where a folder should be")
    assert tower_in(tmp_path / "engines", name).engine().name == "OpenVINO"


def test_halves_and_gpus_stay_with_torch(name: str, tmp_path: Path) -> None:
    tower = load_tower(name, device="cpu", dtype=torch.bfloat16, engines=tmp_path / "engines")
    assert tower.engine().name == "torch" and tower.encode_frames(frames(2)).shape[0] == 2


def test_what_takes_long_is_said_once(name: str, kept: Path) -> None:
    tower = tower_in(kept, name)
    assert tower.engine_name == "" and len(list(tower.make_ready())) == 1
    assert tower.engine_name == "OpenVINO" and list(tower.make_ready()) == []


PROGRAM = """
import sys
spoken = []
sys.addaudithook(lambda event, about: spoken.append(event) if event.startswith("socket.") else None)
from pathlib import Path
import numpy as np
from explorer.model.towers.load import load_tower
from tests.support.tiny_clip import register, SIZE
register(Path(sys.argv[2]))
tower = load_tower(sys.argv[1], device="cpu", engines=Path(sys.argv[2]) / "engines")
tower.encode_texts(["a dog"])
assert not any(name.split(".")[0] == "openvino" for name in sys.modules), "words need no engine"
tower.encode_frames(np.zeros((1, SIZE, SIZE, 3), np.uint8))
assert tower.engine_name == "OpenVINO", tower.engine_name
calls = [event for event in spoken if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto")]
assert not calls, calls
"""


def test_words_load_no_engine_and_a_conversion_tells_nobody(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, name, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
