"""Altered sentences by hand, the same for one seed, and accuracies counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.training.alterations import SMALL_BANK
from explorer.training.binary_selection import KINDS, Choice, alter, binary_selection, choices, word_bank

CAPTIONS = [
    (0, "A boy kicks a ball in the garden ."),
    (0, "A man is riding a horse on a beach ."),
    (1, "A red car"),
    (2, "Two dogs chase a cat through a park ."),
    (3, "the ball was thrown to the dog by the man"),
    (4, "!!!"),
    (5, ""),
]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    "text, swapped",
    [
        ("A boy kicks a girl .", "A girl kicks a boy ."),
        ("Two dogs chase a cat .", "A cat chase two dogs ."),
        ("an old man feeds his dog", "his dog feeds an old man"),
        ("a boy is kicked by a girl", "a girl is kicked by a boy"),
        ("the ball was thrown to the dog by the man", "the man was thrown to the dog by the ball"),
        ("a man walks on a beach", "a beach walks on a man"),  # nobody done-to: the place
        ("he feeds her", None),
        ("a red car", None),
        ("a man sleeps", None),
    ],
)
def test_roles_swap(text: str, swapped: str | None) -> None:
    found = {alter(text, "roles", np.random.default_rng(seed)) for seed in range(8)}
    assert swapped in found and (swapped is not None or found == {None})


@pytest.mark.parametrize(
    "text, kind, start, end, words",
    [
        ("A man is riding a horse", "action", "A man is ", " a horse", SMALL_BANK.actions["ing"]),
        ("A man rides a horse", "action", "A man ", " a horse", SMALL_BANK.actions["s"]),
        ("a man is riding a horse", "person", "a ", " is riding a horse", ("woman", "boy", "girl", "baby")),
        ("Men ride horses", "person", "", " ride horses", ("Women", "Boys", "Girls", "Babies")),
        ("a dog runs in a garden .", "scene", "a dog runs in ", " .", SMALL_BANK.scenes["in"]),
    ],
)
def test_one_thing_is_replaced(text: str, kind: str, start: str, end: str, words: tuple[str, ...]) -> None:
    for seed in range(10):
        altered = alter(text, kind, np.random.default_rng(seed))
        assert altered is not None and altered.startswith(start) and altered.endswith(end) and altered != text
        assert altered[len(start) : len(altered) - len(end)] in words


def test_cut_ends_at_the_first_verb() -> None:
    assert alter("A boy kicks a ball in the garden .", "cut", rng()) == "A boy kicks ."
    assert alter("a man sleeps", "cut", rng()) is None


def test_article_follows_its_noun() -> None:
    assert alter("an owl watches a mouse", "roles", rng()) == "a mouse watches an owl"


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="kind must be one of roles"):
        alter("a dog", "colour", rng())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["", "!!!", "🐶", "dog " * 500, "走る犬", "is", "\ud800 a man rides a horse"])
def test_no_text_breaks_it(text: str, kind: str) -> None:
    altered = alter(text, kind, rng())
    assert altered is None or altered.lower() != text.lower()


def test_bank_takes_the_words_of_the_data_set() -> None:
    bank = word_bank(
        [
            "a man is welding in a workshop",
            "a woman is welding in a workshop",
            "a man is filing in a shed",
            "a boy is filing in a shed",
            "a girl is humming in her hand",
            "a girl is humming in her hand",
        ]
    )
    assert set(bank.actions["ing"]) == {"welding", "filing", "humming"}
    assert set(bank.scenes["in"]) == {"a workshop", "a shed"}
    assert bank.scenes["on"] == SMALL_BANK.scenes["on"]


def test_questions_are_the_same_for_one_seed() -> None:
    one, again, other = choices(CAPTIONS, seed=1), choices(CAPTIONS, seed=1), choices(CAPTIONS, seed=2)
    assert one == again and one != other
    assert {question.kind for question in one} == set(KINDS)
    assert all(
        question.altered
        != question.true
        == dict(enumerate(t for _, t in CAPTIONS))[[t for _, t in CAPTIONS].index(question.true)]
        for question in one
    )
    assert not any(question.video in (1, 4, 5) for question in one)  # nothing in them can be altered


def test_accuracy_by_hand() -> None:
    asked = [
        Choice(0, "roles", "t", "a"),
        Choice(1, "roles", "t", "a"),
        Choice(2, "cut", "t", "a"),
        Choice(3, "cut", "t", "a"),
    ]
    true, altered = np.array([0.9, 0.1, 0.5, 0.7]), np.array([0.1, 0.9, 0.5, 0.6])
    result = binary_selection(lambda videos, texts: (true if texts[0] == "t" else altered)[list(videos)], asked)
    assert result == {
        "roles": {"accuracy": 50.0, "pairs": 2},
        "cut": {"accuracy": 75.0, "pairs": 2},
        "mean": {"accuracy": 62.5, "pairs": 4},
    }


def test_refusals() -> None:
    asked = [Choice(0, "roles", "t", "a")]
    with pytest.raises(ValueError, match="not finite"):
        binary_selection(lambda videos, texts: np.array([np.nan]), asked)
    with pytest.raises(ValueError, match="no sentence"):
        binary_selection(lambda videos, texts: np.zeros(len(texts)), [])
