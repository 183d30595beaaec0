"""Feedback, explanation, role graph and "why not this one?": one function an event of the Search tab's right side."""

from __future__ import annotations

from typing import Any

from explorer.records import ExplorerError
from explorer.ui import lessons
from explorer.ui.charts import figures, graphs
from explorer.ui.events.telling import inform, number
from explorer.ui.events.view import View, answering
from explorer.ui.panels import button


def feedback(explorer: Any, view: View, data: dict[str, Any]) -> None:
    """A thumb at one of three grains: this video, this clip for a phrase, this frame for a word."""
    kind = data.get("kind")
    if kind not in ("video", "clip", "frame") or not view.text:
        raise ExplorerError("feedback belongs to a search in words; search first")
    explorer.feedback(
        kind,
        view.text,
        str(data.get("id", "")),
        time=number(data.get("time")),
        good=bool(data.get("good")),
        phrase=str(data.get("phrase") or "") or None,
        word=str(data.get("word") or "") or None,
    )
    if kind != "video":  # that one is seen on its card
        inform("Noted: it counts for these words from now on, and when you fine-tune.")


def explain(explorer: Any, view: View) -> tuple[dict[str, Any], dict[str, Any]]:
    """The charts of the selected moment, and an empty role graph until it is unfolded."""
    if view.selected is None or not view.text:
        return {}, {}
    try:
        found = explorer.explain(
            view.text,
            *view.selected,
            model=answering(view),
            weights=view.weights,
            phrase_weights=view.phrase_weights or None,
        )
    except ExplorerError as error:
        return {"id": view.selected[0], "note": str(error)}, {}
    return figures.explained(found, view.selected[0]), {}


def graph(explorer: Any, view: View, data: dict[str, Any]) -> dict[str, Any]:
    """The role graph of the query was unfolded."""
    if not view.text or view.problem:
        return {"note": "Search for a sentence to see its roles."}
    drawn = explorer.graph(view.text, *(view.selected or ()), model=answering(view), weights=view.weights)
    figure = graphs.role_graph(drawn)
    verbs = any(node.get("kind") == "action" for node in drawn.get("nodes", []))
    note = (
        "This sentence has no roles to draw."
        if not figure
        else ""
        if verbs
        else "No verb in this query, so it has no action."
    )
    return {"id": view.selected[0] if view.selected else "", "figure": figure, "note": note}


def why_form(inner: str = "", *, unfolded: bool = True) -> str:
    """The question for a video that should have been found."""
    return (
        f'<details class="hx-fold"{" open" if unfolded else ""}><summary>Expected another video?</summary><p class="hx-fine">'
        "Name it, and see its rank and what "
        'sank it.</p><input name="expected" data-enter="look" placeholder="part of a file name" aria-label="File name">'
        f'<button type="button" class="hx-button" data-act="look" data-from="expected">Find</button>{inner}</details>'
    )


def why(explorer: Any, view: View, data: dict[str, Any]) -> str:
    """Look for a video by name, tell why it was not on top, or teach it."""
    action, value, field = data.get("action"), str(data.get("value", "")), str(data.get("field", ""))
    if not view.text:
        raise ExplorerError("search for a sentence first; then name the video you expected")
    if action == "look":
        found = explorer.videos(field, limit=8)
        made = "".join(
            button(one.get("name") or one["path"], "why", one["public_id"], title=one["path"]) for one in found
        )
        return why_form(f'<div class="hx-buttons">{made or "No video of that name is indexed."}</div>')
    if action == "teach":
        explorer.add_caption(value, view.text)
        inform("Added to your captions; fine-tune in the Teach tab.")
        return why_form("<p>Added to your captions.</p>")
    found = explorer.why_not(
        view.text, value, model=answering(view), weights=view.weights, phrase_weights=view.phrase_weights or None
    )
    return why_form(lessons.why(found, view.text, value))
