"""Goal "as people have them": files and folders as cameras, recorders and people leave them: nothing is lost silently or wrong.

Run: python -m benchmarks.faults.as_people_have [--before CHECKOUT]. With an older checkout its readings stand beside these.
The last line is the figure; exit 1 if it falls short.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.faults.common import PROJECT, finish
from tests.support import everyday
from tests.support.videos import Recipe, numbered

LEAST = 80  # inputs
FILM = ("libx264", 320, 64, 60)
SIX = [5, 15, 25, 35, 45, 55]
STANDS = "sound outlasts the picture"

# Runs in a checkout: reads each input as its index would, and says what came.
JUDGE = """
import json, sys
import numpy as np
try:
    from explorer.media.scan import scan
except ImportError:
    from explorer.media.library import scan
from explorer.config import SamplingConfig
from explorer.media.decode import DecodeWorker
from explorer.records import FrameSize
sys.path.append(sys.argv[1])
from tests.support.videos import read_stripes

def look(worker, one):
    if one["kind"].startswith("folder"):
        return {"numbers": [len(list(scan(one["path"])))], "damaged": False, "notes": [], "error": ""}
    try:
        clip = worker.open(one["path"], sampling=SamplingConfig(fps=1, frames=4, hop=2), size=FrameSize(64, 256))
        numbers = [read_stripes(p) for run in clip for p in run.pixels]
        return {"numbers": numbers, "damaged": bool(clip.damaged), "notes": list(getattr(clip, "notes", ())), "error": ""}
    except Exception as error:
        return {"numbers": [], "damaged": False, "notes": [], "error": type(error).__name__}

with DecodeWorker() as worker:
    print(json.dumps([look(worker, one) for one in json.load(sys.stdin)]))
