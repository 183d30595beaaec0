"""The library as kept: class Store hands files, features and windows in and out, one transaction a video."""

from __future__ import annotations

import json
import os
import secrets
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from explorer.records import ExplorerError, FrameFeatures, Note, Recorded, VideoFile, VideoInfo, Window
from explorer.store import features as feature_rows
from explorer.store import reads, writes
from explorer.store.database import Database
from explorer.store.rows import (
    Candidates,
    Counts,
    Root,
    StoredVideo,
    StoredWindow,
    as_text,
    from_notes,
    select_videos,
    to_notes,
    to_root,
)

PUBLIC_ID_BYTES = 16  # 128 random bits, 22 characters


class Store:
    """The only truth: a database in the data folder. Any thread may call any method."""

    def __init__(self, path: Path | str, *, read_only: bool = False) -> None:
        """Open or create the database at `path`.

        Raises:
            ExplorerError: it cannot be opened, is damaged, or belongs to a newer release.
        """
        self.database = Database(path, read_only=read_only)
        self.path = self.database.path

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- folders

    def roots(self) -> tuple[Root, ...]:
        """The person's folders, in the order they were added."""
        with self.database.read() as connection:
            rows = connection.execute(
                "SELECT id, path, state, reason, added, scanned, motion_photos FROM roots ORDER BY id"
            )
            return tuple(to_root(row) for row in rows)

    def add_root(self, path: str | Path) -> Root:
        """Take a folder into the library; one that is there already is given back as it is."""
        name = os.path.abspath(os.path.expanduser(path))
        with self.database.write() as connection:
            connection.execute(
                "INSERT INTO roots (path, added) VALUES (?, ?) ON CONFLICT DO NOTHING", (os.fsencode(name), time.time())
            )
        return next(root for root in self.roots() if root.path == name)

    def set_root(self, root_id: int, *, state: str, reason: str = "", scanned: float | None = None) -> None:
        """Mark a folder online or offline; `scanned` is when it was last read through."""
        with self.database.write() as connection:
            connection.execute(
                "UPDATE roots SET state = ?, reason = ?, scanned = coalesce(?, scanned) WHERE id = ?",
                (state, as_text(reason), scanned, root_id),
            )

    def remove_root(self, root_id: int) -> int:
        """Take a folder out of the library because the person asked; returns how many videos left with it."""
        with self.database.write() as connection:
            removed = connection.execute("DELETE FROM videos WHERE root_id = ?", (root_id,)).rowcount
            connection.execute("DELETE FROM roots WHERE id = ?", (root_id,))
            writes.forget_unused(connection)
            writes.touch(connection, removals=True)
            return removed

    # ---- files

    def videos(self, *, root_id: int | None = None, state: str | None = None) -> tuple[StoredVideo, ...]:
        """Files of the library by path, of one folder or state where given."""
        conditions = {"root_id = ?": root_id, "state = ?": state}
        chosen = {clause: value for clause, value in conditions.items() if value is not None}
        with self.database.read() as connection:
            return tuple(select_videos(connection, " AND ".join(chosen) or "1", tuple(chosen.values())))

    def video(self, video_id: int) -> StoredVideo:
        """One file by its number.

        Raises:
            ExplorerError: there is none.
        """
        return self._one("id = ?", video_id)

    def by_public_id(self, public_id: str) -> StoredVideo:
        """One file by the name that the page's addresses carry."""
        return self._one("public_id = ?", public_id)

    def by_path(self, path: str) -> StoredVideo | None:
        """One file by its absolute path; None where the library does not know it."""
        with self.database.read() as connection:
            return next(iter(select_videos(connection, "path = ?", (os.fsencode(path),))), None)

    def paths(self) -> list[str]:
        """Every file's path."""
        with self.database.read() as connection:
            return [os.fsdecode(path) for (path,) in connection.execute("SELECT path FROM videos ORDER BY path")]

    def by_ids(self, video_ids: Iterable[int]) -> dict[int, StoredVideo]:
        """number -> file, of those that exist."""
        wanted = json.dumps([int(i) for i in video_ids])
        with self.database.read() as connection:
            found = select_videos(connection, "id IN (SELECT value FROM json_each(?))", (wanted,))
        return {video.id: video for video in found}

    def _one(self, where: str, value: object) -> StoredVideo:
        with self.database.read() as connection:
            found = select_videos(connection, where, (value,))
        if not found:
            raise ExplorerError(f"the library has no video {value}; it was removed, search again")
        return found[0]

    def add_files(self, root_id: int, files: Iterable[VideoFile]) -> None:
        """Put files in line for indexing; known paths stay as they are."""
        rows = [
            (
                secrets.token_urlsafe(PUBLIC_ID_BYTES),
                root_id,
                os.fsencode(file.path),
                file.size,
                file.mtime_ns,
                file.fingerprint,
            )
            for file in files
        ]
        with self.database.write() as connection:
            connection.executemany(
                """INSERT INTO videos (public_id, root_id, path, size, mtime_ns, fingerprint, state)
                   VALUES (?, ?, ?, ?, ?, ?, 'new') ON CONFLICT (path) DO NOTHING""",
                rows,
            )

    def move_files(self, moves: Iterable[tuple[int, VideoFile, int]]) -> None:
        """Give files their new place: (video, file as found now, folder it lies in). What was learned stays theirs."""
        moves = list(moves)
        with self.database.write() as connection:
            for video_id, _, _ in moves:  # two files may have swapped names: clear the old ones first
                connection.execute("UPDATE videos SET path = ? WHERE id = ?", (b"\0moving %d" % video_id, video_id))
            for video_id, file, root_id in moves:
                connection.execute(
                    "UPDATE videos SET path = ?, root_id = ?, size = ?, mtime_ns = ? WHERE id = ?",
                    (os.fsencode(file.path), root_id, file.size, file.mtime_ns, video_id),
                )
            writes.set_present(connection, [video_id for video_id, _, _ in moves])
            writes.touch(connection)

    def touch_files(self, files: Iterable[tuple[int, VideoFile]]) -> None:
        """Take over the size and time of files whose content is what it was."""
        rows = [(file.size, file.mtime_ns, video_id) for video_id, file in files]
        with self.database.write() as connection:
            connection.executemany("UPDATE videos SET size = ?, mtime_ns = ? WHERE id = ?", rows)

    def mark_missing(self, video_ids: Iterable[int]) -> None:
        """The files are gone from a folder that is there. Everything known of them is kept."""
        with self.database.write() as connection:
            connection.executemany("UPDATE videos SET state = 'missing' WHERE id = ?", [(i,) for i in video_ids])
            writes.touch(connection)

    def mark_present(self, video_ids: Iterable[int]) -> None:
        """Missing files are back, unchanged: they are what they were."""
        with self.database.write() as connection:
            writes.set_present(connection, list(video_ids))
            writes.touch(connection)

    def mark_failed(self, video_id: int, file: VideoFile, *, reason: str) -> None:
        """This content cannot be indexed, and why; windows of older content go, as they no longer show the file."""
        with self.database.write() as connection:
            before = writes.fingerprint_of(connection, video_id)
            gone = connection.execute("DELETE FROM windows WHERE video_id = ?", (video_id,)).rowcount
            connection.execute(
                """UPDATE videos SET state = 'failed', reason = ?, size = ?, mtime_ns = ?, fingerprint = ?,
                   set_id = NULL WHERE id = ?""",
                (as_text(reason), file.size, file.mtime_ns, file.fingerprint, video_id),
            )
            writes.forget_content(connection, before)
            writes.touch(connection, removals=gone > 0)

    # ---- what indexing learns

    def feature_set(self, fingerprint: str, *, tower: str, sampling: str) -> int | None:
        """The number of the features kept for this content, or None where it must be decoded."""
        with self.database.read() as connection:
            row = connection.execute(
                "SELECT id FROM feature_sets WHERE (fingerprint, tower, sampling) = (?, ?, ?)",
                (fingerprint, tower, sampling),
            ).fetchone()
        return row[0] if row else None

    def set_features(self, set_id: int) -> tuple[FrameFeatures, VideoInfo, str]:
        """A feature set whole: features, what the probe said of the content, and its damage ('' where sound).

        Raises:
            ExplorerError: the set is gone or damaged.
        """
        with self.database.read() as connection:
            row = connection.execute(
                "SELECT frames, dim, times, crc, info, damage FROM feature_sets WHERE id = ?", (set_id,)
            ).fetchone()
            vectors = feature_rows.read_set(connection, set_id, dim=row[1]) if row else np.zeros((0, 0))
        if row is None or zlib.crc32(row[2]) != row[3] or len(vectors) != row[0]:
            raise ExplorerError(
                f"kept features (set {set_id}) are damaged; run `python -m explorer check --repair`, then index again"
            )
        return FrameFeatures(np.frombuffer(row[2]), vectors), VideoInfo(**json.loads(row[4])), row[5]

    def set_notes(self, set_id: int) -> tuple[str, ...]:
        """What was noted of the content of a feature set."""
        with self.database.read() as connection:
            row = connection.execute("SELECT notes FROM feature_sets WHERE id = ?", (set_id,)).fetchone()
        return to_notes(row[0]) if row else ()

    def notes(self) -> tuple[Note, ...]:
        """What was read otherwise than one would expect: of folders, then of files, by path."""
        with self.database.read() as connection:
            rows = connection.execute("SELECT path, notes FROM roots WHERE notes != '' ORDER BY path").fetchall()
            rows += connection.execute("SELECT path, notes FROM videos WHERE notes != '' ORDER BY path").fetchall()
        return tuple(Note(os.fsdecode(path), note) for path, notes in rows for note in to_notes(notes))

    def set_root_notes(self, root_id: int, notes: Iterable[str]) -> None:
        """Keep what was noted of a folder when it was last read through."""
        with self.database.write() as connection:
            connection.execute("UPDATE roots SET notes = ? WHERE id = ?", (from_notes(notes), root_id))

    def set_recorded(self, recorded: Iterable[tuple[int, Recorded]]) -> None:
        """Say when files were recorded: (video, when)."""
        rows = [(when.time, when.by, video_id) for video_id, when in recorded]
        with self.database.write() as connection:
            connection.executemany("UPDATE videos SET recorded = ?, recorded_by = ? WHERE id = ?", rows)

    def features(self, video_id: int) -> FrameFeatures:
        """Every kept frame of a video, times (N,) and vectors (N, D).

        Raises:
            ExplorerError: the video has none yet.
        """
        set_id = self.video(video_id).set_id
        if set_id is None:
            raise ExplorerError("this video has not been indexed yet; index its folder first")
        return self.set_features(set_id)[0]

    def put_video(
        self,
        video_id: int,
        file: VideoFile,
        *,
        info: VideoInfo,
        features: FrameFeatures,
        tower: str,
        sampling: str,
        windows: Sequence[Window],
        vectors: np.ndarray,
        encoder: str,
        damage: str = "",
        notes: Sequence[str] = (),
        recorded: Recorded | None = None,
    ) -> None:
        """Keep everything learned of a file, in one transaction: a video is done or it is not.

        Args:
            video_id: its number.
            file: as it was found, with its fingerprint.
            info: what the probe learned.
            features: N kept frames.
            tower: what made the features; with `sampling` and the fingerprint it names the set.
            sampling: SamplingConfig.key.
            windows: V windows over the frames.
            vectors: (V, D) coarse unit vectors.
            encoder: what made the vectors.
            damage: a sentence where the file is damaged and only part of it was kept.
            notes: sentences on what was read otherwise than one would expect.
            recorded: when it was recorded; None takes the file's own time.

        Raises:
            ValueError: an empty fingerprint, or vectors that do not match the windows.
        """
        if not file.fingerprint:
            raise ValueError(f"{file.path} has no fingerprint")
        damage = as_text(damage)
        with self.database.write() as connection:
            before = writes.fingerprint_of(connection, video_id)
            set_id = writes.keep_set(connection, file.fingerprint, info, features, tower, sampling, damage, notes)
            recorded = recorded or Recorded(file.mtime_ns / 1e9, "file")
            writes.update_video(connection, video_id, file, info, set_id, damage=damage, notes=notes, recorded=recorded)
            writes.replace_windows(connection, video_id, windows, vectors, encoder)
            writes.forget_content(connection, before)
            connection.execute(
                "DELETE FROM drafts WHERE (fingerprint, tower, sampling) = (?, ?, ?)",
                (file.fingerprint, tower, sampling),
            )

    def put_windows(
        self, video_id: int, windows: Sequence[Window], *, vectors: np.ndarray, encoder: str, set_id: int
    ) -> None:
        """Replace a video's windows by another encoder's, made from the features kept as `set_id`: (V, D) vectors."""
        with self.database.write() as connection:
            connection.execute("UPDATE videos SET set_id = ? WHERE id = ?", (set_id, video_id))
            writes.replace_windows(connection, video_id, windows, vectors, encoder)

    def keep_features(
        self,
        fingerprint: str,
        *,
        info: VideoInfo,
        features: FrameFeatures,
        tower: str,
        sampling: str,
        damage: str = "",
        notes: Sequence[str] = (),
    ) -> int:
        """Keep features of a file's content beside those of other towers; no window changes. The set's number."""
        with self.database.write() as connection:
            return writes.keep_set(connection, fingerprint, info, features, tower, sampling, as_text(damage), notes)

    def drop_windows_of_others(self, encoder: str) -> int:
        """Take away every window that another encoder made; how many there were."""
        with self.database.write() as connection:
            gone = connection.execute(
                "DELETE FROM windows WHERE encoder_id NOT IN (SELECT id FROM encoders WHERE name = ?)", (encoder,)
            ).rowcount
            writes.touch(connection, removals=gone > 0)
        return gone

    def count_frames(self) -> int:
        """Frames kept of the videos that are indexed, each content once a video."""
        with self.database.read() as connection:
            row = connection.execute(
                "SELECT coalesce(sum(s.frames), 0) FROM videos v JOIN feature_sets s ON s.id = v.set_id"
            ).fetchone()
        return int(row[0])

    def tower_sizes(self) -> dict[str, int]:
        """tower -> bytes of the features kept of it, videos of the library or not."""
        with self.database.read() as connection:
            return dict(
                connection.execute(
                    "SELECT tower, sum(frames * (2 * dim + 8)) FROM feature_sets GROUP BY tower"
                ).fetchall()
            )

    def forget_tower(self, tower: str) -> int:
        """Drop the features of a tower that no window stands on; how many sets went."""
        with self.database.write() as connection:
            sets = connection.execute(
                "SELECT id FROM feature_sets WHERE tower = ? AND id NOT IN "
                "(SELECT set_id FROM videos WHERE set_id IS NOT NULL)",
                (tower,),
            ).fetchall()
            for (set_id,) in sets:
                feature_rows.delete_set(connection, set_id)
        return len(sets)

    # ---- what search asks

    def candidate_features(self, window_ids: Sequence[int]) -> Candidates:
        """Kept frames of windows, in the order asked; windows gone meanwhile are left out."""
        with self.database.read() as connection, reads.snapshot(connection):
            return reads.candidate_features(connection, window_ids)

    def windows_of(self, video_id: int) -> tuple[StoredWindow, ...]:
        """The windows of a video, in order."""
        with self.database.read() as connection:
            return reads.windows_of(connection, video_id)

    def windows(self, window_ids: Sequence[int]) -> dict[int, StoredWindow]:
        """number -> window, of those that exist."""
        with self.database.read() as connection:
            return {key: found[0] for key, found in reads.windows_by_id(connection, window_ids).items()}

    def window_ids(self, encoder: str, *, after: int = 0) -> np.ndarray:
        """(N,) int64, ascending: the windows an encoder made, from number `after` + 1 on."""
        with self.database.read() as connection:
            return reads.window_ids(connection, encoder, after=after)

    def window_vectors(self, window_ids: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(n,) numbers and (n, D) float16 coarse vectors, some thousands at once; ids (N,) ascending."""
        with self.database.read() as connection:
            yield from reads.window_vectors(connection, window_ids)

    def allowed_windows(
        self,
        *,
        folders: Sequence[str] = (),
        files: Sequence[str] = (),
        after: float | None = None,
        before: float | None = None,
        longer: float | None = None,
        shorter: float | None = None,
    ) -> np.ndarray | None:
        """(N,) window numbers that pass the filters, or None where all do; see reads.allowed_videos."""
        with self.database.read() as connection:
            videos = reads.allowed_videos(
                connection, folders=folders, files=files, after=after, before=before, longer=longer, shorter=shorter
            )
            return reads.allowed_windows(connection, videos)

    def window_counts(self) -> dict[int, int]:
        """video -> how many windows it has."""
        with self.database.read() as connection:
            return dict(connection.execute("SELECT video_id, count(*) FROM windows GROUP BY video_id").fetchall())

    def encoders(self) -> dict[str, int]:
        """encoder -> windows of searchable videos it made; more than one entry is a mix, which search refuses."""
        with self.database.read() as connection:
            return reads.encoder_counts(connection)

    def other_encoders(self, encoder: str) -> dict[str, int]:
        """The same without one encoder; quick in the usual case, where there is no other."""
        with self.database.read() as connection:
            alone = not reads.any_other_encoder(connection, encoder)
            found = {} if alone else reads.encoder_counts(connection)
        return {name: count for name, count in found.items() if name != encoder}

    def list_embedded(self, *, tower: str, sampling: str) -> dict[int, tuple[int | None, str | None]]:
        """video -> (feature set of this tower and sampling, encoder of its windows), None where there is none."""
        with self.database.read() as connection:
            return reads.list_embedded(connection, tower=tower, sampling=sampling)

    def marks(self) -> tuple[str, int, int]:
        """(identity of this database, generation, removals): the counters rise with each change of windows."""
        with self.database.read() as connection:
            found = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        return found["store_id"], int(found["generation"]), int(found["removals"])

    def generation(self) -> int:
        """Rises whenever windows or what may be shown of them change."""
        return self.marks()[1]

    def counts(self) -> Counts:
        """The figures of the page, from one look at the database."""
        with self.database.read() as connection:
            row = connection.execute(reads.COUNTS).fetchone()
        return Counts(*row)

    # ---- small things other parts keep here
