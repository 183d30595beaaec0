"""Decides what models, their measures, captions and a training's outcome say; their templates become HTML: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from explorer.records import Job
from explorer.service.answers import Fact, HeldOut, Lesson, ModelCard, Recalls, TrainingReport
from explorer.ui.cards import LEVEL_NAMES
from explorer.ui.panels import job_item
from explorer.ui.present import size
from explorer.ui.render import render

ROWS = {"mean_pool": "tower alone", "total": "total", **LEVEL_NAMES}
ROW_HELP = {"mean_pool": "Frame features averaged, without the hierarchy: what the levels must beat"}
HELD = {
    "": "held-out captions",
    "taught": "held-out captions of taught videos",
    "untaught": "captions of videos held out whole",
}


@dataclass(frozen=True)
class Change:
    """A recall before and after; way is hx-good, hx-bad or empty."""

    text: str
    way: str


@dataclass(frozen=True)
class Row:
    """A level's line of a table."""

    level: str
    name: str
    cells: tuple[str | Change, ...]
    told: str = ""


@dataclass(frozen=True)
class Table:
    """A table of recalls and what they were measured on."""

    data: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Model:
    """A model's card, a line of what it is, and its tables."""

    card: ModelCard
    facts: str
    tables: tuple[Table, ...]


def number(value: float | None) -> str:
    """A metric with one decimal, or a dash where it was not measured."""
    return "–" if value is None else f"{value:.1f}"


def metric_rows(rows: Mapping[str, Recalls]) -> tuple[Row, ...]:
    """R@1, R@5, R@10 and median rank of each level beside the tower alone."""
    return tuple(
        Row(
            level,
            ROWS[level],
            tuple(number(value) for value in (found.r1, found.r5, found.r10, found.median_rank)),
            ROW_HELP.get(level, ""),
        )
        for level, found in rows.items()
    )


def model_of(card: ModelCard) -> Model:
    """One model: what it is and how well it finds."""
    facts = [card.kind.upper(), f"tower {card.tower or '?'}"]
    facts += [f"{size(card.size)} of weights"] if card.size else []
    facts += [f"{size(card.index)} of index"] if card.index else []
    facts += [card.created[:16]] if card.created else []
    tables = tuple(Table(found.data, metric_rows(found.rows)) for found in card.measured if found.rows)
    return Model(card, " · ".join(facts), tables)


def models(found: Sequence[ModelCard]) -> str:
    """One card a model folder, as HTML."""
    return render("models", models=[model_of(card) for card in found])


def model(card: ModelCard) -> str:
    """One model alone, as HTML."""
    return models([card])


def doctor(found: Iterable[Fact]) -> str:
    """The checks of this installation, as HTML."""
    return render("doctor", facts=list(found))


# ---- teaching


def captions(found: Sequence[Lesson]) -> str:
    """What the person has taught so far, newest first, as HTML."""
    return render("captions", lessons=found[::-1])


def change(old: float | None, new: float | None) -> Change:
    """One cell of before and after."""
    way = "" if old is None or new is None or old == new else "hx-good" if new > old else "hx-bad"
    return Change(f"{number(old)} → {number(new)}", way)


def compared(held: HeldOut) -> Table:
    """Before and after of one held-out set, a row a level; without rows where nothing was measured."""
    rows = tuple(
        Row(level, ROWS[level], tuple(change(getattr(old, key), getattr(new, key)) for key in ("r1", "r5", "r10")))
        for level, new in held.after.items()
        if (old := held.before.get(level))
    )
    return Table(HELD[held.name], rows)


def outcome(report: TrainingReport) -> str:
    """What a training run did: before and after for each level on every held-out set, and what can be done with the
    new model, as HTML; empty where nothing was measured."""
    tables = [table for held in report.held_out if (table := compared(held)).rows]
    return render("outcome", kept=report.kept, checkpoint=report.checkpoint, tables=tables) if tables else ""


def training(job: Job | None, report: TrainingReport) -> str:
    """The state of the newest fine-tuning, as HTML."""
    return "" if job is None else job_item(job) + outcome(report)
