"""One function an event of the Search tab: the visitor's view and what happened -> service -> view -> what is shown."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from explorer.records import ExplorerError, LevelWeights, SearchResult
from explorer.service.reading import allow
from explorer.ui import phrase_chips
from explorer.ui.aliases import Data
from explorer.ui.events import filters, reasons
from explorer.ui.events.link import address, view_of
from explorer.ui.events.showing import PARTS, Shown, busy, played, shown, tools, unchanged, welcome
from explorer.ui.events.telling import inform, number
from explorer.ui.events.view import GROUPS, SCREEN, SORTS, View, find, moment, ranks
from explorer.ui.panels import filling

if TYPE_CHECKING:
    from explorer.service import Explorer

MOST = 480  # moments asked for at most
NEGATED = -1.0  # weight of a phrase whose moments are left out
SIDE = 512  # px, the largest side of a picture taken as a question
LOADING = 300  # seconds a search waits for the model
LOOK = 0.25  # seconds between two looks at the model's state


# ---- asking


def ask(explorer: Explorer, view: View, model: str | None) -> SearchResult:
    """The result of the view's question: words, a picture or a moment."""
    if view.image is not None:
        return explorer.searches.search_image(view.image, k=view.asked, model=model)
    if view.like is not None:
        return explorer.searches.more_like(*view.like, k=view.asked, model=model)
    return explorer.searches.search(
        view.text, k=view.asked, weights=view.weights, model=model, phrase_weights=view.phrase_weights or None
    )


def answered(explorer: Explorer, view: View) -> View:
    """The view with its results, or with the problem that kept them away; the selection stays where it can."""
    try:
        result = ask(explorer, view, view.model)
        beside = ask(explorer, view, view.other) if view.other and view.text else None
        said = explorer.searches.said(view.text) if view.text else ()
    except ExplorerError as error:
        return replace(view, result=None, beside=None, said=(), selected=None, problem=str(error))
    view = replace(view, result=result, beside=beside, said=said, problem="")
    if find(view, view.selected) is None:
        view = replace(view, selected=moment(result.hits[0]) if result.hits else None, second=False)
    return view


def repaired(explorer: Explorer, view: View) -> View:
    """The same question asked again with other weights: remembers the ranks before, so that moves can be shown."""
    before = ranks(view.result)
    return replace(answered(explorer, view), ranks=before)


# ---- events


def anew(view: View, text: str) -> View:
    """A new question: weights, models and the arrangement of the cards stay as the person set them."""
    return View(
        text=text.strip(),
        weights=view.weights,
        model=view.model,
        other=view.other,
        sort=view.sort,
        group=view.group,
    )


def wait_for_model(explorer: Explorer) -> None:
    """Return as soon as the model is ready or failed, or after LOADING seconds."""
    for _ in range(int(LOADING / LOOK)):
        if explorer.status().model != "loading":
            return
        time.sleep(LOOK)


def search(explorer: Explorer, view: View, text: str) -> Iterator[Shown]:
    """The search box: waits for the model where it is still loading, and says so."""
    fresh = anew(view, text)
    if not fresh.text:
        yield shown(explorer, fresh)
        return
    yield busy("Searching…")
    if explorer.status().model == "loading":
        yield busy("The model is still loading; your search runs as soon as it is ready.")
        wait_for_model(explorer)
    yield shown(explorer, answered(explorer, fresh))


def asked(explorer: Explorer, view: View, text: str) -> Shown:
    """A new question in words that came from the page itself: an example, a recent or saved search."""
    fresh = anew(view, text)
    return shown(explorer, answered(explorer, fresh), text=fresh.text)


def example(explorer: Explorer, view: View, data: Data) -> Shown:
    """An example of the empty page was chosen."""
    return asked(explorer, view, str(data.get("text", "")))


def more(explorer: Explorer, view: View, data: Data) -> Shown:
    """The end of the results was reached: the same question, more moments of it."""
    if view.result is None:
        return unchanged()
    return shown(explorer, answered(explorer, replace(view, asked=min(MOST, view.asked + SCREEN), ranks={})))


def arrange(explorer: Explorer, view: View, data: Data) -> Shown:
    """Cards in another order, or a card a moment: nothing is searched again."""
    sort, group = data.get("sort", view.sort), data.get("group", view.group)
    if sort not in SORTS or group not in GROUPS:
        return unchanged()
    view = replace(view, sort=str(sort), group=str(group), ranks={})
    return shown(explorer, view) if view.result else unchanged()


def filter_by(explorer: Explorer, view: View, data: Data) -> Shown:
    """A folder or a day of a card was clicked: the words of the query say it from now on."""
    text = filters.add(view.text, str(data.get("name", "")), str(data.get("value", "")))
    return again(explorer, view, text) if view.text else unchanged()


def again(explorer: Explorer, view: View, text: str) -> Shown:
    """The same search with other words: weights, models and arrangement stay."""
    return shown(explorer, answered(explorer, replace(view, text=text, asked=SCREEN, ranks={})), text=text)


def restore(explorer: Explorer, view: View, data: Data) -> Shown:
    """The page was opened with the address of a search: asked again as it was, the moment chosen."""
    fresh = view_of(data)
    if not fresh.text:
        return unchanged()
    wait_for_model(explorer)
    return shown(explorer, answered(explorer, fresh), text=fresh.text, sliders=True)


def begin(explorer: Explorer, view: View, data: Data) -> Shown:
    """The sample library was asked for on the empty page."""
    if data.get("what") != "samples" or explorer.status().videos or filling(explorer.jobs.list()):
        return unchanged()
    explorer.library.install_samples()
    return (*unchanged(4), welcome(explorer), *unchanged(PARTS - 5))


