"""The coarse search: a FAISS cache of window vectors, kept in step with the database, rebuilt when in doubt."""
from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.index.store import Store
from explorer.records import ExplorerError

if TYPE_CHECKING:
    import faiss

log = logging.getLogger(__name__)

CHUNK = 16 << 20       # bytes of a checksum at once
FORMAT = 1


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

    def search(self, vector: np.ndarray, k: int, *,
               allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
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
            manifest = read_manifest(self.path)
            if manifest is not None and (manifest["encoder"] != self.encoder or manifest["marks"][0] != marks[0]):
                return ""                          # another model's or another library's: it is not used
            fresh._load(marks)
            if fresh._index is None:
                return "the file is damaged"
            ids = self.store.window_ids(self.encoder)
            if fresh._marks == marks and not np.array_equal(np.sort(fresh._ids), ids):
                return "it has other windows than the database"
            return "" if fresh._agrees(np.intersect1d(ids, fresh._ids)) else "a vector differs from the database"

    def _agrees(self, ids: np.ndarray) -> bool:
        places = dict(zip(self._ids.tolist(), range(len(self._ids))))
        for found, vectors in self.store.window_vectors(ids):
            kept = self._index.reconstruct_batch(np.array([places[i] for i in found.tolist()], np.int64))
            if not np.array_equal(kept, vectors.astype(np.float32)):
                return False
        return True

    def save(self) -> None:
        """Write the cache beside the database: the index first, then the manifest that vouches for it.

        Raises:
            OSError: the disk refuses; the cache that was there, or none, is what the next start finds.
        """
        with self._lock:
            self.refresh()
            if self._index is None:
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            crc = _write_index(self._index, self.path)
            manifest = {"format": FORMAT, "encoder": self.encoder, "marks": list(self._marks or ()), "crc": crc, "count": len(self._ids)}
            ids = self._ids.tobytes()
            _write(self.path.with_suffix(".ids"), ids)
            manifest["ids_crc"] = zlib.crc32(ids)
            _write(self.path.with_suffix(".json"), _seal(manifest))

    def _load(self, marks: tuple[str, int, int]) -> None:
        """Take the file where every checksum and count says that it is what was written; else leave it."""
        import faiss
        manifest = read_manifest(self.path)
        if manifest is None or manifest["encoder"] != self.encoder or manifest["marks"][0] != marks[0]:
            return
        try:
            ids = self.path.with_suffix(".ids").read_bytes()
            if _checksum(self.path) != manifest["crc"] or zlib.crc32(ids) != manifest["ids_crc"]:
                raise ValueError("a checksum does not fit")
            index = faiss.read_index(str(self.path))
            if index.ntotal != manifest["count"] or len(ids) != 8 * index.ntotal:
                raise ValueError("a count does not fit")
        except (OSError, ValueError, RuntimeError) as error:
            log.warning("the search cache is rebuilt: %s", error)
            return
        _use_threads()
        self._index, self._ids, self._marks = index, np.frombuffer(ids, np.int64), tuple(manifest["marks"])

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
        raise ExplorerError(f"the index mixes models: {listed}, while this search uses {encoder}; "
                            "index the library again (kept features are reused), or switch the model back")


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest beside a cache file, or None where it is missing, damaged or of another format."""
    try:
        manifest = json.loads(path.with_suffix(".json").read_bytes())
        seal = manifest.pop("seal")
        whole = seal == zlib.crc32(_text(manifest)) and manifest["format"] == FORMAT
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return manifest if whole else None


def _seal(manifest: dict[str, Any]) -> bytes:
    return _text({**manifest, "seal": zlib.crc32(_text(manifest))})


def _text(manifest: dict[str, Any]) -> bytes:
    return json.dumps(manifest, sort_keys=True).encode()


def _new_index(dim: int) -> faiss.Index:
    import faiss
    return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


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


def _checksum(path: Path) -> int:
    crc = 0
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc


def _write_index(index: faiss.Index, path: Path) -> int:
    """Write an index whole or not at all, and give its checksum.

    The bytes go through a file of ours: FAISS's own writer only prints that the disk is full, and leaves half a file.
    """
    import faiss
    crc, part = 0, path.with_name(path.name + ".part")

    def keep(data: bytes) -> None:
        nonlocal crc
        crc = zlib.crc32(data, crc)
        file.write(data)

    with _discarded_on_error(part), open(part, "wb") as file:
        faiss.write_index(index, faiss.PyCallbackIOWriter(keep, CHUNK))    # type: ignore[attr-defined]
    _replace(part, path)
    return crc


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    with _discarded_on_error(part):
        part.write_bytes(data)
    _replace(part, path)


@contextlib.contextmanager
def _discarded_on_error(part: Path) -> Iterator[None]:
    """Half a file is taken away again: on a full disk it would keep others from their room."""
    try:
        yield
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _replace(part: Path, path: Path) -> None:
    """Make a finished temporary file the real one, durably."""
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
