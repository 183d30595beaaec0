"""What search asks of the store: candidates' frames, windows that pass the filters, vectors for the coarse cache."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePath

import numpy as np

from explorer.language.spelling import folded
from explorer.records import ExplorerError
from explorer.store import features
from explorer.store.rows import SEARCHABLE, Candidates, StoredWindow

WINDOW_COLUMNS = "w.id, w.video_id, w.ordinal, w.start, w.end, w.first, w.count"
VECTOR_ROWS = 8192  # vectors read at once: 8 MB at D = 512
COUNTS = """SELECT (SELECT count(*) FROM roots), (SELECT count(*) FROM roots WHERE state = 'offline'), count(*),
    coalesce(sum(state = 'new'), 0), coalesce(sum(state = 'indexed'), 0), coalesce(sum(state = 'damaged'), 0),
    coalesce(sum(state = 'failed'), 0), coalesce(sum(state = 'missing'), 0), (SELECT count(*) FROM windows),
    coalesce(sum(CASE WHEN state IN ('indexed', 'damaged') THEN duration END), 0.0) FROM videos"""


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Several reads of one moment: an indexing video cannot slip in between."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def windows_of(connection: sqlite3.Connection, video_id: int) -> tuple[StoredWindow, ...]:
    """The windows of a video, in order."""
    rows = connection.execute(
        f"SELECT {WINDOW_COLUMNS} FROM windows w WHERE w.video_id = ? ORDER BY w.ordinal", (video_id,)
    )
    return tuple(StoredWindow(*row) for row in rows)


def windows_by_id(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, tuple[StoredWindow, int, int]]:
    """number -> (window, feature set, D) of those windows that still exist."""
    rows = connection.execute(
        f"""SELECT {WINDOW_COLUMNS}, s.id, s.dim FROM windows w JOIN videos v ON v.id = w.video_id
            JOIN feature_sets s ON s.id = v.set_id WHERE w.id IN (SELECT value FROM json_each(?))""",
        (json.dumps([int(i) for i in ids]),),
    )
    return {row[0]: (StoredWindow(*row[:7]), row[7], row[8]) for row in rows}


def candidate_features(connection: sqlite3.Connection, ids: Sequence[int]) -> Candidates:
    """Kept frames of windows, in the order asked; windows gone meanwhile are left out.

    Raises:
        ExplorerError: the windows come from towers of different widths.
    """
    found = windows_by_id(connection, ids)
    kept = [found[int(i)] for i in ids if int(i) in found]
    dims = {dim for _, _, dim in kept}
    if len(dims) > 1:
        raise ExplorerError(f"the index holds features of different widths {sorted(dims)}; index again with one model")
    runs = [(set_id, window.first, window.count) for window, set_id, _ in kept]
    vectors, mask = features.read_runs(connection, runs, dim=dims.pop() if dims else 0)
    return Candidates(tuple(window for window, _, _ in kept), vectors, mask)


def encoder_counts(connection: sqlite3.Connection) -> dict[str, int]:
    """encoder -> windows of searchable videos it made."""
    rows = connection.execute(
        f"""SELECT e.name, count(*) FROM windows w JOIN encoders e ON e.id = w.encoder_id
            JOIN videos v ON v.id = w.video_id WHERE v.state IN {SEARCHABLE} GROUP BY e.name"""
    )
    return dict(rows.fetchall())


def any_other_encoder(connection: sqlite3.Connection, encoder: str) -> bool:
    """Whether any window at all was made by another encoder."""
    return bool(
        connection.execute(
            """SELECT EXISTS (SELECT 1 FROM encoders e WHERE e.name != ?
           AND EXISTS (SELECT 1 FROM windows w WHERE w.encoder_id = e.id))""",
            (encoder,),
        ).fetchone()[0]
    )


def list_embedded(
    connection: sqlite3.Connection, *, tower: str, sampling: str
) -> dict[int, tuple[int | None, str | None]]:
    """video -> (feature set of this tower and sampling, encoder of its windows) of every video that was indexed."""
    rows = connection.execute(
        """SELECT v.id, s.id, e.name FROM videos v
           LEFT JOIN feature_sets s ON (s.fingerprint, s.tower, s.sampling) = (v.fingerprint, ?, ?)
           LEFT JOIN windows w ON w.video_id = v.id AND w.ordinal = 0 AND v.set_id = s.id
           LEFT JOIN encoders e ON e.id = w.encoder_id WHERE v.set_id IS NOT NULL""",
        (tower, sampling),
    )
    return {video: (set_id, encoder) for video, set_id, encoder in rows}


def window_ids(connection: sqlite3.Connection, encoder: str, *, after: int = 0) -> np.ndarray:
    """(N,) int64, ascending: windows of an encoder whose number is greater than `after`."""
    rows = connection.execute(
        """SELECT id FROM windows WHERE encoder_id = (SELECT id FROM encoders WHERE name = ?) AND id > ? ORDER BY id""",
        (encoder, int(after)),
    )
    return np.fromiter((row[0] for row in rows), np.int64)


def window_vectors(connection: sqlite3.Connection, ids: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Coarse vectors of windows, in the order of their numbers, some thousands at once.

    Args:
        connection: a reader of the database.
        ids: (N,) int64 ascending.

    Yields:
        (n,) int64 numbers and (n, D) float16 vectors; windows gone meanwhile are left out.
    """
    for start in range(0, len(ids), VECTOR_ROWS):
        part = json.dumps(ids[start : start + VECTOR_ROWS].tolist())
        rows = connection.execute(
            "SELECT id, vector FROM windows WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id", (part,)
        ).fetchall()
        if rows:
            data = np.frombuffer(b"".join(vector for _, vector in rows), np.float16)
            yield np.array([key for key, _ in rows], np.int64), data.reshape(len(rows), -1)