"""


@dataclass(frozen=True)
class Input:
    """A made file or folder: its kind, the numbers its sampled frames carry, and whether a note or no film is right."""

    kind: str
    path: str
    numbers: list[int]
    noted: bool = False
    no_film: bool = False


def films(folder: Path) -> Iterator[Input]:
    for name, make in everyday.RARE.items():
        yield Input("containers and codecs", str(make(_new(folder, name))), [9, 28, 46, 65])
    for name, codec in (("mp4", "mjpeg"), ("mkv", "mjpeg"), ("mov", "mjpeg"), ("mp4", "png"), ("mov", "png")):
        for first in (True, False):
            beside = (codec, 640, 480, 1)
            order = [beside, FILM] if first else [FILM, beside]
            path = everyday.tracks(_new(folder, "cover") / f"a.{name}", order, default=order.index(beside))
            yield Input("a picture beside the film", str(path), SIX)
    for name in ("mp4", "mkv", "mov", "ts"):
        path = everyday.tracks(
            _new(folder, "two") / f"a.{name}",
            [("libx264", 160, 64, 60), FILM],
            format="mpegts" if name == "ts" else None,
        )
        yield Input("two films in one file", str(path), SIX, noted=True)
    for suffix in (".ts", ".mpg", ".vob"):
        for codec in ("libx264", "mpeg2video"):
            for parts in (2, 3):
                path = everyday.joined_films(_new(folder, "joined") / f"a{suffix}", codec=codec, parts=parts)
                yield Input("clocks that restart", str(path), [12 + 25 * n for n in range(4 * parts)], noted=True)
    for suffix, codec in ((".flv", "flv"), (".mkv", "libx264"), (".mp4", "libx264"), (".avi", "mpeg4")):
        path = everyday.joined_films(_new(folder, "second") / f"a{suffix}", codec=codec)
        yield Input("a second film behind the first", str(path), [12, 37, 62, 87], noted=True)
    for suffix in (".mp4", ".mkv", ".mov", ".webm", ".flv", ".avi"):
        codec = "libvpx" if suffix == ".webm" else "libx264"
        path = everyday.sound_outlasts(_new(folder, "sound") / f"a{suffix}", codec=codec)
        yield Input(STANDS, str(path), [5, 15, 25, 35])
    for suffix in (".mkv", ".mp4", ".mov"):
        yield Input(
            "a last picture that stands", str(everyday.still_end(_new(folder, "still") / f"a{suffix}")), [5, 15, 25, 29]
        )


def no_films(folder: Path) -> Iterator[Input]:
    where = _new(folder, "none")
    for name in ("component.ts", "go.mod", "index.mts"):
        (where / name).write_text("export const answer: number = 42;\n" * 40)
        yield Input("no film at all", str(where / name), [], no_film=True)
    for name, codec in (("a.ogg", "libopus"), ("a.mp4", "aac"), ("a.webm", "libopus"), ("a.mkv", "aac")):
        yield Input("no film at all", str(everyday.sound_only(where / name, codec=codec)), [], no_film=True)
    yield Input("no film at all", str(everyday.one_picture_gif(where / "a.gif")), [], no_film=True)


def folders(folder: Path) -> Iterator[Input]:
    film = numbered(_new(folder, "film") / "a.mp4", Recipe(frames=10, height=64)).read_bytes()
    for place in (
        "@Recycle",
        "@Recently-Snapshot",
        "#recycle",
        ".Trash-1000",
        "A.photoslibrary",
        "B.fcpbundle",
        "CacheClip",
    ):
        where = _new(folder, "places")
        (where / place).mkdir()
        (where / place / "a.mp4").write_bytes(film)
        (where / "b.mp4").write_bytes(film)
        yield Input("folder: bins, snapshots, packages", str(where), [1])
    for target in ("outside", "inside", "loop"):
        where, outside = _new(folder, "links"), _new(folder, "outside")
        (where / "b.mp4").write_bytes(film)
        (outside / "c.mp4").write_bytes(film)
        os.symlink({"outside": outside, "inside": where / "b.mp4", "loop": where}[target], where / "link")
        yield Input("folder: links", str(where), [2 if target == "outside" else 1])


def _new(folder: Path, name: str) -> Path:
    made = folder / f"{name.replace(' ', '-')}-{len(list(folder.iterdir()))}"
    made.mkdir()
    return made


def readings(checkout: Path, inputs: list[Input]) -> list[dict]:
    """What a checkout makes of the inputs."""
    said = subprocess.run(
        [sys.executable, "-c", JUDGE, str(PROJECT)],
        cwd=checkout,
        input=json.dumps([asdict(one) for one in inputs]),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return json.loads(said.splitlines()[-1])


def verdict(one: Input, found: dict) -> str:
    """right, told (refused or damaged with a sentence, or noted where more was expected), or wrong."""
    if one.no_film:
        return "right" if found["error"] == "NotVideo" else "told"
    if one.kind.startswith("folder"):
        return "right" if found["numbers"] == one.numbers else "wrong"
    extra = len(found["numbers"]) - len(one.numbers)
    stands = one.kind == STANDS  # its last picture may come once more: it stands until the sound ends
    close = extra in ((0, 1) if stands else (0,)) and all(
        abs(a - b) <= 3 for a, b in zip(found["numbers"], one.numbers)
    )
    if close and not found["damaged"] and (found["notes"] or not one.noted):
        return "right"
    return "told" if found["error"] or found["notes"] else "wrong"


def table(inputs: list[Input], now: list[dict], before: list[dict] | None) -> str:
    """A row a kind: inputs, how many the older checkout read rightly, how many this one."""
    lines = ["| kind | inputs | right before | right now |", "|---|---|---|---|"]
    for kind in dict.fromkeys(one.kind for one in inputs):
        places = [n for n, one in enumerate(inputs) if one.kind == kind]
        right = [
            sum(verdict(inputs[n], found[n]) == "right" for n in places) if found else "" for found in (before, now)
        ]
        lines.append(f"| {kind} | {len(places)} | {right[0]} | {right[1]} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="an older checkout, to read the same inputs")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = [*films(folder), *no_films(folder), *folders(folder)]
        now = readings(PROJECT, inputs)
        before = readings(chosen.before, inputs) if chosen.before else None
    print(table(inputs, now, before))
    wrong = [(one.kind, Path(one.path).name, f) for one, f in zip(inputs, now) if verdict(one, f) != "right"]
    print(*wrong, sep="\n")
    return finish(
        "as people have them",
        f"{len(inputs)} made files and folders: {len(wrong)} lost silently or wrong",
        good=not wrong and len(inputs) >= LEAST,
    )


if __name__ == "__main__":
    sys.exit(main())
