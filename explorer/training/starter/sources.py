"""Reads what the starter learns from: captioned and labelled photos of several sources, each with its held-out part.

A source beside Flickr8k is a folder with images/ and captions.jsonl (file, captions and, where the captions are
made from one, a label). A fifth of each label's photos, and of each captioned source, is held out by the digest of
its name.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from explorer.records import ExplorerError
from explorer.training.benchmarks import read_flickr8k

FLICKR = "flickr8k"
CLASSES = "imagenet"  # a source of this name holds one photo a class: its held-out part goes over all classes
HELD = 0.2
SMALLEST = 3  # photos a label of which one is held out
KINDS = ("flickr8k", "captioned", "labelled", "classes")  # what a batch is mixed of


@dataclass(frozen=True)
class Photo:
    """One photo: its file, captions (a label also as it stands), source, and label, "" where people wrote of it."""

    path: Path
    captions: tuple[str, ...]
    source: str
    label: str = ""

    @property
    def kind(self) -> str:
        """One of KINDS."""
        if self.source.startswith(FLICKR):
            return "flickr8k"
        if not self.label:
            return "captioned"
        return "classes" if self.source.startswith(CLASSES) else "labelled"


def flickr_photos(data: Path, split: str) -> list[Photo]:
    """Flickr8k's photos of train, val or test."""
    captions: dict[str, list[str]] = defaultdict(list)
    for pair in read_flickr8k(data, split).pairs:
        captions[pair.file].append(pair.caption)
    return [Photo(data / "images" / file, tuple(found), FLICKR) for file, found in captions.items()]


def more_photos(folder: Path) -> list[Photo]:
    """The photos of every source in a folder, sources by name.

    Raises:
        ExplorerError: no source there, or a line of captions.jsonl that cannot be read.
    """
    lists = sorted(folder.glob("*/captions.jsonl"))
    if not lists:
        raise ExplorerError(f"no folder with captions.jsonl in {folder}; give the folder that holds the sources")
    return [photo for path in lists for photo in _source(path)]


def _source(path: Path) -> Iterator[Photo]:
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            file, captions, label = str(row["file"]), list(map(str, row["captions"])), str(row.get("label") or "")
        except (ValueError, KeyError, TypeError) as error:
            raise ExplorerError(
                f"{path}, line {number}: no file and captions there ({error}); mend the line"
            ) from error
        name = label.replace("_", " ").lower().strip()
        yield Photo(
            path.parent / "images" / file,
            tuple(dict.fromkeys([*captions, *filter(None, [name])])),
            path.parent.name,
            name,
        )


def split_held(photos: Sequence[Photo], *, share: float = HELD) -> tuple[list[Photo], list[Photo]]:
    """What is trained on and what is held out: `share` of each label of a source, and of each captioned source."""
    groups: dict[tuple[str, str], list[Photo]] = defaultdict(list)
    for photo in photos:
        groups[photo.source, "" if photo.kind == "classes" else photo.label].append(photo)
    held = {photo.path for group in groups.values() for photo in _held(group, share)}
    return [photo for photo in photos if photo.path not in held], [photo for photo in photos if photo.path in held]


def _held(group: Sequence[Photo], share: float) -> list[Photo]:
    if len(group) < SMALLEST:
        return []
    return sorted(group, key=_digest)[: max(1, round(share * len(group)))]


def _digest(photo: Photo) -> str:
    return hashlib.sha256(f"{photo.source}/{photo.path.name}".encode()).hexdigest()


def without_labels(photos: Sequence[Photo], *, every: int = 4) -> list[Photo]:
    """Leave out all photos of every fourth label of each labelled source: what a choice is tried on as unseen words."""
    labels = {photo.source: sorted({p.label for p in photos if p.source == photo.source}) for photo in photos}
    return [p for p in photos if p.kind != "labelled" or labels[p.source].index(p.label) % every != 1]
