"""Decides what the card of each file found shows: bars, strength, place, what the person said of it: pure."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace

from explorer.records import LEVELS, Hit, SearchResult
from explorer.ui.events.view import View, moment
from explorer.ui.present import basename, date, day, middle, sentence, span
from explorer.ui.render import notice, render

SAID = 6  # lines of subtitles shown above the cards
TOP = 6  # files shown unfolded where all are weak: about a screen
OTHERS = 3  # further moments of a file shown on its card; the rest is folded
LEVEL_NAMES = {"video_sentence": "sentence", "clip_phrase": "phrases", "frame_word": "words"}
LEVEL_HELP = {
    "video_sentence": "the whole moment against the whole sentence",
    "clip_phrase": "its clips against the phrases of the sentence",
    "frame_word": "its frames against the single words",
}
ROW_HELP = {  # what the middle and the fine level of another kind of model compare
    "actions": "its frames against the verbs of the sentence",
    "entities": "its frames against the people and things of the sentence",
}


@dataclass(frozen=True)
class Level:
    """A bar of a card: the level it stands for, how full it is in [0, 1], and its hover text."""

    name: str
    share: float
    told: str


@dataclass(frozen=True)
class Move:
    """How far a file rose or fell with the last change. way: up or down."""

    way: str
    text: str
    told: str


@dataclass(frozen=True)
class Mark:
    """What the person said of a moment: right or wrong."""

    word: str
    told: str
    hit: Hit


@dataclass(frozen=True)
class Card:
    """One file of the results: its best moment, the others, and what stands beside them."""

    best: Hit
    others: tuple[Hit, ...]
    rank: int
    chosen: bool
    move: Move | None
    duration: float
    ranges: tuple[tuple[float, float], ...]  # left and width of each moment in the file, in percent
    levels: tuple[Level, ...]
    strength_told: str  # hover text of the word strong, likely or weak
    marks: tuple[Mark, ...]
    name: tuple[str, str]  # in two parts, cut between them where room is short
    folder: str
    day: str  # as it is written in a query; empty where it is not known
    hidden: int = 0  # of the others, how many are folded away


@dataclass(frozen=True)
class Column:
    """The cards of one model: the strong ones, the folded weak ones, and a sentence where there are none."""

    title: str
    second: bool
    strong: tuple[Card, ...]
    weak: tuple[Card, ...]
    nothing: str
    unfolded: bool = False  # the weak ones, because the chosen moment is among them


def level_share(hit: Hit, level: str, *, highest: float) -> float:
    """How full a level's bar is, in [0, 1]: its percentile among captions, else its part of the best hit's."""
    if level in hit.calibrated:
        return min(1.0, max(0.0, hit.calibrated[level]))
    score = getattr(hit.scores, level)
    return min(1.0, max(0.0, score / highest)) if highest > 0 else 0.0


def level_title(hit: Hit, level: str, reads: tuple[str, str] = ("phrases", "words")) -> str:
    """The hover text of a bar: what it compares, the cosine, and how unusual that is."""
    called = dict(zip(LEVELS, ("sentence", *reads)))[level]
    told = f"{called}: {ROW_HELP.get(called, LEVEL_HELP[level])}. Similarity {getattr(hit.scores, level):.3f}"
    if level in hit.calibrated:
        told += f", higher than {100 * hit.calibrated[level]:.0f} % of unrelated captions"
    return told


def bars(hit: Hit, highest: dict[str, float], reads: tuple[str, str]) -> tuple[Level, ...]:
    """The three level bars of a hit, coarse to fine."""
    return tuple(
        Level(level, level_share(hit, level, highest=highest.get(level, 0.0)), level_title(hit, level, reads))
        for level in LEVELS
    )


def strength_title(hit: Hit, unrelated: str) -> str:
    """The hover text of a card's word: what it rests on, unrelated descriptions or pictures."""
    others = f"Fits better than {100 * hit.percentile:.0f} of 100 unrelated {unrelated} fit anything in this library"
    levels = ", ".join(f"{LEVEL_NAMES[level]} {getattr(hit.scores, level):.2f}" for level in LEVELS)
    return f"{others}. Levels: {levels}; total {hit.scores.total:.3f}"


def length_of_file(hits: list[Hit]) -> float:
    """Seconds of the file, or up to the end of its last moment where that is not known."""
    return max([hit.duration for hit in hits] + [hit.end for hit in hits])


def ranges(hits: list[Hit]) -> tuple[tuple[float, float], ...]:
    """Where in the file its moments are: left and width of each, in percent of the file."""
    duration = length_of_file(hits)
    if duration <= 0:
        return ()
    return tuple((100 * hit.start / duration, max(1.0, 100 * (hit.end - hit.start) / duration)) for hit in hits)


def move(public_id: str, rank: int, before: dict[str, int]) -> Move | None:
    """How many places a video rose or fell with the last change; None where it stayed or there was none."""
    if not before or before.get(public_id) == rank:
        return None
    if public_id not in before:
        return Move("up", "new", "New with the last change")
    step = before[public_id] - rank
    arrow, way = ("▲", "up") if step > 0 else ("▼", "down")
    return Move(way, f"{arrow}{abs(step)}", f"Was number {before[public_id]} before the last change")


def marks(hits: list[Hit]) -> tuple[Mark, ...]:
    """What the person said of a file's moments for these words."""
    made = []
    for hit in hits:
        if hit.judged is None:
            continue
        word, place = ("right", "on top") if hit.judged else ("wrong", "at the end")
        where = "this video" if hit.judged_by == "video" else f"a {hit.judged_by} at {span(hit.start, hit.end)}"
        told = f"You called {where} {word} for these words, so it is {place}. It also counts when you fine-tune"
        made.append(Mark(word, told, hit))
        if hit.judged_by == "video":
            break  # it holds for every moment of the file
    return tuple(made)


