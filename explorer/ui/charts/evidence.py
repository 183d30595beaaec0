"""The explanation of a moment becomes what the page draws: tables of similarities with columns in the order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from explorer.records import Explanation
from explorer.ui.charts.figures import curve
from explorer.ui.present import clock, fine_span, span, still, visible

CHANCE = 0.0  # similarity drawn white where a library has too little to tell what an unrelated pair reaches
FULL = 0.4  # similarity above chance at which a cell is darkest, there
RARE = 2.0  # a cell is darkest this many times as far above chance as one unrelated pair in a thousand

Span = tuple[float, float]

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


@dataclass(frozen=True)
class Scale:
    """The similarity drawn white, and how far above it a cell is darkest: the same in every picture of a model."""

    chance: float
    full: float


@dataclass(frozen=True)
class Column:
    """A clip or a frame below the table: where it plays, every stretch it covers, its still and its frames."""

    number: int  # of the clip, or of the kept frame
    start: float
    end: float
    spans: tuple[Span, ...]
    lines: tuple[str, ...]  # the stretches as written below the column
    title: str
    src: str
    frames: tuple[int, ...]  # places in the row of frames


@dataclass(frozen=True)
class Grid:
    """A table of similarities: (rows, columns), None where there is none."""

    name: str
    kind: str  # clip or frame: what a click chooses
    corner: str
    title: str
    told: str
    empty: str  # why there are no rows
    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    values: tuple[tuple[float | None, ...], ...]
    scale: Scale


def numbers(table: np.ndarray) -> tuple[tuple[float | None, ...], ...]:
    """A table (R, C) with four digits; what is not finite is None."""
    return tuple(tuple(round(float(v), 4) if np.isfinite(v) else None for v in row) for row in table)


def written(stretches: Sequence[Sequence[Span]]) -> list[tuple[str, ...]]:
    """Every stretch of every clip as text: in whole seconds, or in tenths where whole seconds would say too little.

    Example:
        >>> written([[(0.0, 3.0), (7.0, 9.0)], [(3.0, 7.0)]])
        [('0:00–0:03', '0:07–0:09'), ('0:03–0:07',)]
        >>> written([[(0.0, 0.6)], [(0.6, 2.0)]])
        [('0:00.0–0:00.6',), ('0:00.6–0:02.0',)]
    """
    whole = [clock(time) for stretch in stretches for pair in stretch for time in pair]
    exact = {time for stretch in stretches for pair in stretch for time in pair}
    coarse = len(set(whole)) < len(exact) or any(clock(a) == clock(b) for one in stretches for a, b in one)
    return [tuple((fine_span if coarse else span)(a, b) for a, b in one) for one in stretches]


def clip_columns(explanation: Explanation, public_id: str) -> tuple[list[int], tuple[Column, ...]]:
    """The clips that cover some time, in the order of their first stretch, and their columns."""
    real = [number for number, spans in enumerate(explanation.clip_spans) if spans]
    order = sorted(real, key=lambda number: (min(explanation.clip_spans[number]), number))
    stretches = [tuple(sorted(explanation.clip_spans[number])) for number in order]
    share = np.asarray(explanation.assignment)
    made = []
    for number, spans, lines in zip(order, stretches, written(stretches)):
        members = np.flatnonzero(share.argmax(1) == number).tolist() if share.size else []
        best = int(np.argmax(share[:, number])) if share.size else 0
        start, end = next(((a, b) for a, b in spans if a <= explanation.frame_times[best] <= b), spans[0])
        src = still(public_id, explanation.frame_indices[best])
        made.append(
            Column(number, float(start), float(end), spans, lines, f"clip {', '.join(lines)}", src, tuple(members))
        )
    return order, tuple(made)


def frame_columns(explanation: Explanation, public_id: str) -> tuple[Column, ...]:
    """The frames of the moment, in order; a time is written in tenths where whole seconds would repeat."""
    times = [float(time) for time in explanation.frame_times]
    fine = len({clock(time) for time in times}) < len(times)
    made = []
    for place, (time, index) in enumerate(zip(times, explanation.frame_indices)):
        told = fine_span(time, time) if fine else clock(time)
        made.append(
            Column(index, time, time, ((time, time),), (told,), f"frame at {told}", still(public_id, index), (place,))
        )
    return tuple(made)


def grid(
    name: str,
    kind: str,
    reads: str,
    rows: Sequence[str],
    columns: tuple[Column, ...],
    table: np.ndarray,
    colours: Scale,
) -> Grid:
    """A table with its headings; without rows it says why."""
    title, told = TITLES[reads]
    shown = tuple(visible(row) for row in rows) if columns else ()
    values = numbers(table) if shown else ()
    empty = "" if shown else NONE.get(reads, "")
    return Grid(name, kind, reads, title, told, empty, shown, columns, values, colours)


def scale(explanation: Explanation, level: str) -> Scale:
    """White is what an unrelated pair has on average, darkest is far beyond what one in a thousand reaches: the same
    for every query and moment of a library."""
    if level not in explanation.scale:
        return Scale(CHANCE, FULL)
    chance, rare = explanation.scale[level]
    return Scale(round(chance, 4), round(max(1e-3, RARE * (rare - chance)), 4))


def grids(explanation: Explanation, public_id: str) -> tuple[Grid, Grid]:
    """Phrases against clips, and words against frames; actions and entities where a role graph answers."""
    order, clips = clip_columns(explanation, public_id)
    heat = np.asarray(explanation.phrase_clip)[:, order]
    middle, fine = explanation.reads
    frames = frame_columns(explanation, public_id)
    return (
        grid(middle, "clip", middle, explanation.phrases, clips, heat, scale(explanation, "clip_phrase")),
        grid(
            fine,
            "frame",
            fine,
            explanation.words,
            frames,
            np.asarray(explanation.word_frame),
            scale(explanation, "frame_word"),
        ),
    )


def explained(explanation: Explanation, public_id: str) -> dict[str, object]:
    """Everything the explanation panel draws: two tables, the curve over the file, learned phrases by their words."""
    heat, words = grids(explanation, public_id)
    learned = [
        [{"word": visible(word), "weight": round(float(weight), 3)} for word, weight in phrase]
        for phrase in explanation.learned_phrases
    ]
    return {
        "id": public_id,
        "heat": asdict(heat),
        "words": asdict(words),
        "curve": curve(explanation.curve_times, explanation.curve),
        "learned": learned,
    }
