"""The words said in films as kept: cues of subtitles, found by SQLite's full-text search (FTS5)."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Sequence

from explorer.records import Cue, FoundCue
from explorer.store.database import Database

# Words that say too little to be looked for by themselves.
COMMON = frozenset(
    "a an and are as at be but by for from had has have he her his i in is it its me my of on or our she so that the "
    "their them they this to was we were with you your".split()
)


class Cues:
    """The cues of a library. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def state_of(self, video_id: int) -> str:
        """Which state of a film's subtitles was read last; '' where none was."""
        with self.database.read() as connection:
            row = connection.execute("SELECT state FROM cues_read WHERE video_id = ?", (video_id,)).fetchone()
        return row[0] if row else ""

    def put(self, video_id: int, cues: Sequence[Cue], *, state: str) -> None:
        """Put cues in the place of those a film had, in one transaction."""
        with self.database.write() as connection:
            connection.execute("DELETE FROM cues WHERE video_id = ?", (video_id,))
            connection.executemany(
                "INSERT INTO cues (video_id, start, end, text, source) VALUES (?, ?, ?, ?, ?)",
                [(video_id, cue.start, cue.end, _storable(cue.text), _storable(cue.source)) for cue in cues],
            )
            connection.execute("INSERT OR REPLACE INTO cues_read VALUES (?, ?)", (video_id, state))

    def of(self, video_id: int) -> tuple[Cue, ...]:
        """The cues of a film, by time."""
        with self.database.read() as connection:
            rows = connection.execute(
                "SELECT start, end, text, source FROM cues WHERE video_id = ? ORDER BY start, id", (video_id,)
            ).fetchall()
        return tuple(Cue(*row) for row in rows)

    def count(self) -> int:
        """How many cues the library holds."""
        with self.database.read() as connection:
            return int(connection.execute("SELECT count(*) FROM cues").fetchone()[0])

    def search(self, text: str, *, limit: int = 50, videos: Sequence[int] | None = None) -> tuple[FoundCue, ...]:
        """Cues with every word of a text that says something, the best first; ties by path and time.

        Args:
            text: what was typed, filters taken out; nothing in it is read as a command.
            limit: cues at most.
            videos: numbers of the films that may be shown; None lets all.
        """
        words = match_words(text)
        if not words:
            return ()
        with self.database.read() as connection:
            shown = None if videos is None else json.dumps(list(videos))
            rows = connection.execute(FIND, (" ".join(words), shown, shown, limit)).fetchall()
        return tuple(_to_found_cue(row) for row in rows)


FIND = """SELECT v.id, v.public_id, v.path, c.start, c.end, c.text, c.source, bm25(cue_words)
    FROM cue_words JOIN cues c ON c.id = cue_words.rowid JOIN videos v ON v.id = c.video_id
    WHERE cue_words MATCH ? AND v.state IN ('indexed', 'damaged')
    AND (? IS NULL OR v.id IN (SELECT value FROM json_each(?))) ORDER BY bm25(cue_words), v.path, c.start LIMIT ?"""


def match_words(text: str) -> tuple[str, ...]:
    """The words of a text that are looked for, quoted, so that FTS5 takes none of them for an operator.

    >>> match_words('the "owl" NOT hooting*')
    ('"owl"', '"not"', '"hooting"')
    """
    words = [word for word in re.findall(r"[^\W_]+", text.casefold()) if word not in COMMON]
    return tuple(f'"{word}"' for word in dict.fromkeys(words))


def _to_found_cue(row: sqlite3.Row | tuple) -> FoundCue:
    video_id, public_id, path, start, end, text, source, rank = row
    return FoundCue(video_id, public_id, os.fsdecode(path), Cue(start, end, text, source), rank)


def _storable(text: str) -> str:
    """Text that SQLite takes: a lone half of a surrogate pair is no character."""
    return text.encode("utf-8", "replace").decode("utf-8")
