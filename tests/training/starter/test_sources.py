"""The starter's sources: read as they lie, a fifth of every label held out, always the same photos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from explorer.records import ExplorerError
from explorer.training.starter.sources import Photo, more_photos, split_held, without_labels


def write(folder: Path, name: str, rows: list[dict[str, object]]) -> None:
    (folder / name).mkdir(parents=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / name / "captions.jsonl").write_text(text, "utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    labels = ("accordion", "ant", "playing_guitar", "zebra")
    rows = [
        {"file": f"{label}_{i}.jpg", "captions": [f"a photo of {label}"], "label": label}
        for label in labels
        for i in range(10)
    ]
    write(tmp_path, "objects", rows)
    write(tmp_path, "coco", [{"file": f"{i}.jpg", "captions": ["a bus", "a red bus"]} for i in range(20)])
    write(
        tmp_path,
        "imagenet-one",
        [{"file": f"{i}.jpg", "captions": ["a tench"], "label": f"class {i}"} for i in range(20)],
    )
    return tmp_path


def test_a_label_is_a_caption_too_and_decides_the_kind(folder: Path) -> None:
    photos = {photo.path.name: photo for photo in more_photos(folder) if photo.source == "objects"}
    guitar = photos["playing_guitar_3.jpg"]
    assert guitar.captions == ("a photo of playing_guitar", "playing guitar") and guitar.label == "playing guitar"
    assert guitar.path == folder / "objects" / "images" / "playing_guitar_3.jpg"
    kinds = {photo.source: photo.kind for photo in more_photos(folder)}
    assert kinds == {"objects": "labelled", "coco": "captioned", "imagenet-one": "classes"}
    assert Photo(Path("x"), ("a",), "flickr8k").kind == "flickr8k"


def test_a_fifth_of_every_label_is_held_out_and_always_the_same(folder: Path) -> None:
    photos = more_photos(folder)
    known, held = split_held(photos)
    assert not {p.path for p in known} & {p.path for p in held} and len(known) + len(held) == len(photos)
    counts: dict[str, int] = {}
    for photo in held:
        counts[f"{photo.source} {photo.label if photo.source == 'objects' else ''}"] = (
            counts.get(f"{photo.source} {photo.label if photo.source == 'objects' else ''}", 0) + 1
        )
    assert set(counts.values()) == {2, 4} and counts["objects ant"] == 2 and counts["coco "] == 4
    again = split_held(list(reversed(photos)))
    assert {p.path for p in again[1]} == {p.path for p in held}


def test_few_photos_of_a_label_are_all_trained_on() -> None:
    photos = [Photo(Path(f"{i}.jpg"), ("kiwi",), "fruit", "kiwi") for i in range(2)]
    assert split_held(photos) == (photos, [])


def test_every_fourth_label_can_be_left_out_whole(folder: Path) -> None:
    left = without_labels(more_photos(folder))
    assert {p.label for p in left if p.source == "objects"} == {"accordion", "playing guitar", "zebra"}
    assert len([p for p in left if p.source != "objects"]) == 40  # captions and classes stay


def test_a_folder_without_sources_and_a_broken_line_are_told(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ExplorerError, match="no folder with captions.jsonl"):
        more_photos(tmp_path / "nothing")
    with open(folder / "coco" / "captions.jsonl", "a", encoding="utf-8") as file:
        file.write('{"file": "x.jpg"}\n')
    with pytest.raises(ExplorerError, match="line 21: no file and captions"):
        more_photos(folder)
