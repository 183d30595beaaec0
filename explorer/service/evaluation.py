"""Evaluation from the command line: files and captions -> kept features -> the field's numbers."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import tempfile
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.config import SamplingConfig
from explorer.records import CaptionPair, ExplorerError, FrameFeatures, FrameSize, Progress
from explorer.service.bank import bank_features
from explorer.service.desk import fit_image
from explorer.training.benchmarks import BENCHMARKS, read_benchmark
from explorer.training.caption_videos import by_file, match_videos
from explorer.training.captions import CaptionSet, fit_spans, read_captions
from explorer.training.dataset import PairData, pair_data
from explorer.training.texts import text_table

if TYPE_CHECKING:
    from explorer.media.decode import DecodeWorker
    from explorer.model.encoder import Encoder
    from explorer.service import Explorer
    from explorer.training.binary_selection import Score
    from explorer.training.towers.pixels import Entry, PixelData

PICTURES = (".jpg", ".jpeg", ".png")
PICTURES_AT_ONCE = 64
PAIRS_AT_ONCE = 64
PIXELS_IN_MEMORY = 2 << 30  # bytes of decoded frames; more are kept in a file of the data folder while they are needed


def measure_captions(explorer: Explorer, chosen: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Retrieval on a person's own captions; the object and its table."""
    from explorer.training.evaluate import evaluate, table

    encoder, data, notices = load_pairs(
        explorer, read_captions(chosen.captions), chosen.videos, checkpoint=chosen.checkpoint
    )
    result = evaluate(encoder.model, data, frames=explorer.settings.sampling.frames, weights=chosen.weights)
    return {**result, "notices": list(notices)}, "\n".join([table(result), *notices])


