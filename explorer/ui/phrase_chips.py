"""Decides what the chip of each phrase and action of a query says: found or not in the selected moment: pure."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.records import Hit, Match, Phrase, SearchResult
from explorer.ui.events import filters
from explorer.ui.events.view import View, find, side
from explorer.ui.present import span
from explorer.ui.render import render

MARKS = {"off": "○", "excluded": "−", "none": "·", "found": "✓", "missing": "✕"}


@dataclass(frozen=True)
class Chip:
    """A phrase or an action as shown; start and end in seconds are those of its best clip, where it was found."""

    text: str
    state: str  # off, excluded, none, found or missing
    told: str
    weight: float = 1.0
    start: float = 0.0
    end: float = 0.0

    @property
    def mark(self) -> str:
        """One letter for the state."""
        return MARKS[self.state]


@dataclass(frozen=True)
class Order:
    """Whether the phrases were met in the order asked for, a sentence of it, and those found in the order of time."""

    right: bool
    told: str
    found: tuple[Match, ...]


def state_of(match: Match | None, weight: float) -> str:
    """How a phrase stands: switched off, excluded, not looked for, found or missing."""
    if weight <= 0:
        return "excluded" if weight < 0 else "off"
    return "none" if match is None else "found" if match.found else "missing"


def chip(phrase: Phrase, match: Match | None, weight: float, *, unread: str = "") -> Chip:
    """One phrase of the query: found or not in the selected moment, where, and how much it counts.

    Args:
        phrase: as it was typed or parsed.
        match: where the selected moment met it; None where nothing is selected.
        weight: of the phrase; 0 is off.
        unread: what the model looks for in the place of phrases; empty where phrases are what it reads.
    """
    state = state_of(match, weight)
    told = {
        "off": "This phrase is switched off",
        "excluded": "Moments that look like this phrase are left out",
        "none": f"The model of the chosen result looks for {unread}, not for phrases"
        if unread
        else "Choose a result to see where this phrase was found",
        "found": "Found",
        "missing": "No evidence of this phrase in the selected moment",
    }[state]
    if match is None or state not in ("found", "missing"):
        return Chip(phrase.text, state, told, weight)
    told += f": best clip {span(match.start, match.end)}, similarity {match.score:.3f}"
    return Chip(phrase.text, state, told, weight, match.start, match.end)


def action(match: Match) -> Chip:
    """One action of the query's role graph: found or not in the selected moment, and where."""
    told = "Found" if match.found else "No evidence of this action"
    told += f": best {span(match.start, match.end)}, similarity {match.score:.3f}"
    return Chip(match.phrase, "found" if match.found else "missing", told, 1.0, match.start, match.end)


def chips(view: View) -> str:
    """The phrases of the query with their state in the selected moment, and what was excluded, as HTML."""
    shown = side(view)
    if shown is None:
        return ""
    hit = find(view, view.selected)
    matches = {match.phrase: match for match in (hit.matches if hit else ())}
    unread = "" if shown.reads[0] == "phrases" else shown.reads[0]
    made = [
        chip(
            phrase,
            None if unread else matches.get(phrase.text),
            view.phrase_weights.get(phrase.text, phrase.weight),
            unread=unread,
        )
        for phrase in known_phrases(shown, view)
    ]
    kept = filters.of(shown.query)
    acts = [action(match) for match in (hit.matches if hit else ())] if unread else None
    said = shown.query.excluded or shown.query.alternatives or shown.query.notes
    if not made and not said and not kept and acts is None:
        return ""
    return render(
        "chips",
        phrases=made,
        acts=acts,
        excluded=shown.query.excluded,
        verbless=bool(shown.hits),
        filters=kept,
        order=order(hit),
        choices=[choice.text for choice in shown.query.alternatives],
        notes=shown.query.notes,
    )


def order(hit: Hit | None) -> Order | None:
    """The order in which the selected moment shows what was found; None where the query asks for no order."""
    if hit is None or hit.in_order is None:
        return None
    found = sorted((match for match in hit.matches if match.found), key=lambda match: match.start)
    told = "In the order you asked for" if hit.in_order else "Not in the order you asked for"
    return Order(hit.in_order, told, tuple(found))


def known_phrases(shown: SearchResult, view: View) -> list[Phrase]:
    """The phrases of the query in its order, those switched off or excluded among them: so they can be switched on
    again."""
    found = {phrase.text: phrase for phrase in shown.phrases}
    off = [
        *(text for text, weight in view.phrase_weights.items() if weight <= 0),
        *(p.text for p in shown.query.phrases),
    ]
    for text in off:
        at = shown.query.text.find(text)
        found.setdefault(text, Phrase(text, at, at + len(text), 0.0))
    return sorted(found.values(), key=lambda phrase: phrase.start)
