"""The role graph of a query for drawing: its nodes, and the frames of a moment that met each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from explorer.records import DrawnEdge, DrawnGraph, DrawnNode
from explorer.search.score import array

if TYPE_CHECKING:
    from explorer.language.role_graph import RoleGraph
    from explorer.model.encoder import Encoder
    from explorer.search.retrieve import Library


def draw(
    text: str, *, encoder: Encoder | None = None, library: Library | None = None, video_id: int = 0, time: float = 0.0
) -> DrawnGraph:
    """Nodes and edges of a text's role graph (arXiv 2003.00392).

    Args:
        text: the query, filters taken out.
        encoder: HGR scores nodes by its own levels; any other model by its tower, the node's words as a prompt.
        library: the index; None draws the graph alone.
        video_id: the file whose frames are asked.
        time: seconds, of the moment in it.
    """
    from explorer.language.phrases import graph

    roles = graph(text)
    best = _best_frames(roles, encoder, library, video_id, time) if encoder and library else {}
    nodes = (
        DrawnNode(i, node.text, node.kind, node.role, node.start, node.end, *best.get(i, (None, None, None)))
        for i, node in enumerate(roles.nodes)
    )
    return DrawnGraph(tuple(nodes), tuple(DrawnEdge(edge.source, edge.target, edge.role) for edge in roles.edges))


def _best_frames(
    graph: RoleGraph, encoder: Encoder, library: Library, video_id: int, time: float
) -> dict[int, tuple[float, int, float]]:
    """Node number -> cosine, kept frame and second of the frame nearest to it."""
    batch = library.windows(library.windows_of(video_id))
    if not len(batch):
        return {}
    row = int(np.argmin(np.abs((batch.start + batch.end) / 2 - time)))
    cosines = _cosines(graph, encoder, batch.features[row : row + 1], batch.mask[row : row + 1])
    times, first, best = library.frame_times(video_id), int(batch.first[row]), {}
    for i, scores in enumerate(cosines):
        if np.isfinite(scores).any():
            frame = first + int(np.nanargmax(scores))
            best[i] = float(np.nanmax(scores)), frame, float(times[frame])
    return best


def _cosines(graph: RoleGraph, encoder: Encoder, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(nodes, F) cosines of each node and frame, NaN where there is no frame."""
    if encoder.config.model == "hgr":
        return encoder.node_cosines(graph, features, mask)
    nodes = encoder.texts([node.text for node in graph.nodes])
    frames = array(encoder.levels(features, mask).frames)[0]
    return np.where(mask[0], np.stack([text.sentence for text in nodes]) @ frames.T, np.nan)
