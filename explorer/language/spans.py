"""Noun spans of a parsed sentence: what a person would point at, as characters of the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

# Words that count or measure another noun: in "group of people" the people are what one sees.
MEASURES = frozenset(
    "group crowd couple pair bunch pile row line lot number piece slice cup glass bowl plate bottle body team herd "
    "flock pack set series stack bag box kind type sort variety series stretch patch front top side back edge middle "
    "bottom part".split()
)
PERSONAL = frozenset({"PRP", "PRP$", "WP", "WP$", "WDT", "EX"})


@dataclass(frozen=True)
class NounSpan:
    """A noun with its adjectives, its article dropped: characters [start, end), grammatical root, seen head."""

    start: int
    end: int
    root: Token
    head: Token

    @property
    def is_pronoun(self) -> bool:
        return self.root.tag_ in PERSONAL or (self.root.pos_ == "PRON" and self.root.tag_ == "DT")


def end_of(token: Token) -> int:
    """The character after a token."""
    return token.idx + len(token)


def trim_chunk(tokens: list[Token]) -> list[Token]:
    """A chunk's tokens without leading articles, possessive pronouns and punctuation; never empty."""
    start = 0
    while start < len(tokens) - 1 and _is_leading(tokens[start]):
        start += 1
    return tokens[start:]


def _is_leading(token: Token) -> bool:
    return token.tag_ in ("DT", "PDT", "PRP$", "WP$") or token.is_punct or token.is_space


def noun_spans(doc: Doc) -> list[NounSpan]:
    """The sentence's noun chunks in order; "a group of people" is one span whose head is "people".

    A noun the chunker leaves out ("each other") is not here; `span_of` gives it a span when an argument needs one.
    """
    found: list[NounSpan] = []
    for chunk in doc.noun_chunks:
        tokens = trim_chunk(list(chunk))
        span = NounSpan(tokens[0].idx, end_of(tokens[-1]), chunk.root, chunk.root)
        if found and _joins_of(found[-1], span):
            span = _join_chunks(found.pop(), span)
        found.append(span)
    return found


def _joins_of(left: NounSpan, right: NounSpan) -> bool:
    of = right.root.head
    return of.lower_ == "of" and of.head == left.head and of.idx - left.end <= 1 and not left.is_pronoun


def _join_chunks(left: NounSpan, right: NounSpan) -> NounSpan:
    head = right.head if left.head.lower_.rstrip("s") in MEASURES else left.head
    return NounSpan(left.start, right.end, left.root, head)


def span_of(token: Token, spans: dict[int, NounSpan]) -> NounSpan:
    """The span that a token heads, or the token with what stands before it and describes it."""
    if token.i in spans:
        return spans[token.i]
    first = token
    while first.i > 0 and first.nbor(-1).head == token and first.nbor(-1).dep_ in ("amod", "compound", "nummod", "det"):
        first = first.nbor(-1)
    tokens = list(token.doc[first.i : token.i + 1])
    start = tokens[0] if token.tag_ == "JJ" else trim_chunk(tokens)[0]  # "each other" keeps its "each"
    return NounSpan(start.idx, end_of(token), token, token)
