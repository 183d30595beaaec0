"""A parsed sentence -> its semantic role graph: one event, its actions, their entities (HGR, arXiv 2003.00392)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from explorer.language.roles import ROLES, actions, arguments, particle
from explorer.language.spans import NounSpan, end_of, noun_spans, span_of

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

MAX_WORDS = 30  # caps of the authors' code
MAX_ACTIONS = 4
MAX_ENTITIES = 6
KINDS = ("event", "action", "entity")


@dataclass(frozen=True)
class Node:
    """A node: its kind, role, characters [start, end) of the sentence, and those of its head noun or verb.

    The event's role is empty, an action's is V, an entity's one of ROLES.
    """

    kind: str
    text: str
    role: str
    start: int
    end: int
    head_start: int
    head_end: int


@dataclass(frozen=True)
class Edge:
    """A message from node `source` to node `target`; role V under the event, else the entity's."""

    source: int
    target: int
    role: str


@dataclass(frozen=True)
class RoleGraph:
    """A sentence's graph: nodes are the event, then actions, then entities, each in the order of the text."""

    text: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def of_kind(self, kind: str) -> tuple[int, ...]:
        """Indices of the nodes of one of KINDS."""
        return tuple(i for i, node in enumerate(self.nodes) if node.kind == kind)

    def arguments(self, action: int) -> tuple[int, ...]:
        """Indices of an action's entities, in the order of the text."""
        return tuple(sorted(edge.target for edge in self.edges if edge.source == action and edge.target != 0))


def event_only(text: str) -> RoleGraph:
    """The graph of a text with nothing to parse: the event alone."""
    return RoleGraph(text, (Node("event", text.strip(), "", 0, len(text), 0, len(text)),), ())


def build(doc: Doc, text: str) -> RoleGraph:
    """The role graph of a parsed text.

    Edges: event -> action one way (role V), action <-> entity both ways with the role. An entity is keyed by its
    span and role, and shared by the verbs that have both. A noun that only describes another noun ("a man in a
    hat") stands as NOUN beside that noun's verbs; without a verb every noun stands as NOUN.

    Args:
        doc: the parse; its characters are those of the text's beginning.
        text: the whole text, of which the parse may cover only the first words.

    Returns:
        A graph of at most 1 + MAX_ACTIONS + MAX_ENTITIES nodes over the first MAX_WORDS words.
    """
    limit = _limit(doc)
    verbs = [verb for verb in actions(doc) if verb.i < limit][:MAX_ACTIONS]
    spans = noun_spans(doc)
    by_head = {span.head.i: span for span in spans} | {span.root.i: span for span in spans}
    found = _entities(verbs, by_head)
    _add_loose_nouns(found, spans, limit)
    kept = sorted((key for key in found if found[key].head.i < limit and found[key].root.i < limit), key=_order)
    kept = kept[:MAX_ENTITIES]
    return _assemble(text, verbs, [(found[key], key[2], found[key].verbs) for key in kept])


@dataclass(frozen=True)
class _Found:
    """An entity on its way into the graph: its span and the verbs it belongs to."""

    span: NounSpan
    verbs: list[int]

    @property
    def root(self) -> Token:
        return self.span.root

    @property
    def head(self) -> Token:
        return self.span.head


_Key = tuple[int, int, str]  # start, end, role


def _order(key: _Key) -> tuple[int, int, int]:
    return key[0], key[1], ROLES.index(key[2])


def _limit(doc: Doc) -> int:
    """Index after the first MAX_WORDS words, punctuation not counted."""
    words = [token.i for token in doc if not (token.is_punct or token.is_space)]
    return words[MAX_WORDS] if len(words) > MAX_WORDS else len(doc)


def _entities(verbs: list[Token], spans: dict[int, NounSpan]) -> dict[_Key, _Found]:
    found: dict[_Key, _Found] = {}
    for number, verb in enumerate(verbs):
        for token, role in arguments(verb):
            span = span_of(token, spans)
            entry = found.setdefault((span.start, span.end, role), _Found(span, []))
            if number not in entry.verbs:
                entry.verbs.append(number)
    return found


def _add_loose_nouns(found: dict[_Key, _Found], spans: list[NounSpan], limit: int) -> None:
    """Add the nouns that are no verb's argument, beside the verbs of the noun they describe, if any."""
    owners: dict[int, list[int]] = {}
    for entry in found.values():
        owners.setdefault(entry.root.i, []).extend(entry.verbs)
    covered = [(entry.span.start, entry.span.end) for entry in found.values()]
    for span in spans:
        index = span.root.i
        inside = any(start < span.end and span.start < end for start, end in covered)
        visible = any(map(str.isalnum, span.root.text))
        if index < limit and visible and not inside and not span.is_pronoun:
            verbs = owners.get(_find_head_noun(span.root, owners), [])
            owners[index] = list(verbs)
            found[span.start, span.end, "NOUN"] = _Found(span, sorted(set(verbs)))


def _find_head_noun(noun: Token, owners: dict[int, list[int]]) -> int:
    """Index of the nearest noun above that is in the graph: hat -> in -> man. -1 where there is none."""
    for above in noun.ancestors:
        if above.i in owners:
            return above.i
        if above.pos_ in ("VERB", "AUX"):
            break
    return -1


def _assemble(text: str, verbs: list[Token], entities: list[tuple[_Found, str, list[int]]]) -> RoleGraph:
    nodes = list(event_only(text).nodes)
    nodes += [_action(text, verb) for verb in verbs]
    edges = [Edge(0, 1 + number, "V") for number in range(len(verbs))]
    for found, role, owners in entities:
        edges += _both_ways([1 + number for number in owners], len(nodes), role)
        nodes.append(_entity(text, found.span, role))
    return RoleGraph(text, tuple(nodes), tuple(edges))


def _both_ways(actions_: list[int], entity: int, role: str) -> Iterator[Edge]:
    for action in actions_:
        yield Edge(action, entity, role)
        yield Edge(entity, action, role)


def _action(text: str, verb: Token) -> Node:
    """A verb's node, its particle inside where it follows at once: "putting on"."""
    end = end_of(particle(verb) or verb)
    return Node("action", text[verb.idx : end], "V", verb.idx, end, verb.idx, end_of(verb))


def _entity(text: str, span: NounSpan, role: str) -> Node:
    return Node("entity", text[span.start : span.end], role, span.start, span.end, span.head.idx, end_of(span.head))
