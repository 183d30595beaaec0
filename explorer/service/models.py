"""The models a person can choose from: which there are, which one answers, how another one comes or goes."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from explorer.config import SHIPPED_CHECKPOINTS, ModelConfig, Settings, from_dict
from explorer.records import ExplorerError, Progress
from explorer.service import adding
from explorer.service.adding import Offer
from explorer.service.answers import ModelCard
from explorer.service.desk import Desk
from explorer.service.encoders import Encoders
from explorer.service.recalls import as_object, measured_sets
from explorer.service.requests import IndexRequest, Request, TowerRequest

if TYPE_CHECKING:
    from explorer.model.encoder import Encoder

log = logging.getLogger(__name__)


class Models:
    """The checkpoints of this machine, and the one that answers. Any thread may call any method.

    Args:
        settings: the data folder, the device, the checkpoint where none was chosen yet.
        desk: remembers the choice.
        start: puts a job in line; its number.
    """

    def __init__(self, settings: Settings, desk: Desk, start: Callable[[Request], int]) -> None:
        self.settings, self.desk, self._start = settings, desk, start
        self.encoders = Encoders(settings)
        self.current = desk.current() or settings.checkpoint  # name of the checkpoint that answers
        self.state, self.message = "loading", ""  # loading | ready | failed, and why it failed

    def list(self) -> tuple[ModelCard, ...]:
        """Every checkpoint, by folder and name; a broken one has an error."""
        return tuple(self._card(description) for description in self.encoders.descriptions())

    def _card(self, about: dict[str, object]) -> ModelCard:
        config, size = as_object(about.get("config")), about.get("bytes")
        digests = [str(as_object(entry).get("sha256", "")) for entry in as_object(about.get("files")).values()]
        name = str(about.get("name", "?"))
        return ModelCard(
            name,
            id=str(about.get("id", "")),
            folder=str(about.get("folder", "")),
            kind=str(config.get("model", "?")),
            tower=str(about.get("tower", "")),
            created=str(about.get("created", "")),
            size=size if isinstance(size, int) else 0,
            sha256=digests[0] if digests else "",
            own=not str(about.get("folder", "")).startswith(str(SHIPPED_CHECKPOINTS)),
            kept=about.get("kept") is not False,
            current=name == self.current,
            level_weights=from_dict(ModelConfig, dict(config)).level_weights if "level_weights" in config else None,
            measured=measured_sets(as_object(about.get("metrics"))),
            error=str(about.get("error", "")),
        )

    def encoder(self, name: str | None = None) -> Encoder:
        """The encoder of a checkpoint, loaded once; None is the current one.

        Raises:
            ExplorerError: it cannot be loaded.
        """
        encoder = self.encoders.encoder(name or self.current)
        if name in (None, self.current):
            self.state, self.message = "ready", ""
        return encoder

    def fail(self, error: Exception) -> None:
        """Let the page say in place of the model why it cannot be loaded."""
        log.debug("cannot load the model", exc_info=error)
        self.state, self.message = "failed", str(error) or type(error).__name__

    def device(self) -> str:
        """What runs the current model, once it is loaded; empty before."""
        encoder = self.encoders.loaded(self.current)
        if encoder is None:
            return ""
        from explorer.model.device import describe

        return describe(encoder.tower.device, engine=encoder.tower.engine_name)

    def choose(self, name: str) -> None:
        """Make a checkpoint current and remember it; the library is not embedded with it yet.

        Raises:
            ExplorerError: it cannot be loaded.
        """
        self.encoder(name)
        self.desk.set_current(name)
        self.current = name

    def use(self, name: str) -> int:
        """Make a checkpoint current, and embed the library with it from kept features; the job's number."""
        self.choose(name)
        return self._start(IndexRequest())

    def roll_back(self) -> int:
        """Go back to the checkpoint that was current before; the job's number."""
        return self.use(self.desk.previous() or self.settings.checkpoint)

    def remove(self, name: str) -> None:
        """Delete a checkpoint that was made here.

        Raises:
            ExplorerError: it came with the app, it answers now, or another one stands on its tower.
        """
        folder = self.encoders.folder(name)
        if folder.parent == SHIPPED_CHECKPOINTS:
            raise ExplorerError(f"{name} came with the app and stays; choose one of your own")
        if name == self.current:
            raise ExplorerError(f"{name} answers your searches now; use another model first")
        above = [about["name"] for about in self.encoders.descriptions() if about.get("tower_of") == name]
        if above:
            raise ExplorerError(f"{above[0]} uses the tower that {name} holds; remove {above[0]} first")
        self.encoders.forget(name)
        shutil.rmtree(folder)

    def look_at_tower(self, wanted: str) -> Offer:
        """What adding a tower by name or file would cost; nothing is fetched and nobody is asked.

        Raises:
            ExplorerError: an unknown name, or a file that cannot be used.
        """
        return adding.look(wanted, self.settings)

    def add_tower(self, wanted: str, *, agreed: bool = False) -> int:
        """Fetch a tower (the person having agreed to its size) or copy a file, and make a checkpoint of it; the job's
        number.

        Raises:
            ExplorerError: it must be downloaded, and nobody agreed to that.
        """
        offer = self.look_at_tower(wanted)
        if not agreed and not offer.here:
            raise ExplorerError(f"{offer.name} must be downloaded; agree to its size first")
        return self._start(TowerRequest(wanted))

    def install_tower(self, request: TowerRequest) -> Iterator[Progress]:
        """Do what `add_tower` asks for; the last record's summary is {"checkpoint", "tower"}."""
        yield from adding.add_tower(request.tower, self.settings)