def allowed_videos(
    connection: sqlite3.Connection,
    *,
    folders: Sequence[str] = (),
    files: Sequence[str] = (),
    after: float | None = None,
    before: float | None = None,
    longer: float | None = None,
    shorter: float | None = None,
) -> list[int] | None:
    """Numbers of the videos that pass the filters and may be shown; files gone missing may not.

    Args:
        connection: a reader of the database.
        folders: parts of names of folders and files, or whole paths; a video whose path holds any of them passes.
        files: parts of names of files; a video that is called so passes.
        after: seconds since the epoch, the earliest time of recording.
        before: seconds since the epoch, the first moment no longer wanted.
        longer: seconds the file must last at least.
        shorter: seconds it may last at most.

    Returns:
        Their numbers, or None where every video passes.
    """
    bounds = (after, before, longer, shorter)
    if not folders and not files and all(bound is None for bound in bounds) and not _any_hidden(connection):
        return None
    clauses, values = _conditions(*bounds)
    videos = connection.execute(
        f"""SELECT v.id, v.path, r.path FROM videos v JOIN roots r ON r.id = v.root_id
            WHERE {" AND ".join(clauses)}""",
        values,
    ).fetchall()
    passes = _path_filter(folders, files)
    return [key for key, path, root in videos if passes(os.fsdecode(path), os.fsdecode(root))]


def allowed_windows(connection: sqlite3.Connection, videos: list[int] | None) -> np.ndarray | None:
    """(N,) int64 ascending numbers of the windows of some videos, whatever encoder made them; None where all pass."""
    if videos is None:
        return None
    rows = connection.execute(
        "SELECT id FROM windows WHERE video_id IN (SELECT value FROM json_each(?)) ORDER BY id", (json.dumps(videos),)
    )
    return np.fromiter((row[0] for row in rows), np.int64)


def _any_hidden(connection: sqlite3.Connection) -> bool:
    """Whether a file that may not be shown still has windows: a missing one."""
    return bool(
        connection.execute(
            f"SELECT EXISTS (SELECT 1 FROM videos WHERE state NOT IN {SEARCHABLE} AND set_id IS NOT NULL)"
        ).fetchone()[0]
    )


def _conditions(
    after: float | None, before: float | None, longer: float | None, shorter: float | None
) -> tuple[list[str], list[float]]:
    clauses, values = [f"v.state IN {SEARCHABLE}"], []
    for clause, value in (
        ("coalesce(v.recorded, v.mtime_ns / 1e9) >= ?", after),
        ("coalesce(v.recorded, v.mtime_ns / 1e9) < ?", before),
        ("v.duration >= ?", longer),
        ("v.duration <= ?", shorter),
    ):
        if value is not None:
            clauses.append(clause)
            values.append(value)
    return clauses, values


def _path_filter(folders: Sequence[str], files: Sequence[str]) -> Callable[[str, str], bool]:
    """Whether a file's path holds one of the texts of in:, and its name one of those of file:; neither case nor the way
    accents are stored counts."""
    within = [(folded(text).strip("/"), PurePath(text).is_absolute()) for text in folders]
    named = [folded(text) for text in files]

    def passes(path: str, root: str) -> bool:
        whole = folded(path)
        if named and not any(text in (whole if "/" in text else whole.rsplit("/", 1)[-1]) for text in named):
            return False
        # what lies above the person's folder is nobody's choice: /home/trips would put every file in trips
        own = whole[len(folded(os.path.dirname(root.rstrip("/\\")))) :]
        return not within or any(text in (whole if absolute else own.lstrip("/")) for text, absolute in within)

    return passes
