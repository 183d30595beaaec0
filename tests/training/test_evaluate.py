"""Evaluation against a plain loop, the promised JSON, long videos, DSL and QB-Norm, and the published table beside ours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from explorer.config import ModelConfig
from explorer.model.hcmi import HCMI
from explorer.records import LevelWeights
from explorer.training import evaluate as module
from explorer.training.evaluate import (
    after_scoring,
    evaluate,
    evaluate_benchmark,
    level_scores,
    mean_pool,
    runs_of,
    table,
)
from tests.support.synthetic import DIM, model, pairs, unit


def plain() -> HCMI:
    return HCMI(ModelConfig(dim=DIM, heads=2, level_weights=LevelWeights(2, 1, 1))).eval()


def test_untrained_scores_by_a_plain_loop() -> None:
    data = pairs(5, 2)
    scores = level_scores(plain(), data)
    for q in range(10):
        for v in range(5):
            frames = unit(data.frames[v].astype(np.float64))
            c = data.texts[q].words @ frames.T
            pooled = unit(frames.mean(axis=0)) @ data.texts[q].sentence
            assert abs(scores["frame_word"][q, v] - (c.max(axis=1).mean() + c.max(axis=0).mean()) / 2) < 1e-4
            assert (
                abs(scores["video_sentence"][q, v] - pooled) < 1e-4 and abs(scores["mean_pool"][q, v] - pooled) < 1e-3
            )
    expected = (2 * scores["video_sentence"] + scores["clip_phrase"] + scores["frame_word"]) / 4
    assert np.allclose(scores["total"], expected, atol=1e-6)


def test_pieces_give_what_the_whole_gives(monkeypatch) -> None:
    data, net = pairs(7, 2), model()
    whole = level_scores(net, data)
    monkeypatch.setattr(module, "TEXTS_AT_ONCE", 3)
    monkeypatch.setattr(module, "VIDEOS_AT_ONCE", 2)
    for name, scores in level_scores(net, data).items():
        assert np.allclose(scores, whole[name], atol=1e-6), name


def test_weights_move_without_touching_the_levels() -> None:
    data = pairs(4, 1)
    scores = level_scores(plain(), data, weights=LevelWeights(0, 0, 1))
    assert np.allclose(scores["total"], scores["frame_word"])


def test_a_long_video_scores_as_its_best_window() -> None:
    data = pairs(3, 1, frames=5)
    long = replace(data, frames=(np.concatenate([data.frames[0], data.frames[1], data.frames[2]]), *data.frames[1:]))
    whole, windows = level_scores(plain(), long, frames=5), level_scores(plain(), long, frames=5, hop=5)
    apart = level_scores(plain(), data, frames=5)
    assert np.allclose(windows["total"][:, 0], apart["total"].max(axis=1), atol=1e-6)
    assert (whole["total"][:, 0] != windows["total"][:, 0]).all()
    assert [run.tolist() for run in runs_of(7, 3, 2)] == [[0, 1, 2], [2, 3, 4], [4, 5, 6]]
    assert [run.tolist() for run in runs_of(2, 3, 2)] == [[0, 1]]


def test_the_json_is_as_promised() -> None:
    result = evaluate(plain(), pairs(6, 2))
    assert list(result) == ["videos", "queries", "text_to_video", "video_to_text"]
    assert (result["videos"], result["queries"]) == (6, 12)
    for direction in ("text_to_video", "video_to_text"):
        assert list(result[direction]) == ["total", "video_sentence", "clip_phrase", "frame_word", "mean_pool"]
        assert all(
            list(found) == ["R@1", "R@5", "R@10", "median_rank", "mean_rank"] for found in result[direction].values()
        )
    assert result["text_to_video"]["total"]["R@10"] == 100.0


def test_a_collapsed_model_finds_nothing() -> None:
    data = pairs(8, 1)
    same = replace(data, frames=tuple(data.frames[0] for _ in data.frames))
    found = evaluate(plain(), same)
    assert all(level["R@1"] == 0.0 and level["median_rank"] == 8 for level in found["text_to_video"].values())
    assert all(level["R@1"] <= 100 / 8 for level in found["video_to_text"].values())  # one caption suits them all


def test_dsl_and_querybank_norm_are_measured_beside_the_raw_total() -> None:
    data = pairs(10, 1, noise=1.0)
    total = level_scores(plain(), data)["total"]
    found = after_scoring(plain(), data, total, bank=pairs(10, 1, seed=5).texts)
    assert set(found) == {"dsl", "qb_norm"} and set(found["dsl"]) == {"text_to_video", "video_to_text"}
    assert set(after_scoring(plain(), data, total)) == {"dsl"}


def test_a_benchmark_says_what_is_missing_and_shows_the_published_rows() -> None:
    result = evaluate_benchmark(plain(), pairs(6, 1), "msrvtt-1ka", missing=4)
    assert result["missing_videos"] == 4 and not result["comparable"]
    text = table(result)
    assert "| published: HunYuan_tvr | 55.0 | - | - | - | - |" in text
    assert "4 videos of the split are missing" in text and "total, DSL" in text
    assert "published" not in table(evaluate(plain(), pairs(6, 1)))


def test_mean_pool_is_the_tower_alone_whatever_was_trained() -> None:
    data, net = pairs(5, 1), model()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3)
    assert np.array_equal(level_scores(net, data)["mean_pool"], mean_pool(data.frames, data.texts))
