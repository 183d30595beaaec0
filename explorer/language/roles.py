"""Semantic roles read off a dependency parse: which noun does, undergoes or places each verb (ours)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

ROLES = (
    "V",
    "ARG0",
    "ARG1",
    "ARG2",
    "ARG3",
    "ARG4",
    "ARGM-LOC",
    "ARGM-MNR",
    "ARGM-TMP",
    "ARGM-DIR",
    "ARGM-ADV",
    "ARGM-PRP",
    "ARGM-PRD",
    "ARGM-COM",
    "ARGM-MOD",
    "NOUN",
)

BE = frozenset("be am is are was were been being 's 're 'm".split())
SUBJECTS = ("nsubj", "nsubjpass")
NOT_ACTIONS = frozenset("aux auxpass compound prep case nmod mark".split())
RELATIVE = frozenset({"WDT", "WP", "WP$"})

PLACE = frozenset(
    "in on at near beside besides behind under beneath underneath below above by inside within among amongst between "
    "outside against amid upon next close beyond alongside atop aboard opposite inbetween".split()
)
PATH = frozenset(
    "over through across into onto toward towards to from down up off out past along around away forward back "
    "backwards backward forwards upwards downwards ahead".split()
)
TIME_WORDS = frozenset("during before after until till since".split())
TIME_NOUNS = frozenset(
    "morning afternoon evening night day dusk dawn noon midnight sunset sunrise sundown twilight winter summer spring "
    "autumn fall christmas halloween birthday weekend week month year minute hour second moment time today tonight "
    "hours minutes seconds days nights years monday tuesday wednesday thursday friday saturday sunday".split()
)
TIME_ADVERBS = frozenset(
    "now then today tonight again already soon later yesterday tomorrow always often once "
    "twice meanwhile first finally suddenly".split()
)
PLACE_ADVERBS = frozenset(
    "here there outside inside outdoors indoors nearby downtown upstairs downstairs overhead "
    "underwater upside-down".split()
)
MANNER_ADVERBS = frozenset("fast hard well slow high low together alone apart barefoot aloud loud".split())
NOT_ADVERBS = frozenset("not n't just also too very so as when while how why where even only n't still almost".split())
COMPANIONS = frozenset(
    "man men woman women boy boys girl girls child children kid kids person people friend friends baby babies toddler "
    "lady guy player players team dog dogs cat cats puppy horse wife husband mother father son daughter brother sister "
    "animal animals horses other another him her them me us you".split()
)
GIVE = frozenset("give hand throw pass show offer feed send tell bring serve talk speak toss sell lend teach".split())
AIM_AT = frozenset("look stare gaze point wave bark laugh smile aim shout yell peer glance grin".split())
AIM_FOR = frozenset("look wait search ask reach".split())
MOTION = frozenset("jump leap run walk slide fall hop fly dive roll swim race ski climb drive".split())


def base(token: Token) -> str:
    """A verb's form cut back enough to look it up in the lists above: "throwing", "threw" -> "throw"."""
    word = IRREGULAR.get(token.lower_, token.lower_)
    for ending in ("ing", "es", "ed", "s"):
        stem = word[: -len(ending)]
        if word.endswith(ending) and len(stem) > 2:
            return _restore_stem(stem)
    return word


IRREGULAR = {
    "gave": "give",
    "given": "give",
    "threw": "throw",
    "thrown": "throw",
    "shown": "show",
    "fed": "feed",
    "sent": "send",
    "told": "tell",
    "brought": "bring",
    "spoke": "speak",
    "spoken": "speak",
    "sold": "sell",
    "lent": "lend",
    "taught": "teach",
    "giving": "give",
    "gives": "give",
    "feeding": "feed",
}


def _restore_stem(stem: str) -> str:
    known = GIVE | AIM_AT | AIM_FOR | MOTION | {"use", "listen"}
    return next((form for form in (stem, stem + "e", stem[:-1]) if form in known), stem)


def actions(doc: Doc) -> list[Token]:
    """The verbs that name something to see, in order: no auxiliary, no bare "is", no participle before its noun."""
    return [token for token in doc if _is_action(token)]


def _is_action(token: Token) -> bool:
    if token.pos_ not in ("VERB", "AUX") or token.lower_ in BE or token.dep_ in NOT_ACTIONS or token.tag_ == "MD":
        return False
    if token.dep_ == "amod" and token.i < token.head.i:
        return False
    is_future = token.lower_ == "going" and any(c.dep_ == "xcomp" and _has_to(c) for c in token.children)
    return not is_future


