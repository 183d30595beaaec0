"""Keeps a training run on disk, so that after a kill it goes on exactly where it stood: safetensors and JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from explorer.disk.atomic import write_bytes
from explorer.records import ExplorerError

KEPT = 2  # saved states; the older one is for a newest that does not verify


@dataclass
class Position:
    """Where a run stands: the next batch to do, and the best validation so far."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: float = float("-inf")
    metrics: dict[str, Any] = field(default_factory=dict)


def capture(
    weights: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, best: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Every tensor a run needs to go on bit by bit: weights that learn, optimiser, best weights, random state."""
    tensors = {f"model.{name}": value for name, value in weights.items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": torch.as_tensor(value) for name, value in values.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}


def restore(
    tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Put captured optimiser and random state back; returns the weights, and the best ones (empty before the first
    validation)."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _under(tensors, "optimizer.").items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
    return _under(tensors, "model."), _under(tensors, "best.")


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def folder_of(root: Path, run: Mapping[str, Any]) -> Path:
    """The folder of one run alone: the same run asked for again finds its states there."""
    return root / _digest(dict(run))[:16]


def save_state(folder: Path, tensors: dict[str, Tensor], *, position: Position, run: dict[str, Any]) -> None:
    """Write one state; its manifest comes last, so a kill leaves the older state or the new one, never half of one.

    Args:
        folder: of this run alone.
        tensors: from `capture`.
        position: where the run stands.
        run: what makes the run this run (config, data key); a resume under another is refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = save_tensors(tensors)
    name = f"state-{position.step:08d}"
    body = {"position": vars(position), "run": run, "sha256": hashlib.sha256(data).hexdigest()}
    write_bytes(folder / f"{name}.safetensors", data)
    write_bytes(folder / f"{name}.json", json.dumps({**body, "body": _digest(body)}).encode())
    for old in sorted(folder.glob("state-*.json"))[:-KEPT]:
        old.unlink()
        old.with_suffix(".safetensors").unlink(missing_ok=True)


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def load_state(folder: Path, *, run: dict[str, Any]) -> tuple[dict[str, Tensor], Position] | None:
    """The newest state that verifies, or None where there is none.

    Raises:
        ExplorerError: states exist and none verifies, or the newest belongs to a run with other settings or data.
    """
    manifests = sorted(folder.glob("state-*.json"), reverse=True)
    for manifest in manifests:
        body = _verify_state(manifest)
        if body is None:
            continue
        if body["run"] != json.loads(json.dumps(run)):
            raise ExplorerError(
                f"{folder} holds a training run with other settings or data; give the same ones to go "
                "on, or another folder to start anew"
            )
        return load_tensors(manifest.with_suffix(".safetensors").read_bytes()), Position(**body["position"])
    if manifests:
        raise ExplorerError(f"no saved state in {folder} is whole; remove the folder to start the training anew")
    return None


def _verify_state(manifest: Path) -> dict[str, Any] | None:
    try:
        body = json.loads(manifest.read_bytes())
        claimed = body.pop("body")
        weights = manifest.with_suffix(".safetensors").read_bytes()
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    whole = claimed == _digest(body) and hashlib.sha256(weights).hexdigest() == body.get("sha256")
    return body if whole else None
