"""Writes and reads a folder of tensors with a manifest: a kill leaves old or new, and any changed bit is noticed.

The manifest, model.json, holds the SHA-256 of every tensor file and of its own bytes; it is written last, in one step.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from explorer.disk.atomic import write_bytes
from explorer.records import ExplorerError

MANIFEST = "model.json"
WEIGHTS = "weights.safetensors"
MANIFEST_LIMIT = 1 << 20  # bytes; a manifest is a few kB
BLANK = "0" * 64  # stands for the manifest's own digest while it is taken


def write_folder(folder: Path, files: Mapping[str, Mapping[str, Tensor]], body: Mapping[str, Any]) -> dict[str, Any]:
    """Write tensor files and then their manifest; where the folder held a manifest, it counts until that last step.

    Args:
        folder: where they go.
        files: file name ending in .safetensors -> tensor name -> tensor.
        body: what else the manifest says, JSON values.

    Returns:
        The manifest as read_manifest gives it.

    Raises:
        ExplorerError: a tensor is not finite, or the disk refuses.
        ValueError: body is not JSON, or uses the names "sha256" or "files".
    """
    from safetensors.torch import save

    if {"sha256", "files"} & set(body):
        raise ValueError("a manifest makes its own 'sha256' and 'files'")
    for name, tensors in files.items():
        refuse_not_finite(tensors, f"{folder / name}")
    encoded = {
        name: save({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
        for name, tensors in files.items()
    }
    _make_folder(folder)
    entries = {name: _write_file(folder, name, data) for name, data in encoded.items()}
    text = json.dumps({"sha256": BLANK, "files": entries, **body}, indent=1, allow_nan=False) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    write_bytes(folder / MANIFEST, text.replace(BLANK, digest, 1).encode())
    _remove_strays(folder, {entry["file"] for entry in entries.values()})
    return read_manifest(folder)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExplorerError(f"cannot make {folder}: {error.strerror}; choose another folder") from error


def _write_file(folder: Path, name: str, data: bytes) -> dict[str, Any]:
    """Write one tensor file and describe it. A name in use is left alone, as the old manifest still points to it."""
    digest = hashlib.sha256(data).hexdigest()
    taken = (folder / name).exists()
    path = folder / (f"{Path(name).stem}-{digest[:12]}.safetensors" if taken else name)
    write_bytes(path, data)
    return {"file": path.name, "sha256": digest, "bytes": len(data)}


def _remove_strays(folder: Path, kept: set[str]) -> None:
    strays = [path for pattern in ("*.safetensors", ".*.tmp") for path in folder.glob(pattern) if path.name not in kept]
    for path in strays:
        with contextlib.suppress(OSError):
            path.unlink()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder, its own digest checked; the tensor files are not looked at.

    Raises:
        ExplorerError: none there, damaged, or changed since it was written.
    """
    path = folder / MANIFEST
    manifest = parse_manifest(_read(path, limit=MANIFEST_LIMIT))
    if manifest is None:
        raise ExplorerError(
            f"{path} is damaged or was changed by hand; restore {folder.name} from a copy or train it again"
        )
    return manifest


def parse_manifest(raw: bytes) -> dict[str, Any] | None:
    """The bytes of a manifest as a dict, or None where a bit of them is not as written (spelling and spaces count)."""
    try:
        manifest = json.loads(raw)
        digest = manifest["sha256"]
        blanked = raw.replace(f'"{digest}"'.encode(), f'"{BLANK}"'.encode(), 1)
        sound = hashlib.sha256(blanked).hexdigest() == digest and isinstance(manifest["files"], dict)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return manifest if sound else None


def read_tensors(folder: Path, name: str = WEIGHTS, *, manifest: Mapping[str, Any] | None = None) -> dict[str, Tensor]:
    """The tensors of one file of a folder, its digest checked on the very bytes that are used.

    Raises:
        ExplorerError: the manifest does not name it, it is missing, changed, or holds values that are not finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = _verify_file(folder, name, manifest or read_manifest(folder))
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:  # a manifest may vouch for bytes that never were tensors
        raise ExplorerError(
            f"{folder / name} holds no tensors ({error}); choose another checkpoint or train it again"
        ) from error
    refuse_not_finite(tensors, f"{folder.name}/{name}")
    return tensors


def verify(folder: Path) -> dict[str, Any]:
    """Check every byte of a folder against its manifest, which is returned.

    Raises:
        ExplorerError: the first thing that is wrong.
    """
    manifest = read_manifest(folder)
    for name in manifest["files"]:
        _verify_file(folder, name, manifest)
    return manifest


def _verify_file(folder: Path, name: str, manifest: Mapping[str, Any]) -> bytes:
    entry = manifest["files"].get(name)
    if entry is None:
        raise ExplorerError(f"{folder.name} holds no {name}; restore it from a copy or train it again")
    path = folder / Path(entry["file"]).name  # a manifest never leads out of its folder
    data = _read(path, limit=entry["bytes"])
    if len(data) != entry["bytes"] or hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise ExplorerError(
            f"{path} is damaged: its SHA-256 is not the one in {MANIFEST}; "
            f"restore {folder.name} from a copy or train it again"
        )
    return data


def _read(path: Path, *, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise ExplorerError(f"{path} is larger than the {limit} bytes it may have; restore it from a copy")
        return path.read_bytes()
    except OSError as error:
        raise ExplorerError(
            f"cannot read {path}: {error.strerror}; restore it from a copy or choose another checkpoint"
        ) from error


def refuse_not_finite(tensors: Mapping[str, Tensor], name: str) -> None:
    """ExplorerError where a floating tensor holds NaN or an infinity; the message names the tensor."""
    for key, tensor in tensors.items():
        if not tensor.is_floating_point() or _is_finite(tensor):
            continue
        what = "NaN" if bool(tensor.isnan().any()) else "infinite values"
        raise ExplorerError(f"weights of {name} hold {what} in {key}; choose another checkpoint or train it again")


def _is_finite(tensor: Tensor) -> bool:
    """A sum shows NaN and infinities at a tenth of the cost; only one that overflows needs the long look."""
    return bool(tensor.sum(dtype=torch.float64).isfinite()) or bool(tensor.isfinite().all())
