"""Keeps a tower's features of photos and clips in a cache folder, for benchmarks that train or measure on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from explorer.config import SamplingConfig, Settings
from explorer.media.decode import DecodeWorker
from explorer.model.encoder import Encoder
from explorer.records import CaptionPair, FrameFeatures
from explorer.service.encoders import Encoders
from explorer.training.benchmarks import read_flickr8k
from explorer.training.caption_videos import match_videos
from explorer.training.captions import read_captions
from explorer.training.dataset import PairData, pair_data
from explorer.training.texts import TextTable, load_table, save_table, text_table

PICTURES_AT_ONCE = 64


def open_encoder(checkpoint: str, data_dir: Path | None = None) -> Encoder:
    """The encoder of a checkpoint by name, as the app loads it."""
    return Encoders(Settings.load(data_dir=data_dir)).encoder(checkpoint)


def stem_of(encoder: Encoder) -> str:
    """A file name for the tower and its weights: what frame features depend on."""
    return re.sub(r"[^\w.-]+", "-", encoder.tower.name).strip("-")


def reading_of(encoder: Encoder) -> str:
    """A file name for how the encoder reads text."""
    config = encoder.config
    return re.sub(r"[^\w.-]+", "-", f"{config.text_levels} {config.prompt} texts").strip("-")


def kept(path: Path, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays from a .npz file, made and written where it is missing."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **make())
    with np.load(path, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


def texts(encoder: Encoder, captions: Sequence[str], path: Path) -> TextTable:
    """Text features of captions as the encoder reads them."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_table(path, text_table(encoder.texts(captions)))
    return load_table(path)


def photo_pairs(encoder: Encoder, folder: Path, split: str, *, cache: Path, limit: int = 0) -> PairData:
    """Flickr8k's split as videos of one frame. limit: photos, 0 for all; taken from a larger set where one is cached."""
    pairs = read_flickr8k(folder, split).pairs
    every = list(dict.fromkeys(pair.file for pair in pairs))
    wanted = min(limit or len(every), len(every))
    names = every[: _cached(cache, f"{stem_of(encoder)}-{split}", reading_of(encoder), wanted)]
    stem, kinds = f"{stem_of(encoder)}-{split}-{len(names)}", set(names)
    paths = [folder / "images" / name for name in names]
    vectors = kept(cache / f"{stem}.npz", lambda: {"vectors": read_photos(encoder, paths)})["vectors"]
    features = {name: FrameFeatures(np.zeros(1), vector[None]) for name, vector in zip(names, vectors, strict=True)}
    return first_videos(
        pair_data(
            [pair for pair in pairs if pair.file in kinds],
            features,
            lambda found: texts(encoder, found, cache / f"{stem}-{reading_of(encoder)}.npz"),
        ),
        wanted,
    )


def _cached(cache: Path, stem: str, reading: str, wanted: int) -> int:
    """How many photos the smallest cached set that is large enough holds; `wanted` where there is none."""
    form = re.compile(re.escape(stem) + r"-(\d+)-" + re.escape(reading) + r"\.npz")
    found = [form.fullmatch(path.name) for path in cache.glob(f"{stem}-*-{reading}.npz")]
    return min((int(one[1]) for one in found if one and int(one[1]) >= wanted), default=wanted)


def first_videos(data: PairData, count: int) -> PairData:
    """The first videos and their texts alone."""
    if count >= len(data.files):
        return data
    part = data.take(np.flatnonzero(data.owners < count))
    return replace(part, files=data.files[:count], spans=data.spans[:count], frames=data.frames[:count])


def read_photos(encoder: Encoder, paths: Sequence[Path]) -> np.ndarray:
    """Features (N, D) float16 of photos."""
    from PIL import Image

    size = encoder.frame_size

    def pixels(path: Path) -> np.ndarray:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB").resize((size.width, size.height), Image.Resampling.BICUBIC))

    return np.concatenate(
        [
            encoder.encode_frames(np.stack([pixels(p) for p in paths[i : i + PICTURES_AT_ONCE]]))
            for i in range(0, len(paths), PICTURES_AT_ONCE)
        ]
    )


def clip_pairs(encoder: Encoder, folder: Path, *, cache: Path, fps: float = 1.0, most: int = 0) -> PairData:
    """The captioned clips of a folder; `most` captions a clip after sorting and removing repeats, 0 for all."""
    return clips_with_times(encoder, folder, cache=cache, fps=fps, most=most)[0]


def clips_with_times(
    encoder: Encoder, folder: Path, *, cache: Path, fps: float = 1.0, most: int = 0
) -> tuple[PairData, list[np.ndarray], list[float]]:
    """Also each clip's frame times and duration, in the order of the pairs' files."""
    given = read_captions(folder / "captions.jsonl").pairs
    by_file = {
        file: sorted({pair.caption for pair in given if pair.file == file})[: most or None]
        for file in sorted({pair.file for pair in given})
    }
    found, _ = match_videos(given, folder)
    stem = f"{stem_of(encoder)}-clips-{fps:g}"
    arrays = kept(cache / f"{stem}.npz", lambda: _clips(encoder, found, fps))
    features = {file: FrameFeatures(arrays[f"times/{file}"], arrays[f"vectors/{file}"]) for file in found}
    pairs = [CaptionPair(file, caption) for file, captions in by_file.items() if file in found for caption in captions]
    data = pair_data(
        pairs, features, lambda captions: texts(encoder, captions, cache / f"{stem}-{most}-{reading_of(encoder)}.npz")
    )
    return data, [features[f].times for f in data.files], [float(arrays[f"duration/{f}"]) for f in data.files]


def _clips(encoder: Encoder, paths: dict[str, Path], fps: float) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    with DecodeWorker() as worker:
        for file, path in paths.items():
            clip = worker.open(str(path), sampling=SamplingConfig(fps=fps), size=encoder.frame_size)
            runs = list(clip)
            arrays[f"times/{file}"] = np.concatenate([run.times for run in runs])
            arrays[f"vectors/{file}"] = np.concatenate([encoder.encode_frames(run.pixels) for run in runs])
            arrays[f"duration/{file}"] = np.array(clip.info.duration)
    return arrays