def _has_to(verb: Token) -> bool:
    return any(child.lower_ == "to" and child.dep_ == "aux" for child in verb.children)


def is_passive(verb: Token) -> bool:
    """True where the subject undergoes the verb: a past participle, unless "has" makes it the perfect tense."""
    if any(child.dep_ in ("auxpass", "nsubjpass") for child in verb.children):
        return True
    perfect = any(
        child.dep_ == "aux" and child.lower_ in ("has", "have", "had", "having", "'ve") for child in verb.children
    )
    return verb.tag_ == "VBN" and not perfect


def particle(verb: Token) -> Token | None:
    """The particle that follows a verb at once and belongs to it: "putting on"; none in "jumps off a rock"."""
    found = next((c for c in verb.children if c.dep_ == "prt" and c.i == verb.i + 1), None)
    return None if found is None or _leads_somewhere(verb, found) else found


def _leads_somewhere(verb: Token, found: Token) -> bool:
    has_object = any(child.dep_ == "dobj" for child in verb.children)
    return bool(_objects(found)) or (has_object and found.lower_ in PATH and base(verb) in MOTION)


def arguments(verb: Token) -> Iterator[tuple[Token, str]]:
    """(head of the argument, role) of a verb: "a boy throws the ball" -> (boy, ARG0), (ball, ARG1)."""
    role = "ARG1" if is_passive(verb) else "ARG0"
    for subject in subjects(verb):
        yield subject, role
    yield from _bare_relative(verb)
    for child in verb.children:
        for token, child_role in _from_child(verb, child):
            target = antecedent(token)
            if target is not None and any(map(str.isalnum, target.text)):  # an emoji is no argument
                yield from ((each, child_role) for each in list_conjuncts(target))


def subjects(verb: Token) -> list[Token]:
    """The nouns that a verb is said of, its own or those it shares with the verb or noun above it."""
    own = [antecedent(child) for child in verb.children if child.dep_ in SUBJECTS]
    if own:
        return [each for token in own if token is not None for each in list_conjuncts(token)]
    if verb.dep_ in ("acl", "relcl", "amod"):
        return list_conjuncts(verb.head) if verb.head.pos_ in ("NOUN", "PROPN", "PRON") else []
    if verb.dep_ == "xcomp" and base(verb.head) != "use":
        owned = [child for child in verb.head.children if child.dep_ in ("dobj", "dative") and child.pos_ != "ADP"]
        if owned:
            return list_conjuncts(owned[0])
    return _inherit_subject(verb)


def _inherit_subject(verb: Token) -> list[Token]:
    above = verb.head
    if above == verb or verb.dep_ not in ("conj", "xcomp", "advcl", "pcomp", "dep", "ccomp"):
        return []
    if above.dep_ == "prep" or above.pos_ in ("ADP", "SCONJ"):
        above = above.head
    if above.pos_ in ("VERB", "AUX"):
        return subjects(above)
    return list_conjuncts(above) if above.pos_ in ("NOUN", "PROPN", "PRON") else []


def list_conjuncts(token: Token) -> list[Token]:
    """A noun and the nouns joined to it: "a man and a woman" -> man, woman."""
    found = [token]
    for child in token.children:
        listed = child.dep_ == "conj" or (child.dep_ == "appos" and any(c.dep_ == "conj" for c in child.children))
        if listed and child.pos_ in ("NOUN", "PROPN", "PRON") and child.i > token.i:
            found += list_conjuncts(child)
    return found


def antecedent(token: Token) -> Token | None:
    """What a relative pronoun stands for; the token itself where it is none; None for a question's."""
    if token.dep_ == "expl" or token.tag_ == "EX":
        return None
    if token.tag_ not in RELATIVE and not (token.lower_ == "that" and token.pos_ == "PRON" and _clause(token)):
        return token
    clause = _clause(token)
    if clause is not None:
        return clause.head
    before = token.nbor(-1) if token.i > 0 else None  # a clause hung elsewhere by mistake
    return before if before is not None and before.pos_ in ("NOUN", "PROPN") else None


def _clause(token: Token) -> Token | None:
    return next((above for above in token.ancestors if above.dep_ == "relcl"), None)


