"""Models, their metrics, checks, captions and what training did become escaped HTML: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from explorer.records import Job
from explorer.service.answers import Fact, HeldOut, Lesson, ModelCard, Recalls, TrainingReport
from explorer.ui.cards import LEVEL_NAMES
from explorer.ui.panels import button, empty, job_item
from explorer.ui.present import count, name, safe, size, span


def metric_table(rows: Mapping[str, Recalls]) -> str:
    """R@1, R@5, R@10 and median rank of each level beside the tower alone."""
    names = {"mean_pool": "tower alone", "total": "total", **LEVEL_NAMES}
    told = {"mean_pool": "Frame features averaged, without the hierarchy: what the levels must beat"}
    lines = "".join(
        f'<tr class="hx-{safe(row)}" title="{told.get(row, "")}"><th>{names[row]}</th>'
        + "".join(f"<td>{number(value)}</td>" for value in (found.r1, found.r5, found.r10, found.median_rank))
        + "</tr>"
        for row, found in rows.items()
    )
    head = (
        '<th title="Text to video, in percent: how often the right video is first">R@1</th>'
        '<th title="…among the first five">R@5</th>'
        '<th title="…among the first ten">R@10</th>'
        '<th title="The rank in the middle of all; 1 is best">median rank</th>'
    )
    return (
        f'<table class="hx-table"><thead><tr><th></th>{head}</tr></thead><tbody>{lines}</tbody></table>' if rows else ""
    )


def number(value: float | None) -> str:
    """A metric with one decimal, or a dash where it was not measured."""
    return "–" if value is None else f"{value:.1f}"


def models(found: Sequence[ModelCard]) -> str:
    """One card a model folder."""
    if not found:
        return empty(
            "No model found.", "The starter model belongs under checkpoints/starter; install the project again."
        )
    return f'<div class="hx-models">{"".join(model(one) for one in found)}</div>'


def model(one: ModelCard) -> str:
    """One model: what it is, how well it finds, whether it is the one in use."""
    facts = [one.kind.upper(), f"tower {one.tower or '?'}"]
    facts += [size(one.size)] if one.size else []
    facts += [one.created[:16]] if one.created else []
    use = (
        '<span class="hx-tag hx-current-model">in use</span>'
        if one.current
        else button("Use", "use", one.name, title="Search with this model; stored frame features are kept")
    )
    mark = '<span class="hx-tag">not kept</span>' if not one.kept else ""
    tables = "".join(
        metric_table(found.rows) + (f'<p class="hx-fine">measured on {safe(found.data)}</p>' if found.data else "")
        for found in one.measured
    )
    tables = tables or "<p>Not evaluated yet: run <code>python -m explorer evaluate</code>.</p>"
    return (
        f'<section class="hx-card-plain{" hx-current" if one.current else ""}">'
        f'<div class="hx-line"><h3>{safe(one.name)}</h3>{mark}{use}</div>'
        f'<p class="hx-fine" title="sha256 {safe(one.sha256)}">{safe(" · ".join(facts))}</p>'
        f"{tables}</section>"
    )


def doctor(found: Iterable[Fact]) -> str:
    """The checks of this installation."""
    rows = "".join(
        f'<tr class="hx-{"good" if one.ok else "bad"}"><td>{"✓" if one.ok else "✕"}</td>'
        f"<th>{safe(one.name)}</th><td>{safe(one.value)}</td></tr>"
        for one in found
    )
    return f'<table class="hx-table hx-doctor"><tbody>{rows}</tbody></table>'


# ---- teaching


def captions(found: Sequence[Lesson]) -> str:
    """What the person has taught so far."""
    if not found:
        return empty(
            "Nothing taught yet.",
            "Write what a video shows, above; or use the thumbs beside the results. "
            "20 to 200 captions make a difference.",
        )
    lines = "".join(
        f"<li><div><b>{safe(one.text)}</b>"
        f"<span>{name(one.file)}"
        + (f" · {span(one.start, one.end)}" if one.start is not None and one.end is not None else "")
        + f'</span></div><span class="hx-tag">{safe(one.kind)}</span></li>'
        for one in reversed(found)
    )
    return (
        f'<p class="hx-fine">{count(len(found), "caption")}, kept as plain lines in your data folder</p>'
        f'<ul class="hx-list">{lines}</ul>'
    )


HELD = {
    "": "held-out captions",
    "taught": "held-out captions of taught videos",
    "untaught": "captions of videos held out whole",
}


def outcome(report: TrainingReport) -> str:
    """What a training run did: before and after for each level on every held-out set, and what can be done with the
    new model."""
    tables = "".join(compared(held, HELD[held.name]) for held in report.held_out)
    if not tables:
        return ""
    back = button("Roll back", "back", title="Return to the model before")
    told = "The new model would make search worse on captions it never saw, so it was not kept."
    if report.kept:
        label = report.checkpoint
        told = f"<b>{safe(label)}</b> does not fall behind on captions it never saw. Keep it to search with it."
        back = button("Keep", "keep", label, title="Use the new model from now on", kind="hx-primary") + back
    return f'<div class="hx-outcome"><p>{told}</p>{tables}<div class="hx-buttons">{back}</div></div>'


def compared(held: HeldOut, title: str) -> str:
    """Before and after of one held-out set, a row a level; empty where nothing was measured."""
    names = {"mean_pool": "tower alone", "total": "total", **LEVEL_NAMES}
    rows = "".join(
        f"<tr class='hx-{row}'><th>{names[row]}</th>"
        + "".join(change(getattr(old, key), getattr(new, key)) for key in ("r1", "r5", "r10"))
        + "</tr>"
        for row, new in held.after.items()
        if (old := held.before.get(row))
    )
    head = "".join(
        f'<th title="Percent whose video came among the first {k}, before → after">R@{k}</th>' for k in (1, 5, 10)
    )
    return (
        f'<table class="hx-table"><thead><tr><th>{title}</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
        if rows
        else ""
    )


def change(old: float | None, new: float | None) -> str:
    """One cell of before and after."""
    way = "" if old is None or new is None or old == new else " class='hx-good'" if new > old else " class='hx-bad'"
    return f"<td{way}>{number(old)} → {number(new)}</td>"


def training(job: Job | None, report: TrainingReport) -> str:
    """The state of the newest fine-tuning."""
    if job is None:
        return ""
    return f'<ul class="hx-list">{job_item(job)}</ul>' + outcome(report)
