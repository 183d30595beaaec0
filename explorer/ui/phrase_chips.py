"""The phrases of a query, and the actions of a role graph, become chips: found or not in the selected moment: pure."""

from __future__ import annotations

from explorer.records import Match, Phrase, SearchResult
from explorer.ui.events.view import View, find, side
from explorer.ui.present import safe, span


def chip(phrase: Phrase, match: Match | None, weight: float, *, unread: str = "") -> str:
    """One phrase of the query: found or not in the selected moment, where, and how much it counts.

    Args:
        unread: what the model looks for in the place of phrases; empty where phrases are what it reads.
    """
    state = (
        "off"
        if weight == 0
        else "excluded"
        if weight < 0
        else "none"
        if match is None
        else "found"
        if match.found
        else "missing"
    )
    told = {
        "off": "This phrase is switched off",
        "excluded": "Moments that look like this phrase are left out",
        "none": f"The model of the chosen result looks for {unread}, not for phrases"
        if unread
        else "Choose a result to see where this phrase was found",
        "found": "Found",
        "missing": "No evidence of this phrase in the selected moment",
    }[state]
    if match is not None and state in ("found", "missing"):
        told += f": best clip {span(match.start, match.end)}, similarity {match.score:.3f}"
    heavy = f'<span class="hx-weight">×{weight:g}</span>' if weight > 0 and weight != 1 else ""
    where = (
        (
            f'<button type="button" class="hx-jump" data-jump="{match.start:.3f}" title="Play this clip">'
            f"{span(match.start, match.end)}</button>"
        )
        if match and state == "found"
        else ""
    )
    mark = {"off": "○", "excluded": "−", "none": "·", "found": "✓", "missing": "✕"}[state]
    return (
        f'<span class="hx-chip hx-{state}" data-phrase="{safe(phrase.text)}" data-weight="{weight:g}">'
        f'<button type="button" class="hx-toggle" aria-pressed="{str(weight > 0).lower()}" '
        f'title="{safe(told)}. Click: {"off" if weight > 0 else "on"}">'
        f"{mark} {safe(phrase.text)}{heavy}</button>{where}"
        f'<button type="button" class="hx-more" title="Weigh or exclude this phrase" '
        f'aria-label="Weigh or exclude {safe(phrase.text)}">⋯</button></span>'
    )


def action(match: Match) -> str:
    """One action of the query's role graph: found or not in the selected moment, and where."""
    state, mark = ("found", "✓") if match.found else ("missing", "✕")
    told = f"{'Found' if match.found else 'No evidence of this action'}: best {span(match.start, match.end)}, similarity {match.score:.3f}"
    where = (
        f'<button type="button" class="hx-jump" data-jump="{match.start:.3f}" title="Play this stretch">'
        f"{span(match.start, match.end)}</button>"
    )
    return (
        f'<span class="hx-chip hx-action hx-{state}" data-action="{safe(match.phrase)}" title="{safe(told)}">'
        f"<span>{mark} {safe(match.phrase)}</span>{where if match.found else ''}</span>"
    )


def actions(result: SearchResult, matches: tuple[Match, ...]) -> str:
    """The actions a role-graph model looked for; says so where the query has none."""
    told = "This model looks for the verbs of the query, then for who and what takes part: see its role graph"
    made = "".join(action(match) for match in matches)
    none = "" if made or not result.hits else '<span class="hx-none">no verb in this query</span>'
    return f'<span class="hx-kind" title="{told}">actions</span>{made}{none}'


def chips(view: View) -> str:
    """The phrases of the query with their state in the selected moment, and what was excluded."""
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
    made += [
        f'<span class="hx-chip hx-excluded" data-excluded="{safe(text)}"><button type="button" class="hx-toggle" '
        f'title="Excluded. Click to allow it again">− {safe(text)}</button></span>'
        for text in shown.query.excluded
    ]
    if unread:
        made = [
            actions(shown, hit.matches if hit else ()),
            '<span class="hx-kind">phrases</span>' if made else "",
            *made,
        ]
    return f'<div class="hx-chips" role="group" aria-label="Phrases">{"".join(made)}</div>' if made else ""


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
