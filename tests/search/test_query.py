"""The query language: what it reads, what it refuses in one sentence, and that nothing typed can crash it."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from explorer.records import ExplorerError, Phrase
from explorer.search.periods import period
from explorer.search.query import allow, day_bounds, format_query, is_name_alone, parse, same_name

WHOLE = 'red car -"night" "dog"^2 in:trips after:2023 before:2024-05 longer:30 shorter:2m'
PIECES = [
    "without",
    "no",
    "not",
    "or",
    "|",
    "NOT",
    "isn't",
    '5"',
    "(x",
    "y)",
    'after:"last summer"',
    "on:2023",
    "file:x",
    "before: the",
    "-5",
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
        ('""', "empty"),
        ("-night", "only says what to leave out"),
        ("in:trips", "filters but no words"),
        ('"dog"^0', "weight 0"),
        ("dog longer:" + "9" * 400, "longer than any"),
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
    for _ in range(2000):
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


@pytest.mark.parametrize(
    "typed",
    [
        'a 5" screen',
        "6'2\" man",
        "dogs' toys",
        "the cat\u2019s ball",
        "before: the storm",
        "before:the storm",
        "-5 degrees outside",
        "(a red car)",
        'a red "car',
        "in: the garden",
        "dog after:",
        "dog after:soon",
        "dog after:2023-02-30",
        "dog before:0000",
        "dog longer:nan",
        "dog longer:1e308",
        '"dog"^two',
        '"dog"^1e308',
        'x -"dog"^2',
        'a -""',
        "what's that? a dog!",
        "50% off & more",
    ],
)
def test_plain_english_with_signs_is_text(typed: str) -> None:
    query = parse(typed)
    assert query.text and not query.folders and query.after is query.before is query.longer is None
    assert parse(format_query(query)) == query


def test_what_is_no_filter_is_told_and_keeps_its_words() -> None:
    query = parse("dog before:the storm")
    assert query.text == "dog before:the storm" and "before:2023-05-17" in query.notes[0]
    assert "not closed" in parse('red "car').notes[0] and parse('red "car').text == "red car"
    assert "no number from 0 to 10" in parse('"dog"^two').notes[0]
    assert parse('a 5" screen').notes == () and parse('a 5" screen').text == 'a 5" screen'


def test_a_space_after_the_colon_of_a_date_is_forgiven() -> None:
    assert (parse("dog after: 2023").text, parse("dog after: 2023").after) == ("dog", "2023")


@pytest.mark.parametrize(
    ("typed", "text", "excluded"),
    [
        ("a beach without people at sunset", "a beach at sunset", ("people",)),
        ("a street with no cars or bikes", "a street", ("cars", "bikes")),
        ("a dog that is not running", "a dog", ("running",)),
        ("a sky that isn't blue", "a sky", ("blue",)),
        ('a car NOT "red car"', "a car", ("red car",)),
        ("an empty street with no one", "an empty street", ("person",)),
        ("a beach without people and a dog", "a beach and a dog", ("people",)),
        ("no dogs", "no dogs", ()),
        ("a no parking sign", "a no parking sign", ()),
        ("not only dogs", "not only dogs", ()),
        ("running whether or not it rains", "running whether or not it rains", ()),
        ("house no 5", "house no 5", ()),
        ('"no people" on a beach', "no people on a beach", ()),
    ],
)
def test_what_english_leaves_out(typed: str, text: str, excluded: tuple[str, ...]) -> None:
    query = parse(typed)
    assert (query.text, query.excluded) == (text, excluded)
    assert len(query.notes) == len(excluded) or not excluded


@pytest.mark.parametrize(
    ("typed", "choices"),
    [
        ("a dog or a cat on a beach", ["a dog on a beach", "a cat on a beach"]),
        ("red or blue car", ["red car", "blue car"]),
        ("dog | cat", ["dog", "cat"]),
        ("a dog OR snow at night", ["a dog", "snow at night"]),
        ("a dog or a cat or a bird", ["a dog", "a bird", "a cat"]),
        ("whether or not it rains", []),
        ('"dog or cat" food', []),
    ],
)
def test_or_offers_choices(typed: str, choices: list[str]) -> None:
    assert [query.text for query in parse(typed).alternatives] == choices


def test_choices_keep_their_weights_and_filters_stay_with_the_whole() -> None:
    query = parse('"red car"^2 or a bus at night in:trips')
    assert query.alternatives[0].phrases == (Phrase("red car", 0, 7, 2.0),)
    assert query.folders == ("trips",) and query.alternatives[1].folders == ()


@pytest.mark.parametrize(
    ("typed", "chip", "becomes"),
    [
        ("a beach without people at dusk", "people", 'a beach "without people" at dusk'),
        ('dog -"night" in:x', "night", 'dog in:"x"'),
        ('a car NOT "red car"', "red car", "a car"),
        ("dog or cat in:x", "cat", 'dog in:"x"'),
        ("dog", "bird", "dog"),
    ],
)
def test_a_chip_can_be_undone(typed: str, chip: str, becomes: str) -> None:
    assert allow(typed, chip) == becomes
    assert chip not in parse(becomes).excluded


def names(words: str) -> list[str]:
    return [name for name in ("IMG_2034.MOV", "Beach day.mp4", "cafe\u0301.mp4") if same_name(name, words)]


def test_a_typed_file_name_finds_the_file() -> None:
    for typed in ("IMG_2034.MOV", "img_2034", '"IMG_2034.mov"', "beach day.mp4", "file:IMG_2034"):
        query = parse(typed, names=names)
        assert query.files and is_name_alone(query) and parse(format_query(query)) == query, typed
    query = parse("a dog IMG_2034.MOV", names=names)
    assert (query.text, query.files, is_name_alone(query)) == ("a dog", ("IMG_2034.MOV",), False)


def test_words_that_are_a_name_are_searched_with_a_hint() -> None:
    query = parse("beach day", names=names)
    assert query.files == () and "Beach day.mp4 is called so" in query.notes[0] and 'file:"beach day"' in query.notes[0]
    assert "no file of the library is called IMG_9.MOV" in parse("IMG_9.MOV", names=names).notes[0]


def test_accents_meet_however_they_are_stored() -> None:
    assert parse("cafe\u0301") == parse("caf\u00e9")
    assert parse("caf\u00e9.mp4", names=names).files == ("caf\u00e9.mp4",)


def test_days_of_words() -> None:
    from datetime import date

    today = date(2026, 3, 10)  # a Tuesday
    read = {
        "last summer": (date(2025, 6, 1), date(2025, 9, 1)),
        "winter 2023": (date(2023, 12, 1), date(2024, 3, 1)),
        "last week": (date(2026, 3, 2), date(2026, 3, 9)),
        "yesterday": (date(2026, 3, 9), date(2026, 3, 10)),
        "last month": (date(2026, 2, 1), date(2026, 3, 1)),
        "4 July 2023": (date(2023, 7, 4), date(2023, 7, 5)),
        "4.7.2023": (date(2023, 7, 4), date(2023, 7, 5)),
        "juillet 2023": (date(2023, 7, 1), date(2023, 8, 1)),
        "2023": (date(2023, 1, 1), date(2024, 1, 1)),
        "2023-07-04": (date(2023, 7, 4), date(2023, 7, 5)),
        "me": None,
        "the 3 storms": None,
        "2023-02-30": None,
    }
    assert {value: period(value, today=today) for value in read} == read


def test_on_keeps_one_day_and_says_how_it_read_it() -> None:
    first, until = day_bounds(parse("dog on:2023-07-04"))
    assert first is not None and until is not None and until - first == 86400
    query = parse('dog on:"4 July 2023"')
    assert query.on == "4 July 2023" and day_bounds(query) == (first, until) and "2023-07-04" in query.notes[0]


def test_reading_a_query_does_not_load_the_date_library() -> None:
    code = "import sys; from explorer.search.query import parse; parse('dog after:2023'); print('dateparser' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
