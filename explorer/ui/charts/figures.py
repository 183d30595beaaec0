"""Explanations become Plotly figures as plain dicts: pure; the browser sets the colours."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from explorer.records import Explanation
from explorer.ui.present import clock, span, still, visible

Figure = dict[str, Any]
LEFT, RIGHT = 116, 14  # px beside the plots; the rows of stills keep the same margins
ROW = 30  # px a phrase or word takes
WIDE = 6  # columns that leave room for a start and an end below each
LABEL = 18  # characters of a label before it is cut


def label(text: str) -> str:
    """Text for Plotly, which reads a little HTML: escaped, and cut to fit beside the plot."""
    shown = visible(text)
    return escape(shown if len(shown) <= LABEL else shown[: LABEL - 1] + "…", quote=True)


def full(text: str) -> str:
    """Text for a Plotly hover label: whole and escaped."""
    return escape(visible(text), quote=True)


def layout(height: int, **more: Any) -> Figure:
    """What all figures share."""
    margin = {"l": LEFT, "r": RIGHT, "t": 6, "b": 24}
    return {"height": height, "margin": margin, "showlegend": False, "dragmode": False, "hovermode": "closest", **more}


def rows(labels: Sequence[str]) -> Figure:
    """A vertical axis with one row a label, the first on top; ticks are places, so equal labels stay apart."""
    places = list(range(len(labels)))
    return {
        "tickmode": "array",
        "tickvals": places,
        "ticktext": [label(text) for text in labels],
        "autorange": "reversed",
        "fixedrange": True,
        "automargin": False,
    }


def cells(values: np.ndarray, data: list[list[list[Any]]], *, hover: str) -> Figure:
    """A heatmap trace (R, C) whose cells carry what a click and a hover need."""
    numbers = np.where(np.isfinite(values), values, np.nan).astype(float)
    text = [[f"{value:.2f}".replace("0.", ".", 1) if np.isfinite(value) else "" for value in row] for row in numbers]
    z = [[round(float(value), 4) if np.isfinite(value) else None for value in row] for row in numbers]
    return {
        "type": "heatmap",
        "z": z,
        "customdata": data,
        "text": text,
        "texttemplate": "%{text}",
        "xgap": 3,
        "ygap": 3,
        "showscale": False,
        "hovertemplate": hover + "<extra></extra>",
    }


def clip_label(spans: Sequence[tuple[float, float]]) -> str:
    """Every stretch a clip covers: 0:01–0:03, 0:07–0:09."""
    return ", ".join(span(start, end) for start, end in spans)


def clip_tick(spans: Sequence[tuple[float, float]], *, wide: bool) -> str:
    """A clip below its column: its first stretch, or only the middle of it where columns are narrow."""
    first = clip_label(spans[:1]) if wide else clock(sum(spans[0]) / 2)
    return first + (" +" if wide and len(spans) > 1 else "")


def real_clips(explanation: Explanation) -> list[int]:
    """The clips that cover some time; a padded one covers none."""
    return [number for number, spans in enumerate(explanation.clip_spans) if spans]


def heatmap(explanation: Explanation) -> Figure | None:
    """Phrase against clip, one row a phrase; a cell carries [start, end, phrase, "clip", clip number]."""
    chosen = real_clips(explanation)
    if not explanation.phrases or not chosen:
        return None
    spans = [explanation.clip_spans[number] for number in chosen]
    data = [
        [
            [s[0][0], s[0][1], visible(phrase), "clip", number, full(phrase), clip_label(s)]
            for number, s in zip(chosen, spans)
        ]
        for phrase in explanation.phrases
    ]
    hover = "<b>%{customdata[5]}</b><br>clip %{customdata[6]}<br>similarity %{z:.3f}"
    axis = {
        "tickmode": "array",
        "tickvals": list(range(len(chosen))),
        "fixedrange": True,
        "tickangle": 0,
        "ticktext": [clip_tick(s, wide=len(chosen) <= WIDE) for s in spans],
    }
    trace = cells(np.asarray(explanation.phrase_clip)[:, chosen], data, hover=hover)
    return {
        "data": [trace],
        "layout": layout(ROW * len(explanation.phrases) + 34, xaxis=axis, yaxis=rows(explanation.phrases)),
    }


def strip(explanation: Explanation) -> Figure | None:
    """Word against frame, one row a word; a cell carries [time, time, word, "frame", frame number]."""
    times = [float(t) for t in explanation.frame_times]
    if not explanation.words or not times:
        return None
    data = [
        [
            [t, t, visible(word), "frame", index, full(word), clock(t)]
            for t, index in zip(times, explanation.frame_indices)
        ]
        for word in explanation.words
    ]
    hover = "<b>%{customdata[5]}</b><br>frame at %{customdata[6]}<br>similarity %{z:.3f}"
    axis = {
        "tickmode": "array",
        "tickvals": list(range(len(times))),
        "ticktext": [clock(t) for t in times],
        "fixedrange": True,
    }
    trace = cells(np.asarray(explanation.word_frame), data, hover=hover)
    return {
        "data": [trace],
        "layout": layout(ROW * len(explanation.words) + 34, xaxis=axis, yaxis=rows(explanation.words)),
    }


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


def clip_stills(explanation: Explanation, public_id: str) -> list[dict[str, Any]]:
    """For every shown clip the frame that belongs to it most, and the frames that are its own."""
    share, shown = np.asarray(explanation.assignment), []
    for number in real_clips(explanation):
        best = int(np.argmax(share[:, number])) if share.size else 0
        members = np.flatnonzero(share.argmax(1) == number).tolist() if share.size else []
        shown.append(
            {
                "clip": number,
                "src": still(public_id, explanation.frame_indices[best]),
                "frames": members,
                "time": float(explanation.frame_times[best]),
                "title": clip_label(explanation.clip_spans[number]),
            }
        )
    return shown


def frame_stills(explanation: Explanation, public_id: str) -> list[dict[str, Any]]:
    """The kept frames of the window, in order."""
    return [
        {"src": still(public_id, index), "time": float(t), "title": clock(float(t))}
        for index, t in zip(explanation.frame_indices, explanation.frame_times)
    ]


TITLES = {  # of the rows of an explanation: the heading and its hover text
    "phrases": (
        "Phrases × clips",
        "How near each phrase is to each clip of this moment. Click a cell to play that clip.",
    ),
    "words": (
        "Words × frames",
        "How near each word is to each frame. Frames of the chosen clip are marked. Click to jump.",
    ),
    "actions": ("Actions × frames", "How near each verb of the query is to each frame. Click a cell to jump."),
    "entities": ("Entities × frames", "How near each person or thing of the query is to each frame. Click to jump."),
}
NONE = {
    "actions": "No verb in this query, so there is no action to look for.",
    "entities": "No person or thing is named in this query.",
}


def headed(rows: str, figure: Figure | None) -> dict[str, str]:
    """The heading of a heatmap whose rows are phrases, words, actions or entities, and why it is empty."""
    title, told = TITLES[rows]
    return {"title": title, "told": told, "empty": "" if figure else NONE.get(rows, "")}


def explained(explanation: Explanation, public_id: str) -> dict[str, Any]:
    """Everything the explanation panel draws: three figures, their stills, learned phrases by their words."""
    heat, words = heatmap(explanation), strip(explanation)
    learned = [
        [{"word": visible(word), "weight": round(float(weight), 3)} for word, weight in phrase]
        for phrase in explanation.learned_phrases
    ]
    return {
        "id": public_id,
        "heatmap": heat,
        "strip": words,
        "heads": {"heat": headed(explanation.reads[0], heat), "words": headed(explanation.reads[1], words)},
        "curve": curve(explanation.curve_times, explanation.curve),
        "clips": clip_stills(explanation, public_id),
        "frames": frame_stills(explanation, public_id),
        "learned": learned,
        "left": LEFT,
        "right": RIGHT,
    }
