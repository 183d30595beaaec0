"""A visitor's view becomes what the Search tab shows of it: one tuple of values for its parts, in their order."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import gradio as gr

from explorer.records import LevelWeights
from explorer.ui import cards, components, panels, phrase_chips, toolbar
from explorer.ui.events.link import address
from explorer.ui.events.view import View, find
from explorer.ui.present import span, visible
from explorer.ui.render import notice

if TYPE_CHECKING:
    from explorer.service import Explorer

PARTS = 9
Shown = tuple[object, ...]  # view, box, notice, chips, grid, player, toolbar, level sliders, address


def played(view: View, *, load: bool) -> dict[str, object]:
    """The player's value; `load` is False where the page's script has already jumped by itself."""
    hit = find(view, view.selected)
    if hit is None:
        return {}
    title = f"{span(hit.start, hit.end)} · {visible(os.path.basename(hit.path))}"
    return {
        "id": hit.public_id,
        "start": hit.start,
        "end": hit.end,
        "title": title,
        "path": visible(hit.path),
        "load": load,
        "judged": ("good" if hit.judged else "bad") if hit.judged is not None and hit.judged_by == "video" else "",
    }


def tools(explorer: Explorer, view: View) -> str:
    """The bar of tools as it stands now."""
    names = [card.name for card in explorer.models.list()]
    return toolbar.toolbar(
        history=explorer.desk.history(),
        saved=explorer.desk.saved(),
        models=names,
        model=view.model or "",
        other=view.other or "",
    )


def own_weights(explorer: Explorer, model: str | None = None) -> LevelWeights:
    """The level weights of a model, None being the one in use, where its record tells them."""
    for card in explorer.models.list():
        if (card.name == model or (model is None and card.current)) and card.level_weights:
            return card.level_weights
    return LevelWeights()


def welcome(explorer: Explorer) -> str:
    """The empty search, in this state of the library."""
    filling = panels.filling(explorer.jobs.list())
    return components.welcome(explorer.status(), filling=filling, examples=explorer.searches.examples())


def told(explorer: Explorer, view: View) -> str:
    """The line above the results; where the first videos are still being indexed it says so."""
    empty = view.result is not None and not view.result.hits and not explorer.status().videos
    if not (empty and panels.filling(explorer.jobs.list())):
        return cards.summary(view)
    return notice("The first videos are still being indexed.", hint="Search again in a moment.")


def shown(explorer: Explorer, view: View, *, text: str | None = None, sliders: bool = False) -> Shown:
    """Everything a search changes on the page; the level sliders only where another model's weights are to be seen."""
    grid = cards.grid(view) if view.result or view.problem else welcome(explorer)
    return (
        view,
        gr.skip() if text is None else text,
        told(explorer, view),
        phrase_chips.chips(view),
        grid,
        played(view, load=True),
        tools(explorer, view),
        components.sliders(view.weights or own_weights(explorer, view.model)) if sliders else gr.skip(),
        address(view),
    )


def unchanged(count: int = PARTS) -> Shown:
    """Nothing on the page changes."""
    return tuple(gr.skip() for _ in range(count))


def busy(message: str) -> Shown:
    """A line says what is being waited for; the rest stays."""
    return (gr.skip(), gr.skip(), notice(message, kind="busy"), *unchanged(PARTS - 3))
