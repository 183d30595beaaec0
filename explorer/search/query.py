"""First step of a search: what a person typed becomes a Query of words, weights, exclusions and filters.

red car -"night" "dog"^2 in:trips after:2023 before:2024-05 longer:30 shorter:2m
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from explorer.records import ExplorerError, Phrase, Query

MAX_CHARACTERS = 2_000  # a long paragraph; the towers read far less than this
MAX_WEIGHT = 10.0  # past this one phrase alone decides, which is what leaving the rest out does
MAX_SECONDS = 1e8  # three years of film
FILTERS = ("in", "after", "before", "longer", "shorter")
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}

QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"'})
TOKEN = re.compile(
    r"""
    (?P<filter>(?i:in|after|before|longer|shorter)):(?:"(?P<filter_quoted>[^"]*)"|(?P<filter_plain>[^\s"]*))
  | (?P<minus>-)?"(?P<quoted>[^"]*)"(?:\^(?P<weight>[^\s"]*))?
  | -(?P<excluded>\w[^\s"]*)
  | (?P<word>[^\s"]+)
  | (?P<open>")
""",
    re.VERBOSE,
)
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
DURATION = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s?)?")
CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)")


@dataclass
class _Parts:
    """What the tokens said so far; becomes the frozen Query."""

    words: list[tuple[str, float | None]]  # (text, weight where quoted)
    excluded: list[str]
    folders: list[str]
    after: str | None = None
    before: str | None = None
    longer: float | None = None
    shorter: float | None = None


def clean(text: str) -> str:
    """Typed text with typographic quotes made plain, control characters made spaces and half characters dropped."""
    kept = (" " if unicodedata.category(c) == "Cc" else c for c in text if not 0xD800 <= ord(c) <= 0xDFFF)
    return "".join(kept).translate(QUOTES)


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _has_words(text: str) -> bool:
    """True where something can be looked for: a letter, a digit or a picture sign; punctuation alone is nothing."""
    return any(unicodedata.category(c)[0] in "LNS" for c in text)


def parse_seconds(name: str, value: str) -> float:
    """Seconds of `30`, `30s`, `2m`, `1h30m` or `1:30`.

    >>> parse_seconds("longer", "2m"), parse_seconds("longer", "1h30m"), parse_seconds("longer", "1:30")
    (120.0, 5400.0, 90.0)
    """
    clock, units = CLOCK.fullmatch(value), DURATION.fullmatch(value)
    if clock:
        seconds = float(clock[1] or 0) * 3600 + float(clock[2]) * 60 + float(clock[3])
    elif value and units:
        seconds = sum(float(units[unit] or 0) * factor for unit, factor in UNITS.items())
    else:
        raise ExplorerError(f"{name}:{value[:40]} is not a duration; write seconds or a form like 90, 30s, 2m or 1h30m")
    if not math.isfinite(seconds) or seconds > MAX_SECONDS:
        raise ExplorerError(f"{name}:{value[:40]} is longer than any video; write a duration like 90, 2m or 1h30m")
    return round(seconds, 3)  # to the millisecond, so that it can be written back


def first_day(name: str, value: str) -> date:
    """The first day of `2023`, `2023-05` or `2023-05-17`."""
    for form, pattern in (("%Y", r"\d{4}"), ("%Y-%m", r"\d{4}-\d{2}"), ("%Y-%m-%d", r"\d{4}-\d{2}-\d{2}")):
        if re.fullmatch(pattern, value, re.ASCII):
            try:
                return datetime.strptime(value, form).date()
            except ValueError:
                break
    raise ExplorerError(f"{name}:{value[:40]} is not a date; write {name}:2023, {name}:2023-05 or {name}:2023-05-17")


def parse_weight(phrase: str, value: str) -> float:
    """The number after `^`, in [0, MAX_WEIGHT]; 0 switches the phrase off."""
    weight = float(value) if NUMBER.fullmatch(value) and len(value) < 40 else math.nan
    if not 0 <= weight <= MAX_WEIGHT:
        raise ExplorerError(
            f'the weight in "{phrase[:40]}"^{value[:20]} is not a number from 0 to {MAX_WEIGHT:g}; '
            f'write for example "{phrase[:40]}"^2'
        )
    return weight


def _take_filter(parts: _Parts, name: str, value: str) -> None:
    value = _squeezed(value)
    if not value:
        raise ExplorerError(
            f"{name}: has no value; write it without a space, like {name}:"
            + {"in": "trips", "longer": "30", "shorter": "2m"}.get(name, "2023")
        )
    if name == "in":
        parts.folders.append(value)
        return
    if getattr(parts, name) is not None:
        raise ExplorerError(f"{name}: is given twice; keep one of the two")
    if name in ("after", "before"):
        first_day(name, value)
        setattr(parts, name, value)
    else:
        setattr(parts, name, parse_seconds(name, value))


def _take_quoted(parts: _Parts, token: re.Match[str]) -> None:
    phrase = _squeezed(token["quoted"])
    if not _has_words(phrase):
        raise ExplorerError('the query has quotes with no words between them; write words inside, like "red car"')
    if token["minus"]:
        if token["weight"] is not None:
            raise ExplorerError(f'-"{phrase[:40]}" excludes, so it takes no weight; remove the ^ after it')
        parts.excluded.append(phrase)
        return
    weight = 1.0 if token["weight"] is None else parse_weight(phrase, token["weight"])
    parts.words.append((phrase, weight))


def _take(parts: _Parts, token: re.Match[str]) -> None:
    if token["filter"]:
        value = token["filter_quoted"] if token["filter_quoted"] is not None else token["filter_plain"]
        _take_filter(parts, token["filter"].lower(), value)
    elif token["quoted"] is not None:
        _take_quoted(parts, token)
    elif token["excluded"]:
        parts.excluded.append(token["excluded"])
    elif token["open"]:
        raise ExplorerError('the query has a quote that is not closed; add the missing "')
    else:
        parts.words.append((token["word"], None))


def _spans(words: list[tuple[str, float | None]]) -> Iterator[Phrase]:
    """Quoted phrases with their characters in the joined text."""
    position = 0
    for text, weight in words:
        if weight is not None:
            yield Phrase(text, position, position + len(text), weight)
        position += len(text) + 1  # one space between two pieces


def _check_ranges(parts: _Parts) -> None:
    if parts.after and parts.before and first_day("after", parts.after) >= first_day("before", parts.before):
        raise ExplorerError(
            f"after:{parts.after} and before:{parts.before} leave no day between them; swap or widen them"
        )
    if parts.longer is not None and parts.shorter is not None and parts.longer >= parts.shorter:
        raise ExplorerError(
            f"longer:{parts.longer:g} and shorter:{parts.shorter:g} leave no duration between them; swap or widen them"
        )


def _check_words(text: str, parts: _Parts) -> None:
    if _has_words(text) and any(weight is None or weight > 0 for _, weight in parts.words):
        return
    if _has_words(text):
        raise ExplorerError("every phrase of the query has weight 0; leave at least one switched on")
    if parts.excluded:
        raise ExplorerError("the query only says what to leave out; add words for what to find")
    if parts.folders or parts.after or parts.before or parts.longer is not None or parts.shorter is not None:
        raise ExplorerError("the query has filters but no words; add words for what to find")
    raise ExplorerError("the query is empty; type what you remember, for example: a dog runs on the beach")


def parse(typed: str) -> Query:
    """Read what a person typed.

    Words and quoted phrases are what is looked for; `"x"^2` weighs a phrase; `-x` or `-"x y"` leaves moments out;
    `in:` keeps files whose path holds the text, `after:` starts at the first day of the period it names, `before:`
    ends before that of its own, `longer:` and `shorter:` bound the file's duration. `word:other` that is no filter is
    text.

    >>> query = parse('red car "dog"^2 -night in:trips longer:2m')
    >>> query.text, query.phrases, query.excluded, query.folders, query.longer
    ('red car dog', (Phrase(text='dog', start=8, end=11, weight=2.0),), ('night',), ('trips',), 120.0)

    Raises:
        ExplorerError: one sentence on the piece that is wrong and what to write instead.
    """
    if len(typed) > MAX_CHARACTERS:
        raise ExplorerError(
            f"the query has {len(typed):,} characters, at most {MAX_CHARACTERS:,} can be read; shorten it"
        )
    parts = _Parts(words=[], excluded=[], folders=[])
    for token in TOKEN.finditer(clean(typed)):
        _take(parts, token)
    text = " ".join(word for word, _ in parts.words)
    _check_words(text, parts)
    _check_ranges(parts)
    return Query(
        text=text,
        phrases=tuple(_spans(parts.words)),
        excluded=tuple(parts.excluded),
        folders=tuple(parts.folders),
        after=parts.after,
        before=parts.before,
        longer=parts.longer,
        shorter=parts.shorter,
    )


def format_query(query: Query) -> str:
    """A Query as one would type it; parse(format_query(parse(text))) == parse(text).

    >>> format_query(parse('a "red  car"^1.5 in:"my trips" -night'))
    'a "red car"^1.5 -"night" in:"my trips"'
    """
    pieces, position = [], 0
    for phrase in query.phrases:
        weight = "" if phrase.weight == 1 else f"^{phrase.weight!r}"
        pieces += [query.text[position : phrase.start].strip(), f'"{phrase.text}"{weight}']
        position = phrase.end
    pieces.append(query.text[position:].strip())
    pieces += [f'-"{text}"' for text in query.excluded] + [f'in:"{folder}"' for folder in query.folders]
    for name in ("after", "before", "longer", "shorter"):
        value = getattr(query, name)
        if value is not None:
            pieces.append(f"{name}:{value if isinstance(value, str) else _seconds_text(value)}")
    return " ".join(piece for piece in pieces if piece)


def _seconds_text(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def day_bounds(query: Query) -> tuple[float | None, float | None]:
    """The (from, until) seconds since the epoch of after: and before:, in local time; until itself is left out."""

    def instant(name: str, value: str | None) -> float | None:
        if value is None:
            return None
        day = first_day(name, value)
        try:
            return datetime(day.year, day.month, day.day).timestamp()
        except (ValueError, OverflowError, OSError):  # years that the system's clock cannot hold
            return (day - date(1970, 1, 1)).days * 86400.0

    return instant("after", query.after), instant("before", query.before)
