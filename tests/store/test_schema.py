"""Migrations: every older database opens, a failure or a kill leaves the old or the new, a newer one is refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from benchmarks.faults.migrate import STEPS, make_old, run
from explorer.records import ExplorerError
from explorer.store import schema
from explorer.store.schema import Migration, back_up, migrate, version_of
from explorer.store.store import Store


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


@pytest.mark.parametrize("version", range(len(STEPS)))
def test_every_older_database_opens_with_what_it_held(tmp_path: Path, version: int) -> None:
    path = tmp_path / "index.db"
    make_old(path, version=version)
    with connect(path) as connection:
        assert migrate(connection, path, steps=STEPS) == list(range(version + 1, len(STEPS) + 1))
        assert version_of(connection) == len(STEPS)
        if version:
            assert connection.execute("SELECT count(*) FROM roots").fetchone()[0] == 50
            assert (tmp_path / f"index.db.v{len(STEPS) - 1}.bak").exists()


def test_the_newest_backup_opens_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    make_old(path, version=1)
    with connect(path) as connection:
        copy = back_up(connection, path, version=1)
    with connect(copy) as connection:
        assert version_of(connection) == 1 and connection.execute("SELECT count(*) FROM roots").fetchone()[0] == 50


def test_a_step_that_fails_leaves_the_old_version(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    make_old(path, version=1)
    broken = (STEPS[0], Migration(2, ("ALTER TABLE roots ADD COLUMN note TEXT", "INSERT INTO nowhere VALUES (1)")))
    with connect(path) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, path, steps=broken)
        assert version_of(connection) == 1
        assert "note" not in [row[1] for row in connection.execute("PRAGMA table_info(roots)")]


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "index.db").close()
    with connect(tmp_path / "index.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ExplorerError, match="newer HCMI Explorer"):
        Store(tmp_path / "index.db")


def test_killed_migrations_leave_old_or_new(tmp_path: Path) -> None:
    figures = run(4, seed=1, folder=tmp_path)
    assert figures.kills == 4 and figures.torn == 0


def test_versions_are_numbered_without_gaps() -> None:
    assert [step.version for step in schema.MIGRATIONS] == list(range(1, len(schema.MIGRATIONS) + 1))


def test_videos_of_the_first_version_get_the_time_of_their_file(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    with connect(path) as connection:
        migrate(connection, path, steps=schema.MIGRATIONS[:1])
        connection.execute("INSERT INTO roots (path, added) VALUES (?, 0)", (b"/v",))
        connection.execute(
            "INSERT INTO videos (public_id, root_id, path, size, mtime_ns, state) VALUES ('x', 1, ?, 1, 5000000000, 'new')",
            (b"/v/a.mp4",),
        )
    with Store(path) as store:
        (video,) = store.videos()
        assert (video.recorded, video.recorded_by, video.notes) == (5.0, "file", ())
