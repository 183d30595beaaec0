"""Judgements of hits count at once: for the same words, what a person called right is on top and what they called
wrong last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from explorer.disk.json_lines import JsonLines, Line
from explorer.records import FOUND, ExplorerError, Hit, SearchResult
from explorer.search.query import parse
from explorer.service.recalls import as_number

KINDS = ("video", "clip", "frame")
LOOKED_THROUGH = 200  # hits made where something was judged, so that a right one far down is there to rise


@dataclass(frozen=True)
class Judgement:
    """What a person said of a hit of a search: of the video, of a clip for a phrase, or of a frame for a word."""

    kind: str  # one of KINDS
    text: str  # the words of the search, without filters
    file: str
    time: float | None = None  # seconds
    phrase: str | None = None
    word: str | None = None
    good: bool | None = True  # None takes the judgement back

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, not {self.kind!r}")

    def subject(self) -> tuple[object, ...]:
        """What it is about: of two judgements with the same subject the later one stands."""
        place = () if self.kind == "video" else (self.time, self.phrase, self.word)
        return self.kind, wording(self.text).casefold(), self.file, *place

    def covers(self, path: str, start: float, end: float) -> bool:
        """Whether it holds for a moment: its whole file was judged, or a clip or frame within it."""
        within = self.time is not None and start <= self.time <= end
        return self.file == path and (self.kind == "video" or within)


class Judgements:
    """feedback.jsonl of a data folder, appended only: the fields of a Judgement a line.

    Of lines about the same thing the last one stands; "good" null takes the judgement back.
    """

    def __init__(self, path: Path) -> None:
        self.file = JsonLines(path)

    def add(self, judgement: Judgement) -> None:
        """Keep a judgement, on the words of its search alone.

        Raises:
            ExplorerError: the disk refuses it.
        """
        self.file.append(asdict(replace(judgement, text=wording(judgement.text))))

    def withdraw(self, text: str, path: str, start: float, end: float) -> None:
        """Take back the judgement that stands for a moment; nothing where there is none."""
        last = covering(self.of(wording(text)), path, start, end)
        if last is not None:
            self.add(replace(last, good=None))

    def standing(self) -> list[Judgement]:
        """The judgements that count, oldest first."""
        last: dict[tuple[object, ...], Judgement] = {}
        for judgement in filter(None, map(_read, self.file.lines())):
            last.pop(judgement.subject(), None)  # the newer of two stands at the newer's place
            last[judgement.subject()] = judgement
        return [judgement for judgement in last.values() if judgement.good is not None]

    def of(self, words: str) -> list[Judgement]:
        """The judgements made on the words of a query (see `wording`), whatever the case of their letters."""
        asked = words.casefold()
        return [judgement for judgement in self.standing() if wording(judgement.text).casefold() == asked]


def _read(line: Line) -> Judgement | None:
    """A line of the file; None where the person, or another program, made it something else."""
    kind, file, good = line.get("kind"), line.get("file"), line.get("good")
    if not (isinstance(kind, str) and kind in KINDS and isinstance(file, str)):
        return None
    phrase, word = (str(value) if value is not None else None for value in (line.get("phrase"), line.get("word")))
    good = None if good is None else bool(good)
    return Judgement(kind, str(line.get("text", "")), file, as_number(line.get("time")), phrase, word, good)


def wording(text: str) -> str:
    """What a query says without filters, quotes and weights; the text itself where it is no query.

    >>> wording('a "red  car"^2 in:trips -night')
    'a red car'
    """
    try:
        return parse(text).text
    except ExplorerError:
        return " ".join(text.split())


def covering(judgements: Sequence[Judgement], path: str, start: float, end: float) -> Judgement | None:
    """The last judgement that holds for a moment."""
    return next((judgement for judgement in reversed(judgements) if judgement.covers(path, start, end)), None)


def _mark(hit: Hit, judgements: Sequence[Judgement]) -> Hit:
    judgement = covering(judgements, hit.path, hit.start, hit.end)
    return hit if judgement is None else replace(hit, judged=judgement.good, judged_by=judgement.kind)


def arrange(result: SearchResult, judgements: Sequence[Judgement], *, k: int) -> SearchResult:
    """The k best hits by the rule: right ones first, wrong ones last, the model's order within each; the last judgement
    about a moment counts, and a right one makes the result confident.

    Args:
        result: of the words that were judged, with more than k hits so that judged ones are among them.
        judgements: of these words, oldest first (Judgements.of).
        k: hits wanted.
    """
    hits = [_mark(hit, judgements) for hit in result.hits]
    right, wrong = ([hit for hit in hits if hit.judged is side] for side in (True, False))
    between = [hit for hit in hits if hit.judged is None]
    room = max(k - len(right) - len(wrong), 0)
    kept = tuple([*right, *between[:room], *wrong][: max(k, 1)])
    return replace(result, hits=kept, verdict=FOUND) if right else replace(result, hits=kept)