def _bare_relative(verb: Token) -> Iterator[tuple[Token, str]]:
    """The noun of a relative clause without a pronoun: "the ball (that) a boy threw" -> (ball, ARG1)."""
    if verb.dep_ != "relcl" or any(c.dep_ in ("dobj", "ccomp", "xcomp") for c in verb.children):
        return
    own = [child for child in verb.children if child.dep_ == "nsubj" and antecedent(child) == child]
    pronoun = any(t.tag_ in RELATIVE | {"WRB"} for t in verb.subtree)
    if own and not pronoun:
        yield verb.head, "ARG1"


def _from_child(verb: Token, child: Token) -> Iterator[tuple[Token, str]]:
    if child.dep_ in ("dobj", "obj"):
        path = any(c.dep_ == "prt" and _leads_somewhere(verb, c) for c in verb.children)
        yield child, "ARGM-DIR" if path else "ARG1"
    elif child.dep_ == "agent":
        yield from ((token, "ARG0") for token in _objects(child))
    elif child.dep_ == "dative":
        yield from ((token, "ARG2") for token in (_objects(child) or [child]))
    elif child.dep_ in ("attr", "oprd", "acomp"):
        yield child, "ARGM-PRD"
    elif child.dep_ in ("prep", "prt"):
        yield from ((token, preposition_role(verb, child, token)) for token in _objects(child))
    elif child.dep_ == "npadvmod":
        yield child, "ARGM-TMP" if child.lower_ in TIME_NOUNS else "ARGM-ADV"
    elif child.dep_ == "advmod":
        yield from _from_adverb(verb, child)
    elif child.dep_ == "aux" and child.tag_ == "MD":
        yield child, "ARGM-MOD"


def _objects(preposition: Token) -> list[Token]:
    """The nouns of a preposition, also through a second one: "out of the water" -> water."""
    found = [child for child in preposition.children if child.dep_ == "pobj"]
    inner = [child for child in preposition.children if child.dep_ == "prep"]
    return found or [token for child in inner for token in _objects(child)]


def _from_adverb(verb: Token, adverb: Token) -> Iterator[tuple[Token, str]]:
    """An adverb, or the noun it leads to: "next to a cat" -> (cat, ARGM-LOC), "away from it" -> (it, ARGM-DIR)."""
    nouns = [token for child in adverb.children if child.dep_ == "prep" for token in _objects(child)]
    if nouns:
        role = adverb_role(adverb)
        yield from ((token, role if role in ("ARGM-LOC", "ARGM-DIR") else "ARGM-LOC") for token in nouns)
    elif adverb.tag_ == "WRB":
        if verb.dep_ == "relcl" and adverb.lower_ == "where":
            yield verb.head, "ARGM-LOC"
    elif adverb.lower_ not in NOT_ADVERBS:
        yield adverb, adverb_role(adverb)


def adverb_role(adverb: Token) -> str:
    """The role of an adverb by its word, then by its ending; ARGM-ADV where neither tells."""
    word = adverb.lower_
    tables = (
        (TIME_ADVERBS, "ARGM-TMP"),
        (PLACE_ADVERBS | PLACE, "ARGM-LOC"),
        (PATH, "ARGM-DIR"),
        (MANNER_ADVERBS, "ARGM-MNR"),
    )
    known = next((role for words, role in tables if word in words), None)
    return known or ("ARGM-MNR" if word.endswith("ly") else "ARGM-ADV")


def preposition_role(verb: Token, preposition: Token, noun: Token) -> str:
    """The role of a noun by its preposition, its own kind (a time, a companion) and the verb."""
    word, action = preposition.lower_, base(verb)
    if noun.lower_ in TIME_NOUNS or word in TIME_WORDS:
        return "ARGM-TMP"
    if word in ("with", "alongside"):
        return "ARGM-COM" if noun.lower_ in COMPANIONS else "ARGM-MNR"
    if word == "to" and action in GIVE:
        return "ARG2"
    if (word == "at" and action in AIM_AT) or (word == "for" and action in AIM_FOR) or word in ("of", "about"):
        return "ARG1"
    if word == "to" and action == "listen":
        return "ARG1"
    fixed = {"for": "ARGM-PRP", "because": "ARGM-PRP", "as": "ARGM-PRD", "like": "ARGM-MNR", "without": "ARGM-MNR"}
    if word in fixed:
        return fixed[word]
    return "ARGM-LOC" if word in PLACE else "ARGM-DIR" if word in PATH else "ARGM-ADV"
