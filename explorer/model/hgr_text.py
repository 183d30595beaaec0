"""Pads role graphs beside the tower's word outputs into the tensors HGR takes: who holds which word, who hears whom."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.config import ModelConfig
from explorer.language.phrases import graphs as parse_graphs
from explorer.language.role_graph import MAX_ACTIONS, MAX_ENTITIES, Node, RoleGraph
from explorer.language.roles import ROLES
from explorer.model.batch import TextBatch, collate_text
from explorer.records import TextFeatures

ACTIONS = slice(1, 1 + MAX_ACTIONS)  # slot 0 is the event
ENTITIES = slice(1 + MAX_ACTIONS, 1 + MAX_ACTIONS + MAX_ENTITIES)
SLOTS = 1 + MAX_ACTIONS + MAX_ENTITIES  # N, the same for every text


@dataclass(frozen=True)
class GraphBatch:
    """Q texts and their graphs, padded to N = SLOTS nodes: the event, MAX_ACTIONS actions, MAX_ENTITIES entities.

    text: the tower's outputs. holds (Q, N, W) bool: node holds word. node_mask (Q, N) bool: the node is there and at
    least one of its words is. roles (Q, N) int64 into ROLES, 0 for the event. hears (Q, N, N) bool: row receives from
    column. node_weights (Q, N): a person's factors, 1 where nothing was said.
    """

    text: TextBatch
    holds: Tensor
    node_mask: Tensor
    roles: Tensor
    hears: Tensor
    node_weights: Tensor

    def __len__(self) -> int:
        return len(self.text)

    def to(self, device: str | torch.device) -> GraphBatch:
        """The same batch on another device."""
        return GraphBatch(**{f.name: getattr(self, f.name).to(device) for f in dataclasses.fields(self)})


def slots(graph: RoleGraph) -> list[int]:
    """The slot of each node of a graph, in the order of its nodes: the event 0, actions from 1, entities from 5."""
    next_free = {"event": 0, "action": ACTIONS.start, "entity": ENTITIES.start}
    found = []
    for node in graph.nodes:
        found.append(next_free[node.kind])
        next_free[node.kind] += 1
    return found


def align(text: str, pieces: Sequence[str]) -> list[tuple[int, int]]:
    """Characters [start, end) of each piece of a text, read from left to right; (0, 0) for one that is not there.

    A piece goes on where the last one ended or stands at the start of a word, where there is such a place.

    Example:
        >>> align("Two dogs", ["two", "dog", "##s"])
        [(0, 3), (4, 7), (7, 8)]
        >>> align("that hat", ["hat"])
        [(5, 8)]
    """
    lowered = text.lower() if len(text.lower()) == len(text) else text
    spans, cursor = [], 0
    for piece in pieces:
        wanted = piece.lower().removeprefix("##").removesuffix("</w>").strip()
        at = _place(lowered, wanted, cursor)
        spans.append((at, at + len(wanted)) if at >= 0 else (0, 0))
        cursor = at + len(wanted) if at >= 0 else cursor
    return spans


def _place(text: str, wanted: str, cursor: int) -> int:
    """Where a piece is from `cursor` on; -1 where it is not."""
    first = at = text.find(wanted, cursor) if wanted else -1
    while at > cursor and text[at - 1].isalnum():
        at = text.find(wanted, at + 1)
    return at if at >= 0 else first


def collate_graphs(
    features: Sequence[TextFeatures], config: ModelConfig, *, graphs: Sequence[RoleGraph] | None = None
) -> GraphBatch:
    """Tower outputs of Q texts and their role graphs as one padded batch.

    Args:
        features: what the tower gave; a text without words keeps its event alone.
        config: the model's.
        graphs: one a text, as kept from an earlier parse; None parses the texts.

    Raises:
        ValueError: what collate_text refuses, or another number of graphs than texts.
    """
    batch = collate_text(features, config)
    found = list(graphs) if graphs is not None else parse_graphs([text.text for text in features])
    if len(found) != len(features):
        raise ValueError(f"{len(found)} graphs for {len(features)} texts")
    shape = (len(features), SLOTS)
    holds = np.zeros((*shape, batch.words.shape[1]), dtype=bool)
    hears, roles, weights = (
        np.zeros((*shape, SLOTS), dtype=bool),
        np.zeros(shape, dtype=np.int64),
        np.ones(shape, np.float32),
    )
    for row, (text, graph) in enumerate(zip(features, found)):
        _fill(graph, text, holds[row], hears[row], roles[row], weights[row])
    node_mask = np.asarray(holds.any(axis=-1))  # (Q, SLOTS)
    node_mask[:, 0] = True  # every text has its event
    hears &= node_mask[:, :, None] & node_mask[:, None, :]
    return GraphBatch(batch, *map(torch.from_numpy, (holds, node_mask, roles, hears, weights)))


def _fill(
    graph: RoleGraph, text: TextFeatures, holds: np.ndarray, hears: np.ndarray, roles: np.ndarray, weights: np.ndarray
) -> None:
    """Write one graph into its rows: holds (N, W), hears (N, N), roles (N,), weights (N,)."""
    spans = align(text.text, text.word_texts[: len(text.words)])[: holds.shape[1]]
    places = slots(graph)
    for place, node in zip(places, graph.nodes):
        holds[place, : len(spans)] = [start < node.end and node.start < end for start, end in spans]
        roles[place] = ROLES.index(node.role) if node.role else 0
        weights[place] = _weight(node, text)
    for edge in graph.edges:
        hears[places[edge.target], places[edge.source]] = True


def _weight(node: Node, text: TextFeatures) -> float:
    """The weight a person gave the phrase that a node's head lies in."""
    if node.kind == "event":
        return 1.0
    return next(
        (
            phrase.weight
            for phrase in text.phrase_spans
            if phrase.start < node.head_end and node.head_start < phrase.end
        ),
        1.0,
    )
