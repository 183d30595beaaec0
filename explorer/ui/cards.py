"""The hits of a search become escaped HTML: pure."""

from __future__ import annotations

import re
from dataclasses import replace

from explorer.records import LEVELS, Hit, SearchResult
from explorer.ui.events.view import View, moment
from explorer.ui.present import clock, count, name, notice, safe, sentence, span, still

WEAK = 0.6  # agreement below which a file may be there by chance
TOP = 6  # files always shown unfolded: about a screen
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


def bars(hit: Hit, highest: dict[str, float], reads: tuple[str, str]) -> str:
    """The three level bars of a hit, coarse to fine."""
    rows = []
    for level in LEVELS:
        share = level_share(hit, level, highest=highest.get(level, 0.0))
        rows.append(
            f'<span class="hx-bar hx-{level}" title="{safe(level_title(hit, level, reads))}">'
            f'<i style="width:{100 * share:.0f}%"></i></span>'
        )
    return f'<div class="hx-bars">{"".join(rows)}</div>'


def agreement(hit: Hit) -> str:
    """How unusual a moment is among unrelated captions, in words for the eye and a sentence on hover."""
    percent = 100 * hit.agreement
    grade = "high" if percent >= 90 else "middle" if percent >= 60 else "low"
    told = f"Agreement of the levels: this moment met your words better than {percent:.0f} % of unrelated captions do"
    return f'<span class="hx-agree hx-{grade}" title="{told}">{percent:.0f}%</span>'


def total(hit: Hit) -> str:
    """The weighted mean of the levels."""
    told = "Total: the mean of the three levels, weighted as the sliders say. It orders the results."
    return f'<span class="hx-total" title="{told}">{hit.scores.total:.3f}</span>'


def ranges(hits: list[Hit]) -> str:
    """A thin bar of the file with its matched stretches."""
    duration = max([hit.duration for hit in hits] + [hit.end for hit in hits])
    if duration <= 0:
        return ""
    marks = "".join(
        f'<i style="left:{100 * hit.start / duration:.2f}%;'
        f'width:{max(1.0, 100 * (hit.end - hit.start) / duration):.2f}%"></i>'
        for hit in hits
    )
    return f'<div class="hx-ranges" title="Where in the file ({clock(duration)}) the moments are">{marks}</div>'


def moved(public_id: str, rank: int, before: dict[str, int]) -> str:
    """How many places a video rose or fell with the last change; nothing where it stayed or there was none."""
    if not before or before.get(public_id) == rank:
        return ""
    if public_id not in before:
        return '<span class="hx-moved hx-up" title="New with the last change">new</span>'
    step = before[public_id] - rank
    arrow, way = ("▲", "up") if step > 0 else ("▼", "down")
    told = f"Was number {before[public_id]} before the last change"
    return f'<span class="hx-moved hx-{way}" title="{told}">{arrow}{abs(step)}</span>'


def data(hit: Hit) -> str:
    """What the page's script needs of a moment, as attributes."""
    return (
        f'data-id="{safe(hit.public_id)}" data-start="{hit.start:.3f}" data-end="{hit.end:.3f}" '
        f'data-still="{int(hit.still)}" data-first="{int(hit.first)}" data-count="{int(hit.count)}"'
    )


def also(hits: list[Hit]) -> str:
    """The further moments of a file, each a button."""
    if not hits:
        return ""
    pills = "".join(
        f'<button type="button" class="hx-moment" {data(hit)} title="Total {hit.scores.total:.3f}">'
        f"{span(hit.start, hit.end)}</button>"
        for hit in hits
    )
    return f'<div class="hx-also"><span>also</span>{pills}</div>'


def judged(hits: list[Hit]) -> str:
    """What the person said of a file's moments for these words, each with a way to take it back."""
    marks = []
    for hit in hits:
        if hit.judged is None:
            continue
        word, place = ("right", "on top") if hit.judged else ("wrong", "at the end")
        where = "this video" if hit.judged_by == "video" else f"a {hit.judged_by} at {span(hit.start, hit.end)}"
        told = f"You called {where} {word} for these words, so it is {place}. It also counts when you fine-tune"
        marks.append(
            f'<div class="hx-judged hx-{word}"><span title="{safe(told)}">you said: {word}</span>'
            f'<button type="button" class="hx-undo" {data(hit)} title="Take this back">undo</button></div>'
        )
        if hit.judged_by == "video":
            break  # it holds for every moment of the file
    return "".join(marks)


