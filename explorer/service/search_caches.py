"""What searches stand on and is costly to make again: encoded queries, the index in memory, the null of captions."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.records import TextFeatures
from explorer.service.bank import bank_features
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
BANKS = "banks"  # folder of the data folder: features of the caption bank
ENCODED_KEPT = 64  # encoded queries kept, so that sliders and chips need no tower
SCORED_KEPT = 4  # queries whose scores are kept for the sliders: some 6 MB each
CALIBRATION_SECONDS = 30.0  # a null is kept this long while indexing changes the library with every file


class SearchCaches:
    """Everything a search finds ready, by the encoder that made it. Any thread may call any method.

    Args:
        store: the library.
        folder: the data folder.
        encoder: name of a checkpoint, or None for the current one -> its encoder.
    """

    def __init__(self, store: Store, folder: Path, encoder: Callable[[str | None], Encoder]) -> None:
        self.store, self.folder, self.encoder = store, folder, encoder
        self.reading = Reading(store)
        self._encoded: OrderedDict[tuple[object, ...], EncodedQuery] = OrderedDict()
        self._scored: deque[tuple[EncodedQuery, int, Scored | None]] = deque(maxlen=SCORED_KEPT)
        self._libraries: dict[str, StoredLibrary] = {}
        self._banks: dict[str, Sequence[TextFeatures]] = {}
        self._calibrations: dict[str, tuple[float, Calibration | None]] = {}
        self._making: dict[str, threading.Lock] = {}  # encoder -> held while its null is made
        self._guard = threading.RLock()
        self.exchange = threading.Lock()  # held while the answering model and its index change

    def encode(
        self, text: str, model: str | None = None, phrase_weights: Mapping[str, float] | None = None
    ) -> tuple[Encoder, EncodedQuery]:
        """A query through the tower, from memory where it was asked before with the same phrase weights."""
        from explorer.search import find

        encoder = self.encoder(model)
        query = self.reading.parse(text, tower=encoder.tower_name)
        key = (encoder.name, query, query.notes, tuple(sorted((phrase_weights or {}).items())))
        with self._guard:
            known = self._encoded.get(key)
        if known is None:  # outside the guard: others need not wait for a tower that is slow
            known = find.encode_query(encoder, query, phrase_weights)
            with self._guard:
                known = self._encoded.setdefault(key, known)
                while len(self._encoded) > ENCODED_KEPT:
                    self._encoded.popitem(last=False)
        return encoder, known

    def answered_before(self, encoder: Encoder) -> bool:
        """Whether another model has taken over from an encoder, waiting for one that just does."""
        with self.exchange:
            return self.encoder(None).name != encoder.name

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

        manifests = [read_manifest(path) for path in (self.folder / CACHES).glob("*.faiss")]
        makers = [manifest["encoder"] for manifest in manifests if manifest]
        if len(makers) == 1:
            try:
                self._open(makers[0]).vectors.refresh()
            except Exception:  # the search that needs it says it; or the app is closing
                log.debug("cannot read ahead", exc_info=True)

    def _open(self, maker: str) -> StoredLibrary:
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
        library = self._open(maker.name)
        return library if maker is encoder else StoredLibrary(self.store, library.vectors, serves=encoder.name)

    def calibration(self, encoder: Encoder) -> Calibration | None:
        """The null of the bank over the library; made anew when the library changed, but not with every indexed
        file."""
        from explorer.search import calibrate

        library = self.library(encoder)
        with self._guard:
            making = self._making.setdefault(encoder.name, threading.Lock())
        with making:  # one null a model at a time; searches with another model go on
            made, known = self._calibrations.get(encoder.name, (0.0, None))
            fresh = known is not None and (
                known.generation == library.generation or time.monotonic() - made < CALIBRATION_SECONDS
            )
            if not fresh:
                known = calibrate.calibrate(encoder, self.bank(encoder), library, generation=library.generation)
                self._calibrations[encoder.name] = (time.monotonic(), known)
            return known

    def newest_calibration(self) -> Calibration | None:
        """The null that was made last, without making one: the page opens before the model is there."""
        made = [known for known in list(self._calibrations.values()) if known[1] is not None]
        return max(made, key=lambda known: known[0])[1] if made else None

    def bank(self, encoder: Encoder) -> Sequence[TextFeatures]:
        """Features of the bank of unrelated captions, encoded once a tower and kept on disk."""
        if encoder.name not in self._banks:
            self._banks[encoder.name] = bank_features(encoder, self.folder / BANKS)
        return self._banks[encoder.name]

    def save(self) -> None:
        """Write the coarse cache beside the database, where there is one in memory."""
        for library in list(self._libraries.values()):
            library.vectors.save()
