"""The role graph of a query and the curve of a training run become Plotly figures as plain dicts: pure."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.records import DrawnEdge, DrawnGraph, DrawnNode
from explorer.ui.charts.figures import Figure, full, label, layout
from explorer.ui.present import clock, visible

LAYERS = {"event": 0, "action": 1, "entity": 2}


def places(nodes: Sequence[DrawnNode]) -> dict[int, tuple[float, float]]:
    """Where each node is drawn: the event on top, actions below it, entities at the bottom, spread evenly."""
    layers: dict[int, list[int]] = {}
    for node in nodes:
        layers.setdefault(LAYERS.get(node.kind, 2), []).append(node.id)
    return {
        node: ((place + 1) / (len(row) + 1), -float(layer))
        for layer, row in layers.items()
        for place, node in enumerate(row)
    }


def joined(graph: DrawnGraph) -> list[DrawnEdge]:
    """The edges between the nodes of a graph; what no edge reaches hangs on the event, whose part it is."""
    ids = {node.id for node in graph.nodes}
    edges = [edge for edge in graph.edges if edge.source in ids and edge.target in ids]
    event = next((node.id for node in graph.nodes if node.kind == "event"), None)
    reached = {edge.target for edge in edges}
    loose = [node.id for node in graph.nodes if node.kind != "event" and node.id not in reached]
    return edges + [DrawnEdge(event, node, "") for node in loose if event is not None]


def role_graph(graph: DrawnGraph) -> Figure | None:
    """The semantic roles of a query: nodes coloured by their best match, roles on the edges; a click on a node jumps.

    Args:
        graph: nodes with the time of the frame that met each best, and edges.
    """
    nodes = graph.nodes
    if not nodes:
        return None
    at = places(nodes)
    edges = joined(graph)
    lines = {
        "type": "scatter",
        "mode": "lines",
        "hoverinfo": "skip",
        "role": "edge",
        "x": [x for e in edges for x in (at[e.source][0], at[e.target][0], None)],
        "y": [y for e in edges for y in (at[e.source][1], at[e.target][1], None)],
    }
    middle = [tuple((a + b) / 2 for a, b in zip(at[e.source], at[e.target])) for e in edges]
    roles = {
        "type": "scatter",
        "mode": "text",
        "hoverinfo": "skip",
        "role": "roles",
        "x": [x for x, _ in middle],
        "y": [y for _, y in middle],
        "text": [full(edge.role) for edge in edges],
    }
    hidden = {"visible": False, "fixedrange": True}
    return {
        "data": [lines, roles, node_trace(nodes, at)],
        "layout": layout(
            250,
            xaxis={**hidden, "range": [0, 1]},
            yaxis={**hidden, "range": [-2.4, 0.5]},
            margin={"l": 4, "r": 4, "t": 4, "b": 4},
        ),
    }


def node_trace(nodes: Sequence[DrawnNode], at: dict[int, tuple[float, float]]) -> Figure:
    """The nodes of a role graph, each carrying [time, time, label, "node"]; the time is None where no frame met it."""
    seconds = [node.time for node in nodes]
    scores = [node.score for node in nodes]
    hover = [
        f"{full(node.label)} ({full(node.kind)})"
        + (f"<br>similarity {score:.3f}" if score is not None else "")
        + (f"<br>best frame at {clock(second)}" if second is not None else "")
        for node, score, second in zip(nodes, scores, seconds)
    ]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "role": "nodes",
        "x": [at[node.id][0] for node in nodes],
        "y": [at[node.id][1] for node in nodes],
        "text": [label(node.label) for node in nodes],
        "textposition": "bottom center",
        "hovertext": hover,
        "hoverinfo": "text",
        "customdata": [[second, second, visible(node.label), "node", 0] for node, second in zip(nodes, seconds)],
        "marker": {"size": 22, "color": [score if score is not None else 0.0 for score in scores]},
    }


def loss_curve(points: Sequence[Sequence[float]]) -> Figure | None:
    """Loss and learning rate over the steps of a training run; a point is [step, loss, lr]."""
    if not points:
        return None
    steps = [point[0] for point in points]
    loss = {
        "type": "scatter",
        "mode": "lines",
        "name": "loss",
        "role": "loss",
        "x": steps,
        "y": [point[1] for point in points],
        "hovertemplate": "step %{x}<br>loss %{y:.4f}<extra></extra>",
    }
    rate = {
        "type": "scatter",
        "mode": "lines",
        "name": "learning rate",
        "role": "rate",
        "x": steps,
        "yaxis": "y2",
        "y": [point[2] for point in points],
        "hovertemplate": "step %{x}<br>learning rate %{y:.2e}<extra></extra>",
    }
    return {
        "data": [loss, rate],
        "layout": layout(
            240,
            showlegend=True,
            margin={"l": 52, "r": 60, "t": 10, "b": 40},
            legend={"orientation": "h", "y": 1.12},
            xaxis={"title": {"text": "step"}, "fixedrange": True},
            yaxis={"title": {"text": "loss"}, "fixedrange": True},
            yaxis2={
                "overlaying": "y",
                "side": "right",
                "showgrid": False,
                "fixedrange": True,
                "exponentformat": "power",
            },
        ),
    }
