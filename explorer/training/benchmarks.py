"""Reads the field's annotation files by each benchmark's own protocol, and the published table to print beside ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.config import ASSETS
from explorer.records import CaptionPair, ExplorerError
from explorer.training.caption_files import Line, read_text, table_lines
from explorer.training.captions import CaptionSet

PUBLISHED = ASSETS / "published_results.json"
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Benchmark:
    """One protocol: how its captions are read, its name in the published table, and how much of a video is seen."""

    name: str
    published: str  # dataset in the published table; "" where the paper has none
    read: Callable[[Path, str], CaptionSet]  # (annotations folder, split) -> captions
    frames: int = 12  # F of the paper's protocol
    words: int = 32


def find(folder: Path, *names: str) -> Path:
    """The first of the names that lies anywhere in the annotations folder."""
    for name in names:
        matches = sorted(folder.rglob(name)) if folder.is_dir() else []
        if matches:
            return matches[0]
    raise ExplorerError(f"no {' or '.join(names)} in {folder}; give the folder that holds the annotation files")


def _pairs(path: Path, rows: list[tuple[str, str]]) -> CaptionSet:
    """Benchmarks keep repeated captions: their published query counts hold them."""
    kept = tuple(CaptionPair(file, " ".join(text.split())) for file, text in rows if file and text.strip())
    if not kept:
        raise ExplorerError(f"{path} holds no caption; fetch the annotation file again")
    left = len(rows) - len(kept)
    return CaptionSet(kept, (f"{path}: {left} rows without a video or a caption were left out",) if left else ())


def _column(path: Path, line: Line, name: str) -> str:
    if name not in line.fields:
        raise ExplorerError(
            f"{path}, line {line.number}: no column {name!r} (found {', '.join(line.fields)}); "
            "this is another file than the benchmark's"
        )
    return str(line.fields[name])


def _json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ExplorerError(f"{path}: broken JSON ({error}); fetch the annotation file again") from error


def _malformed(path: Path, error: Exception) -> ExplorerError:
    return ExplorerError(
        f"{path}: not the layout of this benchmark ({type(error).__name__}: {error}); fetch the annotation file again"
    )


def read_msrvtt(folder: Path, split: str) -> CaptionSet:
    """MSR-VTT 1k-A: the test is 1,000 videos with one caption each; train is the 9k list with its 20 captions each."""
    if split == "test":
        path = find(folder, "MSRVTT_JSFUSION_test.csv")
        return _pairs(
            path,
            [
                (_column(path, line, "video_id"), _column(path, line, "sentence"))
                for line in table_lines(path, delimiter=",")
            ],
        )
    ids = msrvtt_train_ids(folder)
    path = find(folder, "MSRVTT_data.json", "MSRVTT_v2.json", "train_val_videodatainfo.json")
    try:
        rows = [(str(row["video_id"]), str(row["caption"])) for row in _json(path)["sentences"]]
    except (KeyError, TypeError) as error:
        raise _malformed(path, error) from error
    return _pairs(path, [row for row in rows if row[0] in ids])


def msrvtt_train_ids(folder: Path) -> set[str]:
    """The 9,000 video ids of the 1k-A training list."""
    path = find(folder, "MSRVTT_train.9k.csv")
    return {_column(path, line, "video_id") for line in table_lines(path, delimiter=",")}


def read_msvd(folder: Path, split: str) -> CaptionSet:
    """MSVD: every caption is a query; lines are `caption, caption, ..., <TAB> id`, no caption holding a comma."""
    path = find(folder, f"MSVD_{split}.tsv")
    rows = [
        (str(line.fields["id"]).strip(), text)
        for line in table_lines(path, delimiter="\t", columns=("captions", "id"))
        for text in str(line.fields["captions"]).split(", ")
        if text.strip()
    ]
    return _pairs(path, rows)


def read_didemo(folder: Path, split: str) -> CaptionSet:
    """DiDeMo: a video's captions are one paragraph; lines are `caption, caption, ..., <TAB> file`."""
    path = find(folder, f"DiDeMo_{split}.tsv")
    return _pairs(
        path,
        [
            (str(line.fields["file"]).strip(), str(line.fields["captions"]).strip().rstrip(","))
            for line in table_lines(path, delimiter="\t", columns=("captions", "file"))
        ],
    )


def read_lsmdc(folder: Path, split: str) -> CaptionSet:
    """LSMDC: tab-separated, no header: clip id, two pairs of times, sentence. The test is the 1,000-clip challenge."""
    path = find(
        folder,
        *{
            "train": ("LSMDC16_annos_training.csv",),
            "val": ("LSMDC16_annos_val.csv",),
            "test": ("LSMDC16_challenge_1000_publictect.csv", "LSMDC16_annos_test.csv"),
        }[split],
    )
    rows = []
    for number, text in enumerate(read_text(path).splitlines(), start=1):
        cells = text.split("\t")
        if text.strip() and len(cells) != 6:
            raise ExplorerError(
                f"{path}, line {number}: {len(cells)} columns where 6 are expected; fetch the annotation file again"
            )
        if text.strip():
            rows.append((cells[0].strip(), cells[5]))
    return _pairs(path, rows)


def read_activitynet(folder: Path, split: str) -> CaptionSet:
    """ActivityNet Captions: a video's sentences, in order of time, are one paragraph; the test is val_1."""
    path = find(folder, *(("train.json",) if split == "train" else ("val_1.json",)))
    try:
        return _pairs(
            path,
            [(video, " ".join(text.strip() for text in entry["sentences"])) for video, entry in _json(path).items()],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _malformed(path, error) from error


def read_flickr8k(folder: Path, split: str) -> CaptionSet:
    """Flickr8k: five captions a photo, the photos of one split."""
    path, listed = find(folder, "captions.csv", "captions.txt"), find(folder, f"{split}.txt")
    images = {name.strip() for name in read_text(listed).splitlines() if name.strip()}
    rows = [(_column(path, line, "image"), _column(path, line, "caption")) for line in table_lines(path, delimiter=",")]
    return _pairs(path, [row for row in rows if row[0] in images])


BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark("msrvtt-1ka", "MSR-VTT-1kA", read_msrvtt),
        Benchmark("msvd", "MSVD", read_msvd),
        Benchmark("lsmdc", "LSMDC", read_lsmdc),
        Benchmark("didemo", "DiDeMo", read_didemo, frames=64, words=64),
        Benchmark("activitynet", "ActivityNet", read_activitynet, frames=64, words=64),
        Benchmark("flickr8k", "", read_flickr8k, frames=1),
    )
}


def read_benchmark(name: str, annotations: Path, *, split: str = "test") -> CaptionSet:
    """The captions of a benchmark's split, as its protocol wants them: a pair a query.

    Raises:
        ExplorerError: an unknown benchmark, or annotation files missing or of another layout.
    """
    if name not in BENCHMARKS:
        raise ExplorerError(f"unknown benchmark {name!r}; choose one of {', '.join(BENCHMARKS)}")
    if split not in SPLITS:
        raise ValueError(f"split must be one of {SPLITS}, not {split!r}")
    return BENCHMARKS[name].read(annotations, split)


def published_rows(name: str) -> list[dict[str, Any]]:
    """The published results of a benchmark: {dataset, direction, metric, value, model}."""
    rows = json.loads(PUBLISHED.read_text("utf-8"))["results"]
    return [row for row in rows if row["dataset"] == BENCHMARKS[name].published]
