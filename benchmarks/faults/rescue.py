"""Goal R4: of a file cut short, at least 95 % of the frames before the cut are kept.

Run: python -m benchmarks.faults.rescue. The last line is the figure; exit 1 if it falls short.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import av

from benchmarks.faults.common import finish
from explorer.config import SamplingConfig
from explorer.media.decode import DecodeWorker
from explorer.records import ExplorerError, FrameSize
from tests.support.videos import Recipe, numbered, read_stripes

FRAMES = 120
ASF_BLOCK = 3200  # bytes, as FFmpeg writes it
CUTS = (0.9, 0.7, 0.5, 0.3)
# containers whose index is not at the end: an MP4 without its last box is refused, in one sentence, and told
KINDS = (
    ("libx264", ".mkv"),
    ("libx264", ".ts"),
    ("libx265", ".mkv"),
    ("libx265", ".ts"),
    ("mpeg4", ".avi"),
    ("mjpeg", ".avi"),
    ("mpeg2video", ".mpg"),
    ("mpeg2video", ".ts"),
    ("libvpx-vp9", ".webm"),
    ("libvpx", ".webm"),
    ("libsvtav1", ".mkv"),
    ("wmv2", ".wmv"),
    ("flv", ".flv"),
)


def before_cut(path: Path, size: int) -> int:
    """Frames whose packet lies wholly in the first `size` bytes; ASF keeps its packets in blocks, which are lost as a whole."""
    block = ASF_BLOCK if path.suffix == ".wmv" else 0
    with av.open(str(path)) as file:
        return sum(
            p.pos is not None and p.pos + max(p.size * 1.05 + 8, block) < size for p in file.demux(video=0) if p.size
        )


def rescued(worker: DecodeWorker, path: Path) -> int:
    """Frames of a cut file that decode to a number of their own."""
    try:
        clip = worker.open(
            str(path),
            sampling=SamplingConfig(fps=25, frames=FRAMES, hop=FRAMES),
            size=FrameSize(64, 256),
            still_width=0,
        )
        return len({read_stripes(picture) for run in clip for picture in run.pixels} - {-1})
    except ExplorerError as error:
        print(error)
        return 0


def run(
    folder: Path, *, kinds: tuple[tuple[str, str], ...] = KINDS, cuts: tuple[float, ...] = CUTS
) -> tuple[int, int, list[str]]:
    """(frames kept, frames before the cuts, lines about files below 95 %) over every kind and cut."""
    kept, whole, short = 0, 0, []
    with DecodeWorker() as worker:
        for codec, suffix in kinds:
            path = numbered(
                folder / f"{codec}{suffix}",
                Recipe(
                    codec=codec,
                    suffix=suffix,
                    frames=FRAMES,
                    height=64,
                    gop=12,
                    pixel_format="yuvj420p" if codec == "mjpeg" else "yuv420p",
                ),
            )
            content = path.read_bytes()
            for cut in cuts:
                size = int(len(content) * cut)
                expected = before_cut(path, size)
                broken = folder / f"cut{suffix}"
                broken.write_bytes(content[:size])
                found = min(rescued(worker, broken), expected)
                kept, whole = kept + found, whole + expected
                if found < 0.95 * expected:
                    short.append(f"{codec}{suffix} cut at {cut:.0%}: {found} of {expected} frames")
    return kept, whole, short


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        kept, whole, short = run(Path(folder))
    for line in short:
        print(line)
    share = kept / max(whole, 1)
    return finish(
        "R4",
        f"{kept} of {whole} frames before the cut kept ({100 * share:.1f} %), {len(short)} files below 95 %",
        good=not short and whole > 1000,
    )


if __name__ == "__main__":
    sys.exit(main())
