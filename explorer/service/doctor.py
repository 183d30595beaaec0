"""What this installation is made of, line by line: versions, decoder, device, model, paths."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sqlite3
import sys
from pathlib import Path

from explorer import __version__
from explorer.config import SHIPPED_CHECKPOINTS, Settings
from explorer.records import ExplorerError
from explorer.service.answers import Fact
from explorer.service.models import Models

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


def examine(settings: Settings, models: Models) -> tuple[Fact, ...]:
    """Name, value and whether it is fine, for the page and the command line.

    Args:
        settings: what the app runs with.
        models: the current one is verified; what runs it is looked for where it is not loaded.
    """
    python = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    return (
        Fact("HCMI Explorer", __version__),
        Fact("Python", python, sys.version_info >= (3, 10)),
        Fact("SQLite", sqlite3.sqlite_version),
        *(_package(name) for name in PACKAGES),
        _decoder(settings.decoder),
        _device(settings, models.device()),
        _model(models),
        _space(settings.data_dir),
        Fact("data folder", str(settings.data_dir)),
        Fact("address", "127.0.0.1 only; nothing leaves this machine"),
    )


def _package(name: str) -> Fact:
    try:
        return Fact(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Fact(name, "not installed", name in OPTIONAL)


def _decoder(name: str) -> Fact:
    try:
        import av

        versions = ".".join(map(str, av.library_versions["libavcodec"]))
    except (ImportError, KeyError) as error:
        return Fact("decoder", f"PyAV cannot be used: {error}; run pip install -r requirements.txt", False)
    return Fact("decoder", f"{name}; PyAV {av.__version__} with libavcodec {versions}")


def _device(settings: Settings, device: str) -> Fact:
    if device:
        return Fact("device", device)
    try:
        from explorer.model.device import describe, pick_device

        return Fact("device", describe(pick_device(settings.device)))
    except (ExplorerError, ImportError, RuntimeError) as error:
        return Fact("device", str(error), False)


def _model(models: Models) -> Fact:
    from explorer.model.tensor_files import verify

    try:
        folder = models.encoders.folder(models.current)
        about = verify(folder)
    except ExplorerError as error:
        return Fact("model", str(error), False)
    where = "shipped" if folder.is_relative_to(SHIPPED_CHECKPOINTS) else folder
    return Fact("model", f"{models.current} on tower {about['tower']}, verified ({where})")


def _space(folder: Path) -> Fact:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Fact("free space", f"{free / 1e9:.1f} GB", free >= ROOM)
