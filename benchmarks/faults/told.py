"""Goal R27: every failure reaches the person as one sentence, and the counts shown equal those of the database.

Run: python -m benchmarks.faults.told. Indexes the hostile folder through the whole app, then breaks caches, models, settings and
folders one by one. The last line is the figure; exit 1 if it falls short.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from benchmarks.faults.common import finish, make_library, open_app, settings_for, stands_still
from benchmarks.faults.hostile import make_hostile_folder
from explorer.config import Settings
from explorer.records import ExplorerError
from explorer.service import Explorer


def a_sentence(text: str) -> bool:
    """One line that says what happened and, after a semicolon or colon, what to do or what was kept."""
    return bool(text) and "\n" not in text and "Traceback" not in text and (";" in text or ":" in text)


def hostile_library(folder: Path) -> tuple[int, list[str]]:
    """(failures told, what is wrong) after indexing the hostile folder: each one listed once, with a sentence, and counted right."""
    files = make_hostile_folder(folder / "hostile")
    with open_app(folder / "data") as app:
        job = stands_still(app, app.library.add_folder(str(folder / "hostile")), seconds=600)
        wrong = [] if job.state == "done" else [f"the job is {job.state}: {job.error}"]
        told = {failure.path: failure.reason for failure in app.library.failures()}
        in_job = {failure.path: failure.reason for failure in job.progress.failures}
        wrong += [f"no sentence: {reason!r}" for reason in {*told.values(), *in_job.values()} if not a_sentence(reason)]
        good = [
            path
            for path, must in files
            if must and (app.store.by_path(path) is None or app.store.by_path(path).state != "indexed")
        ]  # type: ignore[union-attr]
        wrong += [f"a good file is not indexed: {path}" for path in good]
        return len(told), wrong + counts(app) + _same(told, in_job, app)


def _same(told: dict[str, str], in_job: dict[str, str], app: Explorer) -> list[str]:
    """The job lists what the library lists, but for damaged files of which a part was kept."""
    failed = {video.path for video in app.store.videos(state="failed")}
    missing = failed - set(in_job)
    return [f"the job does not tell of {os.path.basename(path)!r}" for path in sorted(missing)] + (
        [] if failed <= set(told) else ["the library's list lacks some"]
    )


def counts(app: Explorer) -> list[str]:
    """What the page shows against what the database holds."""
    states = Counter(video.state for video in app.store.videos())
    with app.store.database.read() as connection:
        windows = connection.execute("SELECT count(*) FROM windows").fetchone()[0]
    held = {
        "videos": states["indexed"] + states["damaged"],
        "failed": states["failed"],
        "missing": states["missing"],
        "new": states["new"],
        "damaged": states["damaged"],
        "windows": windows,
        "folders": len(app.library.folders()),
    }
    shown = asdict(app.status())
    wrong = [
        f"{name}: the page says {shown[name]}, the database {number}"
        for name, number in held.items()
        if shown[name] != number
    ]
    failed = sum(folder.failed for folder in app.library.folders())
    return wrong + (
        [] if failed == states["failed"] else [f"folders say {failed} failed, the database {states['failed']}"]
    )


def gone_folder(folder: Path) -> str:
    with open_app(folder / "gone") as app:
        library = make_library(folder / "films", videos=2)
        stands_still(app, app.library.add_folder(str(library)))
        shutil.rmtree(library)
        stands_still(app, app.library.start_index())
        return next((folder.reason for folder in app.library.folders()), "")


def broken_model(folder: Path) -> str:
    data = folder / "model"
    (data / "checkpoints" / "mine").mkdir(parents=True)
    (data / "checkpoints" / "mine" / "model.json").write_text("{")
    with Explorer(Settings(data_dir=data, checkpoint="mine")) as app:
        job = stands_still(app, app.library.start_index())
        listed = next(card.error for card in app.models.list() if card.name == "mine")
        app._load_model()
        return job.error if listed and app.status().model == "failed" and a_sentence(app.status().message) else ""


def broken_desk(folder: Path) -> str:
    data = folder / "desk"
    data.mkdir()
    (data / "desk.json").write_text('{"current": "other"}')
    with open_app(data) as app:
        return "\n".join(app.status().notices)


def nothing_taught(folder: Path) -> str:
    with open_app(folder / "taught") as app:
        return stands_still(app, app.teaching.start_training()).error


def raised(action: str, folder: Path) -> str:
    """The sentence of an error that stops a start or a command."""
    data = folder / action.replace(" ", "-")
    data.mkdir()
    try:
        if action == "damaged database":
            (data / "index.db").write_bytes(b"SQLite format 3\0" + bytes(4096))
            Explorer(settings_for(data)).close()
        elif action == "damaged settings":
            (data / "settings.json").write_text('{"port": "seven"}')
            Settings.load(data_dir=data)
        elif action == "search before indexing":
            with Explorer(settings_for(data), writer=False) as app:
                app.searches.search("red")
        elif action == "second writer":
            with Explorer(settings_for(data)):
                Explorer(settings_for(data))
        elif action == "folder not there":
            with Explorer(settings_for(data)) as app:
                app.library.add_folder(str(data / "nowhere"))
        elif action == "own folder":
            with Explorer(settings_for(data)) as app:
                app.library.add_folder(str(data))
    except ExplorerError as error:
        return str(error)
    return ""


RAISED = (
    "damaged database",
    "damaged settings",
    "search before indexing",
    "second writer",
    "folder not there",
    "own folder",
)


def others(folder: Path) -> dict[str, str]:
    """failure -> what the person reads."""
    told = {action: raised(action, folder) for action in RAISED}
    return {
        **told,
        "folder gone": gone_folder(folder),
        "broken model": broken_model(folder),
        "broken desk": broken_desk(folder),
        "nothing taught": nothing_taught(folder),
    }


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        number, wrong = hostile_library(Path(folder))
        told = others(Path(folder))
    for name, sentence in told.items():
        print(f"{name}: {sentence}")
        wrong += [] if a_sentence(sentence) else [f"{name}: no sentence: {sentence!r}"]
    print(*(line.encode("utf-8", "backslashreplace").decode() for line in wrong), sep="\n")
    return finish(
        "R27",
        f"{number} files and {len(told)} other failures told in one sentence each, {len(wrong)} not or counted wrongly",
        good=not wrong and number >= 60,
    )


if __name__ == "__main__":
    sys.exit(main())
