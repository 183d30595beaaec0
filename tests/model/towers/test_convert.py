"""A pickled file is turned into safetensors without a line of it being run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from explorer.model.towers.convert import convert
from explorer.records import ExplorerError


def test_the_tensors_of_a_training_checkpoint_are_kept(tmp_path: Path) -> None:
    wanted = {"visual.proj": torch.arange(6.0).reshape(2, 3), "text.bias": torch.ones(2).half()}
    state = {f"module.{name}": value for name, value in wanted.items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "w.pt")
    assert convert(tmp_path / "w.pt", tmp_path / "w.safetensors") == 2
    found = load_file(tmp_path / "w.safetensors")
    assert found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)
    with pytest.raises(ExplorerError, match="is there already"):
        convert(tmp_path / "w.pt", tmp_path / "w.safetensors")


class Bomb:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (self.path, 0o777)


@pytest.mark.parametrize("kind", ["bomb", "rubbish", "empty"])
def test_a_file_that_would_run_code_or_holds_no_tensor_is_refused(tmp_path: Path, kind: str) -> None:
    path, trace = tmp_path / "w.bin", tmp_path / "it ran"
    if kind == "bomb":
        torch.save({"a": Bomb(str(trace))}, path)
    elif kind == "empty":
        torch.save({"epoch": 3}, path)
    else:
        path.write_bytes(b"rubbish" * 100)
    with pytest.raises(ExplorerError, match="without running code") as caught:
        convert(path, tmp_path / "w.safetensors")
    assert not trace.exists() and not (tmp_path / "w.safetensors").exists() and "\n" not in str(caught.value)


def test_only_pickled_files_are_converted(tmp_path: Path) -> None:
    with pytest.raises(ExplorerError, match="check the path"):
        convert(tmp_path / "gone.pt", tmp_path / "w.safetensors")
