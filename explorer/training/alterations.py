"""Makes a true sentence false in one respect, by its role graph: the altered half of binary selection [ours]."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.language.phrases import graph
from explorer.language.role_graph import Node, RoleGraph
from explorer.language.roles import COMPANIONS
from explorer.training.parsed import read_graphs

KINDS = ("roles", "action", "person", "scene", "cut")
PLACES = ("ARGM-LOC", "ARGM-DIR")
OTHER_ROLES = (("ARG1", "ARG2", "ARGM-COM"), ("ARGM-LOC", "ARGM-DIR", "ARGM-MNR"))  # whom the doer is swapped with
PERSONS = (("man", "men"), ("woman", "women"), ("boy", "boys"), ("girl", "girls"), ("baby", "babies"))
PRONOUNS = frozenset(
    "he she it they him her them i me we us you other one another himself herself themselves itself".split()
    + ["each other", "one another"]
)
MOST_WORDS = 200  # of a kind in a bank: the most frequent
SEEN_TWICE = 2  # a word seen once may be a slip of the parser
_ARTICLE = re.compile(r"\b(?:a|an|the|his|her|its|their|some)\s+$", re.IGNORECASE)
_FULL_STOP = re.compile(r"(?:\s*[.!?])?\s*$")
_LAST_WORD = re.compile(r"(\w+)\s*$")


@dataclass(frozen=True)
class WordBank:
    """What may replace a word: verbs by their form (ing, s, ed, base), scenes with their article by preposition."""

    actions: dict[str, tuple[str, ...]]
    scenes: dict[str, tuple[str, ...]]


SMALL_BANK = WordBank(
    actions={
        "ing": tuple("cooking swimming dancing sleeping painting climbing reading driving washing digging".split()),
        "s": tuple("cooks swims dances sleeps paints climbs reads drives washes digs".split()),
        "ed": tuple("painted climbed washed danced cooked dropped opened pulled lifted cleaned".split()),
        "base": tuple("cook swim dance sleep paint climb read drive wash dig".split()),
    },
    scenes={
        "in": ("a kitchen", "the snow", "a swimming pool", "an office", "a forest", "the desert"),
        "on": ("a beach", "a roof", "a stage", "an icy road", "a couch", "a boat"),
        "at": ("a market", "an airport", "a party", "the dentist", "a gas station"),
        "through": ("a tunnel", "a cornfield", "a shopping mall", "deep snow"),
        "down": ("a ski slope", "a staircase", "a river", "a dark alley"),
        "near": ("a volcano", "a church", "a train", "a lake"),
    },
)


def word_bank(captions: Sequence[str]) -> WordBank:
    """The verbs and scenes of a data set's own captions, most frequent first; SMALL_BANK's where it has none."""
    actions: dict[str, Counter[str]] = defaultdict(Counter)
    scenes: dict[str, Counter[str]] = defaultdict(Counter)
    for one in read_graphs(captions):
        for node in one.nodes:
            if node.kind == "action" and node.text.isalpha():
                actions[_form(node.text)][node.text.lower()] += 1
            elif node.role in PLACES and _is_scene(one.text, node):
                preposition, start = _before(one.text, node)
                scenes[preposition][one.text[start : node.end].lower()] += 1
    return WordBank({**SMALL_BANK.actions, **_frequent(actions)}, {**SMALL_BANK.scenes, **_frequent(scenes)})


def _is_scene(text: str, node: Node) -> bool:
    """False for what is nobody's scene: "on her head", "to a man", "at each other"."""
    own = text[: node.start].lower().split()[-1:]
    return (
        _is_noun(node)
        and own not in (["his"], ["her"], ["its"], ["their"])
        and (text[node.head_start : node.head_end].lower() not in COMPANIONS)
    )


def _frequent(counted: dict[str, Counter[str]]) -> dict[str, tuple[str, ...]]:
    kept = {
        key: tuple(word for word, times in words.most_common(MOST_WORDS) if times >= SEEN_TWICE)
        for key, words in counted.items()
    }
    return {key: words for key, words in kept.items() if key and len(words) > 1}


def alter(text: str, kind: str, rng: np.random.Generator, *, bank: WordBank = SMALL_BANK) -> str | None:
    """A sentence changed in one respect, or None where it has nothing of that kind to change.

    roles: the doer changes places with the done-to; action: another verb of the same form; person: a man becomes a
    woman, ...; scene: another place after the same preposition; cut: the sentence ends at its first verb.

    Raises:
        ValueError: an unknown kind.
    """
    return alter_graph(graph(text), kind, rng, bank=bank)


