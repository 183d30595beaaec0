"""The page's own components: gr.HTML over the scripts in assets/; only escaped text or JSON is ever handed to them.

Handlebars templates are not used: their result is read as the source of a script, so a file name could become code.
A value is therefore either HTML of a Jinja2 template, which escapes all it is given, or JSON drawn by a script with
text nodes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from explorer.records import LevelWeights
from explorer.service.answers import Status
from explorer.ui.aliases import Listener
from explorer.ui.cards import LEVEL_HELP, LEVEL_NAMES
from explorer.ui.charts import evidence
from explorer.ui.render import render

if TYPE_CHECKING:
    from explorer.service import Explorer

SCRIPTS = "".join(
    f'<script src="/assets/{name}.js"></script>' for name in ("core", "player", "results", "heat", "charts", "pulse")
)
FOCUS = "() => { const box = document.querySelector('#hx-box textarea, #hx-box input'); if (box) box.focus(); }"
FORMS = ("a dog running on a beach", 'a red ball -"night"', '"coffee"^2 on a wooden table shorter:1m')
ICONS = {
    "back": "M11 6 4 12l7 6zM20 6l-7 6 7 6z",
    "on": "M13 6l7 6-7 6zM4 6l7 6-7 6z",
    "frame_back": "M16 6 8 12l8 6zM5 6v12",
    "frame_on": "M8 6l8 6-8 6zM19 6v12",
    "up": "M7 11v9H4v-9zM7 11l4-8c2 0 2.5 1.5 2 3l-.7 3H19c1.5 0 2 1 1.7 2.2l-1.5 7C19 19.5 18 20 17 20H7",
    "down": "M7 13V4H4v9zM7 13l4 8c2 0 2.5-1.500 2-3l-.700-3H19c1.500 0 2-1 1.700-2.200l-1.500-7C19 4.500 18 4 17 4H7",
    "alike": "M4 5h10v8H4zM10 11h10v8H10z",
    "folder": "M3 6h7l2 2h9v11H3z",
    "full": "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
    "loop": "M5 11a6 6 0 0 1 6-6h7M15 2l3 3-3 3M19 13a6 6 0 0 1-6 6H6M9 22l-3-3 3-3",
    "out": "M14 4h6v6M20 4l-9 9M18 14v6H4V6h6",
}  # line drawings in a square of 24
SPEEDS = ("0.25", "0.5", "0.75", "1", "1.25", "1.5", "2")


def html(value: object, function: str, *events: str, template: str = "${value}", elem_id: str | None = None) -> gr.HTML:
    """A gr.HTML whose behaviour is a function of the page's scripts; `events` are the ones it may trigger."""
    script = f"HX.{function}(element, trigger, props, watch); /* {json.dumps(events)} */"
    return gr.HTML(
        value,
        html_template=template,
        js_on_load=script,
        head=SCRIPTS,
        apply_default_css=False,
        padding=False,
        container=False,
        elem_id=elem_id,
    )


def static(value: str = "", *, elem_id: str | None = None) -> gr.HTML:
    """A gr.HTML without behaviour."""
    return gr.HTML(value, js_on_load=None, apply_default_css=False, padding=False, container=False, elem_id=elem_id)


def heading(title: str, fine: str = "") -> gr.HTML:
    """A heading, and a line under it."""
    return static(render("heading", title=title, fine=fine))


def panel(value: str = "", *, elem_id: str | None = None) -> gr.HTML:
    """A panel whose buttons trigger `act` with {action, value, field}."""
    return html(value, "panel", "act", elem_id=elem_id)


# ---- search


def welcome(status: Status, *, filling: bool = False, examples: Sequence[str] = ()) -> str:
    """The empty search: what to do next, in this state of the library.

    Args:
        status: of the library.
        filling: whether videos are being added now.
        examples: searches that find something here; none shows how a search is written instead.
    """
    return render("welcome", videos=status.videos, filling=filling, examples=examples, forms=FORMS)


def header() -> gr.HTML:
    """The line on top of the page and the notices under it, which can be put away; triggers refresh {}."""
    return html("", "header", "refresh", elem_id="hx-head")


def link() -> gr.HTML:
    """The address of the page, value the parts that name the search; triggers restore {part: text} of its own."""
    return html({"skip": True}, "link", "restore", template="<span></span>", elem_id="hx-link")


def grid() -> gr.HTML:
    """Cards of results; triggers open and undo {id, start, end, second}, example {text}, filter {name, value},
    arrange {sort or group}, more {} and begin {what}."""
    events = ("open", "undo", "example", "filter", "arrange", "more", "begin")
    return html("", "grid", *events, elem_id="hx-results")


def chips() -> gr.HTML:
    """Phrases of the query; triggers weigh {phrase, weight} or {allow}."""
    return html("", "chips", "weigh", elem_id="hx-phrases")


def player() -> gr.HTML:
    """The player; its value is {id, start, end, title, path}; triggers act {action, id, time}."""
    return html({}, "player", "act", template=render("player", icons=ICONS, speeds=SPEEDS), elem_id="hx-player")


def charts() -> gr.HTML:
    """The explanation: phrase x clip, word x frame, score over the file; triggers feedback {kind, good, ...}."""
    template = render("charts", icons=ICONS, titles=evidence.TITLES)
    return html({}, "charts", "feedback", template=template, elem_id="hx-charts")


def figure(*, summary: str = "", elem_id: str | None = None) -> gr.HTML:
    """One Plotly figure, value {figure, note}; under a summary it is folded away and triggers open when unfolded."""
    return html({}, "figure", "open", template=render("figure", summary=summary), elem_id=elem_id)


@dataclass(frozen=True)
class Slider:
    """A slider of one level: the level, its field in LevelWeights, its name, its hover text, where it stands."""

    level: str
    field: str
    name: str
    told: str
    value: float


def sliders(weights: LevelWeights) -> str:
    """The three level sliders, as HTML."""
    levels = [
        Slider(level, field, name, f"How much {name} count: {LEVEL_HELP[level]}", getattr(weights, field))
        for (level, name), field in zip(LEVEL_NAMES.items(), ("video", "clip", "frame"))
    ]
    return render("sliders", levels=levels)


def weights() -> gr.HTML:
    """Level sliders; triggers weigh {video, clip, frame} or {reset}."""
    return html(sliders(LevelWeights()), "weights", "weigh", elem_id="hx-weights")


def bound(handler: Listener, explorer: Explorer) -> Listener:
    """A handler (explorer, state, data) as a listener of an event that carries data."""

    def listen(state: object, event: gr.EventData) -> object:
        return handler(explorer, state, event._data if isinstance(event._data, dict) else {})

    return listen
