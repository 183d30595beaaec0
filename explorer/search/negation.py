"""Finds what plain English asks to leave out: "a beach without people", "a dog that is not running", NOT night."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from explorer.search.tokens import Token, has_words

NEGATORS = frozenset("without no not excluding except nor".split())
SHORTENED = re.compile(r"(?:is|are|was|were|do|does|did|has|have|ca|wo|would|could)n['’]t")
FIXED = frozenset(  # these do not leave out what follows
    (
        "no longer|no matter|no doubt|no way|no idea|not only|not just|not yet|not even|no entry|no smoking|no parking"
    ).split("|")
)
NOBODY = {"one": "person", "body": "person"}  # "no one" leaves out people
PLATES = frozenset("sign signs zone".split())  # "a no swimming sign" is a thing to find
DETERMINERS = frozenset("a an the any some one two three his her its my our their this that these those".split())
SILENT = frozenset("a an the any some".split())  # say nothing of what is left out
PLACES = frozenset(
    "in at on by during near under over behind before after from to through into inside outside along across".split()
)
JOINTS = frozenset("and but or nor then while when who which that where with because".split())
DANGLING = frozenset(  # left hanging in front of a negation, they say nothing
    "that who which is are was were be do does did has have had can could will would should but and with there".split()
)
MOST = 6  # words that one negation reaches
END = re.compile(r"[,.;:!?)]+$")


@dataclass(frozen=True)
class Exclusion:
    """What is left out, and the words that asked for it ("without people"); "" where it was written -people."""

    text: str
    written: str = ""


def plain(token: Token) -> str:
    """A word in lower case without the punctuation at its end; "" of anything else."""
    return END.sub("", token.text).lower() if token.kind == "word" else ""


def exclusions(words: Sequence[Token]) -> tuple[list[Token], list[Exclusion]]:
    """The words without their negations, and what those leave out.

    >>> from explorer.search.tokens import tokens
    >>> rest, out = exclusions(list(tokens("a beach without people at sunset")))
    >>> [t.text for t in rest], out
    (['a', 'beach', 'at', 'sunset'], [Exclusion(text='people', written='without people')])
    """
    rest, found, start = list(words), [], 0
    while start < len(rest):
        end, excluded = _read(rest, start)
        if not excluded:
            start += 1
            continue
        written = " ".join(f'"{t.text}"' if t.kind == "phrase" else t.text for t in rest[start:end])
        found += [Exclusion(text, END.sub("", written)) for text in excluded]
        rest = [*_undangled(rest[:start]), *rest[end:]]
        start = 0  # what has come together may be read anew
    return rest, found


def _read(words: Sequence[Token], start: int) -> tuple[int, list[str]]:
    """(first word after the negation that begins here, what it leaves out); nothing where none begins."""
    word, ahead = plain(words[start]), words[start + 1 :]
    if word == "nobody":
        return start + 1, ["person"]
    if not ahead or not (word in NEGATORS or SHORTENED.fullmatch(word)) or END.search(words[start].text):
        return start, []
    if word == "not" and start and plain(words[start - 1]) == "or":  # whether or not
        return start, []
    if f"{word} {plain(ahead[0])}" in FIXED or plain(ahead[0])[:1].isdigit():
        return start, []
    if word == "no" and plain(ahead[0]) in NOBODY:
        return start + 2, [NOBODY[plain(ahead[0])]]
    return _listed(words, start + 1, verb=word == "not" or "'t" in word or "’t" in word)


def _listed(words: Sequence[Token], start: int, *, verb: bool) -> tuple[int, list[str]]:
    """The things of "cars, or bikes and people": each up to the next joint."""
    end, text = _thing(words, start, verb=verb)
    found = [text] if text else []
    while text and end + 1 < len(words) and not END.search(words[end - 1].text):
        joint, ahead = plain(words[end]), plain(words[end + 1])
        if joint not in ("or", "nor") and not (joint == "and" and not verb and ahead not in DETERMINERS):
            break
        further, text = _thing(words, end + 1, verb=verb)
        if text:
            found, end = [*found, text], further
    if any(text.lower().split()[-1] in PLATES for text in found):
        return start, []
    return end, found


def _thing(words: Sequence[Token], start: int, *, verb: bool) -> tuple[int, str]:
    """(first word after it, the text of one thing left out, articles in front dropped)."""
    if start < len(words) and words[start].kind == "phrase":
        return start + 1, words[start].text
    end, verb = start, verb or (start < len(words) and plain(words[start]).endswith("ing"))
    while end < len(words) and end - start < MOST:
        word = plain(words[end])
        if not word or word in JOINTS or word in NEGATORS or word == "|" or (word in PLACES and not verb):
            break
        end += 1
        if END.search(words[end - 1].text):
            break
    kept = [END.sub("", token.text) for token in words[start:end]]
    while kept and kept[0].lower() in SILENT:
        kept = kept[1:]
    text = " ".join(kept).replace('"', "")  # an inch mark cannot be written between quotes
    return (end, text) if has_words(text) else (start, "")


def _undangled(words: list[Token]) -> list[Token]:
    while words and plain(words[-1]) in DANGLING:
        words = words[:-1]
    return words
