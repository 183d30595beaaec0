"""Saves, verifies, loads, lists and prunes models: a folder of weights.safetensors and model.json each. No pickle."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from explorer.config import ModelConfig, from_dict, to_dict
from explorer.model.tensor_files import MANIFEST, WEIGHTS, read_manifest, read_tensors, verify, write_folder
from explorer.records import ExplorerError

__all__ = ["build", "describe", "list_checkpoints", "load", "load_tensors", "prune", "save", "verify"]

log = logging.getLogger(__name__)


def save(
    folder: Path,
    model: nn.Module,
    meta: Mapping[str, Any],
    *,
    half: bool = False,
    files: Mapping[str, Mapping[str, Tensor]] | None = None,
) -> dict[str, Any]:
    """Save a model as a checkpoint folder, in one step that a kill cannot halve.

    Args:
        folder: made where missing; a checkpoint already there is replaced.
        model: HCMI or HGR, with its ModelConfig as `config`.
        meta: what model.json says beside the config: tower (a must), data, seed, metrics, ... JSON values.
        half: keep floats as fp16, half the size; load widens them again.
        files: more tensors under their own file names, such as a tower's heads: "tower.safetensors" -> tensors.

    Returns:
        As describe(folder).

    Raises:
        ExplorerError: a weight is not finite (in fp16, if half), or the disk refuses.
        ValueError: meta names no tower, is not JSON, or takes a reserved name.
    """
    if not meta.get("tower"):
        raise ValueError("a checkpoint must name its tower in meta['tower']")
    config = model.config
    if not isinstance(config, ModelConfig):
        raise ValueError("the model carries no ModelConfig under .config")
    stored = {WEIGHTS: model.state_dict(), **(files or {})}
    if half:
        stored = {name: _half(tensors) for name, tensors in stored.items()}
    body = {
        "name": folder.name,
        "created": datetime.now(timezone.utc).isoformat(timespec="microseconds"),
        **meta,
        "config": to_dict(config),
    }
    write_folder(folder, stored, body)
    return describe(folder)


def _half(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}


def describe(folder: Path) -> dict[str, Any]:
    """What model.json says, with "folder", "bytes" and "id", the text that names these very weights in the store.

    Quick: model.json is checked against its own digest, the weights are not read (verify does that).

    Raises:
        ExplorerError: no checkpoint there, or model.json is damaged.
    """
    manifest = read_manifest(folder)
    made_of = json.dumps(
        [
            manifest.get("config"),
            manifest.get("tower"),
            sorted((name, entry["sha256"]) for name, entry in manifest["files"].items()),
        ]
    )
    digest = hashlib.sha256(made_of.encode()).hexdigest()[:12]
    return {
        **manifest,
        "folder": str(folder),
        "bytes": sum(entry["bytes"] for entry in manifest["files"].values()),
        "id": f"{manifest.get('name', folder.name)}-{digest}",
    }


def build(config: ModelConfig) -> nn.Module:
    """An untrained model of the kind the config names."""
    if config.model == "hgr":
        from explorer.model.hgr import HGR

        return HGR(config)
    from explorer.model.hcmi import HCMI

    return HCMI(config)


def load(folder: Path, *, width: int | None = None, device: str | torch.device = "cpu") -> nn.Module:
    """The model of a checkpoint folder, in evaluation mode, every byte verified and every weight accounted for.

    Args:
        folder: of the checkpoint.
        width: the D of the tower it is meant for; None asks nothing.
        device: where its weights go.

    Raises:
        ExplorerError: damaged, NaN or infinite weights, weights that do not fit the config, or another width.
    """
    manifest = read_manifest(folder)
    config = _config(folder, manifest)
    if width is not None and width != config.dim:
        raise ExplorerError(
            f"checkpoint {folder.name} was made for vectors of width {config.dim}, the tower gives "
            f"{width}; choose the tower {manifest.get('tower')} or another checkpoint"
        )
    weights = read_tensors(folder, manifest=manifest)
    with torch.device("meta"):  # shapes alone: a config that lies costs no memory
        _check_fit(folder.name, weights, build(config).state_dict())
    with torch.random.fork_rng(devices=[]):  # building draws numbers; a load must not move the caller's seed
        model = build(config)
    model.load_state_dict(weights)
    return model.to(device).eval()


def load_tensors(folder: Path, name: str) -> dict[str, Tensor]:
    """Another tensor file of a checkpoint, such as "tower.safetensors", verified and finite.

    Raises:
        ExplorerError: as load, or no such file in the checkpoint.
    """
    return read_tensors(folder, name)


def _config(folder: Path, manifest: Mapping[str, Any]) -> ModelConfig:
    try:
        return from_dict(ModelConfig, manifest["config"])
    except (ValueError, KeyError, TypeError) as error:
        raise ExplorerError(
            f"{folder / MANIFEST} holds a config this version cannot use ({error}); "
            "choose another checkpoint or train it again"
        ) from error


def _check_fit(name: str, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Every weight the config asks for, no other, each of its shape; the message counts and names them."""
    missing, unexpected = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    shapes = [
        f"{key} {tuple(found[key].shape)} where the config asks {tuple(wanted[key].shape)}"
        for key in sorted(set(wanted) & set(found))
        if found[key].shape != wanted[key].shape
    ]
    wrong = [
        f"{len(keys)} {kind} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for kind, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if keys
    ]
    if wrong:
        raise ExplorerError(f"weights of {name} do not fit its config: {'; '.join(wrong)}; choose another checkpoint")


def list_checkpoints(*parents: Path) -> list[dict[str, Any]]:
    """describe() of every checkpoint folder inside the given ones, by name; a broken one has "error" in its place."""
    folders = [path.parent for parent in parents for path in sorted(parent.glob(f"*/{MANIFEST}"))]
    return [_describe_folder(folder) for folder in folders if not folder.name.startswith(".")]


def _describe_folder(folder: Path) -> dict[str, Any]:
    try:
        return describe(folder)
    except ExplorerError as error:
        return {"name": folder.name, "folder": str(folder), "error": str(error)}


def prune(
    parent: Path,
    *,
    keep: int = 2,
    score: Callable[[dict[str, Any]], float] | None = None,
    among: Callable[[dict[str, Any]], bool] | None = None,
) -> list[Path]:
    """Remove all but the `keep` newest checkpoints of a folder, the best one and those whose towers these use;
    returns what went.

    Args:
        parent: the folder of checkpoint folders.
        keep: at least 1, counted by "created".
        score: description -> higher is better; None keeps no best one. Ties go to the newer.
        among: description -> whether it is counted and may go; None is all.

    A damaged checkpoint is neither counted nor removed: a person may still want to see it.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1, not {keep}")
    sound = [item for item in list_checkpoints(parent) if "error" not in item and (among is None or among(item))]
    ordered = sorted(sound, key=lambda item: (item["created"], item["name"]), reverse=True)  # newest first
    kept = {item["folder"] for item in ordered[:keep]}
    if score is not None and ordered:
        kept.add(max(ordered, key=score)["folder"])
    towers = {item.get("tower_of") for item in ordered if item["folder"] in kept}
    kept |= {item["folder"] for item in ordered if item["name"] in towers}
    removed = [Path(item["folder"]) for item in ordered if item["folder"] not in kept]
    for folder in removed:
        (folder / MANIFEST).unlink()  # first: without it the rest is no checkpoint
        shutil.rmtree(folder)
        log.info("removed checkpoint %s", folder.name)
    return removed
