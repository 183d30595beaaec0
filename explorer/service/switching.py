"""Another model comes to answer: fetched where it is not here, prepared beside the old one, exchanged in one step."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from explorer.config import Settings
from explorer.index.beside import take_over
from explorer.index.indexer import index
from explorer.media.decode import DecodeWorker
from explorer.records import Progress
from explorer.service.adding import add_tower
from explorer.service.bank import encode_bank
from explorer.service.library import Library
from explorer.service.models import Models
from explorer.service.requests import SwitchRequest
from explorer.service.search_caches import BANKS, SearchCaches

if TYPE_CHECKING:
    from explorer.model.encoder import Encoder


class Switch:
    """Makes a model the one that answers; until it can, the old one does.

    Args:
        settings: the data folder, the decoder, the sampling.
        library: whose index changes.
        models: of which another one is to answer.
        caches: what searches stand on.
    """

    def __init__(self, settings: Settings, library: Library, models: Models, caches: SearchCaches) -> None:
        self.settings, self.library, self.models, self.caches = settings, library, models, caches
        self._worker: DecodeWorker | None = None

    def stop(self) -> None:
        """End the child process that decodes, so that the work that waits for it can stop."""
        worker = self._worker
        if worker is not None:
            worker.kill()

    def run(self, request: SwitchRequest) -> Iterator[Progress]:
        """Do it in this thread.

        Yields:
            Progress of each stage: download, verify, load, bank, scan, encode, embed; the last summary is
            {"checkpoint", "videos", "away", ...} with what indexing found.

        Raises:
            ExplorerError: as add_tower and index; the old model goes on answering, and a resumed job goes on from
                there.
        """
        name = request.checkpoint
        if request.tower:
            for step in add_tower(request.tower, self.settings):
                name = str(step.summary.get("checkpoint", name))
                yield replace(step, stage="load", summary={}) if step.stage == "done" else step
        yield Progress("load", current=name)
        encoder = self.models.encoders.encoder(name)
        for done, total in encode_bank(encoder, self.settings.data_dir / BANKS):
            yield Progress("bank", done, total, name)
        with ExitStack() as opened:
            yield from self.library.wait_for_turn(opened)
            yield from self._exchange(name, encoder, opened)

    def _exchange(self, name: str, encoder: Encoder, opened: ExitStack) -> Iterator[Progress]:
        looked = None if self._complete(encoder) else (yield from self._keep_features(encoder, opened))
        counts: Mapping[str, object] = {}
        for step in take_over(
            self.library.store,
            encoder=encoder,
            sampling=self.settings.sampling,
            exchange=self.caches.exchange,
            then=lambda: self.models.become(name),
        ):
            counts = step.summary or counts
            yield replace(step, current=name, summary={})
        yield Progress("load", current=name)
        self.caches.calibration(encoder)  # so that the first search need not wait for it
        if looked is not None:  # what came or changed meanwhile joins the new index
            for step in self._index(encoder, opened, beside=False):
                if step.stage != "done":
                    yield step
        yield Progress("done", summary={**(looked or {}), **counts, "checkpoint": name})

    def _complete(self, encoder: Encoder) -> bool:
        """Whether features of this tower are kept of every video that is searched: then no disk need be looked at."""
        known = self.library.store.list_embedded(tower=encoder.tower_name, sampling=self.settings.sampling.key)
        return bool(known) and all(set_id is not None for set_id, _ in known.values())

    def _keep_features(self, encoder: Encoder, opened: ExitStack) -> Generator[Progress, None, Mapping[str, object]]:
        """Features of the new tower for everything that lacks them, beside the old ones; the summary of that."""
        found: Mapping[str, object] = {}
        for step in self._index(encoder, opened, beside=True):
            found = step.summary or found
            if step.stage != "done":
                yield step
        return found

    def _index(self, encoder: Encoder, opened: ExitStack, *, beside: bool) -> Iterator[Progress]:
        if self._worker is None:
            self._worker = opened.enter_context(
                DecodeWorker(self.settings.decoder, niceness=self.library.pace.niceness)
            )
            opened.callback(setattr, self, "_worker", None)
        store = self.library.store
        yield from index(
            store,
            store.roots(),
            encoder=encoder,
            decoder=self._worker,
            stills=self.library.stills,
            sampling=self.settings.sampling,
            pace=self.library.pace,
            beside=beside,
        )
