"""Indexing speed: wall time against the longer of decode-only and encode-only of the same frames, and against another
checkout of this project, in one run; parent memory.

Run: python -m benchmarks.indexing [--seconds 60] [--files 3] [--rounds 3] [--still] [--before CHECKOUT]. The last line is
the figure; exit 1 where a goal is missed: wall at most 1.15 x the longer of the two, at least 4 x real time on 720p H.264
at one frame a second, parent at most 2 GB, and at least 2 x as fast as the checkout.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from explorer.config import Settings
from explorer.index.ahead import Ahead, Decoded, Task
from explorer.index.indexer import STILL_WIDTH, index
from explorer.media.decode import DecodeWorker
from explorer.model.encoder import Encoder
from explorer.records import VideoFile
from explorer.service.encoders import Encoders
from explorer.store.rows import StoredVideo
from explorer.store.stills import Stills
from explorer.store.store import Store

WIDTH, HEIGHT, FPS = 1280, 720, 25
RATIO, REAL_TIME, MEMORY_GB, FASTER = 1.15, 4.0, 2.0, 2.0
BEFORE = """
import sys
from pathlib import Path
import numpy as np
from benchmarks.indexing import Shelf, both
from explorer.config import Settings
settings, shelf = Settings(), Shelf(Settings())
encoder = shelf.load(shelf.folder("starter"))
encoder.encode_frames(np.zeros((16, encoder.frame_size.height, encoder.frame_size.width, 3), np.uint8))
print("seconds", both(Path(sys.argv[1]), encoder, settings)[0])
"""


def film(path: Path, seconds: int, seed: int, *, still: bool = False) -> None:
    """A 720p H.264 film: a slow pan over a textured picture with moving noise, as hard to decode as a hand-held shot;
    or, still, the same without the pan."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (60, 90, 3), np.uint8)
    wide = np.kron(small, np.ones((16, 16, 1), np.uint8))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for i in range(seconds * FPS):
            y, x = (0, 0) if still else (int(100 + 90 * np.sin(i / 70)), int(80 + 70 * np.cos(i / 90)))
            picture = wide[y : y + HEIGHT, x : x + WIDTH].copy()
            picture[::7, ::5] ^= rng.integers(0, 40, picture[::7, ::5].shape, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


def _task(path: Path, number: int) -> Task:
    file = VideoFile(str(path), path.stat().st_size, path.stat().st_mtime_ns, str(number))
    row = StoredVideo(number, "", 1, file.path, file.size, file.mtime_ns, str(number), "new", "", None, None, None)
    return Task(row, file, str(path.parent))


def decode_only(files: list[Path], encoder: Encoder, settings: Settings) -> tuple[float, list[np.ndarray]]:
    """Seconds to decode and scale all sampled frames, by as many processes as indexing has, and the fresh frames."""
    with DecodeWorker(settings.decoder) as worker:
        start = time.perf_counter()
        ahead = Ahead(
            worker,
            [_task(path, number) for number, path in enumerate(files)],
            sampling=settings.sampling,
            size=encoder.frame_size,
            still_width=STILL_WIDTH,
        )
        pixels = [step.frames.pixels for step in ahead.steps() if isinstance(step, Decoded)]
        seconds = time.perf_counter() - start
        ahead.stop()
    return seconds, pixels


def encode_only(pixels: list[np.ndarray], encoder: Encoder) -> float:
    """Seconds to encode the same frames."""
    start = time.perf_counter()
    for run in pixels:
        encoder.encode_frames(run)
    return time.perf_counter() - start


def both(folder: Path, encoder: Encoder, settings: Settings) -> tuple[float, dict[str, object]]:
    """Seconds to index the folder into a fresh store, and the summary."""
    with (
        tempfile.TemporaryDirectory() as data,
        Store(Path(data) / "index.db") as store,
        DecodeWorker(settings.decoder) as worker,
    ):
        stills = Stills(Path(data) / "stills.db")
        start = time.perf_counter()
        for step in index(
            store, [store.add_root(folder)], encoder=encoder, decoder=worker, sampling=settings.sampling, stills=stills
        ):
            last = step
        seconds = time.perf_counter() - start
        stills.close()
        return seconds, last.summary


def before(checkout: Path, folder: Path) -> float:
    """Seconds that another checkout of this project takes to index the folder."""
    command = [sys.executable, "-W", "ignore", "-c", BEFORE, str(folder)]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--files", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--still", action="store_true", help="films in which nothing moves but noise")
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--before", type=Path, help="a checkout of this project to compare with")
    chosen = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as engines:
        settings = replace(Settings(), data_dir=Path(engines))
        encoder = Encoders(settings).encoder(chosen.checkpoint)
        list(encoder.make_ready())
        files = [Path(folder) / f"film{i}.mp4" for i in range(chosen.files)]
        for i, path in enumerate(files):
            film(path, chosen.seconds, i, still=chosen.still)
        for _ in range(chosen.rounds):
            decoding, pixels = decode_only(files, encoder, settings)
            encoding = encode_only(pixels, encoder)
            looked = sum(map(len, pixels))
            del pixels
            wall, summary = both(Path(folder), encoder, settings)
            old = before(chosen.before, Path(folder)) if chosen.before else np.nan
            rows.append((wall / max(decoding, encoding), old / wall, wall, decoding, encoding, old))
            print(
                f"decode only {decoding:.1f} s, encode only {encoding:.1f} s ({looked} looks), index {wall:.1f} s, "
                f"before {old:.1f} s: {summary['indexed']} films, {summary['video_seconds']} s",
                flush=True,
            )
    ratio, faster, wall = np.median(np.array(rows), axis=0)[:3]
    speed = chosen.files * chosen.seconds / wall
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    said = f", {faster:.2f} x as fast as before" if chosen.before else ""
    print(
        f"indexing: {ratio:.2f} x the longer of decode and encode, {speed:.1f} x real time{said}, parent {memory:.2f} GB"
    )
    missed = ratio > RATIO or speed < REAL_TIME or memory > MEMORY_GB or faster < FASTER
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
