"""The Search tab: its components and which handler listens to which event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import gradio as gr

from explorer.ui import components, toolbar
from explorer.ui.aliases import Listener, Options, Outputs, Parts
from explorer.ui.components import bound
from explorer.ui.events import reasons
from explorer.ui.events import search as handlers
from explorer.ui.events.showing import Shown
from explorer.ui.events.telling import guarded
from explorer.ui.events.view import View

if TYPE_CHECKING:
    from explorer.service import Explorer

QUEUE: Options = {
    "show_progress": "hidden",
    "concurrency_id": "search",
    "concurrency_limit": 4,
    "api_visibility": "private",
}
LAST = {"trigger_mode": "always_last"}  # while one is under way only the newest is kept


def build(explorer: Explorer) -> Parts:
    """Lay the tab out and wire it; gives the parts the page needs at load."""
    part = layout()
    outputs = [part[name] for name in ("view", "box", "notice", "chips", "grid", "player", "tools", "weights", "link")]
    wire_search(explorer, part, outputs)
    wire_selection(explorer, part, outputs)
    return {**part, "outputs": outputs}


def layout() -> Parts:
    """Search box and tools on top; results left, the chosen moment right."""
    part: Parts = {"view": gr.State(View())}
    with gr.Row(elem_classes="hx-top"):
        part["box"] = gr.Textbox(
            show_label=False,
            container=False,
            autofocus=True,
            max_lines=3,
            max_length=20_000,
            scale=5,
            elem_id="hx-box",
            placeholder="Describe a moment: a dog running on a beach",
        )
        part["go"] = gr.Button("Search", variant="primary", scale=0, min_width=96, elem_id="hx-go")
    part["tools"] = toolbar.tools()
    part["link"] = components.link()
    part["chips"] = components.chips()
    with gr.Row(elem_classes="hx-split"):
        with gr.Column(scale=7, min_width=320):
            part["weights"] = components.weights()
            part["notice"] = components.static(elem_id="hx-notice")
            part["grid"] = components.grid()
        with gr.Column(scale=5, min_width=320, elem_classes="hx-side"):
            part["player"] = components.player()
            part["charts"] = components.charts()
            part["graph"] = components.figure(summary="Role graph of the query", elem_id="hx-graph")
            part["why"] = components.panel(reasons.why_form(unfolded=False), elem_id="hx-why")
    return part


def wire_search(explorer: Explorer, part: Parts, outputs: list[object]) -> None:
    """Everything that asks anew; each is followed by the explanation of the selected moment."""

    def run(view: View, text: str | None) -> Iterator[Shown]:
        yield from handlers.search(explorer, view, text or "")

    view, tell = part["view"], {**QUEUE, **LAST}
    asked = [gr.on([part["box"].submit, part["go"].click], run, [view, part["box"]], outputs, **tell)]
    listeners = (
        (part["grid"].example, handlers.example),
        (part["grid"].filter, handlers.filter_by),
        (part["grid"].arrange, handlers.arrange),
        (part["grid"].more, handlers.more),
        (part["grid"].begin, handlers.begin),
        (part["weights"].weigh, handlers.weigh_levels),
        (part["chips"].weigh, handlers.weigh_phrase),
        (part["tools"].tool, handlers.tool),
        (part["tools"].image, handlers.by_image),
        (part["player"].act, handlers.act),
        (part["grid"].undo, handlers.undo),
        (part["link"].restore, handlers.restore),
    )
    asked += [event(bound(guarded(handler), explorer), view, outputs, **tell) for event, handler in listeners]
    for question in asked:
        question.then(explaining(explorer), view, [part["charts"], part["graph"]], **tell)
        question.then(folded, None, part["why"], **tell)  # what it said was of the question before


def wire_selection(explorer: Explorer, part: Parts, outputs: list[object]) -> None:
    """Choosing a moment, thumbs, the role graph, and the video one expected."""
    view, tell = part["view"], {**QUEUE, **LAST}
    opened = part["grid"].open(
        bound(guarded(handlers.open_hit), explorer), view, [view, part["chips"], part["player"], part["link"]], **tell
    )
    opened.then(explaining(explorer), view, [part["charts"], part["graph"]], **tell)
    part["charts"].feedback(bound(guarded(handlers.judge), explorer), view, outputs, **tell)
    part["graph"].open(bound(guarded(reasons.graph), explorer), view, part["graph"], **tell)
    part["why"].act(bound(guarded(reasons.why), explorer), view, part["why"], **tell)


def folded() -> str:
    """The question for an expected video, as at the start."""
    return reasons.why_form(unfolded=False)


def explaining(explorer: Explorer) -> Listener:
    """The explanation as a listener without data."""

    def run(view: View) -> Outputs:
        return reasons.explain(explorer, view)

    return run
