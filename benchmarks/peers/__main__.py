"""Indexing against what a user would write instead, on the same films with the same tower, interleaved in one run.

Run: python -m benchmarks.peers [--clips DIR | --seconds 60 --files 3] [--rounds 3]. The ratios are the figures; the times
are this machine's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.indexing import both, film
from benchmarks.peers import every_frame, seeking
from explorer.config import Settings
from explorer.model.encoder import Encoder
from explorer.service.encoders import Encoders

SUFFIXES = (".mp4", ".mkv", ".avi")


def ours(films: list[Path], encoder: Encoder, *, adaptive: bool) -> int:
    """Frames kept of a folder of films by this project: features, windows, pictures and store included."""
    sampling = replace(Settings().sampling, adaptive=adaptive)
    _, summary = both(films[0].parent, encoder, replace(Settings(), sampling=sampling))
    return round(float(summary["video_seconds"]))


def by(embed: Callable[..., np.ndarray], films: list[Path], encoder: Encoder) -> int:
    """Frames that a peer has encoded; a film it cannot read is passed over."""
    frames = 0
    for path in films:
        try:
            frames += len(embed(path, encoder.tower))
        except Exception as error:
            print(f"{embed.__module__} gives up {path.name}: {type(error).__name__}", file=sys.stderr)
    return frames


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--files", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as engines:
        if chosen.clips:
            films = sorted(path for path in chosen.clips.iterdir() if path.suffix in SUFFIXES)
        else:
            films = [Path(folder) / f"film{i}.mp4" for i in range(chosen.files)]
            for number, path in enumerate(films):
                film(path, chosen.seconds, number)
        encoder = Encoders(replace(Settings(), data_dir=Path(engines))).encoder("starter")
        list(encoder.make_ready())
        ways: dict[str, Callable[[], int]] = {
            "every frame decoded, one encoded at a time": lambda: by(every_frame.embed_film, films, encoder),
            "one seek a second, sixteen at a time": lambda: by(seeking.embed_film, films, encoder),
            "ours, every sampled frame encoded": lambda: ours(films, encoder, adaptive=False),
            "ours": lambda: ours(films, encoder, adaptive=True),
        }
        spent: dict[str, list[float]] = {name: [] for name in ways}
        frames = {}
        for _ in range(chosen.rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                frames[name] = way()
                spent[name].append(time.perf_counter() - start)
                print(f"{name}: {spent[name][-1]:.1f} s", file=sys.stderr, flush=True)
    mine = np.array(spent["ours"])
    print("| pipeline | wall | frames a second | ours is quicker by |\n|---|---|---|---|")
    for name in ways:
        wall = np.median(spent[name])
        ratio = np.median(np.array(spent[name]) / mine)
        print(f"| {name} | {wall:.1f} s | {frames[name] / wall:.1f} | {ratio:.1f} x |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
