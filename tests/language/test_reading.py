"""What a text is written in is told where it is not English, and nothing is said of English."""

from __future__ import annotations

import pytest

from explorer.language.reading import emoji, foreign


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("ein Hund im Schnee", "German"),
        ("eine Frau mit rotem Hut und ein Kind", "German"),
        ("un homme dans la rue avec un chien", "French"),
        ("una mujer con sombrero en la playa", "Spanish"),
        ("una donna che cammina sulla spiaggia", "Italian"),
        ("um homem com um cachorro na praia", "Portuguese"),
        ("een hond op het strand", "Dutch"),
        ("собака на пляже", "Cyrillic letters"),
        ("雪の中の犬", "Japanese"),
        ("雪中的狗", "Chinese characters"),
        ("눈 속의 개", "Korean"),
        ("كلب على الشاطئ", "Arabic letters"),
        ("σκύλος στο χιόνι", "Greek letters"),
    ],
)
def test_other_languages_are_named(text: str, language: str) -> None:
    assert foreign(text) == language


@pytest.mark.parametrize(
    "text",
    [
        "a dog in snow",
        "dog",
        "red car night",
        "la la land dance",
        "a man in a café with a piñata",
        "IMG 2034",
        "kids die laughing on a sofa",
        "no people, not a dog",
        "sushi bento tempura",
        "van on a road",
        "an être of light and a naïve child",
        "x² + y² = 5 µm",
        "",
    ],
)
def test_nothing_is_said_of_english(text: str) -> None:
    assert foreign(text) == ""


def test_an_emoji_is_told_in_words() -> None:
    assert emoji("\U0001f415 on a beach") == "dog" and emoji("a dog \u2764") == "heavy black heart"
    assert emoji("a dog, 50 % & © ™ → ✓"[:14]) == ""
