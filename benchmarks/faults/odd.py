"""Odd but real files and odd names: each file decodes rightly or is refused with one sentence.

    python -m benchmarks.faults.odd FOLDER
Prints one line a file and the share that behaves last; exits 1 where one does not.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explorer.config import SamplingConfig
from explorer.media.decode import DecodeWorker
from explorer.records import ExplorerError, FrameSize

# name -> what must hold beside "frames come, times ascend": (width, height, rotation), or a piece of the refusal.
EXPECTED: dict[str, tuple[int, int, int] | str] = {
    "ac3.mp4": "only sound",
    "eac3.mkv": "only sound",
    "frame_exceeds_screen.gif": "does not move",
    "gradient.gif": "does not move",
    "transparent.gif": "does not move",
    "video_0.mov": (568, 320, 0),
    "video_90.mov": (320, 568, 90),
    "video_180.mov": (568, 320, 180),
    "video_270.mov": (320, 568, 270),
    "rotate-buck-bunny.mp4": (1080, 1920, 90),
    "nasa_13013_rotated.mp4": (270, 480, 270),
    "sar_2x1.mp4": (1280, 360, 0),
    "testsrc2_odd_height_and_width_444.mp4": (321, 241, 0),
    "testsrc2_odd_height_and_width_vp9_10bit.mp4": (321, 241, 0),
    "testsrc2_odd_width_mpeg2.mp4": (121, 80, 0),
    "frames.webm": (1080, 1080, 0),
    "nasa_13013.mp4": (480, 270, 0),
    "edts.mp4": (853, 480, 0),
    "cursed-vfr.mp4": (3026, 1386, 0),
}
DAMAGED = frozenset(("corrupted.mp4", "annex-b.mp4"))  # and only these are called damaged

NAMES: tuple[str, ...] = (
    "http:x.mp4",
    "concat:a.mp4",
    "file:b.mp4",
    "pipe:0.mp4",
    "data:video.mp4",
    "crypto:c.mp4",
    "-i.mp4",
    "--help.mp4",
    "a\nb.mp4",
    "a\tb.mp4",
    "a'b.mp4",
    'a"b.mp4',
    "%03d.mp4",
    "%s%n.mp4",
    ";$(id).mp4",
    "`id`.mp4",
    "a|b.mp4",
    "a&b.mp4",
    "a b  c.mp4",
    " leading.mp4",
    "trailing .mp4",
    "<img src=x onerror=alert(1)>.mp4",
    "a\\b.mp4",
    "a*b?.mp4",
    "[a-z].mp4",
    "{x}.mp4",
    "#tag.mp4",
    "a?b=c.mp4",
    "100%.mp4",
    "a..mp4",
    "~.mp4",
    "\u00e9t\u00e9.mp4",
    "e\u0301te\u0301.mp4",
    "\U0001f600.mp4",
    "\u202egpj.mp4",
    "\u200b.mp4",
    "\u65e5\u672c\u8a9e.mp4",
    "\u0627\u0644.mp4",
    "UPPER.mp4",
    "upper.mp4",
    "x" * 236 + ".mp4",
    os.fsdecode(b"\xff\xfe\x80.mp4"),
    "CON.mp4",
    "a;b,c.mp4",
    "\x1b[31m.mp4",
    "\x7f.mp4",
)


@dataclass(frozen=True)
class Row:
    """How one file fared."""

    name: str
    good: bool
    told: str


def judge(worker: DecodeWorker, path: Path) -> Row:
    """Sample a file and hold what comes against the table."""
    expected = EXPECTED.get(path.name)
    try:
        clip = worker.open(str(path), sampling=SamplingConfig(), size=FrameSize(224, 224))
        times = np.concatenate([run.times for run in clip])
    except ExplorerError as error:
        return Row(
            path.name, isinstance(expected, str) and expected in str(error) and "\n" not in str(error), str(error)
        )
    seen = clip.info
    good = len(times) > 0 and bool((np.diff(times) > 0).all()) and times[0] >= 0 and times[-1] <= seen.duration
    good &= not isinstance(expected, str) and clip.damaged == (path.name in DAMAGED)
    good &= expected is None or (seen.width, seen.height, seen.rotation) == expected
    return Row(
        path.name,
        good,
        f"{len(times)} frames, {seen.codec} in {seen.container}, {seen.width} x {seen.height}, damaged {clip.damaged}",
    )


def judge_folder(folder: Path, *, decoder: str = "pyav") -> list[Row]:
    """A row for each file below a folder."""
    with DecodeWorker(decoder) as worker:
        return [judge(worker, path) for path in sorted(folder.rglob("*")) if path.is_file()]


def main() -> int:
    rows = judge_folder(Path(sys.argv[1]))
    for row in rows:
        print("ok  " if row.good else "FAIL", row.name, row.told)
    good = sum(row.good for row in rows)
    print(f"odd files: {good} of {len(rows)} decode rightly or are refused with one sentence")
    return 0 if rows and good == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