def card(hits: list[Hit], rank: int, *, highest: dict[str, float], view: View, result: SearchResult) -> Card:
    """One file of the results: its best moment large, the others below."""
    best = hits[0]
    return Card(
        best=best,
        others=tuple(hits[1:]),
        rank=rank,
        chosen=view.selected in [moment(hit) for hit in hits],
        move=move(best.public_id, rank, view.ranks),
        duration=length_of_file(hits),
        ranges=ranges(hits),
        levels=bars(best, highest, result.reads),
        strength_told=strength_title(best, result.unrelated),
        marks=marks(hits),
        name=middle(basename(best.path)),
        folder=basename(os.path.dirname(best.path)),
        day=query_day(best.recorded),
        hidden=max(0, len(hits) - 1 - OTHERS),
    )


def query_day(stamp: float | None) -> str:
    """The local day of a recording as a filter of the query names it: 2024-06-03; empty where it is not known."""
    return day(stamp)[:10] if date(stamp) and stamp is not None else ""


def sort_files(files: list[list[Hit]], by: str) -> list[list[Hit]]:
    """Files in the order asked for: as ranked, newest by the day of recording, or longest; ties as ranked."""
    if by == "newest":
        return sorted(files, key=lambda hits: -(hits[0].recorded if hits[0].recorded is not None else -math.inf))
    return sorted(files, key=lambda hits: -length_of_file(hits)) if by == "longest" else files


def by_file(result: SearchResult) -> list[list[Hit]]:
    """Hits in groups of one file, files in the order of their best moment."""
    files: dict[str, list[Hit]] = {}
    for hit in result.hits:
        files.setdefault(hit.public_id, []).append(hit)
    return list(files.values())


def groups(result: SearchResult, view: View) -> list[list[Hit]]:
    """What one card shows each: the moments of a file, or a moment alone."""
    return [[hit] for hit in result.hits] if view.group == "moment" else by_file(result)


def strong(files: list[list[Hit]]) -> list[list[Hit]]:
    """The cards that stand above the fold: neither weak nor called wrong; the first screen where all are."""
    good = [hits for hits in files if not all(hit.weak for hit in hits) and hits[0].judged is not False]
    return good or files[:TOP]


def column(result: SearchResult, view: View, *, title: str = "", second: bool = False) -> Column:
    """All cards of one result, the weak ones apart; each keeps the number of its rank however they are sorted."""
    if second != (view.second and view.beside is not None):
        view = replace(view, selected=None)  # the selected moment is the other model's
    highest = {level: max((getattr(hit.scores, level) for hit in result.hits), default=0.0) for level in LEVELS}
    files = groups(result, view)
    rank_of = {id(hits): rank for rank, hits in enumerate(files, start=1)}

    def cards(chosen: list[list[Hit]]) -> tuple[Card, ...]:
        placed = [(hits, rank_of[id(hits)]) for hits in sort_files(chosen, view.sort)]
        return tuple(card(hits, rank, highest=highest, view=view, result=result) for hits, rank in placed)

    above = strong(files)
    kept = {id(hits) for hits in above}
    weak = cards([hits for hits in files if id(hits) not in kept])
    nothing = sentence(result.reason or "nothing found") if title and not files else ""
    return Column(title, second, cards(above), weak, nothing, any(card.chosen for card in weak))


def plain_model(checkpoint: str) -> str:
    """The name of a checkpoint without the digest of its weights.

    >>> plain_model("starter-d7653896f03d"), plain_model("tuned-20250101-120000")
    ('starter', 'tuned-20250101-120000')
    """
    return re.sub("-[0-9a-f]{12}$", "", checkpoint)


def columns(view: View) -> list[Column]:
    """The left side of the search: one column of cards, or two models side by side."""
    assert view.result is not None
    if view.beside is None:
        return [column(view.result, view)]
    first = view.model or plain_model(view.result.checkpoint) or "current model"
    second = view.other or plain_model(view.beside.checkpoint)
    return [column(view.result, view, title=first), column(view.beside, view, title=second, second=True)]


def grid(view: View) -> str:
    """The cards as HTML."""
    if view.result is None:
        return ""
    more = len(view.result.hits) >= view.asked or (view.beside is not None and len(view.beside.hits) >= view.asked)
    return render(
        "results",
        sides=columns(view),
        more=more,
        sort=view.sort,
        group=view.group,
        any=bool(view.result.hits),
        said=view.said[:SAID],
    )


def took(seconds: float) -> str:
    """Milliseconds, or seconds where they are many.

    >>> took(0.123), took(12.34)
    ('123 ms', '12.3 s')
    """
    return f"{1000 * seconds:.0f} ms" if seconds < 2 else f"{seconds:.1f} s"


def summary(view: View) -> str:
    """The line above the results: how many, how quick, and whether they can be trusted."""
    if view.problem:
        return notice(sentence(view.problem), kind="error")
    if view.result is None:
        return ""
    if not view.result.hits:
        hint = sentence(view.result.reason or "try fewer words, or index more videos")
        return notice("Nothing found.", kind="warn", hint=hint)
    return render(
        "summary",
        moments=len(view.result.hits),
        files=len({hit.public_id for hit in view.result.hits}),
        took=took(view.result.seconds),
        state=view.result.verdict.state,
        told=sentence(view.result.reason) if view.result.reason else "",
    )
