"""Feedback, explanation, role graph and "why not this one?": one function an event of the Search tab's right side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from explorer.records import ExplorerError
from explorer.ui.aliases import Data
from explorer.ui.charts import evidence, graphs
from explorer.ui.events.telling import inform, number
from explorer.ui.events.view import View, answering, find, side
from explorer.ui.present import basename, span, visible
from explorer.ui.render import render

if TYPE_CHECKING:
    from explorer.service import Explorer


def feedback(explorer: Explorer, view: View, data: Data) -> None:
    """A thumb at one of three grains: this video, this clip for a phrase, this frame for a word."""
    kind = data.get("kind")
    if kind not in ("video", "clip", "frame") or not view.text:
        raise ExplorerError("feedback belongs to a search in words; search first")
    explorer.teaching.add_judgement(
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


def about(view: View) -> dict[str, str]:
    """What a saved alignment says of itself: the query, the file, the stretch and the model."""
    hit, shown = find(view, view.selected), side(view)
    if hit is None or shown is None:
        return {}
    name = visible(basename(hit.path))
    return {"query": view.text, "name": name, "span": span(hit.start, hit.end), "model": shown.checkpoint}


def explain(explorer: Explorer, view: View) -> tuple[dict[str, object], dict[str, object]]:
    """The charts of the selected moment, and an empty role graph until it is unfolded."""
    if view.selected is None or not view.text:
        return {}, {}
    hit = find(view, view.selected)
    try:
        found = explorer.searches.explain(
            view.text,
            *view.selected,
            end=hit.end if hit else None,
            model=answering(view),
            weights=view.weights,
            phrase_weights=view.phrase_weights or None,
        )
    except ExplorerError as error:
        return {"id": view.selected[0], "note": str(error)}, {}
    return {**evidence.explained(found, view.selected[0]), "about": about(view)}, {}


def graph(explorer: Explorer, view: View, data: Data) -> dict[str, object]:
    """The role graph of the query was unfolded."""
    if not view.text or view.problem:
        return {"note": "Search for a sentence to see its roles."}
    drawn = explorer.searches.graph(view.text, *(view.selected or ()), model=answering(view), weights=view.weights)
    figure = graphs.role_graph(drawn)
    verbs = any(node.kind == "action" for node in drawn.nodes)
    note = (
        "This sentence has no roles to draw."
        if not figure
        else ""
        if verbs
        else "No verb in this query, so it has no action."
    )
    return {"id": view.selected[0] if view.selected else "", "figure": figure, "note": note}


@dataclass(frozen=True)
class Named:
    """A file that may be the one expected."""

    id: str
    name: str
    path: str


@dataclass(frozen=True)
class Answer:
    """Why a video was not on top: its place, what sank it, and the words and file of a caption that would teach it."""

    place: str
    sentence: str
    text: str
    id: str


def why_form(
    *, files: list[Named] | None = None, answer: Answer | None = None, taught: bool = False, unfolded: bool = True
) -> str:
    """The question for a video that should have been found, with what was found out so far, as HTML."""
    return render("why", files=files, answer=answer, taught=taught, unfolded=unfolded)


def why(explorer: Explorer, view: View, data: Data) -> str:
    """Look for a video by name, tell why it was not on top, or teach it."""
    action, value, field = data.get("action"), str(data.get("value", "")), str(data.get("field", ""))
    if not view.text:
        raise ExplorerError("search for a sentence first; then name the video you expected")
    if action == "look":
        videos = explorer.library.videos(field, limit=8)
        return why_form(files=[Named(video.public_id, video.name, video.path) for video in videos])
    if action == "teach":
        explorer.teaching.add_caption(value, view.text)
        inform("Added to your captions; fine-tune in the Teach tab.")
        return why_form(taught=True)
    found = explorer.searches.why_not(
        view.text, value, model=answering(view), weights=view.weights, phrase_weights=view.phrase_weights or None
    )
    place = f"It is number {found.rank:,} of {found.of:,}." if found.rank else "It is not in the index."
    return why_form(answer=Answer(place, found.sentence, view.text, value))
