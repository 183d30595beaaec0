"""Goal R21: files of forty and more odd names are indexed, found, shown, played and exported, and none is taken for markup or a command.

Run: python -m benchmarks.faults.names. The last line is the figure; exit 1 if it falls short.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from benchmarks.faults.common import findings, finish, open_app, stands_still, until
from benchmarks.faults.odd import NAMES
from explorer.records import Hit
from explorer.service import Explorer
from explorer.service.answers import Playable
from explorer.ui import present
from tests.support.indexing import SMALL
from tests.support.videos import coloured

COLOURS = ("red", "green", "blue")


def make_files(folder: Path) -> list[str]:
    """A short film a name, each of content of its own; names that this system has no room for are left out."""
    folder.mkdir()
    made = []
    for number, name in enumerate(NAMES):
        path = os.path.join(folder, name)
        plain = coloured(folder.parent / "plain.mp4", [(COLOURS[number % 3], 1 + number / 5)], SMALL)
        os.replace(plain, path)
        made.append(path)
    return made


def shown_safely(text: str) -> bool:
    """Nothing of a name acts on a page: no tag, no quote, no control or direction character."""
    safe = present.safe(text)
    return not set("<>\"'") & set(safe) and safe.isprintable() | (present.visible(text) == text)


def faults_of(app: Explorer, path: str, hits: dict[str, Hit]) -> list[str]:
    """What does not work with one file."""
    name = os.path.basename(path)
    video = app.store.by_path(path)
    if video is None or video.state != "indexed":
        return [f"{name!r}: not indexed: {video.reason if video else 'unknown'}"]
    wrong = [] if path in hits else [f"{name!r}: not found"]
    wrong += [] if shown_safely(path) and shown_safely(name) else [f"{name!r}: shown as {present.safe(name)!r}"]
    wrong += [] if app.playback.still(video.public_id, 0) else [f"{name!r}: no picture"]
    answer = lambda: app.playback.playable(video.public_id) or Playable("failed")
    until(lambda: answer().state != "making", 60)
    played = answer()
    wrong += [] if played.state == "ready" and os.path.getsize(played.path) else [f"{name!r}: not played: {played}"]
    return wrong


def exported(app: Explorer, count: int) -> list[str]:
    """Whether every format holds every hit, each in its own line or element."""
    result = app.searches.search("red", k=count)
    tables = {form: Path(app.playback.export(result, form)) for form in ("csv", "jsonl", "m3u", "edl", "fcpxml")}
    lines = [json.loads(line) for line in tables["jsonl"].read_text("utf-8").splitlines()]
    with open(tables["csv"], newline="", encoding="utf-8-sig") as file:
        cells = list(csv.reader(file))
    clips = ET.parse(tables["fcpxml"]).getroot().findall(".//asset")
    listed = [line for line in tables["m3u"].read_text("utf-8").splitlines() if line and not line.startswith("#")]
    counts = {"jsonl": len(lines), "csv": len(cells) - 1, "m3u": len(listed), "hits": len(result.hits)}
    wrong = [f"{form}: {number} of {len(result.hits)}" for form, number in counts.items() if number != len(result.hits)]
    wrong += (
        ["csv: a cell begins like a formula"]
        if any(cell[:1] in ("=", "+", "-", "@") and not _number(cell) for row in cells for cell in row)
        else []
    )
    return wrong + ([] if clips else ["fcpxml: no asset"])


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def run(folder: Path) -> tuple[int, list[str]]:
    """(files, what went wrong) over every name."""
    paths = make_files(folder / "library")
    with open_app(folder / "data") as app:
        stands_still(app, app.library.add_folder(str(folder / "library")))
        hits = {hit.path: hit for colour in COLOURS for hit in app.searches.search(colour, k=len(paths)).hits}
        wrong = [line for path in paths for line in faults_of(app, path, hits)]
        return len(paths), wrong + exported(app, len(paths)) + [str(one) for one in findings(app)]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        files, wrong = run(Path(folder))
    print(*(line.encode("utf-8", "backslashreplace").decode() for line in wrong), sep="\n")
    return finish(
        "R21",
        f"{files} odd names indexed, found, shown, played and exported: {len(wrong)} things wrong",
        good=files >= 40 and not wrong,
    )


if __name__ == "__main__":
    sys.exit(main())
