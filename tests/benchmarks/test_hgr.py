"""The benchmark that trains HGR: what it asks, what it learns from, and that its choice keeps what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.binary_selection import draw, one_a_photo
from benchmarks.hgr import choose, missing
from explorer.config import ModelConfig
from explorer.model.hgr import HGR
from explorer.training.altered import AlteredPairs, accuracies, margins
from explorer.training.binary_selection import Choice
from explorer.training.evaluate import level_scores, measure, rsum
from tests.support.synthetic import DIM, pairs

ASKED = [
    Choice(video, kind, f"true {video} {number}", f"{kind} {video} {number}")
    for video in range(4)
    for number in range(3)
    for kind in ("cut", "roles", "scene")
]


def test_a_photo_gives_one_swap_and_one_other_question() -> None:
    found = one_a_photo(ASKED)
    assert [(one.video, one.kind == "roles") for one in found] == [
        (video, roles) for video in range(4) for roles in (True, False)
    ]
    assert found == one_a_photo(ASKED) != one_a_photo(ASKED, seed=1)


def test_a_photo_without_roles_gives_the_other_question_alone() -> None:
    assert [one.kind for one in one_a_photo([one for one in ASKED if one.kind == "cut"])] == ["cut"] * 4


def test_a_video_is_asked_once_a_kind() -> None:
    found = draw(ASKED, 3)
    assert len(found) == 9 and len({(one.video, one.kind) for one in found}) == 9
    assert len(draw(ASKED)) == 12


def test_missing_counts_points_below_the_tower_and_below_the_goal_of_roles() -> None:
    tower = {"roles": 60.0, "cut": 80.0}
    assert missing({"roles": 65.0, "cut": 80.0}, tower) == 0
    assert missing({"roles": 63.0, "cut": 79.0}, tower) == pytest.approx(3.0)


def test_the_choice_scores_what_it_says() -> None:
    torch.manual_seed(0)
    config = ModelConfig(model="hgr", dim=DIM, text_levels="contextual")
    start, end = HGR(config).eval(), HGR(config).eval()
    with torch.no_grad():
        for weight in end.parameters():
            weight.add_(torch.randn_like(weight))
    data = pairs(6, 2, noise=0.9)
    rows = np.arange(len(data))
    asked = AlteredPairs(
        [data.frames[i] for i in data.owners], data.texts, data.take(rows[::-1]).texts, ["roles", "cut"] * 6
    )
    one = choose(start, end, data, asked)
    assert rsum(measure(level_scores(one.model, data), data)) == pytest.approx(one.score, abs=1e-6)
    assert accuracies(margins(one.model, asked), asked.kinds, one.model.config.level_weights) == one.accuracy
