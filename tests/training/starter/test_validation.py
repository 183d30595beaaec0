"""Validation of the starter: captions find their photo, a label any photo of it, ties count against."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from explorer.training.starter import validation
from explorer.training.starter.sources import KINDS, Photo


def held() -> SimpleNamespace:
    """Two captioned photos, three labelled ones of two labels."""
    photos = [
        Photo(Path("a.jpg"), ("a bus", "a red bus"), "coco"),
        Photo(Path("b.jpg"), ("a cake",), "coco"),
        *(Photo(Path(f"{i}.jpg"), (f"a photo of {n}", n), "objects", n) for i, n in enumerate(("ant", "ant", "owl"))),
    ]
    counts = [len(photo.captions) for photo in photos]
    return SimpleNamespace(
        owner=np.repeat(np.arange(5), counts),
        labels=np.unique([p.label or str(p.path) for p in photos], return_inverse=True)[1],
        kinds={kind: np.flatnonzero([p.kind == kind for p in photos]) for kind in KINDS},
        captions=[caption for photo in photos for caption in photo.captions],
    )


def test_a_label_is_asked_once_by_its_bare_name_over_all_photos() -> None:
    found, photos = validation.questions(held()), held()
    assert set(found) == {"captioned", "keywords"}
    keywords = found["keywords"]
    assert [photos.captions[i] for i in keywords.texts] == ["ant", "owl"]
    assert keywords.photos.tolist() == [2, 3, 4, 0, 1]
    assert keywords.right.int().tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 0, 0]]
    assert found["captioned"].right.int().tolist() == [[1, 0], [1, 0], [0, 1]]


def test_any_right_photo_counts_and_ties_count_against() -> None:
    right = torch.tensor([[True, True, False], [False, False, True]])
    assert validation.recalls(torch.tensor([[0.1, 0.9, 0.5], [0.0, 0.2, 0.7]]), right)["R@1"] == 100
    assert validation.recalls(torch.tensor([[0.1, 0.5, 0.5], [0.0, 0.2, 0.7]]), right)["R@1"] == 50
    assert validation.recalls(torch.tensor([[0.1, 0.2, 0.5], [0.9, 0.8, 0.7]]), right) == {
        "R@1": 0,
        "R@5": 100,
        "R@10": 100,
    }


def test_the_score_is_the_mean_of_first_and_first_five() -> None:
    found = {"a": {"R@1": 10.0, "R@5": 20.0, "R@10": 90.0}, "b": {"R@1": 30.0, "R@5": 40.0, "R@10": 90.0}}
    assert validation.score(found) == 25 and validation.told(found).startswith("score 25.00: a 10.0 / 20.0 / 90.0")
