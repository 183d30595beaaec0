"""Figures of an explanation, a role graph and a training run, exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest

from explorer.records import DrawnEdge, DrawnGraph, DrawnNode, Explanation
from explorer.ui.charts import evidence, figures, graphs

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


def test_clips_stand_in_the_order_of_time_with_every_stretch_written() -> None:
    mixed = explanation(clip_spans=(((6.0, 8.0), (0.5, 2.0)), ((0.0, 0.5),), ()))
    heat, _ = evidence.grids(mixed, "aaaaaaaa")
    assert [column.number for column in heat.columns] == [1, 0] and heat.values == ((0.5, 0.1), (None, 0.2))
    assert [column.lines for column in heat.columns] == [("0:00.0–0:00.5",), ("0:00.5–0:02.0", "0:06.0–0:08.0")]


def test_a_clip_that_covers_no_time_has_no_column_and_whole_seconds_are_written_where_they_say_enough() -> None:
    heat, _ = evidence.grids(explanation(), "aaaaaaaa")
    assert [column.lines for column in heat.columns] == [("0:00–0:02", "0:06–0:08"), ("0:02–0:06",)]
    assert heat.rows == ("a dog", HOSTILE) and heat.values == ((0.1, 0.5), (0.2, None))


def test_a_clip_plays_the_stretch_of_its_still_and_knows_its_frames() -> None:
    heat, _ = evidence.grids(
        explanation(assignment=np.array([[0.6, 0.4, 0], [0, 1, 0], [0, 1, 0], [0.9, 0.1, 0]])), "a"
    )
    first = heat.columns[0]
    assert (first.start, first.end, first.src, first.frames) == (6.0, 8.0, "/still/a/13", (0, 3))


def test_frames_of_one_second_are_told_apart() -> None:
    _, words = evidence.grids(explanation(frame_times=np.array([0.0, 0.4, 0.8, 1.2])), "aaaaaaaa")
    assert [column.lines for column in words.columns] == [("0:00.0",), ("0:00.4",), ("0:00.8",), ("0:01.2",)]
    assert words.rows == ("a", "dog", "a") and words.columns[3].number == 13 and words.kind == "frame"


def test_curve_needs_two_points_and_its_points_jump() -> None:
    figure = figures.curve(np.array([0.0, 6.0]), np.array([0.1, 0.3]))
    assert figure["data"][0]["customdata"][1][:2] == [6.0, 6.0]
    assert figure["layout"]["yaxis"]["range"] == pytest.approx([0.07, 0.33])
    assert figures.curve(np.array([0.0]), np.array([0.1])) is None


def test_the_panel_is_plain_json_and_says_what_is_missing() -> None:
    whole = evidence.explained(explanation(learned_phrases=((("dog", 0.7), ("a", 0.3)),)), "aaaaaaaa")
    assert json.loads(json.dumps(whole, allow_nan=False))["heat"]["values"] == [[0.1, 0.5], [0.2, None]]
    assert whole["learned"] == [[{"word": "dog", "weight": 0.7}, {"word": "a", "weight": 0.3}]]
    bare = evidence.explained(
        explanation(phrases=(), phrase_clip=np.zeros((0, 3)), words=(), word_frame=np.zeros((0, 4))), "aaaaaaaa"
    )
    assert bare["heat"]["rows"] == () and bare["words"]["rows"] == ()


def test_role_graph_joins_nodes_to_frames() -> None:
    graph = DrawnGraph(
        (
            DrawnNode(0, "a dog runs", "event", "", 0, 10, 0.2, 0, 0.5),
            DrawnNode(1, "runs", "action", "", 6, 10, 0.4, 2, 2.5),
            DrawnNode(2, HOSTILE, "entity", "", 0, 1),
        ),
        (DrawnEdge(0, 1, "V"), DrawnEdge(1, 2, HOSTILE), DrawnEdge(1, 9, "x")),
    )
    lines, roles, nodes = graphs.role_graph(graph)["data"]
    assert (
        nodes["y"] == [0.0, -1.0, -2.0]
        and nodes["customdata"][1][:2] == [2.5, 2.5]
        and nodes["customdata"][2][0] is None
    )
    assert len(roles["text"]) == 2 and roles["text"][1].startswith("&lt;b") and lines["x"][2] is None
    assert graphs.role_graph(DrawnGraph((), ())) is None


def test_a_query_without_a_verb_has_edges_too() -> None:
    nodes = (
        DrawnNode(0, "a red car at night", "event", "", 0, 18),
        DrawnNode(1, "red car", "entity", "", 2, 9),
        DrawnNode(2, "night", "entity", "", 13, 18),
    )
    lines, roles, _ = graphs.role_graph(DrawnGraph(nodes, ()))["data"]
    assert len(lines["x"]) == 6 and lines["y"][:2] == [0.0, -2.0] and roles["text"] == ["", ""]


def test_loss_curve() -> None:
    loss, rate = graphs.loss_curve([[1, 3.2, 1e-4], [2, 3.0, 9e-5]])["data"]
    assert loss["y"] == [3.2, 3.0] and rate["y"] == [1e-4, 9e-5] and graphs.loss_curve([]) is None


def test_rows_are_headed_by_what_they_are_and_an_empty_one_says_why() -> None:
    whole = evidence.explained(explanation(), "aaaaaaaa")
    assert (whole["heat"]["title"], whole["words"]["title"]) == ("Phrases × clips", "Words × frames")
    silent = explanation(phrases=(), phrase_clip=np.zeros((0, 3)), reads=("actions", "entities"))
    shown = evidence.explained(silent, "aaaaaaaa")
    assert shown["heat"]["rows"] == () and "No verb in this query" in shown["heat"]["empty"]
    assert shown["words"]["title"] == "Entities × frames" and not shown["words"]["empty"]
