"""Kept role graphs are those of a fresh parse, are parsed once, and survive the disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explorer.config import ModelConfig
from explorer.language import phrases
from explorer.model.hgr import HGR
from explorer.records import ExplorerError, TextFeatures
from explorer.training import parsed
from explorer.training.objective import collate_text

TEXTS = ["a man rides a horse", "two dogs chase a cat through a park", "sunset", "", "a man rides a horse"]


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsed, "_known", {})


def test_each_sentence_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(parsed, "graphs", lambda texts: asked.extend(texts) or phrases.graphs(texts))
    assert parsed.read_graphs(TEXTS) == phrases.graphs(TEXTS)
    assert parsed.read_graphs(TEXTS[::-1]) == phrases.graphs(TEXTS[::-1])
    assert asked == TEXTS[:4]


def test_a_batch_takes_kept_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    texts = [
        TextFeatures(
            text,
            rng.normal(size=8).astype(np.float32),
            rng.normal(size=(3, 8)).astype(np.float32),
            ("man", "rides", "horse"),
            np.zeros((0, 8), np.float32),
        )
        for text in TEXTS[:1]
    ]
    model = HGR(ModelConfig(model="hgr", dim=8, text_levels="learned"))
    first = collate_text(texts, model)
    monkeypatch.setattr(parsed, "graphs", lambda texts: pytest.fail("parsed again"))
    again = collate_text(texts, model)
    assert (first.hears == again.hears).all() and first.hears.any()


def test_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsed, "MOST", 2)
    assert parsed.read_graphs(TEXTS[:3]) == phrases.graphs(TEXTS[:3])
    assert list(parsed._known) == TEXTS[1:3]


def test_graphs_on_disk(tmp_path: Path) -> None:
    found = phrases.graphs(TEXTS)
    parsed.save_graphs(tmp_path / "graphs.jsonl", found)
    assert parsed.load_graphs(tmp_path / "graphs.jsonl") == found


@pytest.mark.parametrize("content", ["not json", '["a"]', '["a", [["event"]], []]', None])
def test_a_damaged_file(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "graphs.jsonl").write_text(content)
    with pytest.raises(ExplorerError, match="cannot read the role graphs .* parse anew"):
        parsed.load_graphs(tmp_path / "graphs.jsonl")
