"""Cuts what was typed into words, quoted phrases, exclusions and filters; every other sign stays text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from explorer.language.spelling import composed

FILTERS = ("in", "file", "after", "before", "on", "longer", "shorter")
QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "″": '"'})
TOKEN = re.compile(
    r"""
    (?P<filter>(?i:in|file|after|before|on|longer|shorter)):(?:"(?P<filter_quoted>[^"]*)"|(?P<filter_plain>[^\s"]*))
  | (?P<minus>-)?"(?P<quoted>[^"]*)"(?:\^(?P<weight>[^\s"]*))?
  | -(?P<excluded>[^\W\d][^\s"|]*)
  | (?P<bar>\|+)
  | (?P<word>[^\s"|](?:[^\s"|]|(?<=\d)"(?=[^\w"]|[xX×]|$))*)
  | (?P<stray>")
""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """A piece of what was typed.

    kind is word | phrase | excluded | filter | stray; text is what it says, of a filter its value; name is a filter's;
    weight is what follows a phrase's ^, as written.
    """

    kind: str
    text: str
    name: str = ""
    weight: str | None = None
    quoted: bool = False


def clean(text: str) -> str:
    """Typed text with typographic quotes made plain, accents joined, control characters made spaces and half
    characters dropped."""
    kept = (" " if unicodedata.category(c) == "Cc" else c for c in text if not 0xD800 <= ord(c) <= 0xDFFF)
    return composed("".join(kept)).translate(QUOTES)


def squeezed(text: str) -> str:
    """A text with single spaces."""
    return " ".join(text.split())


def has_words(text: str) -> bool:
    """True where something can be looked for: a letter, a digit or a picture sign; punctuation alone is nothing."""
    return any(unicodedata.category(c)[0] in "LNS" for c in text)


def tokens(typed: str) -> Iterator[Token]:
    """The pieces of a cleaned text, in order. An inch mark after a number belongs to its word; a dash before a number
    is a sign of it.

    >>> [(t.kind, t.text) for t in tokens('a 5" screen -night "red car"')]
    [('word', 'a'), ('word', '5"'), ('word', 'screen'), ('excluded', 'night'), ('phrase', 'red car')]
    """
    for found in TOKEN.finditer(typed):
        if found["filter"]:
            quoted = found["filter_quoted"] is not None
            value = found["filter_quoted"] if quoted else found["filter_plain"]
            yield Token("filter", squeezed(value), found["filter"], quoted=quoted)
        elif found["quoted"] is not None:
            kind = "excluded" if found["minus"] else "phrase"
            yield Token(kind, squeezed(found["quoted"]), weight=found["weight"], quoted=True)
        elif found["excluded"]:
            yield Token("excluded", found["excluded"].rstrip(",.;:!?)") or found["excluded"])
        elif found["stray"]:
            yield Token("stray", '"')
        else:
            yield Token("word", "|" if found["bar"] else found["word"])