def open_hit(explorer: Explorer, view: View, data: Data) -> Shown:
    """A card or a further moment was chosen: view, chips, player. The script has already begun to play it."""
    chosen = (str(data.get("id")), round(number(data.get("start")), 3))
    view = replace(view, selected=chosen, second=bool(data.get("second")) and view.beside is not None)
    return view, phrase_chips.chips(view), played(view, load=False), address(view)


def weigh_levels(explorer: Explorer, view: View, data: Data) -> Shown:
    """A level slider moved: the same candidates in another order."""
    values = {name: max(0.0, number(data.get(name))) for name in ("video", "clip", "frame")}
    if not data.get("reset") and not any(values.values()):
        raise ExplorerError("every level is at 0; at least one must count")
    view = replace(view, weights=None if data.get("reset") else LevelWeights(**values))
    return shown(explorer, repaired(explorer, view) if view.result else view)


def weigh_phrase(explorer: Explorer, view: View, data: Data) -> Shown:
    """A phrase was switched, weighed, excluded (a weight below 0), or taken out of the exclusions that were typed."""
    phrase, text = str(data.get("phrase", "")), view.text
    weights = dict(view.phrase_weights)
    if data.get("filter"):
        return again(explorer, view, filters.remove(text, str(data["filter"])))
    if data.get("allow"):
        text = allow(text, str(data["allow"]))
    else:
        weights[phrase] = min(10.0, max(NEGATED, number(data.get("weight"))))
    return shown(explorer, repaired(explorer, replace(view, phrase_weights=weights, text=text)), text=text)


def picture(data: Data) -> np.ndarray:
    """The pixels the page's script sent, (H, W, 3) uint8.

    Raises:
        ExplorerError: the browser could not read the picture, or what came is not one.
    """
    width, height = int(number(data.get("width"))), int(number(data.get("height")))
    try:
        raw = base64.b64decode(str(data.get("rgb", "")), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not (0 < width <= SIDE and 0 < height <= SIDE and len(raw) == width * height * 3):
        raise ExplorerError("this picture cannot be read by your browser; save it as JPEG or PNG and try again")
    return np.frombuffer(raw, np.uint8).reshape(height, width, 3).copy()


def by_image(explorer: Explorer, view: View, data: Data) -> Shown:
    """A picture was chosen, pasted or dropped."""
    return shown(explorer, answered(explorer, View(image=picture(data), weights=view.weights)), text="")


def export(explorer: Explorer, view: View, form: str) -> Shown:
    """The results, or the selected moment as a clip, written to the data folder."""
    if view.result is None or not view.result.hits:
        raise ExplorerError("there is nothing to export yet; search first")
    hit = find(view, view.selected)
    result = replace(view.result, hits=(hit,)) if form == "clip" and hit else view.result
    inform(f"Written to {explorer.playback.export(result, form)}")
    return unchanged()


def tool(explorer: Explorer, view: View, data: Data) -> Shown:
    """The bar of tools."""
    name, value = data.get("tool"), str(data.get("value", ""))
    if name == "recall":
        return asked(explorer, view, value)
    if name == "export":
        return export(explorer, view, value)
    if name == "save":
        if not view.text:
            raise ExplorerError("there is no search to save yet; search first")
        explorer.desk.save(view.text)
        inform(f"Saved: {view.text}")
        return (*unchanged(6), tools(explorer, view), *unchanged(PARTS - 7))
    if name in ("drop", "clear"):
        if name == "drop":
            explorer.desk.drop(value)
        else:
            explorer.desk.clear_history()
        return (*unchanged(6), tools(explorer, view), *unchanged(PARTS - 7))
    if name == "model":
        view = replace(view, model=value or None)
    elif name == "beside":
        view = replace(view, other=value or None)
    asked_before = view.text or view.image is not None or view.like is not None
    return shown(explorer, answered(explorer, view) if asked_before else view, sliders=name == "model")


def judge(explorer: Explorer, view: View, data: Data) -> Shown:
    """A thumb, or the taking back of one: noted, and the results stand anew at once."""
    if data.get("kind") == "undo":
        hit = find(view, (str(data.get("id")), round(number(data.get("start")), 3)))
        if hit is not None:
            explorer.teaching.withdraw_judgement(view.text, hit.public_id, hit.start, hit.end)
    else:
        reasons.feedback(explorer, view, data)
    return shown(explorer, repaired(explorer, view))


def undo(explorer: Explorer, view: View, data: Data) -> Shown:
    """The judgement of a card was taken back."""
    return judge(explorer, view, {**data, "kind": "undo"})


def act(explorer: Explorer, view: View, data: Data) -> Shown:
    """A button under the player."""
    action, public_id, at = data.get("action"), str(data.get("id", "")), number(data.get("time"))
    if not public_id:
        return unchanged()
    if action == "like":
        return shown(explorer, answered(explorer, View(like=(public_id, at), weights=view.weights)), text="")
    if action in ("reveal", "open"):
        (explorer.playback.reveal if action == "reveal" else explorer.playback.open)(public_id)
    if action in ("good", "bad"):
        known = played(view, load=False)
        if known.get("id") == public_id and known["judged"] == action:
            return undo(explorer, view, {"id": public_id, "start": known["start"]})
        return judge(explorer, view, {"kind": "video", "id": public_id, "time": at, "good": action == "good"})
    return unchanged()
