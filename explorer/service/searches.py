"""Searches as the service answers them: what was asked is encoded once, what the library makes usual is known, models
share features."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.records import Explanation, ExplorerError, LevelWeights, SearchResult
from explorer.service.bank import bank_features
from explorer.service.desk import fit_image
from explorer.store.store import Store

if TYPE_CHECKING:
    from explorer.model.encoder import Encoder
    from explorer.search.calibrate import Calibration
    from explorer.search.find import Asked
    from explorer.search.library import StoredLibrary

log = logging.getLogger(__name__)

CACHES = "vectors"  # folder of the data folder: the coarse caches
ASKED_KEPT = 64  # encoded queries kept, so that sliders and chips need no tower
CALIBRATION_SECONDS = 30.0  # a null is kept this long while indexing changes the library with every file
PICTURE = LevelWeights(1.0, 0.0, 1.0)


class Searching:
    """Answers questions over a store with the encoders of a shelf. Any thread may call any method.

    Args:
        store: the library.
        folder: of the data folder, for caches.
        encoder: name, or None for the current one -> its encoder.
    """

    def __init__(self, store: Store, folder: Path, encoder: Callable[[str | None], Encoder]) -> None:
        self.store, self.folder, self.encoder = store, folder, encoder
        self._asked: OrderedDict[tuple[str, str], Asked] = OrderedDict()
        self._libraries: dict[str, StoredLibrary] = {}
        self._banks: dict[str, Any] = {}
        self._calibrations: dict[str, tuple[float, Calibration | None]] = {}
        self._guard = threading.RLock()

    def search(
        self,
        text: str,
        *,
        k: int = 20,
        weights: LevelWeights | None = None,
        model: str | None = None,
        phrase_weights: Mapping[str, float] | None = None,
    ) -> SearchResult:
        """Search by words; see service.Explorer.search."""
        from explorer.search import find
        from explorer.search.explain import reads

        began = time.perf_counter()
        encoder, asked = self.ask(text, model, phrase_weights)
        found = find.find(
            asked,
            library=self.library(encoder),
            encoder=encoder,
            k=k,
            calibration=self.calibration(encoder),
            weights=weights or encoder.config.level_weights,
        )
        return replace(found.result, seconds=time.perf_counter() - began, reads=reads(encoder))

    def search_image(self, image: np.ndarray, *, k: int = 20, model: str | None = None) -> SearchResult:
        """Moments that look like a picture (H, W, 3) uint8 of any size."""
        from explorer.search import find

        encoder = self.encoder(model)
        asked = find.ask_image(encoder, fit_image(image, encoder.frame_size))
        return find.find(asked, library=self.library(encoder), encoder=encoder, k=k, weights=PICTURE).result

    def more_like(self, public_id: str, moment: float, *, k: int = 20, model: str | None = None) -> SearchResult:
        """Moments of other files that look like one."""
        from explorer.search import find

        encoder, video = self.encoder(model), self.store.by_public_id(public_id)
        windows = self.store.windows_of(video.id)
        if not windows:
            raise ExplorerError("this video has not been indexed yet; index its folder first")
        nearest = min(windows, key=lambda w: abs((w.start + w.end) / 2 - moment))
        return find.more_like(
            nearest.id, library=self.library(encoder), encoder=encoder, k=k, weights=encoder.config.level_weights
        ).result

    def explain(
        self,
        text: str,
        public_id: str,
        moment: float,
        *,
        model: str | None = None,
        weights: LevelWeights | None = None,
        phrase_weights: Mapping[str, float] | None = None,
    ) -> Explanation:
        """Why a moment met a query: phrase x clip, word x frame, the curve over the file under the level weights."""
        from explorer.search.explain import explain

        encoder, asked = self.ask(text, model, phrase_weights)
        return explain(
            asked.text,
            self.store.by_public_id(public_id).id,
            moment,
            library=self.library(encoder),
            encoder=encoder,
            weights=weights or encoder.config.level_weights,
        )

    def why_not(
        self,
        text: str,
        public_id: str,
        *,
        model: str | None = None,
        weights: LevelWeights | None = None,
        phrase_weights: Mapping[str, float] | None = None,
    ) -> dict[str, Any]:
        """Where an expected video came for a query, and the level or phrase that held it back, as the search weighs
        them."""
        from explorer.search import find
        from explorer.search.explain import why_not

        encoder, asked = self.ask(text, model, phrase_weights)
        library, video = self.library(encoder), self.store.by_public_id(public_id)
        ranked = find.rank(
            asked,
            library=library,
            encoder=encoder,
            weights=weights or encoder.config.level_weights,
            calibration=self.calibration(encoder),
        )
        if ranked is None:
            return {
                "rank": 0,
                "of": 0,
                "level": "",
                "phrase": "",
                "sentence": "No video passes the filters of this query.",
            }
        found = asdict(why_not(ranked, video.id, library=library, encoder=encoder))
        return {**found, "rank": int(found["rank"]), "of": int(found["of"])}

    def graph(
        self,
        text: str,
        public_id: str | None = None,
        moment: float | None = None,
        *,
        model: str | None = None,
        weights: LevelWeights | None = None,
    ) -> dict[str, Any]:
        """The role graph of a query for drawing, each node with its best frame in the window that explains a moment."""
        from explorer.search.roles import drawn

        encoder, asked = self.ask(text, model)
        if public_id is None or moment is None:
            return drawn(asked.query.text)
        video, times = (
            self.store.by_public_id(public_id),
            self.explain(text, public_id, moment, model=model, weights=weights).frame_times,
        )
        return drawn(
            asked.query.text,
            encoder=encoder,
            library=self.library(encoder),
            video_id=video.id,
            time=float(times[0] + times[-1]) / 2,
        )

    # ---- what the answers stand on

    def ask(
        self, text: str, model: str | None = None, phrase_weights: Mapping[str, float] | None = None
    ) -> tuple[Encoder, Asked]:
        """A query through the tower, from memory where it was asked before, with the person's phrase weights."""
        from explorer.search import find, query

        parsed = query.parse(text)
        encoder = self.encoder(model)
        key = (encoder.name, text)
        with self._guard:
            if key not in self._asked:
                self._asked[key] = find.ask(encoder, parsed)
                while len(self._asked) > ASKED_KEPT:
                    self._asked.popitem(last=False)
            asked = self._asked[key]
        return encoder, find.repaired(asked, phrase_weights, encoder=encoder) if phrase_weights else asked

    def read_ahead(self) -> None:
        """Read the coarse cache, where there is one, while the model loads: neither needs the other."""
        from explorer.store.vector_file import read_manifest

        known = [
            manifest["encoder"] for path in (self.folder / CACHES).glob("*.faiss") if (manifest := read_manifest(path))
        ]
        if len(known) == 1:
            try:
                self._opened(known[0]).vectors.refresh()
            except Exception:  # the search that needs it says it; or the app is closing
                log.debug("cannot read ahead", exc_info=True)

    def _opened(self, maker: str) -> StoredLibrary:
        """The windows that an encoder made, in memory once."""
        from explorer.search.library import StoredLibrary
        from explorer.store.vectors import VectorCache

        with self._guard:
            if maker not in self._libraries:
                path = self.folder / CACHES / f"{maker}.faiss"
                self._libraries = {maker: StoredLibrary(self.store, VectorCache(self.store, path, encoder=maker))}
            return self._libraries[maker]

    def library(self, encoder: Encoder) -> StoredLibrary:
        """The index as an encoder searches it.

        A second model on the current one's tower takes its candidates from the current one's windows: the features
        are the same, and the fine levels of the candidates are its own.
        """
        from explorer.search.library import StoredLibrary

        current = self.encoder(None)
        maker = current if current.tower_name == encoder.tower_name else encoder
        library = self._opened(maker.name)
        return library if maker is encoder else StoredLibrary(self.store, library.vectors, serves=encoder.name)

    def calibration(self, encoder: Encoder) -> Calibration | None:
        """The null of the bank over the library; made anew when the library changed, but not with every indexed
        file."""
        from explorer.search import calibrate

        library = self.library(encoder)
        with self._guard:
            made, known = self._calibrations.get(encoder.name, (0.0, None))
            fresh = known is not None and (
                known.generation == library.generation or time.monotonic() - made < CALIBRATION_SECONDS
            )
            if not fresh:
                known = calibrate.calibrate(encoder, self.bank(encoder), library, generation=library.generation)
                self._calibrations[encoder.name] = (time.monotonic(), known)
            return known

    def bank(self, encoder: Encoder) -> Any:
        """Features of the bank of unrelated captions, encoded once a tower and kept on disk."""
        if encoder.name not in self._banks:
            self._banks[encoder.name] = bank_features(encoder, self.folder / "banks")
        return self._banks[encoder.name]

    def forget(self) -> None:
        """Drop what was encoded: another checkpoint is current."""
        with self._guard:
            self._asked.clear()
            self._calibrations.clear()

    def save(self) -> None:
        """Write the coarse cache beside the database, where there is one in memory."""
        for library in list(self._libraries.values()):
            library.vectors.save()
