"""The Models tab: what can answer, how well, another tower by name or file, and the checks of this installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from explorer.records import ExplorerError
from explorer.service.adding import Offer
from explorer.ui import components, lessons
from explorer.ui.aliases import TELL, Data, Listener, Outputs, Parts
from explorer.ui.components import bound
from explorer.ui.events.telling import guarded, inform
from explorer.ui.present import size
from explorer.ui.render import notice, render

if TYPE_CHECKING:
    from explorer.service import Explorer


def build(explorer: Explorer) -> Parts:
    """Cards of models, a form for another tower, checks."""
    part: Parts = {}
    part["models"] = components.panel(elem_id="hx-models")
    components.static(render("another_clip"))
    with gr.Row(elem_classes="hx-top"):
        part["tower"] = gr.Textbox(
            show_label=False,
            container=False,
            scale=5,
            placeholder="open_clip name or weights file",
            elem_id="hx-tower",
            max_length=4096,
        )
        part["check"] = gr.Button("Look", scale=0, min_width=100, elem_id="hx-check")
    part["consent"] = components.panel(elem_id="hx-consent")
    components.heading("Doctor")
    part["doctor"] = components.static(elem_id="hx-doctor")
    part["again"] = gr.Button("Check again", size="sm", elem_id="hx-again")
    return part


def wire(explorer: Explorer, part: Parts, timer: gr.Timer) -> None:
    """Switch, add, check."""
    none = gr.State(None)
    part["models"].act(bound(guarded(use), explorer), none, [part["models"], timer], **TELL)
    gr.on([part["check"].click, part["tower"].submit], looking(explorer), part["tower"], part["consent"], **TELL)
    part["consent"].act(bound(guarded(agree), explorer), none, [part["consent"], timer], **TELL)
    part["again"].click(checking(explorer), None, part["doctor"], **TELL)


def use(explorer: Explorer, state: None, data: Data) -> Outputs:
    """Another model answers from now on."""
    name = str(data.get("value", ""))
    explorer.models.use(name)
    inform(f"{name} answers from now on.")
    return lessons.models(explorer.models.list()), gr.Timer(active=True)


def looking(explorer: Explorer) -> Listener:
    """What a tower would cost, and the question whether to fetch it."""

    def run(name: str | None) -> str:
        wanted = (name or "").strip()
        return consent(wanted, explorer.models.look_at_tower(wanted)) if wanted else refuse()

    return guarded(run)


def refuse() -> str:
    """No name was given."""
    raise ExplorerError("no name was given; type an open_clip name or the path of a weights file")


def consent(name: str, offer: Offer) -> str:
    """What adding costs in words, and the button that agrees."""
    if offer.megabytes and not offer.here:
        told = f"{offer.name} is a download of about {size(1e6 * offer.megabytes)} from huggingface.co."
        text = "Agree and download"
    else:
        told, text = offer.told or f"{offer.name} is on this machine already; nothing is downloaded.", "Add it"
    return render("consent", told=told, text=text, name=name)


def agree(explorer: Explorer, state: None, data: Data) -> Outputs:
    """The person agreed to a shown size."""
    explorer.models.add_tower(str(data.get("value", "")), agreed=True)
    return notice("Started; the Library tab shows how far it is."), gr.Timer(active=True)


def checking(explorer: Explorer) -> Listener:
    """The checks, made anew."""

    def run() -> str:
        return lessons.doctor(explorer.doctor())

    return guarded(run)
