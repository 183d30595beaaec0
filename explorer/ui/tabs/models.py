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
from explorer.ui.render import notice, render

if TYPE_CHECKING:
    from explorer.service import Explorer


def build(explorer: Explorer) -> Parts:
    """Cards of models, a form for another tower, checks."""
    part: Parts = {}
    part["models"] = components.panel(elem_id="hx-models")
    components.heading("Another CLIP")
    part["choices"] = components.panel(elem_id="hx-choices")
    with gr.Row(elem_classes="hx-top"):
        part["tower"] = gr.Textbox(
            show_label=False,
            container=False,
            scale=5,
            placeholder="ViT-B-32/laion2b_s34b_b79k, or /path/to/weights.safetensors",
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
    part["models"].act(bound(guarded(change), explorer), none, [part["models"], timer], **TELL)
    part["choices"].act(bound(guarded(choose), explorer), none, [part["consent"], timer], **TELL)
    gr.on([part["check"].click, part["tower"].submit], looking(explorer), part["tower"], part["consent"], **TELL)
    part["consent"].act(bound(guarded(agree), explorer), none, [part["consent"], timer], **TELL)
    part["again"].click(checking(explorer), None, part["doctor"], **TELL)


def change(explorer: Explorer, state: None, data: Data) -> Outputs:
    """Another model is made ready to answer, or one is deleted."""
    name = str(data.get("value", ""))
    if data.get("action") == "delete":
        explorer.models.remove(name)
        inform(f"{name} is deleted.")
    else:
        explorer.models.use(name)
        inform(f"{name} is being made ready; the present model answers until then.")
    return lessons.models(explorer.models.list()), gr.Timer(active=True)


def choose(explorer: Explorer, state: None, data: Data) -> Outputs:
    """A model of the list was clicked, or the speeds are to be measured."""
    if data.get("action") == "measure":
        explorer.models.measure()
        return notice("The speeds are being measured; the Library tab shows how far it is."), gr.Timer(active=True)
    name = str(data.get("value", ""))
    offered = next((offer for offer in explorer.models.offers() if offer.choice.name == name), None)
    if offered is None:
        raise ExplorerError("this model is not in the list any more; reload the page")
    asked = consent(
        name,
        Offer(name, offered.choice.megabytes, offered.here),
        title=offered.choice.title,
        licence=offered.choice.licence,
        library_seconds=offered.library_seconds,
    )
    return asked, gr.skip()


def choices(explorer: Explorer) -> str:
    """The list to choose from."""
    return render("choices", offers=explorer.models.offers())


def looking(explorer: Explorer) -> Listener:
    """What a tower would cost, and the question whether to fetch it."""

    def run(name: str | None) -> str:
        wanted = (name or "").strip()
        return consent(wanted, explorer.models.look_at_tower(wanted)) if wanted else refuse()

    return guarded(run)


def refuse() -> str:
    """No name was given."""
    raise ExplorerError("no name was given; type an open_clip name or the path of a weights file")


def consent(
    name: str, offer: Offer, *, title: str = "", licence: str = "", library_seconds: float | None = None
) -> str:
    """What adding a model costs, and the button that agrees."""
    return render(
        "consent",
        name=name,
        title=title or offer.name,
        megabytes=offer.megabytes,
        fetch=not offer.here,
        told=offer.told,
        licence=licence,
        library_seconds=library_seconds,
    )


def agree(explorer: Explorer, state: None, data: Data) -> Outputs:
    """The person agreed to a shown size."""
    explorer.models.add_tower(str(data.get("value", "")), agreed=True)
    return notice(
        "Started; the Library tab shows how far it is. The present model answers until the new one is ready."
    ), gr.Timer(active=True)


def checking(explorer: Explorer) -> Listener:
    """The checks, made anew."""

    def run() -> str:
        return lessons.doctor(explorer.doctor())

    return guarded(run)
