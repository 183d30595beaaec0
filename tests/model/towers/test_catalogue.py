"""The list of CLIPs names what open_clip has, tells its sources, and advises what fits this machine and library."""

from __future__ import annotations

from dataclasses import replace

import open_clip
import pytest

from explorer.model.towers.catalogue import APPLE, CHOICES, GROUPS, Choice, Machine, by_name, recommend, seconds
from explorer.model.towers.names import parameters, repository, resolve, suggest
from explorer.records import ExplorerError

ROOMY = Machine({choice.name: 0.02 for choice in CHOICES}, 10_000, 1e6, 1e6)


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.name)
def test_each_choice_is_published_as_safetensors_may_be(choice: Choice) -> None:
    assert open_clip.is_pretrained_cfg(*choice.name.rpartition("/")[::2]) and repository(choice.name)
    assert choice.group in GROUPS and choice.source and choice.licence and 30 < choice.coco < 60


@pytest.mark.parametrize("name", ["MobileCLIP2-S0/dfndr2b", "ViT-B-32/laion2b_s34b_b79k", "ViT-B-16-SigLIP2/webli"])
def test_the_size_told_is_counted_from_the_architecture(name: str) -> None:
    choice = by_name(name)
    assert choice is not None and choice.parameters == pytest.approx(parameters(name) / 1e6, rel=0.01)


def test_the_best_that_fits_and_may_be_used_for_anything_is_advised() -> None:
    best = recommend(ROOMY)
    assert best is not None and best.coco == max(choice.coco for choice in CHOICES if choice.licence != APPLE)
    slow = replace(ROOMY, seconds_a_frame={**ROOMY.seconds_a_frame, best.name: 1.0})
    second = recommend(slow)
    assert second is not None and second.coco < best.coco
    assert seconds(best, slow) == 10_000 and seconds(second, slow) == 200
    assert recommend(replace(ROOMY, free_mb=100.0)) is None
    assert recommend(replace(ROOMY, seconds_a_frame={})) is None


def test_names_are_read_as_people_write_them_and_near_ones_are_named() -> None:
    assert resolve("vit-b-32/OPENAI") == "ViT-B-32/openai"
    assert resolve("laion/CLIP-ViT-B-32-laion2B-s34B-b79K") == "ViT-B-32/laion2b_s34b_b79k"
    assert resolve("https://huggingface.co/openai/clip-vit-base-patch16") == "ViT-B-16/openai"
    assert "ViT-B-16-SigLIP2/webli" in suggest("vit b16 siglip2")
    with pytest.raises(ExplorerError, match=r"did you mean ViT-L-14/"):
        resolve("ViT-L-14/nobody")
