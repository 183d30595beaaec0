"""What this installation is made of, line by line: versions, decoder, device, model, paths."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

from explorer import __version__
from explorer.config import SHIPPED_CHECKPOINTS, Settings
from explorer.records import ExplorerError

PACKAGES = (
    "gradio",
    "torch",
    "torchvision",
    "open_clip_torch",
    "timm",
    "openvino",
    "transformers",
    "faiss-cpu",
    "av",
    "decord",
    "spacy",
    "plotly",
    "numpy",
)
OPTIONAL = {"decord", "openvino"}
ROOM = 1 << 30  # bytes free below which the data folder is said to be short of space


def examine(settings: Settings, checkpoint: str, device: str = "") -> list[dict[str, Any]]:
    """Name, value and whether it is fine, for the page and the command line.

    Args:
        settings: what the app runs with.
        checkpoint: the current one's name.
        device: what runs the model where it is loaded; else it is looked for now.
    """
    lines = [
        _line("HCMI Explorer", __version__),
        _line(
            "Python",
            f"{platform.python_version()}, {platform.system()} {platform.machine()}",
            sys.version_info >= (3, 10),
        ),
        _line("SQLite", sqlite3.sqlite_version),
    ]
    lines += [_package(name) for name in PACKAGES]
    lines += [
        _decoder(settings.decoder),
        _device(settings, device),
        _model(settings, checkpoint),
        _space(settings.data_dir),
        _line("data folder", str(settings.data_dir)),
        _line("address", "127.0.0.1 only; nothing leaves this machine"),
    ]
    return lines


def _line(name: str, value: str, ok: bool = True) -> dict[str, Any]:
    return {"name": name, "value": value, "ok": ok}


def _package(name: str) -> dict[str, Any]:
    try:
        return _line(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return _line(name, "not installed", name in OPTIONAL)


def _decoder(name: str) -> dict[str, Any]:
    try:
        import av

        versions = ".".join(map(str, av.library_versions["libavcodec"]))
    except (ImportError, KeyError) as error:
        return _line("decoder", f"PyAV cannot be used: {error}; run pip install -r requirements.txt", False)
    return _line("decoder", f"{name}; PyAV {av.__version__} with libavcodec {versions}")


def _device(settings: Settings, device: str) -> dict[str, Any]:
    if device:
        return _line("device", device)
    try:
        from explorer.model.device import describe, pick_device

        return _line("device", describe(pick_device(settings.device)))
    except (ExplorerError, ImportError, RuntimeError) as error:
        return _line("device", str(error), False)


def _model(settings: Settings, checkpoint: str) -> dict[str, Any]:
    from explorer.model.tensor_files import verify
    from explorer.service.models import Shelf

    try:
        folder = Shelf(settings).folder(checkpoint)
        about = verify(folder)
    except ExplorerError as error:
        return _line("model", str(error), False)
    where = "shipped" if folder.is_relative_to(SHIPPED_CHECKPOINTS) else folder
    return _line("model", f"{checkpoint} on tower {about['tower']}, verified ({where})")


def _space(folder: Path) -> dict[str, Any]:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return _line("free space", f"{free / 1e9:.1f} GB", free >= ROOM)
