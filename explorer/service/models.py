"""The models a person can choose from: which there are, which one answers, how another one comes or goes."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from explorer.config import SHIPPED_CHECKPOINTS, ModelConfig, Settings, from_dict
from explorer.records import ExplorerError, Progress
from explorer.service import adding
from explorer.service.adding import TOWERS, Offer
from explorer.service.answers import ModelCard
from explorer.service.choosing import Offered, list_offers, measure
from explorer.service.desk import Desk
from explorer.service.encoders import Encoders
from explorer.service.recalls import as_object, measured_sets
from explorer.service.requests import MeasureRequest, Request, SwitchRequest, TowerRequest

if TYPE_CHECKING:
    from explorer.model.encoder import Encoder
    from explorer.store.store import Store

log = logging.getLogger(__name__)


class Models:
    """The checkpoints of this machine, and the one that answers. Any thread may call any method.

    Args:
        settings: the data folder, the device, the checkpoint where none was chosen yet.
        desk: remembers the choice.
        start: puts a job in line; its number.
        store: gives the library's store, which keeps features of each tower.
    """

    def __init__(
        self, settings: Settings, desk: Desk, start: Callable[[Request], int], store: Callable[[], Store]
    ) -> None:
        self.settings, self.desk, self._start, self._store = settings, desk, start, store
        self.encoders = Encoders(settings)
        self.current = (
            os.environ.get("EXPLORER_CHECKPOINT") or desk.current() or settings.checkpoint
        )  # name of the checkpoint that answers
        self.state, self.message = "loading", ""  # loading | ready | failed, and why it failed

    def list(self) -> tuple[ModelCard, ...]:
        """Every checkpoint, by folder and name; a broken one has an error."""
        from explorer.model.towers.folder import list_towers

        towers = {tower.name: tower.size for tower in list_towers(self.settings.data_dir / TOWERS)}
        indexes = self._store().tower_sizes() if self.settings.database.is_file() else {}
        cards = (self._card(description) for description in self.encoders.descriptions())
        return tuple(
            replace(
                card, size=card.size + towers.get(card.tower.partition("#")[0], 0), index=indexes.get(card.tower, 0)
            )
            for card in cards
        )

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
        self.become(name)

    def become(self, name: str) -> None:
        """Let a checkpoint that is loaded answer from now on, and remember it."""
        self.desk.set_current(name)
        self.current = name
        self.state, self.message = "ready", ""

    def use(self, name: str) -> int:
        """Prepare a checkpoint beside the one that answers, and let it answer once the library is embedded with it; the
        job's number.

        Raises:
            ExplorerError: there is none of that name.
        """
        self.encoders.folder(name)
        return self._start(SwitchRequest(checkpoint=name))

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
        tower = next(str(about.get("tower")) for about in self.encoders.descriptions() if about["name"] == name)
        self.encoders.forget(name)
        shutil.rmtree(folder)
        self._drop_tower(tower)

    def _drop_tower(self, tower: str) -> None:
        """Delete a tower's weights and kept features where no checkpoint stands on it any more."""
        from explorer.model.towers.folder import remove
        from explorer.model.towers.tower import split_trained

        left = {str(about.get("tower")) for about in self.encoders.descriptions()}
        if tower not in left:
            self._store().forget_tower(tower)
        if split_trained(tower)[0] not in {split_trained(other)[0] for other in left}:
            remove(split_trained(tower)[0], self.settings.data_dir / TOWERS)

    def offers(self) -> tuple[Offered, ...]:
        """The CLIPs to choose from, with what each costs on this machine and for this library."""
        return list_offers(self.settings, self._store())

    def measure(self) -> int:
        """Measure the speed of each on this machine; the job's number."""
        return self._start(MeasureRequest())

    def measure_speeds(self, request: MeasureRequest) -> Iterator[Progress]:
        """Do what `measure` asks for."""
        yield from measure(self.settings)

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
        return self._start(SwitchRequest(tower=wanted))

    def install_tower(self, request: TowerRequest) -> Iterator[Progress]:
        """Do what `add_tower` asks for; the last record's summary is {"checkpoint", "tower"}."""
        yield from adding.add_tower(request.tower, self.settings)
