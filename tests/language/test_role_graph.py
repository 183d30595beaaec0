"""Role graphs against a table of sentences written and judged by hand, and their shape on any text.

golden_graphs.json notes a graph as `verb(ROLE=entity, ...); ROLE=entity without a verb`. It says what is right, not
what the code gives: `known_wrong` tells where the two differ and why. "held out" sentences were written after the
rules, and no rule was changed for them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from explorer.language.phrases import graph, graphs
from explorer.language.role_graph import KINDS, MAX_ACTIONS, MAX_ENTITIES, MAX_WORDS, RoleGraph
from explorer.language.roles import ROLES

GOLDEN = json.loads((Path(__file__).parent / "golden_graphs.json").read_text("utf-8"))
NODE_FLOOR, EDGE_FLOOR = 0.87, 0.85  # measured 0.893 and 0.874
HELD_OUT_NODE_FLOOR, HELD_OUT_EDGE_FLOOR = 0.76, 0.72  # measured 0.791 and 0.756

Bag = Counter[tuple[str, ...]]


def read(notation: str) -> tuple[Bag, Bag]:
    """Nodes (role, text) and edges (verb, role, text) of a golden graph."""
    nodes, edges = Counter(), Counter()
    for part in filter(None, notation.split("; ")):
        verb = re.fullmatch(r"(.+?)\((.*)\)", part)
        pairs = [tuple(pair.split("=")) for pair in filter(None, (verb[2] if verb else part).split(", "))]
        nodes.update([("V", verb[1])] if verb else [])
        edges.update((verb[1], *pair) for pair in pairs if verb)
        nodes.update(pair for pair in pairs if pair not in nodes)
    return nodes, edges


def found(made: RoleGraph) -> tuple[Bag, Bag]:
    nodes = Counter((node.role, node.text) for node in made.nodes[1:])
    edges = Counter(
        (made.nodes[a].text, made.nodes[e].role, made.nodes[e].text)
        for a in made.of_kind("action")
        for e in made.arguments(a)
    )
    return nodes, edges


def f1(pairs: list[tuple[Bag, Bag]]) -> float:
    """2 x agreed / (expected + found), over all sentences."""
    agreed = sum((want & got).total() for want, got in pairs)
    return 2 * agreed / sum(want.total() + got.total() for want, got in pairs)


def agreement(rows: list[dict[str, str]]) -> tuple[float, float]:
    made = [found(one) for one in graphs([row["text"] for row in rows])]
    wanted = [read(row["graph"]) for row in rows]
    return (f1([(w[0], m[0]) for w, m in zip(wanted, made)]), f1([(w[1], m[1]) for w, m in zip(wanted, made)]))


def test_the_table_is_wide_enough() -> None:
    kinds = Counter(row["kind"] for row in GOLDEN)
    assert len(GOLDEN) >= 60 and len({row["text"] for row in GOLDEN}) == len(GOLDEN)
    assert {
        "passive",
        "conjunction",
        "relative",
        "place and time",
        "phrasal verb",
        "no verb",
        "one word",
        "misspelt",
        "long",
        "other language",
    } <= set(kinds)


def test_agreement_with_the_table() -> None:
    nodes, edges = agreement(GOLDEN)
    held = agreement([row for row in GOLDEN if row["kind"] == "held out"])
    print(f"node F1 {nodes:.3f}, edge F1 {edges:.3f}; held out {held[0]:.3f}, {held[1]:.3f}")
    assert nodes >= NODE_FLOOR and edges >= EDGE_FLOOR
    assert held[0] >= HELD_OUT_NODE_FLOOR and held[1] >= HELD_OUT_EDGE_FLOOR


@pytest.mark.parametrize("row", [row for row in GOLDEN if "known_wrong" not in row], ids=lambda row: row["text"][:40])
def test_what_was_right_stays_right(row: dict[str, str]) -> None:
    assert found(graph(row["text"])) == read(row["graph"])


def test_known_wrong_is_still_wrong() -> None:
    """A sentence that has come right loses its mark, so that the table never flatters or slanders."""
    mended = [row["text"] for row in GOLDEN if "known_wrong" in row and found(graph(row["text"])) == read(row["graph"])]
    assert mended == []


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: row["text"][:40])
def test_every_graph_keeps_its_shape(row: dict[str, str]) -> None:
    check_shape(graph(row["text"]))


def check_shape(made: RoleGraph) -> None:
    kinds = [node.kind for node in made.nodes]
    assert kinds[0] == "event" and kinds == sorted(kinds, key=KINDS.index) and kinds.count("event") == 1
    assert kinds.count("action") <= MAX_ACTIONS and kinds.count("entity") <= MAX_ENTITIES
    for node in made.nodes[1:]:
        assert made.text[node.start : node.end] == node.text and node.text.strip()
        assert node.start <= node.head_start < node.head_end <= node.end
        assert node.role in ROLES and (node.role == "V") == (node.kind == "action")
    pairs = {(edge.source, edge.target) for edge in made.edges}
    assert len(pairs) == len(made.edges)
    for edge in made.edges:
        source, target = kinds[edge.source], kinds[edge.target]
        assert (source, target) in (("event", "action"), ("action", "entity"), ("entity", "action"))
        assert (source == "event") != ((edge.target, edge.source) in pairs)  # the event speaks one way only


def test_an_entity_is_shared_by_the_verbs_of_its_span_and_role() -> None:
    made = graph("a man in a red hat is jumping over the fence while holding a rope")
    men = [node for node in made.nodes if node.text == "man"]
    assert (
        len(men) == 1
        and made.nodes.index(men[0]) in made.arguments(1)
        and made.nodes.index(men[0]) in made.arguments(2)
    )


def test_caps_hold_where_the_text_goes_on() -> None:
    made = graph(next(row["text"] for row in GOLDEN if row["kind"] == "long"))
    words = [match.end() for match in re.finditer(r"\w+", made.text)]
    assert len(made.of_kind("action")) == MAX_ACTIONS and len(made.of_kind("entity")) == MAX_ENTITIES
    assert max(node.end for node in made.nodes[1:]) <= words[MAX_WORDS - 1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "!!!",
        "🐶🐶",
        "\x00",
        "\ud800",
        "a" * 100_000,
        "dog " * 10_000,
        "<img src=x>",
        "'; DROP TABLE videos;--",
        "NaN -1 1e308",
        "\u202egnp.exe",
        "क्या",
        "is",
        "to be or not to be",
        "\n\n\t a \n dog \n",
        "running running running running running running",
    ],
)
def test_no_text_breaks_it(text: str) -> None:
    check_shape(graph(text))
