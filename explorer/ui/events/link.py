"""A search as the address of the page: what was asked, how it was weighed, which model and moment; and back."""

from __future__ import annotations

import json
import math

from explorer.records import LevelWeights
from explorer.ui.aliases import Data
from explorer.ui.events.view import View

LONGEST = 20_000  # characters of a question
MOST = 50  # phrase weights


def address(view: View) -> dict[str, str]:
    """The parts of the address that name this search; empty where nothing was asked in words.

    Example:
        >>> address(View(text="a dog", selected=("abc", 3.0)))
        {'q': 'a dog', 'v': 'abc', 't': '3'}
    """
    if not view.text:
        return {}
    weights, phrases = view.weights, view.phrase_weights
    parts = {
        "q": view.text,
        "w": f"{weights.video:g},{weights.clip:g},{weights.frame:g}" if weights else "",
        "p": json.dumps(phrases, ensure_ascii=False) if phrases else "",
        "m": view.model or "",
        "n": view.other or "",
        "v": view.selected[0] if view.selected else "",
        "t": f"{view.selected[1]:g}" if view.selected else "",
        "s": "2" if view.second else "",
    }
    return {name: value for name, value in parts.items() if value}


def view_of(parts: Data) -> View:
    """The search that an address names, not yet asked; what in it cannot be read is left out.

    Example:
        >>> view_of({"q": "a dog", "v": "abc", "t": "3"}).selected
        ('abc', 3.0)
    """
    text = {name: value for name, value in parts.items() if isinstance(value, str)}
    chosen, at = text.get("v", ""), _number(text.get("t", ""))
    return View(
        text=text.get("q", "").strip()[:LONGEST],
        weights=_weights(text.get("w", "")),
        phrase_weights=_phrases(text.get("p", "")),
        model=text.get("m") or None,
        other=text.get("n") or None,
        selected=(chosen, round(at, 3)) if chosen and at is not None else None,
        second=text.get("s") == "2",
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _weights(text: str) -> LevelWeights | None:
    values = [value for value in map(_number, text.split(",")) if value is not None]
    if len(values) != 3 or text.count(",") != 2:
        return None
    try:
        return LevelWeights(*values)
    except ValueError:
        return None


def _phrases(text: str) -> dict[str, float]:
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    good = {k: float(v) for k, v in found.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    return {k: min(10.0, max(-1.0, v)) for k, v in [*good.items()][:MOST] if math.isfinite(v)}
