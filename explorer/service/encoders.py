"""Checkpoints by name, and the encoders made of them: loaded when asked for, at most two in memory."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.config import SHIPPED_CHECKPOINTS, Settings
from explorer.records import ExplorerError
from explorer.service.adding import OWN, TOWERS

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.model.encoder import Encoder
    from explorer.model.towers.tower import Tower

TOWER_FILE = "tower.safetensors"
ENGINES = "engines"  # folder of the data folder for image towers converted for this processor


class Encoders:
    """Checkpoints by name, shipped and a person's own, and at most two encoders in memory.

    Args:
        settings: the data folder and the device.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._loaded: dict[str, Encoder] = {}
        self._lock, self._loading = threading.Lock(), threading.RLock()

    def folders(self) -> tuple[Path, Path]:
        """Where checkpoints are looked for: shipped, own."""
        return SHIPPED_CHECKPOINTS, self.settings.data_dir / OWN

    def descriptions(self) -> list[dict[str, object]]:
        """What model.json says of every checkpoint, a broken one with "error" (model.checkpoint.describe)."""
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
        known = ", ".join(str(description["name"]) for description in self.descriptions()) or "none"
        raise ExplorerError(f"there is no checkpoint {name!r}; choose one of: {known}")

    def encoder(self, name: str) -> Encoder:
        """The encoder of a checkpoint, loaded once.

        Raises:
            ExplorerError: unknown, damaged, or its tower is not on this machine.
        """
        known = self._use(name)
        if known is None:
            with self._loading:  # searches with a model in memory go on meanwhile
                known = self._use(name) or self._take_in(name, self.load(self.folder(name)))
        return known

    def _use(self, name: str) -> Encoder | None:
        """An encoder in memory, which becomes the one used last."""
        with self._lock:
            known = self._loaded.pop(name, None)
            if known is not None:
                self._loaded[name] = known
            return known

    def _take_in(self, name: str, encoder: Encoder) -> Encoder:
        """Keep an encoder, and beside it the one used last."""
        with self._lock:
            self._loaded = {**dict(list(self._loaded.items())[-1:]), name: encoder}
            return encoder

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

    def _shared_tower(self, name: str) -> Tower | None:
        """The tower of a loaded encoder, where it is the same one: two models beside each other share its memory."""
        return next((encoder.tower for encoder in list(self._loaded.values()) if encoder.tower.name == name), None)
