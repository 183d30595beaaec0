"""The page's own components: gr.HTML over the scripts in assets/; only escaped text or JSON is ever handed to them.

Handlebars templates are not used: their result is read as the source of a script, so a file name could become code.
A value is therefore either HTML escaped in Python, or JSON drawn by a script with text nodes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gradio as gr

from explorer.records import LevelWeights
from explorer.ui.cards import LEVEL_HELP, LEVEL_NAMES
from explorer.ui.present import icon, safe

SCRIPTS = "".join(f'<script src="/assets/{name}.js"></script>' for name in ("core", "results", "charts"))
FOCUS = "() => { const box = document.querySelector('#hx-box textarea, #hx-box input'); if (box) box.focus(); }"
EXAMPLES = (
    "a dog running on a beach",
    "the sun sets behind a house",
    'a red ball -"night"',
    '"coffee"^2 on a wooden table shorter:1m',
)
BACK = "M11 6 4 12l7 6zM20 6l-7 6 7 6z"
ON = "M13 6l7 6-7 6zM4 6l7 6-7 6z"
FRAME_BACK = "M16 6 8 12l8 6zM5 6v12"
FRAME_ON = "M8 6l8 6-8 6zM19 6v12"
UP = "M7 11v9H4v-9zM7 11l4-8c2 0 2.5 1.500 2 3l-.700 3H19c1.500 0 2 1 1.700 2.200l-1.500 7C19 19.500 18 20 17 20H7"
DOWN = "M7 13V4H4v9zM7 13l4 8c2 0 2.5-1.500 2-3l-.700-3H19c1.500 0 2-1 1.700-2.200l-1.500-7C19 4.500 18 4 17 4H7"
ALIKE = "M4 5h10v8H4zM10 11h10v8H10z"
FOLDER = "M3 6h7l2 2h9v11H3z"
OUT = "M14 4h6v6M20 4l-9 9M18 14v6H4V6h6"


def html(value: Any, function: str, *events: str, template: str = "${value}", **more: Any) -> gr.HTML:
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
        **more,
    )


def static(value: str = "", **more: Any) -> gr.HTML:
    """A gr.HTML without behaviour."""
    return gr.HTML(value, js_on_load=None, apply_default_css=False, padding=False, container=False, **more)


def panel(value: str = "", **more: Any) -> gr.HTML:
    """A panel whose buttons trigger `act` with {action, value, field}."""
    return html(value, "panel", "act", **more)


# ---- search


def welcome(status: dict[str, Any], *, filling: bool = False) -> str:
    """The empty search: what to do next, in this state of the library; `filling`: videos are being added now."""
    if not status.get("videos"):
        next_step = (
            "The first videos are being indexed; each can be searched as soon as it is done."
            if filling
            else "Nothing is indexed yet. Add a folder of your videos, or take the sample library: it is ready in about "
            "a minute."
        )
        return (
            f'<div class="hx-welcome"><h2>Find a moment by describing it</h2><p>{next_step}</p>'
            '<p><button type="button" class="hx-button hx-primary" data-tab="Library">Open the Library</button></p>'
            '<p class="hx-fine">Everything stays on this machine.</p></div>'
        )
    tries = "".join(
        f'<button type="button" class="hx-example" data-example="{safe(text)}">{safe(text)}</button>'
        for text in EXAMPLES
    )
    return (
        '<div class="hx-welcome"><h2>Describe what you remember</h2><p>A sentence works best: who does what, where. '
        f'For example:</p><div class="hx-examples">{tries}</div>'
        f'<p class="hx-fine">Press / to come back to the search box, '
        "paste a picture to search by it, ? for help.</p></div>"
    )


def header() -> gr.HTML:
    """The line on top of the page and the notices under it, which can be put away."""
    return html("", "header", elem_id="hx-head")


def grid() -> gr.HTML:
    """Cards of results; triggers open and undo {id, start, end, second} and example {text}."""
    return html("", "grid", "open", "undo", "example", elem_id="hx-results")


def chips() -> gr.HTML:
    """Phrases of the query; triggers weigh {phrase, weight} or {allow}."""
    return html("", "chips", "weigh", elem_id="hx-phrases")


def action(act: str, told: str, drawing: str, keys: str = "") -> str:
    """A round button under the player."""
    hint = f"{told} ({keys})" if keys else told
    return (
        f'<button type="button" data-act="{act}" title="{safe(hint)}" '
        f'aria-label="{safe(told)}">{icon(drawing)}</button>'
    )


def player() -> gr.HTML:
    """The player; its value is {id, start, end, title, path}; triggers act {action, id, time}."""
    left = (
        action("previous", "Previous moment", BACK, "[")
        + action("back", "One frame back", FRAME_BACK, ",")
        + action("on", "One frame on", FRAME_ON, ".")
        + action("next", "Next moment", ON, "]")
    )
    right = (
        action("like", "More like this moment", ALIKE)
        + action("reveal", "Show in the file manager", FOLDER)
        + action("open", "Open in your own player", OUT)
        + action("good", "This video is right for these words", UP)
        + action("bad", "This video is wrong for these words", DOWN)
    )
    template = (
        '<div class="hx-player"><div class="hx-screen">'
        '<video id="hx-video" controls playsinline preload="metadata"></video>'
        '<div class="hx-cover" hidden><p></p><progress max="1" hidden></progress></div>'
        '<div class="hx-placeholder">The chosen moment plays here</div></div>'
        f'<div class="hx-controls"><span>{left}</span><span class="hx-title"></span><span>{right}</span></div></div>'
    )
    return html({}, "player", "act", template=template, elem_id="hx-player")


def charts() -> gr.HTML:
    """The explanation: phrase x clip, word x frame, score over the file; triggers feedback {kind, good, ...}."""

    def block(part: str, title: str, told: str, inner: str) -> str:
        return (
            f'<section class="hx-{part}-block" hidden><h4 title="{safe(told)}">{title}</h4>'
            f'<p class="hx-none" hidden></p>{inner}</section>'
        )

    vote = "".join(
        f'<button type="button" data-good="{good}" title="{told}" aria-label="{told}">{icon(drawing)}</button>'
        for good, told, drawing in (("yes", "Right", UP), ("no", "Wrong", DOWN))
    )
    template = (
        '<div class="hx-charts">'
        + block(
            "heat",
            "Phrases × clips",
            "How near each phrase is to each clip of this moment. Click a cell to play that clip.",
            '<div class="hx-clips hx-stills"></div><div class="hx-heatmap"></div>',
        )
        + block(
            "words",
            "Words × frames",
            "How near each word is to each frame. Frames of the chosen clip are marked. Click to jump.",
            '<div class="hx-frames hx-stills"></div><div class="hx-strip"></div>',
        )
        + f'<div class="hx-ask" hidden><span></span>{vote}</div>'
        + block(
            "file",
            "Score over the whole file",
            "The total score of every window of this file. Click to jump.",
            '<div class="hx-curve"></div>',
        )
        + '<div class="hx-learned"></div><p class="hx-problem" hidden></p></div>'
    )
    return html({}, "charts", "feedback", template=template, elem_id="hx-charts")


def figure(*, summary: str = "", **more: Any) -> gr.HTML:
    """One Plotly figure, value {figure, note}; under a summary it is folded away and triggers open when unfolded."""
    inner = '<div class="hx-figure" hidden></div><p class="hx-note" hidden></p>'
    template = (
        f'<details class="hx-fold"><summary>{safe(summary)}</summary>{inner}</details>'
        if summary
        else f"<div>{inner}</div>"
    )
    return html({}, "figure", "open", template=template, **more)


def sliders(weights: LevelWeights) -> str:
    """The three level sliders."""
    rows = []
    for level, field in zip(LEVEL_NAMES, ("video", "clip", "frame")):
        told = f"How much {LEVEL_NAMES[level]} count: {LEVEL_HELP[level]}"
        rows.append(
            f'<label class="hx-slider hx-{level}" title="{safe(told)}"><span>{LEVEL_NAMES[level]}</span>'
            f'<input type="range" '
            f'name="{field}" min="0" max="2" step="0.05" value="{getattr(weights, field):g}"><output></output></label>'
        )
    reset = '<button type="button" class="hx-link" data-reset title="Back to the weights of the model">reset</button>'
    return f'<div class="hx-sliders" role="group" aria-label="Level weights">{"".join(rows)}{reset}</div>'


def weights() -> gr.HTML:
    """Level sliders; triggers weigh {video, clip, frame} or {reset}."""
    return html(sliders(LevelWeights()), "weights", "weigh", elem_id="hx-weights")


def bound(handler: Callable[..., Any], explorer: Any) -> Callable[..., Any]:
    """A handler (explorer, state, data) as a listener of an event that carries data."""

    def listen(state: Any, event: gr.EventData) -> Any:
        return handler(explorer, state, event._data if isinstance(event._data, dict) else {})

    return listen
