"""Looks for every inconsistency the store and its caches can have, and mends what can be made again."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from explorer.records import ExplorerError
from explorer.store import features as feature_rows
from explorer.store import writes
from explorer.store.rows import SEARCHABLE
from explorer.store.stills import Stills
from explorer.store.store import Store
from explorer.store.vectors import VectorCache

UNIT_TOLERANCE = 0.01  # float16 rounding moves the length of a unit vector by less than 0.001


@dataclass(frozen=True)
class Finding:
    """One inconsistency: where, what it means, and whether it was mended."""

    kind: str  # database | features | windows | videos | vectors | stills
    where: str
    message: str
    repaired: bool = False


@dataclass(frozen=True)
class _Fault:
    """A finding with what mends it, where anything does."""

    finding: Finding
    mend: Callable[[], None] | None = None


def check(
    store: Store, *, vectors: VectorCache | None = None, stills: Stills | None = None, repair: bool = False
) -> list[Finding]:
    """Look at everything the data folder keeps of the library.

    Args:
        store: the database; with `repair` this process must be its only writer.
        vectors: the coarse cache to compare with it.
        stills: the cache of pictures to look through.
        repair: mend what can be made again: files of broken features are put in line for the next indexing, caches
            are rebuilt.

    Returns:
        The findings; empty where all is well.
    """
    parts: list[Callable[[], Iterator[_Fault]]] = [
        partial(_database, store),
        partial(_feature_sets, store),
        partial(_windows, store),
        partial(_videos, store),
    ]
    if vectors is not None:
        parts.append(lambda: _vectors(store, vectors))
    if stills is not None:
        parts.append(lambda: _stills(stills))
    return [finding for part in parts for finding in _run(part, repair=repair)]


def _run(part: Callable[[], Iterator[_Fault]], *, repair: bool) -> list[Finding]:
    try:
        faults = list(part())
    except ExplorerError as error:
        return [Finding("database", "", str(error))]
    findings = []
    for fault in faults:
        if repair and fault.mend is not None:
            fault.mend()
        findings.append(replace(fault.finding, repaired=repair and fault.mend is not None))
    return findings


def _database(store: Store) -> Iterator[_Fault]:
    with store.database.read() as connection:
        answers = [row[0] for row in connection.execute("PRAGMA integrity_check(20)")]
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    if answers != ["ok"]:
        copies = sorted(store.path.parent.glob(f"{store.path.name}.v*.bak"))
        advice = f"put {copies[-1].name} in its place" if copies else "move it away and index again"
        yield _Fault(
            Finding("database", str(store.path), f"{answers[0]}; if repairing does not help, {advice}"),
            partial(_reindex, store),
        )
    for table, row, parent, _ in broken:
        yield _Fault(
            Finding("database", f"{table} {row}", f"it points to a row of {parent} that is not there"),
            partial(_delete_row, store, table, row),
        )


def _reindex(store: Store) -> None:
    with store.database.write() as connection:
        connection.execute("REINDEX")


def _delete_row(store: Store, table: str, row: int) -> None:
    with store.database.write() as connection:
        connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))
        writes.touch(connection, removals=True)


def _feature_sets(store: Store) -> Iterator[_Fault]:
    with store.database.read() as connection:
        sets = connection.execute("SELECT id, fingerprint, frames, dim, times, crc FROM feature_sets").fetchall()
        for set_id, _fingerprint, frames, dim, times, crc in sets:
            wrong = _wrong_times(times, crc, frames) or _wrong_blocks(connection, set_id, frames, dim)
            if wrong:
                yield _Fault(
                    Finding("features", f"set {set_id}", f"{wrong}; its files must be indexed again"),
                    partial(_drop_set, store, set_id),
                )
        yield from _orphans(store, connection)


def _orphans(store: Store, connection: sqlite3.Connection) -> Iterator[_Fault]:
    unused = connection.execute(
        "SELECT count(*) FROM feature_sets WHERE fingerprint NOT IN (SELECT fingerprint FROM videos)"
    ).fetchone()[0]
    if unused:
        yield _Fault(
            Finding("features", f"{unused} sets", "no file of the library has this content"),
            partial(_forget_unused, store),
        )
    stray = connection.execute(
        "SELECT DISTINCT id >> ? FROM feature_blocks WHERE id >> ? NOT IN (SELECT id FROM feature_sets)",
        (feature_rows.BLOCK_BITS,) * 2,
    ).fetchall()
    for (set_id,) in stray:
        yield _Fault(
            Finding("features", f"set {set_id}", "blocks without their set"), partial(_drop_set, store, set_id)
        )


def _forget_unused(store: Store) -> None:
    with store.database.write() as connection:
        writes.forget_unused(connection)


def _wrong_times(times: bytes, crc: int, frames: int) -> str:
    if zlib.crc32(times) != crc or len(times) != 8 * frames:
        return "the times of its frames are damaged"
    seconds = np.frombuffer(times)
    ascending = np.isfinite(seconds).all() and (np.diff(seconds) > 0).all()
    return "" if ascending else "the times of its frames do not ascend"


def _wrong_blocks(connection: sqlite3.Connection, set_id: int, frames: int, dim: int) -> str:
    rows, blocks = 0, feature_rows.blocks_of_set(connection, set_id)
    for expected, (key, crc, data) in enumerate(blocks):
        if key != feature_rows.block_id(set_id, expected):
            return f"block {expected} is missing"
        wrong = _wrong_vectors(data, crc, dim)
        if wrong:
            return f"block {expected}: {wrong}"
        rows += len(data) // (2 * dim)
    return "" if rows == frames else f"{rows} frames are kept, {frames} were written"


def _wrong_vectors(data: bytes, crc: int, dim: int) -> str:
    if zlib.crc32(data) != crc:
        return "damaged, its checksum does not fit"
    if len(data) % (2 * dim):
        return "a vector is cut short"
    lengths = np.linalg.norm(feature_rows.unpack(data, dim).astype(np.float32), axis=1)
    return "" if (np.abs(lengths - 1) < UNIT_TOLERANCE).all() else "a vector is not of unit length"


def _drop_set(store: Store, set_id: int) -> None:
    """Forget broken features; their files wait for the next indexing, missing ones stay marked missing."""
    with store.database.write() as connection:
        users = [row[0] for row in connection.execute("SELECT id FROM videos WHERE set_id = ?", (set_id,))]
        for video_id in users:
            _forget_windows(connection, video_id)
            connection.execute("UPDATE videos SET set_id = NULL WHERE id = ?", (video_id,))
        feature_rows.delete_set(connection, set_id)


def _windows(store: Store) -> Iterator[_Fault]:
    with store.database.read() as connection:
        rows = connection.execute(
            """SELECT w.video_id, w.ordinal, w.start, w.end, w.first, w.count, w.crc, w.vector, s.frames, s.dim
               FROM windows w JOIN videos v ON v.id = w.video_id LEFT JOIN feature_sets s ON s.id = v.set_id
               ORDER BY w.video_id, w.ordinal"""
        )
        told, last = set(), (0, -1)
        for row in rows:
            video_id, ordinal = row[:2]
            expected = last[1] + 1 if last[0] == video_id else 0
            last = (video_id, ordinal)
            wrong = "a window is missing" if ordinal != expected else _wrong_window(*row[2:])
            if wrong and video_id not in told:
                told.add(video_id)
                yield _Fault(
                    Finding("windows", f"video {video_id}, window {ordinal}", wrong),
                    partial(_drop_windows, store, video_id),
                )


def _wrong_window(
    start: float, end: float, first: int, count: int, crc: int, vector: bytes, frames: int | None, dim: int | None
) -> str:
    if frames is None or dim is None:
        return "it has no kept features"
    if len(vector) != 2 * dim:
        return "its vector has another width than its features"
    if not 0 <= start <= end:
        return "its start and end do not follow each other"
    if first < 0 or count < 1 or first + count > frames:
        return "its frames are not among those kept"
    return _wrong_vectors(vector, crc, dim)


def _drop_windows(store: Store, video_id: int) -> None:
    with store.database.write() as connection:
        _forget_windows(connection, video_id)


def _forget_windows(connection: sqlite3.Connection, video_id: int) -> None:
    """The next indexing makes them from kept features, or decodes where there are none."""
    connection.execute("DELETE FROM windows WHERE video_id = ?", (video_id,))
    connection.execute("UPDATE videos SET state = 'new', reason = '' WHERE id = ? AND state != 'missing'", (video_id,))
    writes.touch(connection, removals=True)


def _videos(store: Store) -> Iterator[_Fault]:
    with store.database.read() as connection:
        empty = connection.execute(
            f"""SELECT id FROM videos v WHERE state IN {SEARCHABLE}
                AND (set_id IS NULL OR NOT EXISTS (SELECT 1 FROM windows w WHERE w.video_id = v.id))"""
        ).fetchall()
        stray = connection.execute(
            """SELECT v.id FROM videos v JOIN feature_sets s ON s.id = v.set_id
               WHERE s.fingerprint != v.fingerprint AND v.state != 'new'"""
        ).fetchall()
    for video_id, message in [(i, "it counts as indexed but has no windows") for (i,) in empty] + [
        (i, "its features are of other content") for (i,) in stray
    ]:
        yield _Fault(Finding("videos", f"video {video_id}", message), partial(_drop_windows, store, video_id))
    others = store.encoders()
    if len(others) > 1:
        listed = ", ".join(f"{count} by {name}" for name, count in sorted(others.items()))
        yield _Fault(Finding("windows", "", f"windows of several models ({listed}); index the library again"))


def _vectors(store: Store, cache: VectorCache) -> Iterator[_Fault]:
    wrong = cache.difference()
    if wrong:
        yield _Fault(
            Finding("vectors", str(cache.path), f"{wrong}; the cache is made again from the database"),
            lambda: _rebuild(cache),
        )


def _rebuild(cache: VectorCache) -> None:
    cache.rebuild()
    cache.save()


def _stills(stills: Stills) -> Iterator[_Fault]:
    if not stills.sound():
        yield _Fault(
            Finding("stills", str(stills.path), "the cache of stills is damaged; it is begun anew"), stills.begin_anew
        )
        return
    damaged = stills.damaged()
    if damaged:
        yield _Fault(
            Finding("stills", str(stills.path), f"{len(damaged)} stills are damaged; they are drawn again"),
            lambda: stills.drop(damaged),
        )