def alter_graph(found: RoleGraph, kind: str, rng: np.random.Generator, *, bank: WordBank = SMALL_BANK) -> str | None:
    """`alter` for a sentence whose graph is known."""
    changes: dict[str, Callable[[], str | None]] = {
        "roles": lambda: _swap_roles(found, rng),
        "action": lambda: _replace_action(found, rng, bank),
        "person": lambda: _replace_person(found, rng),
        "scene": lambda: _replace_scene(found, rng, bank),
        "cut": lambda: _shorten_event(found),
    }
    if kind not in changes:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    altered = changes[kind]()
    return None if altered is None or altered.lower() == found.text.lower() else _articles(altered)


def _swap_roles(found: RoleGraph, rng: np.random.Generator) -> str | None:
    for roles in OTHER_ROLES:
        pairs = [
            (doer, other)
            for action in found.of_kind("action")
            for doer in found.arguments(action)
            for other in found.arguments(action)
            if found.nodes[doer].role == "ARG0"
            and found.nodes[other].role in roles
            and _is_noun(found.nodes[doer])
            and _is_noun(found.nodes[other])
        ]
        if pairs:
            doer, other = pairs[int(rng.integers(len(pairs)))]
            return _swap_spans(found.text, found.nodes[doer], found.nodes[other])
    return None


def _is_noun(node: Node) -> bool:
    """False for pronouns: "him kicks he" would be told by its grammar alone."""
    return node.text.lower() not in PRONOUNS


def _swap_spans(text: str, one: Node, other: Node) -> str | None:
    first, second = sorted((_before(text, node)[1], node.end) for node in (one, other))
    if first[1] > second[0]:
        return None
    left, right = text[slice(*first)], text[slice(*second)]
    if first[0] == 0 and left[:1].isupper():
        left, right = left[:1].lower() + left[1:], right[:1].upper() + right[1:]
    return text[: first[0]] + right + text[first[1] : second[0]] + left + text[second[1] :]


def _before(text: str, node: Node) -> tuple[str, int]:
    """The word before a node and its article, lower case, and the character where the article begins."""
    article = _ARTICLE.search(text[: node.start])
    start = article.start() if article else node.start
    word = _LAST_WORD.search(text[:start])
    return (word[1].lower() if word else ""), start


def _replace_action(found: RoleGraph, rng: np.random.Generator, bank: WordBank) -> str | None:
    nodes = [found.nodes[i] for i in found.of_kind("action")]
    if not nodes:
        return None
    node = nodes[int(rng.integers(len(nodes)))]
    stems = {other.text.lower()[:4] for other in nodes}
    choices = [word for word in bank.actions.get(_form(node.text), ()) if word[:4] not in stems]
    return _put_in_place(found.text, node.start, node.end, choices, rng)


def _form(verb: str) -> str:
    word = verb.lower().split()[0]
    return next(
        (ending for ending in ("ing", "ed", "s") if word.endswith(ending) and len(word) > len(ending) + 1), "base"
    )


def _replace_person(found: RoleGraph, rng: np.random.Generator) -> str | None:
    for node in found.nodes[1:]:
        word = found.text[node.head_start : node.head_end].lower()
        for number in (0, 1):
            known = [person[number] for person in PERSONS]
            if node.kind == "entity" and word in known:
                others = [other for other in known if other != word]
                return _put_in_place(found.text, node.head_start, node.head_end, others, rng)
    return None


def _replace_scene(found: RoleGraph, rng: np.random.Generator, bank: WordBank) -> str | None:
    for node in found.nodes[1:]:
        preposition, start = _before(found.text, node)
        choices = [scene for scene in bank.scenes.get(preposition, ()) if scene.split()[-1] not in found.text.lower()]
        if node.role in PLACES and choices:
            return _put_in_place(found.text, start, node.end, choices, rng)
    return None


def _put_in_place(text: str, start: int, end: int, choices: Sequence[str], rng: np.random.Generator) -> str | None:
    if not choices:
        return None
    word = choices[int(rng.integers(len(choices)))]
    word = word[:1].upper() + word[1:] if text[start].isupper() else word
    return text[:start] + word + text[end:]


def _shorten_event(found: RoleGraph) -> str | None:
    """The text up to its first verb that has something said before it and after it."""
    entities = [found.nodes[i] for i in found.of_kind("entity")]
    for index in found.of_kind("action"):
        end = found.nodes[index].end
        if any(node.end <= end for node in entities) and any(node.start >= end for node in entities):
            return found.text[:end] + _FULL_STOP.search(found.text)[0]  # type: ignore[index]
    return None


def _articles(text: str) -> str:
    """ "a" or "an" by the letter that follows."""
    text = re.sub(r"\b([Aa])n (?=[^aeiouhAEIOUH\W])", r"\1 ", text)
    return re.sub(r"\b([Aa]) (?=[aeioAEIO])", r"\1n ", text)
