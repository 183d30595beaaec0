"""The records of a measurement, nested as each tool keeps them, become rows of recalls that a page can show."""

from __future__ import annotations

from collections.abc import Mapping

from explorer.records import LEVELS
from explorer.service.answers import HeldOut, Measured, Recalls, TrainingReport

JsonObject = Mapping[str, object]

ROWS = ("mean_pool", *LEVELS, "total")  # in the order a person compares them
CHOSEN_BY = ("val", "before")  # sets that chose the model, or belong to the one before: not what it is worth
HELD_OUT = ("", "taught", "untaught")  # all together, or captions of taught videos and of videos held out whole


def recalls_of(metrics: JsonObject) -> dict[str, Recalls]:
    """The rows of one measurement, text to video where it has both directions; {} where it holds no recalls."""
    table = as_object(metrics.get("text_to_video", metrics))
    return {row: _recalls(as_object(table[row])) for row in ROWS if isinstance(table.get(row), Mapping)}


def measured_sets(metrics: JsonObject, where: str = "") -> tuple[Measured, ...]:
    """Every set that a checkpoint's record holds recalls of, named by its place there.

    >>> row = {"R@1": 50.0, "R@5": 80.0, "R@10": 90.0}
    >>> [found.data for found in measured_sets({"photos": {"val": {"total": row}, "test": {"total": row}}})]
    ['photos test']
    """
    rows = recalls_of(metrics)
    if rows:
        return (Measured(where or str(metrics.get("data", "")), rows),)
    inner = [(key, as_object(value)) for key, value in metrics.items() if key not in CHOSEN_BY]
    return tuple(found for key, value in inner for found in measured_sets(value, f"{where} {key}".strip()))


def training_report(summary: JsonObject) -> TrainingReport:
    """What the progress of a training says; a summary of another job is an empty report."""
    before, after = as_object(summary.get("before")), as_object(summary.get("after"))
    notices = summary.get("notices")
    return TrainingReport(
        curve=_curve(summary.get("curve")),
        checkpoint=str(summary.get("checkpoint", "")),
        kept=summary.get("kept") is True,
        held_out=tuple(filter(None, (_held_out(name, before, after) for name in HELD_OUT))),
        notices=tuple(map(str, notices)) if isinstance(notices, (list, tuple)) else (),
    )


def as_object(value: object) -> JsonObject:
    """A JSON object, or {} in the place of anything else."""
    return value if isinstance(value, Mapping) else {}


def as_number(value: object) -> float | None:
    """A number of JSON, or None in the place of anything else."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _recalls(row: JsonObject) -> Recalls:
    return Recalls(*(as_number(row.get(key)) for key in ("R@1", "R@5", "R@10", "median_rank")))


def _held_out(name: str, before: JsonObject, after: JsonObject) -> HeldOut | None:
    old, new = (recalls_of(as_object(side.get(name)) if name else side) for side in (before, after))
    return HeldOut(name, old, new) if old and new else None


def _curve(points: object) -> tuple[tuple[float, float, float], ...]:
    rows = points if isinstance(points, (list, tuple)) else ()
    numbers = [[as_number(value) for value in row] for row in rows if isinstance(row, (list, tuple)) and len(row) == 3]
    return tuple((row[0], row[1], row[2]) for row in numbers if None not in row)  # type: ignore[misc]
