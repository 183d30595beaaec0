"""What training and measuring work on: captions joined with the kept features, or the pixels, of their files."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from explorer.config import SamplingConfig, Settings
from explorer.media.decode import DecodeWorker
from explorer.records import CaptionPair, ExplorerError, FrameFeatures, FrameSize, Progress
from explorer.service.library import Library
from explorer.service.requests import IndexRequest
from explorer.service.searches import fit_image
from explorer.store.store import Store
from explorer.training.caption_videos import by_file, match_videos
from explorer.training.captions import CaptionSet, fit_spans
from explorer.training.dataset import PairData, pair_data
from explorer.training.texts import text_table

if TYPE_CHECKING:
    from explorer.model.encoder import Encoder
    from explorer.training.towers.pixels import Entry, PixelData

PICTURES = (".jpg", ".jpeg", ".png")
PICTURES_AT_ONCE = 64
PIXELS_IN_MEMORY = 2 << 30  # bytes of decoded frames; more are kept in a file of the data folder while they are needed
SURROUNDING = 400  # videos of the library that must go on being found as before


@dataclass(frozen=True)
class Material:
    """Captions and the features of their files, named by absolute path, and videos that nobody captioned."""

    pairs: tuple[CaptionPair, ...]
    features: Mapping[str, FrameFeatures]
    others: tuple[FrameFeatures, ...] = ()
    notices: tuple[str, ...] = ()

    def data(self, encoder: Encoder) -> PairData:
        """The captions over the features; equal words and phrases are stored once, whatever the number of captions."""
        return pair_data(self.pairs, self.features, lambda texts: text_table(encoder.texts(texts)))


def taught_material(store: Store, pairs: Iterable[CaptionPair]) -> Material:
    """Captions of files of the library.

    Raises:
        ExplorerError: no captions, or none of an indexed file.
    """
    pairs = tuple(pairs)
    if not pairs:
        raise ExplorerError("nothing has been taught yet; write captions of your videos first")
    known = {video.path: video.id for video in store.videos() if video.set_id is not None}
    features = {path: store.features(known[path]) for path in {pair.file for pair in pairs} & known.keys()}
    if not features:
        raise ExplorerError("none of the captioned files is in the index; add their folder and index it first")
    return _material(store, pairs, features)


def _material(
    store: Store, pairs: Iterable[CaptionPair], features: Mapping[str, FrameFeatures], notices: tuple[str, ...] = ()
) -> Material:
    """The captions that have features, their spans within their files; the same whatever the order of the files."""
    durations = {video.path: video.info.duration for video in store.videos() if video.info}
    within = fit_spans([pair for pair in pairs if pair.file in features], durations)
    if not within.pairs:
        raise ExplorerError(f"no caption is left: {within.notices[-1]}")
    others = _others(store, set(features))
    return Material(within.pairs, dict(sorted(features.items())), others, (*notices, *within.notices))


def _others(store: Store, captioned: set[str]) -> tuple[FrameFeatures, ...]:
    """Features of videos of the library that nobody captioned, at most about SURROUNDING, spread over their paths."""
    ids = [video.id for video in store.videos() if video.set_id is not None and video.path not in captioned]
    return tuple(store.features(video_id) for video_id in ids[:: max(1, len(ids) // SURROUNDING)])


def captioned_material(
    library: Library,
    encoder: Encoder,
    captions: CaptionSet,
    folder: Path,
    *,
    sampling: SamplingConfig | None = None,
) -> Material:
    """Captions of files in a folder, which are decoded and encoded where that was not done before.

    Args:
        library: indexes the folder, so that a second measurement decodes nothing.
        encoder: makes the features.
        captions: their files are names in the folder.
        folder: of the videos.
        sampling: which frames are kept; None takes the settings'.

    Raises:
        ExplorerError: no captioned file is there, or none can be read.
    """
    paths, notices = find_files(captions, folder)
    pictures = {name: path for name, path in paths.items() if path.suffix.lower() in PICTURES}
    features = picture_features(encoder, pictures)
    if len(pictures) < len(paths):
        for _ in library.index(IndexRequest(), folders=[str(folder)], encoder=encoder, sampling=sampling):
            pass
        known = {video.path: video.id for video in library.store.videos() if video.set_id is not None}
        there = [path for path in map(os.path.abspath, paths.values()) if path in known]
        features |= {path: library.store.features(known[path]) for path in there}
    missing = sorted(name for name, path in paths.items() if os.path.abspath(path) not in features)
    if len(missing) == len(paths):
        raise ExplorerError(
            f"none of the {len(paths)} captioned files in {folder} could be read; "
            "run `python -m explorer index` on it for the reasons"
        )
    if missing:
        notices += (f"{len(missing)} of {len(paths)} files could not be read and are left out, such as {missing[0]}",)
    named = [replace(pair, file=os.path.abspath(paths[pair.file])) for pair in captions.pairs if pair.file in paths]
    return _material(library.store, named, features, notices)


def find_files(captions: CaptionSet, folder: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """The captioned files of a folder by name, and a sentence for everything left out.

    Raises:
        ExplorerError: there is no such folder, or none of the files in it.
    """
    paths, notices = match_videos(captions.pairs, folder)
    return paths, (*captions.notices, *notices)


def picture_features(encoder: Encoder, paths: Mapping[str, Path]) -> dict[str, FrameFeatures]:
    """Features of photos by absolute path: a photo is a video of one frame."""
    files, features = list(paths.values()), {}
    for start in range(0, len(files), PICTURES_AT_ONCE):
        part = files[start : start + PICTURES_AT_ONCE]
        vectors = encoder.encode_frames(np.stack([read_picture(path, encoder.frame_size) for path in part]))
        for row, path in enumerate(part):
            features[os.path.abspath(path)] = FrameFeatures(np.zeros(1), vectors[row : row + 1])
    return features


def read_picture(path: Path, size: FrameSize) -> np.ndarray:
    """(H, W, 3) uint8 of a photo at the size a tower asks for."""
    from PIL import Image

    with Image.open(path) as image:
        return fit_image(np.asarray(image.convert("RGB")), size)


def load_pixels(
    settings: Settings, captions: CaptionSet, folder: Path, *, size: FrameSize
) -> Generator[Progress, None, tuple[PixelData, tuple[str, ...]]]:
    """Captions joined with decoded frames of their files or spans, F each; use as `data, notices = yield from ...`.

    Raises:
        ExplorerError: no captioned file is there, or none can be read.
    """
    from explorer.training.towers.pixels import pixel_data

    paths, notices = find_files(captions, folder)
    frames = settings.sampling.frames
    counts: dict[Entry, int] = {}
    problems = []
    with DecodeWorker(settings.decoder) as worker:
        within = fit_spans(by_file(captions.pairs, paths), _span_lengths(worker, captions.pairs, paths))
        pairs = [pair for pair in within.pairs if pair.file in paths]
        entries = list(dict.fromkeys((pair.file, pair.start, pair.end) for pair in pairs))
        pixels = _make_room((len(entries), frames, size.height, size.width, 3), settings.data_dir)
        for done, entry in enumerate(entries):
            yield Progress("decode", done, len(entries), entry[0])
            try:
                decoded = _decode(worker, paths[entry[0]], entry, size=size, frames=frames)
            except (ExplorerError, OSError) as error:
                problems.append(str(error))
                continue
            pixels[len(counts), : len(decoded)] = decoded
            counts[entry] = len(decoded)
    if not counts:
        raise ExplorerError(f"none of the captioned files can be read: {[*problems, *within.notices][0]}")
    if problems:
        notices += (f"{len(problems)} of {len(entries)} videos could not be read and are left out: {problems[0]}",)
    return pixel_data(pairs, counts, pixels), (*notices, *within.notices)


def _span_lengths(worker: DecodeWorker, pairs: Iterable[CaptionPair], paths: Mapping[str, Path]) -> dict[str, float]:
    """Seconds of the files that have captions of spans; what cannot be probed is told when it is decoded."""
    lengths = {}
    for name in dict.fromkeys(pair.file for pair in pairs if pair.start is not None and pair.file in paths):
        if paths[name].suffix.lower() not in PICTURES:
            with contextlib.suppress(ExplorerError, OSError):
                lengths[name] = worker.probe(str(paths[name])).duration
    return lengths


def _decode(worker: DecodeWorker, path: Path, entry: Entry, *, size: FrameSize, frames: int) -> np.ndarray:
    """(N, H, W, 3): the centres of F equal segments of a file or span; a photo is one frame."""
    if path.suffix.lower() in PICTURES:
        return read_picture(path, size)[None]
    duration = worker.probe(str(path)).duration
    start, end = entry[1] or 0.0, duration if entry[2] is None else min(entry[2], duration)
    times = start + (np.arange(frames) + 0.5) * max(0.0, end - start) / frames
    return worker.frames_at(str(path), times, size=size).pixels


def _make_room(shape: tuple[int, ...], folder: Path) -> np.ndarray:
    """Bytes of a shape, all 0: in memory, or in a nameless file that goes when they do."""
    if math.prod(shape) <= PIXELS_IN_MEMORY:
        return np.zeros(shape, np.uint8)
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)
