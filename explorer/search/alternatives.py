"""Finds the choices of a query: "a dog or a cat on a beach" is a dog on a beach, or a cat on a beach."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.search.negation import DETERMINERS, END, JOINTS, PLACES, plain
from explorer.search.tokens import Token

MOST = 6  # choices of one query; each is a search of its own
REACH = 4  # words that an "or" looks back
ADJECTIVES = frozenset(
    "red blue green yellow black white brown grey gray orange pink purple golden silver dark light bright big small "
    "large little old young tall short long wet dry open closed empty full wooden wild male female".split()
)
Words = tuple[Token, ...]


def choices(words: Sequence[Token]) -> list[Words]:
    """The texts a query offers to choose from, each as its words; one or none where it offers no choice.

    `|` and OR part the whole text; "or" parts the two things beside it, and the rest belongs to both.

    >>> from explorer.search.tokens import tokens
    >>> [" ".join(t.text for t in c) for c in choices(list(tokens("a dog or a cat on a beach")))]
    ['a dog on a beach', 'a cat on a beach']
    """
    whole = tuple(words)
    parts = _parted(whole)
    if len(parts) > 1:
        found = [choice for part in parts for choice in choices(part)]
    else:
        place = next((i for i in range(1, len(whole) - 1) if _is_choice(whole, i)), None)
        found = [whole] if place is None else [c for part in _pair(whole, place) for c in choices(part)]
    return list(dict.fromkeys(choice for choice in found if any(t.kind == "phrase" or plain(t) for t in choice)))


def _parted(words: Words) -> list[Words]:
    """The texts between signs of choice; those that are written in capitals throughout have none of "OR"."""
    loud = all(t.text.isupper() for t in words if t.kind == "word" and any(map(str.isalpha, t.text)))
    parts: list[list[Token]] = [[]]
    for token in words:
        if token.kind == "word" and (token.text == "|" or (token.text == "OR" and not loud)):
            parts.append([])
        else:
            parts[-1].append(token)
    return [tuple(part) for part in parts if part]


def _is_choice(words: Words, place: int) -> bool:
    """Whether a word is an "or" between two things; "whether or not" and "more or less" are turns of phrase."""
    if plain(words[place]) != "or" or END.search(words[place].text):
        return False
    before, after = plain(words[place - 1]), plain(words[place + 1])
    return not (before in ("whether", "or", "more") or after in ("not", "so", "or", "less"))


def _pair(words: Words, place: int) -> tuple[Words, Words]:
    """The text with what stands before an "or", and with what stands after it."""
    before, after = words[:place], words[place + 1 :]
    taken, reach = _sides(before, after)
    left, right = before[len(before) - taken :], after[:reach]
    head, tail = before[: len(before) - taken], after[reach:]
    if head and plain(head[-1]) == "either":
        head = head[:-1]
    elif left and plain(left[0]) == "either":
        left = left[1:]
    return head + left + tail, head + right + tail


def _sides(before: Words, after: Words) -> tuple[int, int]:
    """How many words before and after an "or" are the two things to choose from."""
    last, first = plain(before[-1]), plain(after[0])
    if before[-1].kind == "phrase" or after[0].kind == "phrase":
        return (1 if before[-1].kind == "phrase" else _back(before, _length(after))), _length(after)
    if (last in ADJECTIVES and first in ADJECTIVES) or (last.endswith("ing") and first.endswith("ing")):
        return 1, 1
    if first in PLACES:  # in winter or in summer
        place = _latest(before, PLACES)
        return (len(before) - place if place is not None else len(before)), 1 + _length(after[1:])
    if first.endswith("ing") and not last.endswith("ing"):  # riding a bike or walking a dog
        start = next((i for i in reversed(range(len(before))) if plain(before[i]).endswith("ing")), None)
        return (len(before) - start if start is not None else len(before)), len(after)
    return _back(before, _length(after)), _length(after)


def _length(after: Words) -> int:
    """Words of the thing after an "or": a phrase, one -ing form, or up to the next joint, place or -ing form."""
    if not after:
        return 0
    if after[0].kind == "phrase" or plain(after[0]).endswith("ing"):
        return 1
    for i, token in enumerate(after):
        word = plain(token)
        if i and (not word or word in JOINTS or word in PLACES or word.endswith("ing") or word in ("is", "are", "of")):
            return i
        if END.search(token.text):
            return i + 1
    return len(after)


def _back(before: Words, length: int) -> int:
    """Words of the thing before an "or": from its article, else as many as the other side has."""
    article = _latest(before, DETERMINERS)
    if article is not None:
        return len(before) - article
    reach = 0
    while reach < min(length, len(before)) and plain(before[-1 - reach]) not in JOINTS | PLACES:
        reach += 1
    return max(reach, 1)


def _latest(before: Words, wanted: frozenset[str]) -> int | None:
    """The place of the last of some words within reach, with no joint behind it."""
    for i in range(len(before) - 1, max(len(before) - 1 - REACH, -1), -1):
        if plain(before[i]) in wanted:
            return i
        if plain(before[i]) in JOINTS | PLACES:
            return None
    return None
