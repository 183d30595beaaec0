"""Keeps role graphs, so that HGR's training and binary selection parse each sentence once and not once an epoch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from explorer.disk.atomic import write_bytes
from explorer.language.phrases import graphs
from explorer.language.role_graph import Edge, Node, RoleGraph
from explorer.records import ExplorerError

MOST = 200_000  # graphs in memory, a few kilobytes each: four data sets like MSR-VTT's captions

_known: dict[str, RoleGraph] = {}


def read_graphs(texts: Sequence[str]) -> list[RoleGraph]:
    """The role graph of each text, in order; only those not met before are parsed, in one batch."""
    new = [text for text in dict.fromkeys(texts) if text not in _known]
    fresh = dict(zip(new, graphs(new))) if new else {}
    found = [fresh.get(text) or _known[text] for text in texts]
    remember(fresh.values())
    return found


def remember(found: Iterable[RoleGraph]) -> None:
    """Keep graphs in memory, the oldest going first where there are too many."""
    for graph in found:
        _known[graph.text] = graph
    while len(_known) > MOST:
        del _known[next(iter(_known))]


def save_graphs(path: Path, found: Iterable[RoleGraph]) -> None:
    """Write graphs as JSON lines: [text, nodes, edges], nodes and edges as lists of their fields."""
    rows = (
        [graph.text, [_fields(node) for node in graph.nodes], [_fields(edge) for edge in graph.edges]]
        for graph in found
    )
    write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode("utf-8"))


def load_graphs(path: Path) -> list[RoleGraph]:
    """The graphs that `save_graphs` wrote.

    Raises:
        ExplorerError: the file is missing or damaged.
    """
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        return [
            RoleGraph(text, tuple(Node(*node) for node in nodes), tuple(Edge(*edge) for edge in edges))
            for text, nodes, edges in rows
        ]
    except (OSError, ValueError, TypeError) as error:
        raise ExplorerError(f"cannot read the role graphs in {path}: {error}; remove it and parse anew") from error


def _fields(record: Node | Edge) -> list[str | int]:
    return list(dataclasses.astuple(record))
