"""Words and phrases: what a person reads as chips, spans that point into the text, and no text that breaks it."""

from __future__ import annotations

import threading
import time

import pytest

from explorer.language import phrases as module
from explorer.language.phrases import MAX_PHRASES, MAX_WORDS, parse, phrases, words
from explorer.records import ExplorerError, Phrase

CHIPS = {
    "a man in a red hat is jumping over the fence": ["man", "red hat", "jumping over the fence"],
    "a boy is kicked by a girl": ["boy", "kicked by a girl"],
    "a woman who is wearing a hat rides a horse": ["woman", "wearing a hat", "rides a horse"],
    "two dogs run and jump in the snow": ["two dogs", "run", "jump in the snow"],
    "someone is putting on a jacket in the morning": ["someone", "putting on a jacket", "morning"],
    "a dog sits next to a sleeping cat": ["dog", "sits next to a sleeping cat"],
    "a group of people in a boat": ["group of people", "boat"],
    "children running around": ["children", "running around"],
    "there is a cat on the sofa": ["cat", "sofa"],
    "a plane takes off": ["plane", "takes off"],
    "red car": ["red car"],
    "sunset": ["sunset"],
    "running": ["running"],
    "runnning dog": ["runnning dog"],
    "the": ["the"],
}
WORDS = {
    "a dog is on the bed": ["dog", "bed"],
    "two dogs run quickly": ["two", "dogs", "run", "quickly"],
    "someone with an umbrella": ["someone", "umbrella"],
    "it is": ["it", "is"],  # nothing but function words: all of them stay
}
ODD = [
    "!!!",
    "🐶",
    "a" * 100_000,
    "dog " * 10_000,
    "<b>dog</b>",
    "'; DROP TABLE videos;--",
    "1e308",
    "走る犬",
    "собака бежит",
    "\ud800 dog",
    "\u202edog",
    "NaN",
    "to be or not to be",
    "a\u0301 cafe\u0301",
    "dog\x00cat",
    "the of and",
    "'s",
]


@pytest.mark.parametrize("text", CHIPS)
def test_phrases_read_as_chips(text: str) -> None:
    assert [phrase.text for phrase in phrases(text)] == CHIPS[text]


@pytest.mark.parametrize("text", WORDS)
def test_words_bear_content(text: str) -> None:
    assert [word.text for word in words(text)] == WORDS[text]


def check(text: str, found: tuple[Phrase, ...], most: int) -> None:
    assert 1 <= len(found) <= most
    assert all(
        text[phrase.start : phrase.end] == phrase.text and phrase.text.strip() and phrase.weight == 1
        for phrase in found
    )
    assert all(left.end <= right.start for left, right in zip(found, found[1:]))


@pytest.mark.parametrize("text", [*CHIPS, *ODD], ids=lambda text: ascii(text[:30]))
def test_every_visible_text_has_words_and_phrases_inside_it(text: str) -> None:
    check(text, words(text), MAX_WORDS)
    check(text, phrases(text), MAX_PHRASES)


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_blank_text_has_none(text: str) -> None:
    assert words(text) == () and phrases(text) == ()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a dog runs . it is black .", ["a dog runs . ", "it is black ."]),
        (
            "A St. Bernard sleeps in the U.S. Then a man waves! ...",
            ["A St. Bernard sleeps in the U.S. Then a man waves! ..."],
        ),
        ("A St. Bernard sleeps. Then a man waves! ...", ["A St. Bernard sleeps. ", "Then a man waves! ..."]),
        ("a man; a dog?! A cat", ["a man; ", "a dog?! ", "A cat"]),
        ("dog\n\ncat", ["dog\n\n", "cat"]),
        (" . a dog", [" . a dog"]),
        ("a dog. !!", ["a dog. !!"]),
        ("...", ["..."]),
        ("", [""]),
    ],
)
def test_sentences_end_where_their_ends_are_written(text: str, wanted: list[str]) -> None:
    assert [text[a:b] for a, b in parse([text])[0].sentences or ((0, len(text)),)] == wanted


def test_long_text_keeps_the_most_telling_phrases_in_order() -> None:
    text = (
        "a man , a dog , a cat , a bird , a big red car , a small wooden boat , a cup , an old stone bridge and a fish"
    )
    found = [phrase.text for phrase in phrases(text)]
    assert len(found) == MAX_PHRASES and found[0] == "man"
    assert {"big red car", "small wooden boat", "old stone bridge"} <= set(found)


def test_ten_thousand_words_cost_no_more_than_the_first_hundred() -> None:
    phrases("a dog")
    start = time.perf_counter()
    phrases("the quick brown fox jumps over a lazy dog " * 1200)
    assert time.perf_counter() - start < 2.0


def test_capitals_are_read_as_small_letters() -> None:
    assert [phrase.text for phrase in phrases("A MAN IS RIDING A HORSE")] == ["MAN", "RIDING A HORSE"]


def test_a_batch_equals_one_by_one_in_order() -> None:
    texts = [*CHIPS, "", *CHIPS][::-1]
    batch = parse(texts)
    assert [one.text for one in batch] == texts
    assert [one.phrases for one in batch] == [phrases(text) for text in texts]
    assert [one.words for one in batch] == [words(text) for text in texts]


def test_threads_agree() -> None:
    texts = list(CHIPS) * 3
    results: dict[int, list[list[str]]] = {}

    def work(number: int) -> None:
        results[number] = [[phrase.text for phrase in one.phrases] for one in parse(texts)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(results) == 4 and all(result == [CHIPS[text] for text in texts] for result in results.values())


def test_a_missing_parser_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PARSER", "en_no_such_parser")
    module._pipeline.cache_clear()
    try:
        with pytest.raises(ExplorerError, match="cannot load the English parser en_no_such_parser.*pip install"):
            parse(["a dog"])
    finally:
        module._pipeline.cache_clear()
