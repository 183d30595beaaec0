"""Adaptive sampling against every frame: looks and time on an hour of mixed footage, recall of moments on real clips.

Run: python -m benchmarks.adaptive --clips DIR [--minutes 60]. The hour is made of the real clips, a third each: the clips
as they are (handheld, film, cuts), those of a fixed camera over and over, and single frames of clips held for two minutes
with the noise of a sensor, as a camera sees a room in which nothing happens. Exit 1 where it looks at more than half of
the frames, or R@1 of captions in the clips put end to end falls.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from benchmarks.indexing import both
from explorer.config import SamplingConfig, Settings
from explorer.index.ahead import Task
from explorer.index.embed import Draft
from explorer.media.decode import DecodeWorker
from explorer.model.encoder import Encoder
from explorer.records import CaptionPair, FrameFeatures, FrameSize, VideoFile
from explorer.service.encoders import Encoders
from explorer.store.rows import StoredVideo
from explorer.training.alignment import concatenate, moments
from explorer.training.captions import match_videos, read_captions
from explorer.training.dataset import pair_data

RATE, SIZE = 5, FrameSize(180, 320)  # frames a second and pixels of the hour
FIXED = ("intel-sample-videos", "cbvr-footage_candles", "cbvr-footage_swing", "torchcodec_nasa")
HELD, NOISE = 120, 3.0  # seconds of a still stretch; deviation of its noise, in steps of 255
CAPTIONS = 5  # a clip at most
GOAL = 0.5  # of the frames


def pictures(path: Path) -> np.ndarray:
    """(N, H, W, 3) uint8 of a clip at the rate and size of the hour."""
    sampling = SamplingConfig(fps=RATE, frames=1, hop=1)
    with DecodeWorker() as worker:
        return np.concatenate([r.pixels for r in worker.open(str(path), sampling=sampling, size=SIZE, still_width=0)])


def held(picture: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """One frame for HELD seconds, each time with noise of its own."""
    rng = np.random.default_rng(seed)
    for _ in range(HELD * RATE):
        yield np.clip(picture + rng.normal(0, NOISE, picture.shape), 0, 255).astype(np.uint8)


def hour(clips: dict[str, np.ndarray], frames: int) -> Iterator[np.ndarray]:
    """The pictures of the hour, a third each of moving, fixed and still."""
    moving = itertools.cycle(clips.values())
    fixed = itertools.cycle([found for name, found in clips.items() if name.startswith(FIXED)])
    third = frames // 3
    yield from itertools.islice(itertools.chain.from_iterable(moving), third)
    yield from itertools.islice(itertools.chain.from_iterable(fixed), third)
    still = (held(found[0], seed) for seed, found in enumerate(itertools.cycle(clips.values())))
    yield from itertools.islice(itertools.chain.from_iterable(still), third)


def write(path: Path, found: Iterator[np.ndarray]) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = SIZE.width, SIZE.height, "yuv420p"
        for picture in found:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


class Counted:
    """An encoder that counts what it looks at."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.looks = encoder, 0

    def encode_frames(self, pixels: np.ndarray) -> np.ndarray:
        self.looks += len(pixels)
        return self.encoder.encode_frames(pixels)

    def __getattr__(self, name: str) -> object:
        return getattr(self.encoder, name)


def shared_features(path: Path, encoder: Counted, *, adaptive: bool, fps: float) -> tuple[FrameFeatures, float]:
    """A clip's features as indexing makes them, and its seconds."""
    file = VideoFile(str(path), 1, 0, "")
    row = StoredVideo(1, "", 1, file.path, 1, 0, "", "new", "", None, None, None)
    with DecodeWorker() as worker:
        opened = worker.open(
            str(path), sampling=SamplingConfig(fps=fps), size=encoder.encoder.frame_size, adaptive=adaptive
        )
        draft = Draft(Task(row, file, ""), opened.info)
        for run in opened:
            draft.add(run, encoder.encode_frames(run.pixels))
    return draft.features(), opened.info.duration


def recall(encoder: Counted, folder: Path, *, adaptive: bool, fps: float = 2.0) -> dict[str, float]:
    """Captions of clips put end to end, as benchmarks.alignment has them."""
    given = read_captions(folder / "captions.jsonl").pairs
    found, _ = match_videos(given, folder)
    made = {name: shared_features(path, encoder, adaptive=adaptive, fps=fps) for name, path in found.items()}
    by_file = {name: sorted({pair.caption for pair in given if pair.file == name})[:CAPTIONS] for name in found}
    pairs = [CaptionPair(name, caption) for name, captions in by_file.items() for caption in captions]
    data = pair_data(pairs, {name: features for name, (features, _) in made.items()}, encoder.encoder.texts)
    times = [made[name][0].times for name in data.files]
    line = concatenate(times, data.frames, [made[name][1] for name in data.files])
    return moments(encoder.encoder.model, line, data.texts, data.owners)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--minutes", type=int, default=60)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as data, tempfile.TemporaryDirectory() as folder:
        settings = replace(Settings(), data_dir=Path(data))
        encoder = Counted(Encoders(settings).encoder("starter"))
        list(encoder.encoder.make_ready())
        found = {}
        for adaptive in (False, True):
            encoder.looks = 0
            found[adaptive] = recall(encoder, chosen.clips, adaptive=adaptive)
            print(f"adaptive {adaptive}: {encoder.looks} looks at the clips, {found[adaptive]}", flush=True)
        films = [p for p in sorted(chosen.clips.iterdir()) if p.suffix in (".mp4", ".mkv", ".avi")]
        write(Path(folder) / "hour.mp4", hour({p.stem: pictures(p) for p in films}, chosen.minutes * 60 * RATE))
        looks, spent = {}, {}
        for adaptive in (False, True):
            encoder.looks, start = 0, time.perf_counter()
            both(Path(folder), encoder, replace(settings, sampling=SamplingConfig(adaptive=adaptive)))
            looks[adaptive], spent[adaptive] = encoder.looks, time.perf_counter() - start
    share = looks[True] / looks[False]
    print(
        f"{chosen.minutes} minutes of mixed footage: {looks[True]} looks for {looks[False]} frames ({share:.0%}, goal "
        f"{GOAL:.0%}), indexed {spent[False] / spent[True]:.1f} x as fast; R@1 of moments {found[True]['R@1']:.1f} with, "
        f"{found[False]['R@1']:.1f} without"
    )
    return int(share > GOAL or found[True]["R@1"] < found[False]["R@1"])


if __name__ == "__main__":
    sys.exit(main())
