"""The models on this machine: which there are, which one is current, and the encoders made of them, loaded when asked
for."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.config import SHIPPED_CHECKPOINTS, Settings
from explorer.records import ExplorerError, Progress
from explorer.service.adding import OWN, TOWERS, add_tower

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.model.encoder import Encoder

log = logging.getLogger(__name__)

TOWER_FILE = "tower.safetensors"
ENGINES = "engines"  # folder of the data folder for image towers converted for this processor


class Shelf:
    """Checkpoints by name, shipped and a person's own, and at most two encoders in memory.

    Args:
        settings: the data folder and the device.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._loaded: dict[str, Encoder] = {}
        self._lock = threading.RLock()

    def folders(self) -> tuple[Path, Path]:
        """Where checkpoints are looked for: shipped, own."""
        return SHIPPED_CHECKPOINTS, self.settings.data_dir / OWN

    def models(self) -> list[dict[str, Any]]:
        """describe() of every checkpoint, a broken one with "error"."""
        from explorer.model.checkpoint import list_checkpoints

        return list_checkpoints(*self.folders())

    def folder(self, name: str) -> Path:
        """The folder of a checkpoint; own ones go before shipped ones of the same name.

        Raises:
            ExplorerError: there is none of that name.
        """
        if Path(name).name == name and name not in ("", ".", ".."):
            for parent in reversed(self.folders()):
                if (parent / name / "model.json").is_file():
                    return parent / name
        known = ", ".join(one["name"] for one in self.models()) or "none"
        raise ExplorerError(f"there is no checkpoint {name!r}; choose one of: {known}")

    def encoder(self, name: str) -> Encoder:
        """The encoder of a checkpoint, loaded once.

        Raises:
            ExplorerError: unknown, damaged, or its tower is not on this machine.
        """
        with self._lock:
            if name not in self._loaded:
                encoder = self.load(self.folder(name))
                self._loaded = dict([*self._loaded.items()][-1:])  # the newest other one stays
                self._loaded[name] = encoder
            return self._loaded[name]

    def loaded(self, name: str) -> Encoder | None:
        """The encoder of a checkpoint where it is in memory."""
        return self._loaded.get(name)

    def forget(self, name: str) -> None:
        """Load a checkpoint anew at its next use: its files have changed."""
        with self._lock:
            self._loaded.pop(name, None)

    def load(self, folder: Path) -> Encoder:
        """An encoder from a checkpoint folder: its tower with what it trained of it, its model."""
        from explorer.model.checkpoint import describe, load
        from explorer.model.encoder import Encoder
        from explorer.model.towers.load import load_tower

        about = describe(folder)
        tower = self._shared_tower(about["tower"]) or load_tower(
            about["tower"],
            device=self.settings.device,
            weights=self.tower_tensors(folder),
            late_images=True,
            engines=self.settings.data_dir / ENGINES,
            folder=self.settings.data_dir / TOWERS,
        )
        return Encoder(tower, load(folder, width=tower.dim), name=about["id"])

    def tower_tensors(self, folder: Path) -> dict[str, Tensor]:
        """What a checkpoint trained of its tower, or the checkpoint whose tower it shares; {} where nothing was.

        Raises:
            ExplorerError: damaged, or the checkpoint that holds them is gone.
        """
        from explorer.model.checkpoint import describe, load_tensors

        about = describe(folder)
        if TOWER_FILE not in about["files"] and about.get("tower_of"):
            folder = self.folder(about["tower_of"])
            about = describe(folder)
        return load_tensors(folder, TOWER_FILE) if TOWER_FILE in about["files"] else {}

    def _shared_tower(self, name: str) -> Any:
        """The tower of a loaded encoder, where it is the same one: two models beside each other share its memory."""
        return next((encoder.tower for encoder in self._loaded.values() if encoder.tower.name == name), None)

    def add_tower(self, name: str) -> Iterator[Progress]:
        """Bring a tower the person agreed to, with a checkpoint of its own; see adding.add_tower."""
        yield from add_tower(name, self.settings)

    def remove(self, name: str) -> None:
        """Delete a checkpoint the person made.

        Raises:
            ExplorerError: it is a shipped one, or another one stands on its tower.
        """
        folder = self.folder(name)
        if folder.parent == SHIPPED_CHECKPOINTS:
            raise ExplorerError(f"{name} came with the app and stays; choose one of your own")
        above = [one["name"] for one in self.models() if one.get("tower_of") == name]
        if above:
            raise ExplorerError(f"{above[0]} uses the tower that {name} holds; remove {above[0]} first")
        self.forget(name)
        shutil.rmtree(folder)
