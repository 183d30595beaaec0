"""The curve of a file becomes a Plotly figure as a plain dict: pure; the browser sets the colours."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from explorer.ui.present import clock, visible

Figure = dict[str, Any]
LEFT, RIGHT = 44, 14  # px beside the plots
LABEL = 18  # characters of a label before it is cut


def label(text: str) -> str:
    """Text for Plotly, which reads a little HTML: escaped, and cut to fit beside the plot."""
    shown = visible(text)
    return escape(shown if len(shown) <= LABEL else shown[: LABEL - 1] + "…", quote=True)


def full(text: str) -> str:
    """Text for a Plotly hover label: whole and escaped."""
    return escape(visible(text), quote=True)


def layout(height: int, **more: object) -> Figure:
    """What all figures share."""
    margin = {"l": LEFT, "r": RIGHT, "t": 6, "b": 24}
    return {"height": height, "margin": margin, "showlegend": False, "dragmode": False, "hovermode": "closest", **more}


def curve(times: np.ndarray, scores: np.ndarray) -> Figure | None:
    """Total score over the whole file; a point carries its [time, time, "", "window"]."""
    x, y = [float(t) for t in times], [round(float(s), 4) for s in scores]
    if len(x) < 2:
        return None
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": x,
        "y": y,
        "text": [clock(t) for t in x],
        "customdata": [[t, t, "", "window", 0] for t in x],
        "line": {"shape": "spline", "smoothing": 0.6},
        "hovertemplate": "%{text}<br>total %{y:.3f}<extra></extra>",
        "role": "total",
        "fill": "tozeroy",
    }
    low, high = min(y), max(y)
    pad = max(0.01, 0.15 * (high - low))
    ticks = [x[round(place * (len(x) - 1) / 4)] for place in range(5)] if len(x) > 5 else x
    return {
        "data": [trace],
        "layout": layout(
            120,
            xaxis={"tickvals": ticks, "ticktext": [clock(t) for t in ticks], "fixedrange": True},
            yaxis={"fixedrange": True, "nticks": 4, "range": [low - pad, high + pad], "automargin": False},
        ),
    }
