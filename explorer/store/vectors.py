"""The coarse search: a FAISS cache of window vectors, kept in step with the database, rebuilt when in doubt."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from explorer.records import ExplorerError
from explorer.store import vector_file
from explorer.store.store import Store

if TYPE_CHECKING:
    import faiss

log = logging.getLogger(__name__)


class VectorCache:
    """All windows of one encoder, searched exactly by inner product in half precision, as they are stored.

    A scalar quantiser of 16 bits holds the stored float16 values unchanged, so nothing is lost against the
    database and an hour of video takes 0.6 MB.
    """

    def __init__(self, store: Store, path: Path | str, *, encoder: str) -> None:
        """Tie a cache file to a store; nothing is read before `refresh` or the first search.

        Args:
            store: the truth.
            path: the cache file; a manifest of the same name with .json lies beside it.
            encoder: the encoder whose windows are searched.
        """
        self.store = store
        self.path = Path(path)
        self.encoder = encoder
        self._lock = threading.RLock()
        self._index: faiss.Index | None = None
        self._ids = np.zeros(0, np.int64)
        self._marks: tuple[str, int, int] | None = None

    def __len__(self) -> int:
        return len(self._ids)

    def search(self, vector: np.ndarray, k: int, *, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The windows nearest to a vector.

        Args:
            vector: (D,) unit vector.
            k: how many at most.
            allowed: (N,) numbers of the windows that may be found; None is all.

        Returns:
            (n,) int64 numbers and (n,) float32 inner products, best first, equal ones by number.

        Raises:
            ExplorerError: part of the library was indexed by another encoder, or the vector has another width.
        """
        with self._lock:
            self.refresh()
            if not len(self._ids) or k < 1:
                return np.zeros(0, np.int64), np.zeros(0, np.float32)
            return self._search(np.ascontiguousarray(vector, np.float32)[None], k, allowed)

    def _search(self, query: np.ndarray, k: int, allowed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        assert self._index is not None  # there are windows
        if query.shape[1] != self._index.d:
            raise ExplorerError(f"the query has width {query.shape[1]}, the index {self._index.d}; index again")
        mask = None if allowed is None else np.isin(self._ids, allowed)
        count = len(self._ids) if mask is None else int(mask.sum())
        if not count:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        scores, places = self._index.search(query, min(k, count), params=_selector(mask))
        found = self._ids[places[0]]
        order = np.lexsort((found, -scores[0]))
        return found[order], scores[0][order]

    def refresh(self) -> None:
        """Bring the cache up to the database: read the file once, then add and drop what changed.

        Raises:
            ExplorerError: part of the library was indexed by another encoder.
        """
        with self._lock:
            marks = self.store.marks()
            if marks == self._marks:
                return
            refuse_mix(self.store, self.encoder)
            if self._index is None:
                self._load(marks)
            if self._marks is None or marks[0] != self._marks[0] or marks[1] < self._marks[1]:
                self._rebuild()
            elif marks[2] != self._marks[2]:
                self._catch_up()
            elif marks[1] != self._marks[1]:
                self._add(self.store.window_ids(self.encoder, after=int(self._ids[-1]) if len(self._ids) else 0))
            self._marks = marks

    def rebuild(self) -> None:
        """Throw the cache away and make it anew from the database."""
        with self._lock:
            marks = self.store.marks()
            self._rebuild()
            self._marks = marks

    def difference(self) -> str:
        """Read the cache file afresh and say in what it differs from the database; '' where it does not.

        A file that is merely older than the database is no difference as far as it goes: the windows that both
        have must be equal, and where it claims to be up to date it must have them all.
        """
        with self._lock:
            if not (self.path.exists() or self.path.with_suffix(".json").exists()):
                return ""
            fresh, marks = VectorCache(self.store, self.path, encoder=self.encoder), self.store.marks()
            manifest = vector_file.read_manifest(self.path)
            if manifest is not None and (manifest["encoder"] != self.encoder or manifest["marks"][0] != marks[0]):
                return ""  # another model's or another library's: it is not used
            fresh._load(marks)
            if fresh._index is None:
                return "the file is damaged"
            ids = self.store.window_ids(self.encoder)
            if fresh._marks == marks and not np.array_equal(np.sort(fresh._ids), ids):
                return "it has other windows than the database"
            return "" if fresh._agrees(np.intersect1d(ids, fresh._ids)) else "a vector differs from the database"

    def _agrees(self, ids: np.ndarray) -> bool:
        assert self._index is not None  # the caller has loaded it
        places = dict(zip(self._ids.tolist(), range(len(self._ids))))
        for found, vectors in self.store.window_vectors(ids):
            kept = self._index.reconstruct_batch(np.array([places[i] for i in found.tolist()], np.int64))
            if not np.array_equal(kept, vectors.astype(np.float32)):
                return False
        return True

    def ids(self) -> np.ndarray:
        """(N,) int64, ascending: all windows of the encoder, up to date with the database; quicker than asking it for
        them.

        Raises:
            ExplorerError: part of the library was indexed by another encoder.
        """
        with self._lock:
            self.refresh()
            return np.sort(self._ids)

    def save(self) -> None:
        """Write the cache beside the database, the manifest that vouches for it last.

        Raises:
            ExplorerError: the disk refuses; the cache that was there, or none, is what the next start finds.
        """
        with self._lock:
            self.refresh()
            if self._index is not None:
                rows = _codes(self._index).view(np.float16)
                vector_file.write(self.path, rows, self._ids, encoder=self.encoder, marks=self._marks or ())

    def _load(self, marks: tuple[str, int, int]) -> None:
        """Take the file where every checksum and count says that it is what was written; else leave it."""
        manifest = vector_file.read_manifest(self.path)
        if manifest is None or manifest["encoder"] != self.encoder or manifest["marks"][0] != marks[0]:
            return
        try:
            ids, index = vector_file.read_ids(self.path, manifest), _new_index(manifest["dim"])
            index.codes.resize(len(ids) * index.code_size)
            index.ntotal = len(ids)
            vector_file.read_rows(self.path, manifest, _codes(index).reshape(-1))
        except (OSError, ValueError, MemoryError) as error:
            log.warning("the search cache is rebuilt: %s", error)
            return
        _use_threads()
        self._index, self._ids, self._marks = index, ids, tuple(manifest["marks"])

    def _rebuild(self) -> None:
        _use_threads()
        self._index, self._ids = None, np.zeros(0, np.int64)
        self._add(self.store.window_ids(self.encoder))

    def _catch_up(self) -> None:
        """Windows went: drop what the database no longer has, then add what is new."""
        current = self.store.window_ids(self.encoder)
        stays = np.isin(self._ids, current, assume_unique=True)
        if self._index is not None and not stays.all():
            self._index.remove_ids(_batch(np.flatnonzero(~stays)))
            self._ids = self._ids[stays]
        self._add(np.setdiff1d(current, self._ids, assume_unique=True))

    def _add(self, ids: np.ndarray) -> None:
        for found, vectors in self.store.window_vectors(ids):
            if self._index is None:
                self._index = _new_index(vectors.shape[1])
            self._index.add(vectors.astype(np.float32))
            self._ids = np.concatenate([self._ids, found])


def refuse_mix(store: Store, encoder: str) -> None:
    """Search one encoder's windows only where every searchable window is that encoder's.

    Raises:
        ExplorerError: some were made by another; the sentence says how many and what to do.
    """
    others = store.other_encoders(encoder)
    if others:
        listed = ", ".join(f"{count} by {name}" for name, count in sorted(others.items()))
        raise ExplorerError(
            f"the index mixes models: {listed}, while this search uses {encoder}; "
            "index the library again (kept features are reused), or switch the model back"
        )


def _new_index(dim: int) -> faiss.Index:
    import faiss

    return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


def _codes(index: faiss.Index) -> np.ndarray:
    """(N, D * 2) uint8: the rows where FAISS keeps them, float16 values as the processor writes them; valid until
    rows come or go."""
    import faiss

    if not index.ntotal:
        return np.zeros((0, index.code_size), np.uint8)
    return faiss.rev_swig_ptr(index.codes.data(), index.codes.size()).reshape(index.ntotal, index.code_size)


def _selector(mask: np.ndarray | None) -> faiss.SearchParameters | None:
    import faiss

    if mask is None:
        return None
    return faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little")))


def _batch(places: np.ndarray) -> faiss.IDSelector:
    import faiss

    return faiss.IDSelectorBatch(places.astype(np.int64))


def _use_threads() -> None:
    """On a Mac, FAISS and torch each bring an OpenMP of their own and crash when both start threads."""
    import faiss

    if sys.platform == "darwin":
        faiss.omp_set_num_threads(1)
