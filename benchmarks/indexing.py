"""Indexing speed: wall time against decode-only plus encode-only for the same frames, in one run; parent memory.

Run: python -m benchmarks.indexing [--seconds 60] [--files 3] [--checkpoint starter]. The last line is the figure; exit 1 where a goal is missed:
wall at most 1.15 x (decode-only + encode-only) on a CPU, at least 4 x real time on 720p H.264 at one frame a second, parent at most 2 GB.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from explorer.config import Settings
from explorer.index.indexer import index
from explorer.media.decode import DecodeWorker
from explorer.model.encoder import Encoder
from explorer.service.encoders import Encoders
from explorer.store.stills import Stills
from explorer.store.store import Store

WIDTH, HEIGHT, FPS = 1280, 720, 25
RATIO, REAL_TIME, MEMORY_GB = 1.15, 4.0, 2.0


def film(path: Path, seconds: int, seed: int) -> None:
    """A 720p H.264 film: a slow pan over a textured picture with moving noise, as hard to decode as a hand-held shot."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (60, 90, 3), np.uint8)
    wide = np.kron(small, np.ones((16, 16, 1), np.uint8))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for i in range(seconds * FPS):
            y, x = int(100 + 90 * np.sin(i / 70)), int(80 + 70 * np.cos(i / 90))
            picture = wide[y : y + HEIGHT, x : x + WIDTH].copy()
            picture[::7, ::5] ^= rng.integers(0, 40, picture[::7, ::5].shape, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


def decode_only(files: list[Path], encoder: Encoder, settings: Settings) -> tuple[float, list[np.ndarray]]:
    """Seconds to decode and scale all sampled frames, and the frames."""
    pixels = []
    with DecodeWorker(settings.decoder, threads=2) as worker:
        worker.probe(str(files[0]))  # the child's start is not decoding
        start = time.perf_counter()
        for path in files:
            pixels += [
                run.pixels for run in worker.open(str(path), sampling=settings.sampling, size=encoder.frame_size)
            ]
        return time.perf_counter() - start, pixels


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--files", type=int, default=3)
    parser.add_argument("--checkpoint", default="starter")
    chosen = parser.parse_args()
    settings = Settings()
    encoder = Encoders(settings).encoder(chosen.checkpoint)
    encoder.encode_frames(np.zeros((16, *_shape(encoder), 3), np.uint8))  # the first pass is slower
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"film{i}.mp4" for i in range(chosen.files)]
        for i, path in enumerate(files):
            film(path, chosen.seconds, i)
        decoding, pixels = decode_only(files, encoder, settings)
        encoding = encode_only(pixels, encoder)
        del pixels
        wall, summary = both(Path(folder), encoder, settings)
    length = chosen.files * chosen.seconds
    ratio, speed = wall / (decoding + encoding), length / wall
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"decode only {decoding:.1f} s, encode only {encoding:.1f} s, index {wall:.1f} s for {length} s of 720p H.264: {summary}"
    )
    print(f"indexing: {ratio:.2f} x (decode + encode), {speed:.1f} x real time, parent {memory:.2f} GB")
    return 0 if ratio <= RATIO and speed >= REAL_TIME and memory <= MEMORY_GB else 1


def _shape(encoder: Encoder) -> tuple[int, int]:
    return encoder.frame_size.height, encoder.frame_size.width


if __name__ == "__main__":
    sys.exit(main())