def measure_benchmark(explorer: Explorer, chosen: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """One of the field's benchmarks by its protocol, beside the published table."""
    from explorer.training.evaluate import evaluate_benchmark, table

    if chosen.annotations is None:
        raise ExplorerError("a benchmark needs --annotations DIR, the folder of its annotation files")
    captions = read_benchmark(chosen.benchmark, chosen.annotations)
    frames = BENCHMARKS[chosen.benchmark].frames
    if frames > 12:
        sampling = SamplingConfig(frames=frames, hop=frames)
        explorer.settings = replace(explorer.settings, sampling=sampling)
    encoder, data, notices = load_pairs(explorer, captions, chosen.videos, checkpoint=chosen.checkpoint)
    wanted = len({pair.file for pair in captions.pairs})
    bank = bank_features(encoder, explorer.settings.data_dir / "banks")
    result = evaluate_benchmark(encoder.model, data, chosen.benchmark, missing=wanted - len(set(data.files)), bank=bank)
    return {**result, "notices": list(notices)}, "\n".join([table(result), *notices])


def measure_selection(explorer: Explorer, chosen: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Fine-grained binary selection: the true sentence against altered ones, accuracy a kind, beside the tower
    alone."""
    from explorer.training.binary_selection import binary_selection, choices, word_bank

    captions = (
        read_captions(chosen.captions) if chosen.captions else read_benchmark(chosen.benchmark, chosen.annotations)
    )
    encoder, data, notices = load_pairs(explorer, captions, chosen.videos, checkpoint=chosen.checkpoint)
    texts = [data.texts[i].text for i in range(len(data))]
    questions = choices(list(zip(data.owners.tolist(), texts)), bank=word_bank(texts))
    result = {name: binary_selection(scorer, questions) for name, scorer in scorers(encoder, data).items()}
    lines = [
        f"{name:10} "
        + "  ".join(f"{kind} {found['accuracy']:.1f} ({found['pairs']:.0f})" for kind, found in row.items())
        for name, row in result.items()
    ]
    return {"videos": len(data.files), "accuracy": result, "notices": list(notices)}, "\n".join([*lines, *notices])


def scorers(encoder: Encoder, data: PairData) -> dict[str, Score]:
    """Pairwise scores (video numbers, texts) -> (N,): the checkpoint's total, and the tower alone."""
    from explorer.training.dataset import centre_view, pad

    views = [frames[centre_view(len(frames), 12)] for frames in data.frames]
    means = np.stack([frames.astype(np.float32).mean(axis=0) for frames in data.frames])
    means /= np.linalg.norm(means, axis=1, keepdims=True)

    def total(videos: Sequence[int], texts: Sequence[str]) -> np.ndarray:
        return np.concatenate(
            [
                np.diag(
                    encoder.score(
                        encoder.texts(texts[i : i + PAIRS_AT_ONCE]),
                        *pad([views[v] for v in videos[i : i + PAIRS_AT_ONCE]]),
                    )["total"]
                )
                for i in range(0, len(texts), PAIRS_AT_ONCE)
            ]
        )

    def mean_pool(videos: Sequence[int], texts: Sequence[str]) -> np.ndarray:
        return (encoder.tower.encode_texts(list(texts)) * means[np.asarray(videos)]).sum(axis=1)

    return {encoder.config.model: total, "mean_pool": mean_pool}


def load_pairs(
    explorer: Explorer, captions: CaptionSet, folder: Path, *, checkpoint: str | None = None
) -> tuple[Encoder, PairData, tuple[str, ...]]:
    """Captions joined with kept features of their files, which are decoded and encoded where that was not done before.

    Raises:
        ExplorerError: no captioned file is there, or none can be read.
    """
    encoder = explorer.encoder(checkpoint)
    if not folder.is_dir():
        raise ExplorerError(f"there is no folder {folder}; give the one that holds the videos")
    paths, notices = match_videos(captions.pairs, folder)
    if not paths:
        raise ExplorerError(f"none of the captioned files is in {folder}; check --videos")
    pictures = {name: path for name, path in paths.items() if path.suffix.lower() in PICTURES}
    features = picture_features(encoder, pictures) | video_features(explorer, encoder, folder, paths, pictures)
    if not features:
        raise ExplorerError(
            f"none of the {len(paths)} captioned files in {folder} could be read; "
            "run `python -m explorer index` on it for the reasons"
        )
    missing = sorted(set(paths) - set(features))
    if missing:
        notices += (f"{len(missing)} of {len(paths)} files could not be read and are left out, such as {missing[0]}",)
    within = fit_spans(by_file(captions.pairs, paths), lengths(explorer, paths))
    if not within.pairs:
        raise ExplorerError(f"no caption is left: {within.notices[-1]}")
    return encoder, pairs_of(encoder, within.pairs, features), (*captions.notices, *notices, *within.notices)


def lengths(explorer: Explorer, paths: dict[str, Path]) -> dict[str, float]:
    """Seconds of the captioned videos that the library knows."""
    known = {video.path: video.info for video in explorer.store.videos()}
    found = {name: known.get(os.path.abspath(path)) for name, path in paths.items()}
    return {name: info.duration for name, info in found.items() if info is not None}


def pairs_of(encoder: Encoder, pairs: Iterable[CaptionPair], features: dict[str, FrameFeatures]) -> PairData:
    """Captions over kept features; equal words and phrases are stored once, whatever the number of captions."""
    return pair_data(pairs, features, lambda texts: text_table(encoder.texts(texts)))


def video_features(
    explorer: Explorer, encoder: Encoder, folder: Path, paths: dict[str, Path], pictures: dict[str, Path]
) -> dict[str, FrameFeatures]:
    """Features of videos through the same index as the library's, so that a second measurement decodes nothing."""
    if len(pictures) == len(paths):
        return {}
    explorer.choose_encoder(encoder)
    for _ in explorer.index_now([str(folder)]):
        pass
    known = {video.path: video for video in explorer.store.videos() if video.set_id is not None}
    found = {name: known.get(os.path.abspath(path)) for name, path in paths.items() if name not in pictures}
    return {name: explorer.store.features(video.id) for name, video in found.items() if video is not None}


def picture_features(encoder: Encoder, paths: dict[str, Path]) -> dict[str, FrameFeatures]:
    """A photo is a video of one frame."""
    names = list(paths)
    found: dict[str, FrameFeatures] = {}
    for i in range(0, len(names), PICTURES_AT_ONCE):
        part = names[i : i + PICTURES_AT_ONCE]
        vectors = encoder.encode_frames(np.stack([picture(paths[name], encoder.frame_size) for name in part]))
        found |= {name: FrameFeatures(np.zeros(1), vectors[row : row + 1]) for row, name in enumerate(part)}
    return found


def picture(path: Path, size: FrameSize) -> np.ndarray:
    """(H, W, 3) uint8 of a photo at the size a tower asks for."""
    from PIL import Image

    with Image.open(path) as image:
        return fit_image(np.asarray(image.convert("RGB")), size)


def load_pixels(
    explorer: Explorer,
    captions: CaptionSet,
    folder: Path,
    *,
    size: FrameSize,
) -> Generator[Progress, None, tuple[PixelData, tuple[str, ...]]]:
    """Captions joined with decoded frames of their files or spans, F each; use as `data, notices = yield from ...`.

    Raises:
        ExplorerError: no captioned file is there, or none can be read.
    """
    from explorer.media.decode import DecodeWorker
    from explorer.training.towers.pixels import pixel_data

    paths, notices = match_videos(captions.pairs, folder)
    frames = explorer.settings.sampling.frames
    counts: dict[Entry, int] = {}
    failed = []
    with DecodeWorker(explorer.settings.decoder) as worker:
        within = fit_spans(by_file(captions.pairs, paths), _span_lengths(worker, captions.pairs, paths))
        pairs = [pair for pair in within.pairs if pair.file in paths]
        entries = list(dict.fromkeys((pair.file, pair.start, pair.end) for pair in pairs))
        pixels = _room((len(entries), frames, size.height, size.width, 3), explorer.settings.data_dir)
        for done, entry in enumerate(entries):
            yield Progress("decode", done, len(entries), entry[0])
            try:
                found = _pixels_of(worker, paths[entry[0]], entry, size=size, frames=frames)
            except (ExplorerError, OSError) as error:
                failed.append(str(error))
                continue
            pixels[len(counts), : len(found)] = found
            counts[entry] = len(found)
    if not counts:
        raise ExplorerError(f"none of the captioned files can be read: {[*failed, *within.notices][0]}")
    if failed:
        notices += (f"{len(failed)} of {len(entries)} videos could not be read and are left out: {failed[0]}",)
    return pixel_data(pairs, counts, pixels), (*captions.notices, *notices, *within.notices)


def _span_lengths(worker: DecodeWorker, pairs: Iterable[CaptionPair], paths: dict[str, Path]) -> dict[str, float]:
    """Seconds of the files that have captions of spans; what cannot be probed is told when it is decoded."""
    found = {}
    for name in dict.fromkeys(pair.file for pair in pairs if pair.start is not None and pair.file in paths):
        if paths[name].suffix.lower() not in PICTURES:
            with contextlib.suppress(ExplorerError, OSError):
                found[name] = worker.probe(str(paths[name])).duration
    return found


def _pixels_of(worker: DecodeWorker, path: Path, entry: Entry, *, size: FrameSize, frames: int) -> np.ndarray:
    """(N, H, W, 3): the centres of F equal segments of a file or span; a photo is one frame."""
    if path.suffix.lower() in PICTURES:
        return picture(path, size)[None]
    duration = worker.probe(str(path)).duration
    start, end = entry[1] or 0.0, duration if entry[2] is None else min(entry[2], duration)
    times = start + (np.arange(frames) + 0.5) * max(0.0, end - start) / frames
    return worker.frames_at(str(path), times, size=size).pixels


def _room(shape: tuple[int, ...], folder: Path) -> np.ndarray:
    """Bytes of a shape, all 0: in memory, or in a nameless file that goes when they do."""
    if math.prod(shape) <= PIXELS_IN_MEMORY:
        return np.zeros(shape, np.uint8)
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)
