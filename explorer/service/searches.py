"""Searches as the service answers them: what was asked is encoded once, what the library makes usual is known, models
share features."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.records import Explanation, ExplorerError, LevelWeights, SearchResult
from explorer.service.bank import bank_features
from explorer.service.desk import fit_image
from explorer.service.reading import Reading
from explorer.store.store import Store

if TYPE_CHECKING:
    from explorer.model.encoder import Encoder
    from explorer.search.calibrate import Calibration
    from explorer.search.find import EncodedQuery
    from explorer.search.library import StoredLibrary
    from explorer.search.score import Scored

log = logging.getLogger(__name__)

CACHES = "vectors"  # folder of the data folder: the coarse caches
ENCODED_KEPT = 64  # encoded queries kept, so that sliders and chips need no tower
SCORED_KEPT = 4  # queries whose scores are kept for the sliders: some 6 MB each
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
        self.reading = Reading(store)
        self._encoded: OrderedDict[tuple[object, ...], EncodedQuery] = OrderedDict()
        self._scored: deque[tuple[EncodedQuery, int, Scored | None]] = deque(maxlen=SCORED_KEPT)
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
        per_file: int | None = 3,
    ) -> SearchResult:
        """Search by words; see service.Explorer.search. Other level weights order the scores that are kept anew."""
        from explorer.search import find
        from explorer.search.explain import reads

        began = time.perf_counter()
        encoder, encoded = self.encode(text, model, phrase_weights)
        result = find.present(
            self.rank(encoder, encoded),
            encoded,
            library=self.library(encoder),
            encoder=encoder,
            weights=weights or encoder.config.level_weights,
            calibration=self.calibration(encoder),
            k=k,
            per_file=per_file,
        )
        return replace(result, seconds=time.perf_counter() - began, reads=reads(encoder))

    def search_image(self, image: np.ndarray, *, k: int = 20, model: str | None = None) -> SearchResult:
        """Moments that look like a picture (H, W, 3) uint8 of any size."""
        from explorer.search import find

        encoder = self.encoder(model)
        return find.find(
            find.encode_image(encoder, fit_image(image, encoder.frame_size)),
            library=self.library(encoder),
            encoder=encoder,
            weights=PICTURE,
            calibration=self.calibration(encoder),
            k=k,
        )

    def more_like(self, public_id: str, moment: float, *, k: int = 20, model: str | None = None) -> SearchResult:
        """Moments of other files that look like one."""
        from explorer.search import find

        encoder, video = self.encoder(model), self.store.by_public_id(public_id)
        windows = self.store.windows_of(video.id)
        if not windows:
            raise ExplorerError("this video has not been indexed yet; index its folder first")
        nearest = min(windows, key=lambda w: abs((w.start + w.end) / 2 - moment))
        return find.more_like(
            nearest.id,
            library=self.library(encoder),
            encoder=encoder,
            weights=encoder.config.level_weights,
            calibration=self.calibration(encoder),
            k=k,
        )

    def explain(
        self,
        text: str,
        public_id: str,
        moment: float,
        *,
        end: float | None = None,
        model: str | None = None,
        weights: LevelWeights | None = None,
        phrase_weights: Mapping[str, float] | None = None,
    ) -> Explanation:
        """Why a moment met a query: phrase x clip, word x frame, the curve over the file under the level weights.

        Args:
            text: the query.
            public_id: the file.
            moment: start of the moment shown, in seconds.
            end: its end; None takes the window nearest to the start.
            model, weights, phrase_weights: those of the search.
        """
        from explorer.search.explain import explain

        encoder, encoded = self.encode(text, model, phrase_weights)
        video, calibration = self.store.by_public_id(public_id), self.calibration(encoder)
        start, end = (moment, end) if end is not None else self._window_at(video.id, moment)
        explained = self._choice_of(encoder, encoded, video.id, start, end)
        return explain(
            explained.features,
            video.id,
            start,
            end,
            library=self.library(encoder),
            encoder=encoder,
            weights=weights or encoder.config.level_weights,
            scale=calibration.scale if calibration else None,
        )

    def _choice_of(
        self, encoder: Encoder, encoded: EncodedQuery, video_id: int, start: float, end: float
    ) -> EncodedQuery:
        """Of a query with choices the one that a moment meets best; the query itself where it has none."""
        from explorer.search.choices import nearest

        if not encoded.choices:
            return encoded
        texts, weights = [choice.features for choice in encoded.choices], encoder.config.level_weights
        best = nearest(texts, video_id, start, end, library=self.library(encoder), encoder=encoder, weights=weights)
        return encoded.choices[best]

    def _window_at(self, video_id: int, time: float) -> tuple[float, float]:
        """Bounds of the window whose middle is nearest to a time, of those that cover it where any does."""
        windows = self.store.windows_of(video_id)
        if not windows:
            raise ExplorerError("this video has no windows in the index; index its folder again")
        covering = [window for window in windows if window.start <= time <= window.end] or windows
        best = min(covering, key=lambda window: abs((window.start + window.end) / 2 - time))
        return best.start, best.end

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
        from explorer.search import score
        from explorer.search.explain import WhyNot, why_not

        encoder, encoded = self.encode(text, model, phrase_weights)
        library, video = self.library(encoder), self.store.by_public_id(public_id)
        scored, calibration = self.rank(encoder, encoded), self.calibration(encoder)
        if scored is None:
            return asdict(WhyNot(0, 0, "", "", "No video passes the filters of this query."))
        weights = weights or encoder.config.level_weights
        reference = calibration.reference if calibration else None
        scored = score.exclude(scored, encoded.excluded, weights=weights, reference=reference)
        return asdict(why_not(scored, encoded.features, video.id, library=library, encoder=encoder, weights=weights))

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

        encoder, encoded = self.encode(text, model)
        if public_id is None or moment is None:
            return drawn(encoded.query.text)
        video = self.store.by_public_id(public_id)
        start, end = self._window_at(video.id, moment)
        return drawn(
            encoded.query.text,
            encoder=encoder,
            library=self.library(encoder),
            video_id=video.id,
            time=(start + end) / 2,
        )

    # ---- what the answers stand on

    def encode(
        self, text: str, model: str | None = None, phrase_weights: Mapping[str, float] | None = None
    ) -> tuple[Encoder, EncodedQuery]:
        """A query through the tower, from memory where it was asked before with the same phrase weights."""
        from explorer.search import find

        encoder = self.encoder(model)
        query = self.reading.parse(text, tower=encoder.tower_name)
        key = (encoder.name, query, query.notes, tuple(sorted((phrase_weights or {}).items())))
        with self._guard:
            if key not in self._encoded:
                self._encoded[key] = find.encode_query(encoder, query, phrase_weights)
                while len(self._encoded) > ENCODED_KEPT:
                    self._encoded.popitem(last=False)
            return encoder, self._encoded[key]

    def rank(self, encoder: Encoder, encoded: EncodedQuery) -> Scored | None:
        """The scored candidates of a query, from memory while the library is the same.

        They are chosen under the checkpoint's own level weights, so that what a person sets with the sliders orders the
        same candidates, whatever was set before.
        """
        from explorer.search import find

        library = self.library(encoder)
        generation = library.generation
        for known, state, scored in list(self._scored):
            if known is encoded and state == generation:
                return scored
        scored = find.rank(encoded, library=library, encoder=encoder, weights=encoder.config.level_weights)
        self._scored.append((encoded, generation, scored))
        return scored

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
            self._encoded.clear()
            self._scored.clear()
            self._calibrations.clear()

    def save(self) -> None:
        """Write the coarse cache beside the database, where there is one in memory."""
        for library in list(self._libraries.values()):
            library.vectors.save()
