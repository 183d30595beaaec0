"""The table of jobs in the database: what outlives the process that works on them."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import asdict

from explorer.records import ExplorerError, Failure, Job, Progress
from explorer.store.rows import as_text
from explorer.store.store import Store

log = logging.getLogger(__name__)

COLUMNS = "id, kind, state, arguments, progress, created, finished, error"


class JobTable:
    """Rows of the table of jobs, as records.

    Args:
        store: keeps the table; only its one writer may add or change rows.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def interrupt_running(self) -> None:
        """Mark the jobs that a dead process left running: they can be resumed."""
        with self.store.database.write() as connection:
            connection.execute(
                "UPDATE jobs SET state = 'interrupted', error = 'the app ended before this was done; "
                "resume it to go on' WHERE state IN ('running', 'queued')"
            )

    def add(self, kind: str, arguments: Mapping[str, object]) -> Job:
        """A new job, queued."""
        text, created = json.dumps(arguments), time.time()
        with self.store.database.write() as connection:
            job_id = connection.execute(
                "INSERT INTO jobs (kind, state, arguments, created) VALUES (?, 'queued', ?, ?)", (kind, text, created)
            ).lastrowid
        assert job_id is not None  # an INSERT has one
        return Job(job_id, kind, "queued", json.loads(text), Progress("queued"), created)

    def get(self, job_id: int) -> Job:
        """One job.

        Raises:
            ExplorerError: there is none of that number.
        """
        with self.store.database.read() as connection:
            row = connection.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            raise ExplorerError(f"there is no job {job_id}; reload the page")
        return _to_job(row)

    def newest(self, limit: int) -> tuple[Job, ...]:
        """The newest jobs, newest first."""
        with self.store.database.read() as connection:
            rows = connection.execute(f"SELECT {COLUMNS} FROM jobs ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
        return tuple(map(_to_job, rows))

    def write(self, job: Job) -> None:
        """Copy a job's state to its row. A full disk must not end the job: what is shown comes from memory."""
        try:
            with self.store.database.write() as connection:
                connection.execute(
                    "UPDATE jobs SET state = ?, progress = ?, finished = ?, error = ? WHERE id = ?",
                    (job.state, json.dumps(asdict(job.progress)), job.finished, as_text(job.error), job.id),
                )
        except (ExplorerError, sqlite3.Error) as error:
            log.warning("cannot record job %d: %s", job.id, error)


def _to_job(row: tuple[int, str, str, str, str, float, float | None, str]) -> Job:
    job_id, kind, state, arguments, progress, created, finished, error = row
    return Job(job_id, kind, state, json.loads(arguments), _to_progress(json.loads(progress)), created, finished, error)


def _to_progress(data: dict[str, object]) -> Progress:
    failures = data.get("failures")
    rows = failures if isinstance(failures, list) else []
    return Progress(**{"stage": "queued", **data, "failures": tuple(Failure(**row) for row in rows)})  # type: ignore[arg-type]
