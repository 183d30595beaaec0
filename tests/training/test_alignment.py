"""Slide-shows and concatenations whose truth is known: exact features give exact alignment, noise gives chance."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.config import ModelConfig
from explorer.model.hcmi import HCMI
from explorer.records import TextFeatures
from explorer.training.alignment import (
    alignment_table,
    concatenate,
    moments,
    phrase_alignment,
    proposals,
    shot_borders,
    span_iou,
)
from explorer.training.slideshow import Slideshow, compose, frame_features, frame_pixels
from tests.support.synthetic import unit

PHOTOS = np.eye(16, dtype=np.float32)


def caption(vector: np.ndarray) -> TextFeatures:
    return TextFeatures("a thing", vector, vector[None], ("thing",), vector[None])


def plain() -> HCMI:
    return HCMI(ModelConfig(dim=16, heads=2, clips=4)).eval()


def test_shows_are_seeded_and_their_borders_hold_every_frame() -> None:
    shows = compose(16, shows=50, slides=4, frames=12, seed=3)
    assert all(len(set(show.photos)) == 4 and show.borders[0] == 0 and show.borders[-1] == 12 for show in shows)
    assert all(np.diff(show.borders).min() >= 1 for show in shows)
    again = compose(16, shows=50, slides=4, frames=12, seed=3)
    assert all(
        (a.photos == b.photos).all() and (a.borders == b.borders).all() for a, b in zip(shows, again, strict=True)
    )
    assert compose(4, shows=1, uneven=False)[0].borders.tolist() == [0, 3, 6, 9, 12]
    with pytest.raises(ValueError, match="slides"):
        compose(3, shows=1, slides=4)


def test_exact_photos_are_pointed_at_exactly() -> None:
    shows = compose(16, shows=20, seed=1)
    found = phrase_alignment(
        plain(),
        shows,
        [frame_features(s, PHOTOS) for s in shows],
        [[caption(PHOTOS[p]) for p in s.photos] for s in shows],
    )
    assert found == {"phrases": 80, "pointing": 100.0, "chance": 25.0, "iou": 100.0}


def test_captions_that_know_nothing_point_by_chance() -> None:
    rng = np.random.default_rng(0)
    shows = compose(16, shows=150, seed=1)
    found = phrase_alignment(
        plain(),
        shows,
        [frame_features(s, PHOTOS, noise=0.1, seed=i) for i, s in enumerate(shows)],
        [[caption(unit(rng.normal(size=16))) for _ in s.photos] for s in shows],
    )
    assert 17 < found["pointing"] < 33 and found["chance"] == pytest.approx(25.0)


def test_a_clip_smeared_over_the_video_is_not_right() -> None:
    one = HCMI(ModelConfig(dim=16, heads=2, clips=1)).eval()
    shows = compose(16, shows=5, uneven=False)
    found = phrase_alignment(
        one, shows, [frame_features(s, PHOTOS) for s in shows], [[caption(PHOTOS[p]) for p in s.photos] for s in shows]
    )
    assert found["pointing"] == 0.0 and found["iou"] == pytest.approx(25.0)


def test_pixels_follow_the_photos() -> None:
    pictures = [np.full((8, 8, 3), value, np.uint8) for value in (10, 200)]
    frames = list(frame_pixels(Slideshow(np.array([1, 0]), np.array([0, 3, 5])), pictures))
    assert [int(f[0, 0, 0]) for f in frames] == [200, 200, 200, 10, 10] and frames[0].shape == (8, 8, 3)
    ramp = np.tile(np.arange(100, dtype=np.uint8)[None, :, None], (100, 1, 3))
    zoomed = list(frame_pixels(Slideshow(np.array([0]), np.array([0, 3])), [ramp]))
    assert zoomed[0][0, 0, 0] == 0 and zoomed[2][0, 0, 0] == 6 and zoomed[2][0, -1, 0] == 93


def test_moments_of_a_concatenation_are_found_with_their_borders() -> None:
    lengths = [3, 7, 5, 4, 6]
    line = concatenate(
        [np.arange(n) + 0.5 for n in lengths],
        [np.repeat(PHOTOS[v][None], n, axis=0) for v, n in enumerate(lengths)],
        [float(n) for n in lengths],
    )
    assert shot_borders(line).tolist() == [0, 3, 10, 15, 19, 25]
    assert line.spans.tolist() == [[0, 3], [3, 10], [10, 15], [15, 19], [19, 25]]
    found = moments(plain(), line, [caption(PHOTOS[v]) for v in range(5)], np.arange(5))
    assert found == {"queries": 5, "R@1": 100.0, "R@5": 100.0, "mIoU": 100.0}
    assert len(proposals(line)[0]) == 5 + 4 + 3
    wrong = moments(plain(), line, [caption(PHOTOS[9])] * 2, np.array([1, 3]))
    assert wrong["R@1"] < 100


def test_overlap_by_hand() -> None:
    spans = np.array([[0.0, 4.0], [2.0, 6.0], [8.0, 9.0]])
    assert span_iou(spans, np.array([2.0, 6.0])).round(4).tolist() == [0.3333, 1.0, 0.0]


def test_the_table_has_a_row_a_model() -> None:
    assert alignment_table({"untrained": {"phrases": 3, "iou": 50.0}}).splitlines()[-1] == "| untrained | 3 | 50.0 |"
