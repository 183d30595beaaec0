"""First step of a search: what a person typed becomes a Query of words, weights, exclusions, choices and filters.

red car -"night" "dog"^2 in:trips after:2023 before:2024-05 longer:30 shorter:2m
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from explorer.language.spelling import folded
from explorer.records import ExplorerError, Phrase, Query
from explorer.search import alternatives
from explorer.search.negation import Exclusion, exclusions
from explorer.search.periods import ISO, period, seconds_of
from explorer.search.tokens import Token, clean, has_words, squeezed, tokens

MAX_CHARACTERS = 2_000  # a long paragraph; the towers read far less than this
MAX_WEIGHT = 10.0  # past this one phrase alone decides, which is what leaving the rest out does
DAYS = ("after", "before", "on")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
VIDEO = re.compile(r"\w\.(mp4|mov|m4v|mkv|webm|avi|mts|m2ts|mpe?g|wmv|flv|3gp)$", re.IGNORECASE)  # surely a name
SUFFIX = re.compile(r"\.[A-Za-z0-9]{2,5}$")  # the ending of a file's name
EXAMPLES = {"in": "in:trips", "file": "file:IMG_2034", "longer": "longer:30", "shorter": "shorter:2m"}
Names = Callable[[str], Sequence[str]]  # words -> names of the library's files that are these words, ending or not


@dataclass
class _Parts:
    """What the tokens said so far; becomes the frozen Query."""

    words: list[Token] = field(default_factory=list)  # words and phrases
    excluded: list[Exclusion] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    filters: dict[str, str | float] = field(default_factory=dict)  # after, before, on, longer, shorter
    notes: list[str] = field(default_factory=list)


# ---- filters and phrases


def parse_weight(value: str) -> float | None:
    """The number after `^`, in [0, MAX_WEIGHT], 0 switching the phrase off; None where it is none."""
    weight = float(value) if NUMBER.fullmatch(value) and len(value) < 40 else math.nan
    return weight if 0 <= weight <= MAX_WEIGHT else None


def _take_filter(parts: _Parts, token: Token, following: Token | None) -> bool:
    """Note a filter, or read it as words with a note; True where the following word was its value."""
    name, value, joined = token.name.lower(), token.text, False
    if not value and name in DAYS and following is not None and ISO.fullmatch(following.text):
        value, joined = following.text, period(following.text) is not None  # "after: 2023"
    if name in ("in", "file") and value:
        (parts.folders if name == "in" else parts.files).append(value)
        return False
    read: str | float | None = None
    if value and name in DAYS:
        read = value if period(value) else None
    elif value and name not in ("in", "file"):
        read = seconds_of(value)
    if read is None:
        _take_as_words(parts, token)
        return False
    if name in parts.filters:
        raise ExplorerError(f"{name}: is given twice; keep one of the two")
    parts.filters[name] = read
    _note_period(parts, name, value)
    return joined


def _note_period(parts: _Parts, name: str, value: str) -> None:
    """Say how a day that was not written as 2023-05-17 was read."""
    span = period(value) if name in DAYS and not ISO.fullmatch(value) else None
    if span:
        last = date.fromordinal(span[1].toordinal() - 1)
        days = f"{span[0]}" if span[0] == last else f"{span[0]} to {last}"
        parts.notes.append(f'{name}:"{value[:40]}" is read as {days}')


def _take_as_words(parts: _Parts, token: Token) -> None:
    example = EXAMPLES.get(token.name.lower(), f"{token.name.lower()}:2023-05-17")
    written = f"{token.name}:{token.text}"
    if token.quoted and has_words(token.text):
        parts.words += [Token("word", f"{token.name}:"), Token("phrase", token.text)]
    else:
        parts.words.append(Token("word", written))
    parts.notes.append(f'"{written[:40]}" is read as words; as a filter it is written like {example}')


def _take_phrase(parts: _Parts, token: Token) -> None:
    if not has_words(token.text):
        parts.notes.append("quotes with no words between them were left out")
        return
    weight = None if token.weight is None else parse_weight(token.weight)
    if token.weight is not None and (weight is None or token.kind == "excluded"):
        why = "what is left out has no weight" if token.kind == "excluded" else "it is no number from 0 to 10"
        parts.notes.append(f'the weight ^{token.weight[:20]} of "{token.text[:40]}" was left out: {why}')
    if token.kind == "excluded":
        parts.excluded.append(Exclusion(token.text))
    else:
        parts.words.append(replace(token, weight=None if weight is None else repr(weight)))


def _no_names(words: str) -> Sequence[str]:
    return ()


def _collect(typed: str, names: Names) -> _Parts:
    """The pieces of a text sorted, negations and file names not yet read."""
    parts, skip = _Parts(), False
    pieces = list(tokens(clean(typed)))
    for token, following in zip(pieces, [*pieces[1:], None]):
        if skip:
            skip = False
        elif token.kind == "filter":
            skip = _take_filter(parts, token, following if following and following.kind == "word" else None)
        elif token.quoted:
            _take_phrase(parts, token)
        elif token.kind == "excluded":
            parts.excluded.append(Exclusion(token.text))
        elif token.kind == "stray":
            parts.notes.append('a quote that is not closed was left out; a phrase is written "red car"')
        elif SUFFIX.search(token.text) and names(token.text):
            parts.files.append(token.text)
            parts.notes.append(f"{token.text[:60]} is a file of the library, so only its moments are shown")
        else:
            parts.words.append(token)
            if names is not _no_names and VIDEO.search(token.text):
                parts.notes.append(f"no file of the library is called {token.text[:60]}, so it is read as words")
    return parts


# ---- plain English


def _negate(parts: _Parts) -> None:
    """Take what "without", "no", "not" leave out, unless nothing would be left to find."""
    rest, found = exclusions(parts.words)
    if not found:
        return
    if not _to_find(rest):
        parts.notes.append(
            f'"{found[0].written[:60]}" is read as words, since nothing else is there to find; add what to find'
        )
        return
    parts.words, parts.excluded = rest, [*parts.excluded, *found]
    for exclusion in found:
        parts.notes.append(
            f'left out: "{exclusion.text[:60]}", as "{exclusion.written[:60]}" asks; in quotes it is read as words'
        )


def _to_find(words: Sequence[Token]) -> bool:
    return any(has_words(t.text) and not (t.weight is not None and float(t.weight) == 0) for t in words)


def _choose(parts: _Parts) -> tuple[Query, ...]:
    """The choices of the words, each a Query of its own."""
    found = [choice for choice in alternatives.choices(parts.words) if _to_find(choice)]
    if len(found) < 2:
        return ()
    if len(found) > alternatives.MOST:
        parts.notes.append(f"of {len(found)} choices the first {alternatives.MOST} are searched")
    kept = [_worded(choice) for choice in found[: alternatives.MOST]]
    listed = " or ".join(f'"{query.text[:40]}"' for query in kept)
    parts.notes.append(f"searched for either {listed}; words in quotes are read as they stand")
    return tuple(kept)


def _worded(words: Sequence[Token]) -> Query:
    return Query(" ".join(token.text for token in words), tuple(_spans(words)))


def _spans(words: Sequence[Token]) -> Iterator[Phrase]:
    """Quoted phrases with their characters in the joined text."""
    position = 0
    for token in words:
        if token.kind == "phrase":
            weight = 1.0 if token.weight is None else float(token.weight)
            yield Phrase(token.text, position, position + len(token.text), weight)
        position += len(token.text) + 1  # one space between two pieces


# ---- the whole


def _check_ranges(query: Query) -> None:
    after, before = day_bounds(query)
    if after is not None and before is not None and after >= before:
        given = " and ".join(f"{name}:{value}" for name in DAYS if (value := getattr(query, name)))
        raise ExplorerError(f"{given} leave no day between them; swap or widen them")
    if query.longer is not None and query.shorter is not None and query.longer >= query.shorter:
        raise ExplorerError(
            f"longer:{query.longer:g} and shorter:{query.shorter:g} leave no duration between them; swap or widen them"
        )


def _check_words(parts: _Parts) -> None:
    if _to_find(parts.words):
        return
    if any(has_words(token.text) for token in parts.words):
        raise ExplorerError("every phrase of the query has weight 0; leave at least one switched on")
    if parts.excluded:
        raise ExplorerError("the query only says what to leave out; add words for what to find")
    if parts.folders or parts.filters:
        raise ExplorerError("the query has filters but no words; add words for what to find")
    raise ExplorerError("the query is empty; type what you remember, for example: a dog runs on the beach")


def name_words(name: str) -> str:
    """The words of a file's name, for a search that names nothing else: IMG_2034.mp4 -> IMG 2034."""
    return squeezed(re.sub(r"[\W_]+", " ", SUFFIX.sub("", re.split(r"[/\\]", name)[-1]))) or "video"


