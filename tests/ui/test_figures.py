"""Figures of an explanation, a role graph and a training run, exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest

from explorer.records import Explanation
from explorer.ui.charts import figures, graphs

HOSTILE = '<b onclick="x">é</b>'


def explanation(**changes: object) -> Explanation:
    fields = {
        "phrases": ("a dog", HOSTILE),
        "words": ("a", "dog", "a"),
        "phrase_clip": np.array([[0.1, 0.5, 0.0], [0.2, np.nan, 0.0]]),
        "word_frame": np.arange(12).reshape(3, 4) / 10,
        "clip_spans": (((0.0, 2.0), (6.0, 8.0)), ((2.0, 6.0),), ()),
        "frame_times": np.array([0.5, 2.5, 4.5, 6.5]),
        "frame_indices": (10, 11, 12, 13),
        "assignment": np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.1, 0.9, 0], [0.7, 0.3, 0]]),
        "curve_times": np.array([0.0, 6.0, 12.0]),
        "curve": np.array([0.2, 0.3, 0.25]),
    }
    return Explanation(**{**fields, **changes})


def test_heatmap_has_a_row_a_phrase_and_leaves_padded_clips_out() -> None:
    trace = figures.heatmap(explanation())["data"][0]
    assert trace["z"] == [[0.1, 0.5], [0.2, None]] and trace["text"] == [[".10", ".50"], [".20", ""]]
    assert trace["customdata"][0][1][:5] == [2.0, 6.0, "a dog", "clip", 1]
    assert trace["customdata"][0][0][6] == "0:00–0:02, 0:06–0:08"


def test_labels_are_escaped_for_plotly_and_equal_words_keep_their_own_rows() -> None:
    axis = figures.heatmap(explanation())["layout"]["yaxis"]
    assert axis["ticktext"][1].startswith("&lt;b onclick=&quot;") and axis["ticktext"][1].endswith("…")
    strip = figures.strip(explanation())
    assert strip["layout"]["yaxis"]["tickvals"] == [0, 1, 2] and strip["layout"]["yaxis"]["ticktext"] == [
        "a",
        "dog",
        "a",
    ]


def test_strip_cells_know_their_time_and_kept_frame() -> None:
    trace = figures.strip(explanation())["data"][0]
    assert trace["customdata"][1][3][:5] == [6.5, 6.5, "dog", "frame", 13] and trace["z"][1][3] == 0.7


def test_stills_of_a_clip_are_its_own_frames() -> None:
    clips = figures.clip_stills(explanation(), "aaaaaaaa")
    assert [(c["clip"], c["src"], c["frames"]) for c in clips] == [
        (0, "/still/aaaaaaaa/10", [0, 3]),
        (1, "/still/aaaaaaaa/12", [1, 2]),
    ]
    assert [f["src"][-2:] for f in figures.frame_stills(explanation(), "aaaaaaaa")] == ["10", "11", "12", "13"]


def test_curve_needs_two_points_and_its_points_jump() -> None:
    figure = figures.curve(np.array([0.0, 6.0]), np.array([0.1, 0.3]))
    assert figure["data"][0]["customdata"][1][:2] == [6.0, 6.0]
    assert figure["layout"]["yaxis"]["range"] == pytest.approx([0.07, 0.33])
    assert figures.curve(np.array([0.0]), np.array([0.1])) is None


def test_the_panel_is_plain_json_and_says_what_is_missing() -> None:
    whole = figures.explained(explanation(learned_phrases=((("dog", 0.7), ("a", 0.3)),)), "aaaaaaaa")
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole
    assert whole["learned"] == [[{"word": "dog", "weight": 0.7}, {"word": "a", "weight": 0.3}]]
    bare = figures.explained(
        explanation(phrases=(), phrase_clip=np.zeros((0, 3)), words=(), word_frame=np.zeros((0, 4))), "aaaaaaaa"
    )
    assert bare["heatmap"] is None and bare["strip"] is None


def test_role_graph_joins_nodes_to_frames() -> None:
    graph = {
        "nodes": [
            {"id": "e", "label": "a dog runs", "kind": "event", "score": 0.2, "time": 0.5},
            {"id": "a", "label": "runs", "kind": "action", "score": 0.4, "time": 2.5},
            {"id": "n", "label": HOSTILE, "kind": "entity", "score": None, "time": None},
        ],
        "edges": [
            {"source": "e", "target": "a", "role": "V"},
            {"source": "a", "target": "n", "role": HOSTILE},
            {"source": "a", "target": "gone", "role": "x"},
        ],
    }
    lines, roles, nodes = graphs.role_graph(graph)["data"]
    assert (
        nodes["y"] == [0.0, -1.0, -2.0]
        and nodes["customdata"][1][:2] == [2.5, 2.5]
        and nodes["customdata"][2][0] is None
    )
    assert len(roles["text"]) == 2 and roles["text"][1].startswith("&lt;b") and lines["x"][2] is None
    assert graphs.role_graph({"nodes": [], "edges": []}) is None


def test_loss_curve() -> None:
    loss, rate = graphs.loss_curve([[1, 3.2, 1e-4], [2, 3.0, 9e-5]])["data"]
    assert loss["y"] == [3.2, 3.0] and rate["y"] == [1e-4, 9e-5] and graphs.loss_curve([]) is None


def test_rows_are_headed_by_what_they_are_and_an_empty_one_says_why() -> None:
    heads = figures.explained(explanation(), "aaaaaaaa")["heads"]
    assert (
        heads["heat"]["title"] == "Phrases × clips"
        and heads["words"]["title"] == "Words × frames"
        and not heads["heat"]["empty"]
    )
    silent = explanation(phrases=(), phrase_clip=np.zeros((0, 3)), reads=("actions", "entities"))
    shown = figures.explained(silent, "aaaaaaaa")
    assert shown["heatmap"] is None and "No verb in this query" in shown["heads"]["heat"]["empty"]
    assert shown["heads"]["words"]["title"] == "Entities × frames" and not shown["heads"]["words"]["empty"]
