"""Judgements of hits count at once: for the same words, what a person called right is on top and what they called
wrong last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from explorer.disk.json_lines import Line, Notes
from explorer.records import FOUND, ExplorerError, Hit, SearchResult
from explorer.search.query import parse

KINDS = ("video", "clip", "frame")
LOOKED_THROUGH = 200  # hits made where something was judged, so that a right one far down is there to rise


class Judgements:
    """feedback.jsonl of a data folder, appended only: {"kind", "text", "file", "time", "phrase", "word", "good"}.

    Of lines about the same thing the last one stands; "good" null takes the judgement back.
    """

    def __init__(self, path: Path) -> None:
        self.notes = Notes(path)

    def add(
        self,
        kind: str,
        text: str,
        path: str,
        *,
        time: float | None = None,
        phrase: str | None = None,
        word: str | None = None,
        good: bool | None = True,
    ) -> None:
        """Keep a judgement of a hit: of the video, of a clip for a phrase, or of a frame for a word."""
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, not {kind!r}")
        self.notes.append(
            {
                "kind": kind,
                "text": wording(text),
                "file": path,
                "time": time,
                "phrase": phrase,
                "word": word,
                "good": good,
            }
        )

    def take_back(self, text: str, path: str, start: float, end: float) -> None:
        """Withdraw the judgement that stands for a moment; nothing where there is none."""
        last = verdict(self.of(text), path, start, end)
        if last is not None:
            self.notes.append({**last, "good": None})

    def standing(self) -> list[Line]:
        """The judgements that count, oldest first."""
        last: dict[tuple[object, ...], Line] = {}
        for line in self.notes.lines():
            if line.get("kind") in KINDS and isinstance(line.get("file"), str):
                last.pop(_about(line), None)  # the newer of two stands at the newer's place
                last[_about(line)] = line
        return [line for line in last.values() if line.get("good") is not None]

    def of(self, text: str) -> list[Line]:
        """The judgements made on a query's words, whatever its filters and the case of its letters."""
        asked = wording(text).casefold()
        return [line for line in self.standing() if wording(str(line.get("text", ""))).casefold() == asked]


def wording(text: str) -> str:
    """What a query says without filters, quotes and weights; the text itself where it is no query.

    >>> wording('a "red  car"^2 in:trips -night')
    'a red car'
    """
    try:
        return parse(text).text
    except ExplorerError:
        return " ".join(text.split())


def _about(line: Line) -> tuple[object, ...]:
    """What a judgement is about: the same twice means the second replaces the first."""
    place = () if line["kind"] == "video" else (line.get("time"), line.get("phrase"), line.get("word"))
    return line["kind"], wording(str(line.get("text", ""))).casefold(), line["file"], *place


def verdict(judged: Sequence[Line], path: str, start: float, end: float) -> Line | None:
    """The last judgement that holds for a moment: one of its whole file, or of a clip or frame within it."""
    for line in reversed(judged):
        time = line.get("time")
        within = isinstance(time, (int, float)) and start <= time <= end
        if line["file"] == path and (line["kind"] == "video" or within):
            return line
    return None


def _marked(hit: Hit, judged: Sequence[Line]) -> Hit:
    line = verdict(judged, hit.path, hit.start, hit.end)
    return hit if line is None else replace(hit, judged=bool(line["good"]), judged_by=str(line["kind"]))


def arranged(result: SearchResult, judged: Sequence[Line], *, k: int) -> SearchResult:
    """The k best hits by the rule: right ones first, wrong ones last, the model's order within each; the last judgement
    about a moment counts, and a right one makes the result confident.

    Args:
        result: of the words that were judged, with more than k hits so that judged ones are among them.
        judged: the judgements of these words, oldest first (Judgements.of).
        k: hits wanted.
    """
    hits = [_marked(hit, judged) for hit in result.hits]
    right, wrong = ([hit for hit in hits if hit.judged is side] for side in (True, False))
    between = [hit for hit in hits if hit.judged is None]
    room = max(k - len(right) - len(wrong), 0)
    kept = tuple([*right, *between[:room], *wrong][: max(k, 1)])
    return replace(result, hits=kept, verdict=FOUND) if right else replace(result, hits=kept)
