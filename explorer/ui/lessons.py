"""Models, their metrics, checks, captions and what training did become escaped HTML: pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from explorer.records import LEVELS, Job
from explorer.ui.cards import LEVEL_NAMES
from explorer.ui.panels import button, empty, job_item
from explorer.ui.present import count, day, name, safe, size, span


def recalls(metrics: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The rows of a metrics record that hold recalls, in the order a person compares them."""
    table = metrics.get("text_to_video", metrics)
    order = ("mean_pool", *LEVELS, "total")
    return [(row, table[row]) for row in order if isinstance(table.get(row), dict)]


def measured(metrics: dict[str, Any], where: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every set that a checkpoint's record holds recalls of, named by its place there; what it was chosen by is left
    out."""
    if recalls(metrics):
        return [(where or str(metrics.get("data", "")), metrics)]
    inner = [(key, value) for key, value in metrics.items() if isinstance(value, dict) and key not in ("val", "before")]
    return [one for key, value in inner for one in measured(value, f"{where} {key}".strip())]


def metric_table(metrics: dict[str, Any]) -> str:
    """R@1, R@5, R@10 and median rank of each level beside the tower alone."""
    names = {"mean_pool": "tower alone", "total": "total", **LEVEL_NAMES}
    told = {"mean_pool": "Frame features averaged, without the hierarchy: what the levels must beat"}
    rows = "".join(
        f'<tr class="hx-{safe(row)}" title="{told.get(row, "")}"><th>{names[row]}</th>'
        + "".join(f"<td>{number(values.get(key))}</td>" for key in ("R@1", "R@5", "R@10", "median_rank"))
        + "</tr>"
        for row, values in recalls(metrics)
    )
    head = (
        '<th title="Text to video, in percent: how often the right video is first">R@1</th>'
        '<th title="…among the first five">R@5</th>'
        '<th title="…among the first ten">R@10</th>'
        '<th title="The rank in the middle of all; 1 is best">median rank</th>'
    )
    return (
        f'<table class="hx-table"><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>' if rows else ""
    )


def number(value: object) -> str:
    """A metric with one decimal, or a dash where it was not measured."""
    return f"{value:.1f}" if isinstance(value, (int, float)) and not isinstance(value, bool) else "–"


def models(found: Sequence[dict[str, Any]]) -> str:
    """One card a model folder."""
    if not found:
        return empty(
            "No model found.", "The starter model belongs under checkpoints/starter; install the project again."
        )
    return f'<div class="hx-models">{"".join(model(one) for one in found)}</div>'


def model(one: dict[str, Any]) -> str:
    """One model: what it is, how well it finds, whether it is the one in use."""
    current = bool(one.get("current"))
    facts = [str(one.get("model") or "hcmi").upper(), f"tower {one.get('tower') or '?'}"]
    facts += [size(one["size"])] if one.get("size") else []
    facts += [when(one["created"])] if one.get("created") else []
    use = (
        '<span class="hx-tag hx-current-model">in use</span>'
        if current
        else button("Use", "use", one["name"], title="Search with this model; stored frame features are kept")
    )
    mark = '<span class="hx-tag">not kept</span>' if one.get("kept") is False else ""
    tables = "".join(
        metric_table(table) + (f'<p class="hx-fine">measured on {safe(where)}</p>' if where else "")
        for where, table in measured(one.get("metrics") or {})
    )
    tables = tables or "<p>Not evaluated yet: run <code>python -m explorer evaluate</code>.</p>"
    return (
        f'<section class="hx-card-plain{" hx-current" if current else ""}">'
        f'<div class="hx-line"><h3>{safe(one["name"])}</h3>{mark}{use}</div>'
        f'<p class="hx-fine" title="sha256 {safe(one.get("sha256", ""))}">{safe(" · ".join(facts))}</p>'
        f"{tables}</section>"
    )


def when(created: object) -> str:
    """A date, kept as seconds or as text."""
    return day(created) if isinstance(created, (int, float)) else str(created)[:16]


def doctor(found: Iterable[dict[str, Any]]) -> str:
    """The checks of this installation."""
    rows = "".join(
        f'<tr class="hx-{"good" if one.get("ok") else "bad"}"><td>{"✓" if one.get("ok") else "✕"}</td>'
        f"<th>{safe(one['name'])}</th><td>{safe(one.get('value', ''))}</td></tr>"
        for one in found
    )
    return f'<table class="hx-table hx-doctor"><tbody>{rows}</tbody></table>'


# ---- teaching


def captions(found: Sequence[dict[str, Any]]) -> str:
    """What the person has taught so far."""
    if not found:
        return empty(
            "Nothing taught yet.",
            "Write what a video shows, above; or use the thumbs beside the results. "
            "20 to 200 captions make a difference.",
        )
    lines = "".join(
        f"<li><div><b>{safe(one.get('caption') or one.get('text', ''))}</b>"
        f"<span>{name(str(one.get('file') or one.get('path') or ''))}"
        + (
            f" · {span(one['start'], one['end'])}"
            if one.get("start") is not None and one.get("end") is not None
            else ""
        )
        + f'</span></div><span class="hx-tag">{safe(one.get("kind", "caption"))}</span></li>'
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


def outcome(summary: dict[str, Any]) -> str:
    """What a training run did: before and after for each level on every held-out set, and what can be done with the
    new model."""
    before, after = summary.get("before") or {}, summary.get("after") or {}
    tables = "".join(
        compared(
            dict(recalls(before[held] if held else before)), dict(recalls(after[held] if held else after)), HELD[held]
        )
        for held in HELD
        if not held or (held in before and held in after)
    )
    if not tables:
        return ""
    label = summary.get("checkpoint", "")
    back = button("Roll back", "back", title="Return to the model before")
    told = "The new model would make search worse on captions it never saw, so it was not kept."
    if summary.get("kept") is not False:
        told = f"<b>{safe(label)}</b> does not fall behind on captions it never saw. Keep it to search with it."
        back = button("Keep", "keep", label, title="Use the new model from now on", kind="hx-primary") + back
    return f'<div class="hx-outcome"><p>{told}</p>{tables}<div class="hx-buttons">{back}</div></div>'


def compared(before: dict[str, Any], after: dict[str, Any], title: str) -> str:
    """Before and after of one held-out set, a row a level; empty where nothing was measured."""
    names = {"mean_pool": "tower alone", "total": "total", **LEVEL_NAMES}
    rows = "".join(
        f"<tr class='hx-{row}'><th>{names[row]}</th>"
        + "".join(change(before[row], after[row], key) for key in ("R@1", "R@5", "R@10"))
        + "</tr>"
        for row in after
        if row in before
    )
    head = "".join(
        f'<th title="Percent whose video came among the first {k}, before → after">R@{k}</th>' for k in (1, 5, 10)
    )
    return (
        f'<table class="hx-table"><thead><tr><th>{title}</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
        if rows
        else ""
    )


def change(before: dict[str, Any], after: dict[str, Any], key: str) -> str:
    """One cell of before and after."""
    old, new = before.get(key), after.get(key)
    way = "" if old is None or new is None or old == new else " class='hx-good'" if new > old else " class='hx-bad'"
    return f"<td{way}>{number(old)} → {number(new)}</td>"


def training(job: Job | None) -> str:
    """The state of the newest fine-tuning."""
    if job is None:
        return ""
    return f'<ul class="hx-list">{job_item(job)}</ul>' + outcome(job.progress.summary)
