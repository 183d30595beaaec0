"""What one visitor is looking at: the record that travels from event to event in gr.State."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from explorer.records import FoundCue, Hit, LevelWeights, SearchResult

SORTS, GROUPS = ("best", "newest", "longest"), ("file", "moment")
SCREEN = 24  # moments asked for at first, and more with each "show more": a few screens of cards
Moment = tuple[str, float]  # public id of a video, start of the moment in seconds


@dataclass(frozen=True)
class View:
    """One visitor's search: what was asked, what came back, what is selected. Never shared, never mutated."""

    text: str = ""
    image: np.ndarray | None = None  # (H, W, 3) uint8, where the question is a picture
    like: Moment | None = None  # where the question is a moment
    result: SearchResult | None = None
    beside: SearchResult | None = None  # the same words by a second model
    said: tuple[FoundCue, ...] = ()  # what subtitles have of these words
    weights: LevelWeights | None = None  # None: the model's own
    phrase_weights: dict[str, float] = field(default_factory=dict)
    model: str | None = None  # None: the current one
    other: str | None = None  # the second model, None: one model alone
    selected: Moment | None = None
    second: bool = False  # the selected moment is the second model's
    asked: int = SCREEN  # moments asked for; more with each "show more"
    sort: str = "best"  # best, newest or longest
    group: str = "file"  # file: one card a file; moment: one card a moment
    ranks: dict[str, int] = field(default_factory=dict)  # of each video before the last repair, from 1
    problem: str = ""  # why there is no result, in one sentence


def moment(hit: Hit) -> Moment:
    """What names a hit on the page."""
    return hit.public_id, round(hit.start, 3)


def ranks(result: SearchResult | None) -> dict[str, int]:
    """The rank of every video by its best moment, from 1."""
    seen = dict.fromkeys(hit.public_id for hit in (result.hits if result else ()))
    return {public_id: rank for rank, public_id in enumerate(seen, start=1)}


def side(view: View) -> SearchResult | None:
    """The result that the selected moment belongs to: its phrases and evidence are shown."""
    return view.beside if view.second and view.beside is not None else view.result


def answering(view: View) -> str | None:
    """The model whose moment is selected; None: the current one."""
    return view.other if side(view) is view.beside and view.beside is not None else view.model


def find(view: View, wanted: Moment | None) -> Hit | None:
    """The hit a moment names, in the selected model's result first."""
    for result in (side(view), view.result, view.beside):
        for hit in result.hits if result else ():
            if moment(hit) == wanted:
                return hit
    return None
