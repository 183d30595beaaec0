"""The query language: what it reads, what it refuses in one sentence, and that nothing typed can crash it."""

from __future__ import annotations

import random

import pytest

from explorer.records import ExplorerError, Phrase
from explorer.search.query import day_bounds, format_query, parse

WHOLE = 'red car -"night" "dog"^2 in:trips after:2023 before:2024-05 longer:30 shorter:2m'
PIECES = [
    "red",
    "car",
    '"',
    '""',
    '"big dog"',
    "^2",
    "^",
    "^x",
    "^1e308",
    "^nan",
    "-",
    "--",
    '-"',
    "-night",
    "in:",
    "in:trips",
    'in:"my trips"',
    "after:2023",
    "after:2023-13",
    "before:0000",
    "before:9999-12-31",
    "longer:2m",
    "longer:",
    "longer:-1",
    "shorter:1h30m",
    "shorter:1:30",
    "\0",
    "\ud800",
    "é",
    "犬",
    "🐕",
    "“quoted”",
    "'; DROP TABLE",
    "<b>",
    "%00",
    "a:b",
    "IN:x",
    "\t",
    "\n",
    "{}",
    "\\",
    "‮",
    "0" * 50,
]


def test_every_piece_of_the_language() -> None:
    query = parse(WHOLE)
    assert query.text == "red car dog"
    assert query.phrases == (Phrase("dog", 8, 11, 2.0),)
    assert (query.excluded, query.folders) == (("night",), ("trips",))
    assert (query.after, query.before, query.longer, query.shorter) == ("2023", "2024-05", 30.0, 120.0)


def test_quoted_phrases_stay_in_the_text_at_their_characters() -> None:
    query = parse('a "red car" and  “a  dog”^0.5')
    assert query.text == "a red car and a dog"
    assert [query.text[p.start : p.end] for p in query.phrases] == ["red car", "a dog"]
    assert [p.weight for p in query.phrases] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("!!! ...", "empty"),
        ('red "car', "not closed"),
        ('""', "no words"),
        ('a -""', "no words"),
        ("-night", "only says what to leave out"),
        ("in:trips", "filters but no words"),
        ('"dog"^0', "weight 0"),
        ('"dog"^two', "not a number"),
        ('"dog"^', "not a number"),
        ('"dog"^nan', "not a number"),
        ('"dog"^inf', "not a number"),
        ('"dog"^1e308', "not a number from 0 to 10"),
        ('"dog"^-1', "not a number from 0"),
        ('x -"dog"^2', "takes no weight"),
        ("dog in:", "no value"),
        ("dog after:", "no value"),
        ("dog after:soon", "not a date"),
        ("dog after:2023-02-30", "not a date"),
        ("dog before:0000", "not a date"),
        ("dog after:23", "not a date"),
        ("dog longer:x", "not a duration"),
        ("dog longer:1e308", "not a duration"),
        ("dog longer:" + "9" * 400, "longer than any"),
        ("dog longer:nan", "not a duration"),
        ("dog after:2024 before:2023", "no day between"),
        ("dog longer:60 shorter:1m", "no duration between"),
        ("dog after:2020 after:2021", "given twice"),
        ("dog " * 300_000, "characters"),
    ],
)
def test_a_wrong_piece_gets_one_sentence(typed: str, says: str) -> None:
    with pytest.raises(ExplorerError) as caught:
        parse(typed)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


def test_what_is_no_filter_is_text() -> None:
    assert parse("ratio 16:9 at http://x").text == "ratio 16:9 at http://x"
    assert parse("well-known dog - cat").text == "well-known dog - cat"


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("30", 30), ("30s", 30), ("2m", 120), ("1h30m", 5400), ("1:30", 90), ("1:00:01", 3601), ("2.5m", 150), ("0", 0)],
)
def test_durations(typed: str, seconds: float) -> None:
    assert parse(f"dog longer:{typed}").longer == seconds


def test_dates_bound_half_open_periods() -> None:
    first, until = day_bounds(parse("dog after:2023 before:2023-02"))
    assert first is not None and until is not None and until - first == 31 * 86400
    assert day_bounds(parse("dog")) == (None, None)
    assert day_bounds(parse("dog after:0001"))[0] < -6e10


@pytest.mark.parametrize(
    "typed",
    [
        WHOLE,
        'a "red car" then "a dog"^0.25',
        "dog -night -x in:a in:b",
        "dog longer:0.5 shorter:1:30",
        'foo"bar"baz',
        '"in:trips" -"after:2023"',
        "犬 🐕 -“夜”",
    ],
)
def test_round_trip(typed: str) -> None:
    query = parse(typed)
    assert parse(format_query(query)) == query


def test_random_typing_never_crashes_and_what_is_read_can_be_written_back() -> None:
    rng, read = random.Random(7), 0
    for _ in range(4000):
        typed = rng.choice(["", " "]).join(rng.choice(PIECES) for _ in range(rng.randint(0, 8)))
        try:
            query = parse(typed)
        except ExplorerError as error:
            assert str(error) and "\n" not in str(error)
            continue
        read += 1
        assert parse(format_query(query)) == query, typed
        assert all(query.text[p.start : p.end] == p.text for p in query.phrases)
    assert read > 200