def card(hits: list[Hit], rank: int, *, highest: dict[str, float], view: View, reads: tuple[str, str]) -> str:
    """One file of the results: its best moment large, the others below."""
    best = hits[0]
    chosen = view.selected in [moment(hit) for hit in hits]
    label = f"{name(best.path)}, {span(best.start, best.end)}, number {rank}"
    return (
        f'<article class="hx-card{" hx-chosen" if chosen else ""}" role="option" tabindex="0" '
        f'aria-selected="{str(chosen).lower()}" aria-label="{label}" {data(best)}>'
        f'<div class="hx-still"><img src="{safe(still(best.public_id, best.still))}" alt="" loading="lazy" '
        f'decoding="async"><span class="hx-rank" title="Place among the files found">{rank}'
        f"{moved(best.public_id, rank, view.ranks)}</span>"
        f'<span class="hx-time" title="Start and end of the moment">{span(best.start, best.end)}</span></div>'
        f"{ranges(hits)}"
        f'<div class="hx-line"><span class="hx-name" title="{safe(best.path)}">{name(best.path)}'
        f"</span>{agreement(best)}</div>"
        f'<div class="hx-foot">{bars(best, highest, reads)}{total(best)}</div>{judged(hits)}{also(hits[1:])}</article>'
    )


def by_file(result: SearchResult) -> list[list[Hit]]:
    """Hits in groups of one file, files in the order of their best moment."""
    files: dict[str, list[Hit]] = {}
    for hit in result.hits:
        files.setdefault(hit.public_id, []).append(hit)
    return list(files.values())


def listing(cards: list[str]) -> str:
    """Cards in an adaptive grid."""
    return f'<div class="hx-grid" role="listbox" aria-label="Results">{"".join(cards)}</div>'


def strong(result: SearchResult) -> int:
    """How many files stand above the tail: up to the last one that is neither weak nor called wrong; all where none
    is."""
    files = by_file(result)
    good = [
        place
        for place, hits in enumerate(files, start=1)
        if max(hit.agreement for hit in hits) >= WEAK and hits[0].judged is not False
    ]
    return max(TOP, max(good)) if good and result.confident else len(files)


def column(result: SearchResult, view: View, *, title: str = "", second: bool = False) -> str:
    """All files of one result; the weak tail is folded away."""
    if second != (view.second and view.beside is not None):
        view = replace(view, selected=None)  # the selected moment is the other model's
    highest = {level: max((getattr(hit.scores, level) for hit in result.hits), default=0.0) for level in LEVELS}
    cards = [
        card(hits, rank, highest=highest, view=view, reads=result.reads)
        for rank, hits in enumerate(by_file(result), start=1)
    ]
    head, top = f'<h3 class="hx-model">{safe(title)}</h3>' if title else "", strong(result)
    rest = (
        (
            f'<details class="hx-tail"><summary title="Their agreement is low, so they may be chance, or you called them '
            f'wrong">{count(len(cards) - top, "weaker match", "weaker matches")}</summary>{listing(cards[top:])}</details>'
        )
        if cards[top:]
        else ""
    )
    nothing = f"<p>{safe(sentence(result.reason or 'nothing found'))}</p>" if title and not cards else ""
    return (
        f'<div class="hx-column" data-second="{str(second).lower()}">{head}{listing(cards[:top])}{rest}{nothing}</div>'
    )


def plain_model(checkpoint: str) -> str:
    """The name of a checkpoint without the digest of its weights.

    >>> plain_model("starter-d7653896f03d"), plain_model("tuned-20250101-120000")
    ('starter', 'tuned-20250101-120000')
    """
    return re.sub("-[0-9a-f]{12}$", "", checkpoint)


def grid(view: View) -> str:
    """The left side of the search: one column of cards, or two models side by side."""
    if view.result is None:
        return ""
    if view.beside is None:
        return column(view.result, view)
    first = column(view.result, view, title=view.model or plain_model(view.result.checkpoint) or "current model")
    second = column(view.beside, view, title=view.other or plain_model(view.beside.checkpoint), second=True)
    return f'<div class="hx-two">{first}{second}</div>'


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
        return notice(
            "Nothing found.", kind="warn", hint=sentence(view.result.reason or "try fewer words, or index more videos")
        )
    files = len({hit.public_id for hit in view.result.hits})
    line = (
        f'<span title="A file can have several moments">{count(len(view.result.hits), "moment")} in '
        f'{count(files, "video")}</span> · <span title="Time of the search">{took(view.result.seconds)}</span>'
    )
    if view.result.confident:
        return f'<div class="hx-summary" role="status">{line}</div>'
    hint = (
        view.result.reason.removeprefix("probably nothing here: ")
        or "No moment stands out from what unrelated captions reach."
    )
    return (
        notice("Probably nothing here.", kind="warn", hint=sentence(hint))
        + f'<div class="hx-summary">{line}, the nearest</div>'
    )