def is_name_alone(query: Query) -> bool:
    """Whether a query only names files: every moment of them is an answer, whatever it shows."""
    return bool(query.files) and query.text == name_words(query.files[0])


def _typed_name(typed: str, names: Names) -> str:
    """The typed text where it as a whole is the name of a file and looks like one; else ""."""
    whole = squeezed(clean(typed)).strip('"')
    like_a_name = SUFFIX.search(whole) or (" " not in whole and re.search(r"\d", whole))
    return whole if like_a_name and names(whole) else ""


def parse(typed: str, *, names: Names = _no_names) -> Query:
    """Read what a person typed.

    Words and quoted phrases are what is looked for; `"x"^2` weighs a phrase; `-x`, `-"x y"`, "without x" and "not x"
    leave moments out; "x or y" and `x | y` take the best of both. `in:` keeps files whose path holds the text, `file:`
    those whose name does; `after:` starts at the first day of the period it names, `before:` ends before that of its
    own, `on:` keeps the period; `longer:` and `shorter:` bound the file's duration. What is no filter is text.

    >>> query = parse('red car "dog"^2 -night in:trips longer:2m')
    >>> query.text, query.phrases, query.excluded, query.folders, query.longer
    ('red car dog', (Phrase(text='dog', start=8, end=11, weight=2.0),), ('night',), ('trips',), 120.0)

    Args:
        typed: the text of the search box.
        names: which files of the library are called so.

    Raises:
        ExplorerError: nothing to look for, or filters that leave nothing: one sentence and what to write instead.
    """
    if len(typed) > MAX_CHARACTERS:
        raise ExplorerError(
            f"the query has {len(typed):,} characters, at most {MAX_CHARACTERS:,} can be read; shorten it"
        )
    if whole := _typed_name(typed, names):
        note = f"{whole[:60]} is a file of the library, so only its moments are shown; in quotes it is read as words"
        return Query(name_words(whole), files=(whole,), notes=(note,))
    parts = _collect(typed, names)
    _negate(parts)
    if not parts.words and parts.files:
        parts.words = [Token("word", word) for word in name_words(parts.files[0]).split()]
    _check_words(parts)
    choices = _choose(parts)
    query = replace(
        _worded(parts.words),
        excluded=tuple(exclusion.text for exclusion in parts.excluded),
        folders=tuple(parts.folders),
        files=tuple(parts.files),
        alternatives=choices,
        **parts.filters,  # type: ignore[arg-type]
    )
    _check_ranges(query)
    return replace(query, notes=(*parts.notes, *_name_hint(query, names)))


