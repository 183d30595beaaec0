"""Reads the field's annotation files by each benchmark's own protocol, and the published table to print beside ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.config import ASSETS
from explorer.records import CaptionPair, ExplorerError
from explorer.training.caption_files import Line, read_text
from explorer.training.caption_tables import table_lines
from explorer.training.captions import CaptionSet

PUBLISHED = ASSETS / "published_results.json"
SPLITS = ("train", "val", "test")
FLICKR_LISTS = {
    "train": ("Flickr_8k.trainImages.txt",),
    "val": ("Flickr_8k.devImages.txt",),
    "test": ("Flickr_8k.testImages.txt",),
}
LAYOUT = {  # what a person makes of a pickle, by the ending of the file that is read in its place
    "tsv": "a line a video: its captions with a comma after each, a tab, its id",
    "json": 'an object of video id -> list of captions: {"video7": ["a dog runs"]}',
}


@dataclass(frozen=True)
class Benchmark:
    """One protocol: how its captions are read, its name in the published table, and how much of a video is seen."""

    name: str
    published: str  # dataset in the published table; "" where the paper has none
    read: Callable[[Path, str], CaptionSet]  # (annotations folder, split) -> captions
    frames: int = 12  # F of the paper's protocol
    words: int = 32


def look(folder: Path, *names: str) -> Path | None:
    """The first of the names that lies anywhere in the annotations folder; None where none does."""
    for name in names:
        matches = sorted(folder.rglob(name)) if folder.is_dir() else []
        if matches:
            return matches[0]
    return None


def find(folder: Path, *names: str) -> Path:
    """The first of the names that lies anywhere in the annotations folder.

    Raises:
        ExplorerError: none does; where a pickle lies there in its place, the sentence says what to make of it.
    """
    found = look(folder, *names)
    if found is not None:
        return found
    pickles = sorted(p.name for p in folder.rglob("*") if p.suffix in (".pkl", ".pickle")) if folder.is_dir() else []
    if pickles:
        raise ExplorerError(
            f"no {' or '.join(names)} in {folder}; {pickles[0]} is a pickle, which can run code and is never opened: "
            f"write its captions as {names[0]}, {LAYOUT.get(names[0].split('.')[-1], LAYOUT['json'])}"
        )
    raise ExplorerError(f"no {' or '.join(names)} in {folder}; give the folder that holds the annotation files")


def _retrieval_list(path: Path) -> list[tuple[str, list[str]]]:
    """(video, captions) of a JSON list of {"video", "caption"}, as several repositories ship their splits."""
    rows = _json(path)
    try:
        return [
            (str(row["video"]), [row["caption"]] if isinstance(row["caption"], str) else list(map(str, row["caption"])))
            for row in rows
        ]
    except (KeyError, TypeError) as error:
        raise _malformed(path, error) from error


def _split_ids(folder: Path, *names: str) -> set[str]:
    """The video ids of a split's list, one a line, with or without the ending of a file."""
    return {line.strip() for line in read_text(find(folder, *names)).splitlines() if line.strip()}


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
        listed = None if look(folder, "MSRVTT_JSFUSION_test.csv") else look(folder, "msrvtt_ret_test1k.json")
        if listed:
            return _pairs(listed, [(video, text) for video, texts in _retrieval_list(listed) for text in texts])
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
    """MSVD: every caption is a query; lines are `caption, caption, ..., <TAB> id`, no caption holding a comma.

    Else the split's list of ids and the captions of all: raw-captions.json (id -> captions, or their words) or
    AllVideoDescriptions.txt (lines of `id caption`).
    """
    path = look(folder, f"MSVD_{split}.tsv")
    if path is None and look(folder, f"{split}_list.txt"):
        return _msvd_of_all(folder, split)
    path = path or find(folder, f"MSVD_{split}.tsv")
    rows = [
        (str(line.fields["id"]).strip(), text)
        for line in table_lines(path, delimiter="\t", columns=("captions", "id"))
        for text in str(line.fields["captions"]).split(", ")
        if text.strip()
    ]
    return _pairs(path, rows)


def _msvd_of_all(folder: Path, split: str) -> CaptionSet:
    ids = _split_ids(folder, f"{split}_list.txt")
    path = find(folder, "raw-captions.json", "AllVideoDescriptions.txt")
    if path.suffix == ".json":
        try:
            rows = [
                (video, text if isinstance(text, str) else " ".join(text))
                for video, texts in _json(path).items()
                for text in texts
            ]
        except (AttributeError, TypeError) as error:
            raise _malformed(path, error) from error
    else:
        lines = (line.split(maxsplit=1) for line in read_text(path).splitlines() if not line.startswith("#"))
        rows = [(line[0], line[1]) for line in lines if len(line) == 2]
    return _pairs(path, [row for row in rows if row[0] in ids])


def read_didemo(folder: Path, split: str) -> CaptionSet:
    """DiDeMo: a video's captions are one paragraph; lines are `caption, caption, ..., <TAB> file`.

    Else {split}_data.json, a list of {"video", "description"} with a record a caption.
    """
    path = look(folder, f"DiDeMo_{split}.tsv", f"{split}_data.json", f"didemo_ret_{split}.json")
    if path is not None and path.suffix == ".json":
        return _pairs(path, _paragraphs(path))
    path = path or find(folder, f"DiDeMo_{split}.tsv", f"{split}_data.json")
    return _pairs(
        path,
        [
            (str(line.fields["file"]).strip(), str(line.fields["captions"]).strip().rstrip(","))
            for line in table_lines(path, delimiter="\t", columns=("captions", "file"))
        ],
    )


def _paragraphs(path: Path) -> list[tuple[str, str]]:
    """(video, all its captions as one paragraph) of a list of records, in their order."""
    if path.name.endswith("_data.json"):
        try:
            records = [(str(row["video"]), [str(row["description"])]) for row in _json(path)]
        except (KeyError, TypeError) as error:
            raise _malformed(path, error) from error
    else:
        records = _retrieval_list(path)
    joined: dict[str, list[str]] = {}
    for video, texts in records:
        joined.setdefault(video, []).extend(text.strip() for text in texts)
    return [(video, " ".join(texts)) for video, texts in joined.items()]


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
    karpathy = look(folder, "dataset_flickr8k.json")
    if karpathy and not look(folder, f"{split}.txt", *FLICKR_LISTS[split]):
        return _pairs(karpathy, _karpathy(karpathy, split))
    images = _split_ids(folder, f"{split}.txt", *FLICKR_LISTS[split])
    path = look(folder, "captions.csv", "captions.txt", "Flickr8k.token.txt") or find(folder, "captions.csv")
    if path.name == "Flickr8k.token.txt":  # lines of `photo.jpg#0 <TAB> caption`
        rows = [(line.partition("#")[0], line.partition("\t")[2]) for line in read_text(path).splitlines()]
    else:
        lines = table_lines(path, delimiter=",")
        rows = [(_column(path, line, "image"), _column(path, line, "caption")) for line in lines]
    return _pairs(path, [row for row in rows if row[0] in images])


def _karpathy(path: Path, split: str) -> list[tuple[str, str]]:
    """(photo, caption) of one split of Karpathy's JSON."""
    try:
        return [
            (str(image["filename"]), str(sentence["raw"]))
            for image in _json(path)["images"]
            if image["split"] == split
            for sentence in image["sentences"]
        ]
    except (KeyError, TypeError) as error:
        raise _malformed(path, error) from error


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
