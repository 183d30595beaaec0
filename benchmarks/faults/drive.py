"""Goals R9 and R10: a drive that vanishes loses no record and costs no second embedding; the person's files are never changed.

Run: python -m benchmarks.faults.drive [--goal R9|R10]. The last line is the figure; exit 1 if it falls short.
"""
from __future__ import annotations

import argparse
import hashlib
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.faults.common import findings, finish, make_library, open_app, rows, stands_still, until
from explorer.service import Explorer
from tests.media.videos import Recipe, numbered

ROUNDS = 10


def vanish(folder: Path, *, rounds: int) -> list[str]:
    """What went wrong while a library's folder went away and came back, at rest and in the middle of indexing."""
    library, away, wrong, chance = make_library(folder / "library", videos=6), folder / "away", [], random.Random(0)
    with open_app(folder / "data") as app:
        stands_still(app, app.add_folder(str(library)))
        whole, seen = rows(app.store), app.encoder().tower.frames_seen
        for number in range(rounds):
            if number % 2:                                    # in the middle of decoding a file that is new this round
                numbered(library / f"new{number}.mp4", Recipe(frames=1000 + number, height=240))
                job_id = app.start_index()
                until(lambda: app.jobs()[0].progress.stage == "encode", 20)
                time.sleep(chance.uniform(0, 1))
            library.rename(away)
            job_id = app.start_index() if not number % 2 else job_id
            job = stands_still(app, job_id)
            stands_still(app, app.start_index())
            known = {video.path for video in app.store.videos()}
            wrong += [f"round {number}: {len(lost)} records deleted"] if (lost := {row[0] for row in whole["videos"]} - {os.fsencode(p) for p in known}) else []
            wrong += [f"round {number}: the job is {job.state}: {job.error}"] if job.state != "done" else []
            wrong += [f"round {number}: nobody is told"] if not any(f["state"] == "offline" and f["reason"] for f in app.folders()) else []
            away.rename(library)
            for new in library.glob("new*"):
                new.unlink()
            stands_still(app, app.start_index())
            wrong += [f"round {number}: {one}" for one in findings(app)]
        kept = [row for row in rows(app.store)["videos"] if b"new" not in row[0]]
        wrong += [] if kept == whole["videos"] else ["the records differ from those before"]
        again = app.encoder().tower.frames_seen - seen
        allowed = 41 * rounds                                 # of the new files: each has a frame a second
        wrong += [f"{again} frames embedded again"] if again > allowed else []
        print(f"{len(whole['videos'])} videos kept; {again} frames were encoded since, of files that were new")
    return wrong


def snapshot(folder: Path) -> dict[str, tuple[int, int, int, str]]:
    """path -> mode, size, time of change, digest, of everything below a folder and of the folder."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        about = path.lstat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ",".join(sorted(os.listdir(path)))
        found[str(path)] = (about.st_mode, about.st_size if path.is_file() else 0, about.st_mtime_ns, digest)
    return found


def use(app: Explorer, library: Path) -> int:
    """Everything a person does with a library; how many things were done."""
    stands_still(app, app.add_folder(str(library)))
    result = app.search("red green")
    videos = app.videos()
    for form in ("csv", "jsonl", "m3u", "edl", "fcpxml", "clips"):
        app.export(result, form)
    for video in videos:
        until(lambda v=video: app.request_playable(v["public_id"])["state"] != "making", 60)      # type: ignore[index]
        app.still(video["public_id"], 0)
        app.add_caption(video["public_id"], "red and green")
        app.feedback("video", "red", video["public_id"], good=True)
    app.explain("red green", videos[0]["public_id"], 1.0)
    app.more_like(videos[0]["public_id"], 1.0)
    for retry in (False, True):
        stands_still(app, app.start_index(retry_failed=retry))
    return 12 + 4 * len(videos)


def untouched(folder: Path) -> tuple[int, list[str]]:
    """(things done, entries of the person's folder that changed)."""
    library = make_library(folder / "library", videos=3)
    numbered(library / "odd.avi", Recipe(codec="mpeg4", suffix=".avi", frames=50, height=64))
    (library / "bad.mp4").write_bytes(b"no video")
    (library / "notes.txt").write_text("mine")
    time.sleep(0.05)
    before = snapshot(library)
    with open_app(folder / "data") as app:
        done = use(app, library)
    after = snapshot(library)
    return done, [name for name in {*before, *after} if before.get(name) != after.get(name)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--goal", choices=("R9", "R10"), default="R9")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.goal == "R10":
            done, changed = untouched(Path(folder))
            print(*changed, sep="\n")
            return finish("R10", f"{done} actions on a library, {len(changed)} of its entries changed in bytes, mode or time", good=not changed)
        wrong = vanish(Path(folder), rounds=chosen.rounds)
    print(*wrong, sep="\n")
    return finish("R9", f"drive gone and back {chosen.rounds} times, half of them while it was read: {len(wrong)} things wrong, 0 records deleted"
                  if not wrong else f"drive gone and back {chosen.rounds} times: {len(wrong)} things wrong", good=not wrong)


if __name__ == "__main__":
    sys.exit(main())