def _name_hint(query: Query, names: Names) -> tuple[str, ...]:
    """A line where the words are also the name of a file."""
    called = () if query.files else tuple(names(query.text))
    return (f'{called[0][:80]} is called so; file:"{query.text[:80]}" shows it alone',) if called else ()


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
    pieces += [f'-"{text}"' for text in query.excluded]
    pieces += [f'in:"{folder}"' for folder in query.folders] + [f'file:"{name}"' for name in query.files]
    for name in (*DAYS, "longer", "shorter"):
        value = getattr(query, name)
        if value is not None:
            pieces.append(f"{name}:{_quoted(value) if isinstance(value, str) else _seconds_text(value)}")
    return " ".join(piece for piece in pieces if piece)


def _quoted(value: str) -> str:
    return value if ISO.fullmatch(value) else f'"{value}"'


def _seconds_text(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def allow(typed: str, text: str) -> str:
    """What was typed with an exclusion or a choice undone: words that left something out are quoted, so that they are
    read as words; a choice goes.

    >>> allow("a beach without people", "people"), allow("dog -night", "night"), allow("dog or cat", "cat")
    ('a beach "without people"', 'dog', 'dog')
    """
    query, parts = parse(typed), _collect(typed, _no_names)
    _negate(parts)
    written = next((one.written for one in parts.excluded if one.text == text), "")
    whole = squeezed(clean(typed))
    if written and '"' not in written and written in whole:
        return whole.replace(written, f'"{written}"', 1)
    if text in query.excluded:
        return format_query(replace(query, excluded=tuple(x for x in query.excluded if x != text)))
    others = [choice for choice in query.alternatives if choice.text != text]
    if not others or len(others) == len(query.alternatives):
        return whole
    filters = format_query(replace(query, text="", phrases=()))
    return squeezed(" | ".join(format_query(choice) for choice in others) + " " + filters)


def day_bounds(query: Query) -> tuple[float | None, float | None]:
    """The (from, until) seconds since the epoch of after:, before: and on:, in local time; until itself is left
    out."""
    on = period(query.on) if query.on else None
    after, before = (period(value) if value else None for value in (query.after, query.before))
    first = [span[0] for span in (after, on) if span]
    last = [day for day in (before[0] if before else None, on[1] if on else None) if day]
    return (_instant(max(first)) if first else None), (_instant(min(last)) if last else None)


def _instant(day: date) -> float:
    try:
        return datetime(day.year, day.month, day.day).timestamp()
    except (ValueError, OverflowError, OSError):  # years that the system's clock cannot hold
        return (day - date(1970, 1, 1)).days * 86400.0


def same_name(path_name: str, words: str) -> bool:
    """Whether a file's name is these words, with or without its ending; case and the way accents are stored do not
    count."""
    name, wanted = folded(path_name), folded(words)
    return wanted in (name, SUFFIX.sub("", name))
