"""Queries, captions, names and addresses as people have them: each is understood, or told in a sentence; none is lost.

    python -m benchmarks.faults.people

An input is wrong where it is read as something else than it says, and lost where part of it goes without a sentence.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.common import finish
from explorer.language.reading import foreign
from explorer.records import CaptionPair, ExplorerError, Query
from explorer.search.query import format_query, parse, same_name
from explorer.training.benchmarks import read_benchmark
from explorer.training.caption_videos import match_videos
from explorer.training.captions import fit_spans, read_captions
from explorer.web.admission import Request, admit

NAMES = ("IMG_2034.MOV", "Beach day.mp4", "cafe\u0301.mp4")


@dataclass(frozen=True)
class Tried:
    """One input and what became of it: fine, told (in a sentence), lost or wrong."""

    kind: str
    text: str
    state: str


# typed, words left, what is left out, choices
QUERIES: tuple[tuple[str, str, tuple[str, ...], int], ...] = (
    ('a 5" screen', 'a 5" screen', (), 0),
    ("6'2\" man", "6'2\" man", (), 0),
    ("dogs' toys", "dogs' toys", (), 0),
    ("the cat’s ball", "the cat’s ball", (), 0),
    ("before: the storm", "before: the storm", (), 0),
    ("before:the storm", "before:the storm", (), 0),
    ("in: the garden", "in: the garden", (), 0),
    ("-5 degrees outside", "-5 degrees outside", (), 0),
    ("(a red car)", "(a red car)", (), 0),
    ('a red "car', "a red car", (), 0),
    ('"dog"^two', "dog", (), 0),
    ('a dog ""', "a dog", (), 0),
    ("dog after:soon", "dog after:soon", (), 0),
    ("dog longer:nan", "dog longer:nan", (), 0),
    ("50% off & more", "50% off & more", (), 0),
    ("what's that? a dog!", "what's that? a dog!", (), 0),
    ("a beach without people at sunset", "a beach at sunset", ("people",), 0),
    ("a street with no cars or bikes", "a street", ("cars", "bikes"), 0),
    ("a dog that is not running", "a dog", ("running",), 0),
    ("a sky that isn't blue", "a sky", ("blue",), 0),
    ('a car NOT "red car"', "a car", ("red car",), 0),
    ("an empty street with no one", "an empty street", ("person",), 0),
    ("car -night", "car", ("night",), 0),
    ("no dogs", "no dogs", (), 0),
    ("a no parking sign", "a no parking sign", (), 0),
    ("not only dogs", "not only dogs", (), 0),
    ("a dog or a cat on a beach", "a dog or a cat on a beach", (), 2),
    ("red or blue car", "red or blue car", (), 2),
    ("dog | cat", "dog | cat", (), 2),
    ("a dog OR snow at night", "a dog OR snow at night", (), 2),
    ("a dog or a cat or a bird", "a dog or a cat or a bird", (), 3),
    ("whether or not it rains", "whether or not it rains", (), 0),
    ('"dog or cat" food', "dog or cat food", (), 0),
    ("cafe\u0301 in paris", "café in paris", (), 0),
    ("IMG_2034.MOV", "IMG 2034", (), 0),
    ("beach day", "beach day", (), 0),
    ("café.mp4", "café", (), 0),
    ("dog on:2023-07-04", "dog", (), 0),
    ('dog after:"last summer"', "dog", (), 0),
    ('dog before:"4 July 2023"', "dog", (), 0),
    ("dog after: 2023", "dog", (), 0),
)
FOREIGN = {
    "ein Hund im Schnee": "German",
    "un homme dans la rue": "French",
    "собака на пляже": "Cyrillic letters",
    "雪の中の犬": "Japanese",
    "a dog in snow": "",
    "la la land dance": "",
}
# (file, content, captions in it)
CAPTIONS: tuple[tuple[str, str | bytes, int], ...] = (
    ("quote.tsv", 'file\tcaption\na.mp4\ta 5" screen\nb.mp4\t"to be\nc.mp4\ta dog\nd.mp4\tor not" said\n', 4),
    ("quoted.tsv", 'file\tcaption\na.mp4\t"say ""hi"""\nb.mp4\tx y\n', 2),
    ("two_lines.csv", 'file,caption\na.mp4,"two lines,\nof one cell"\n', 1),
    ("semicolon.csv", "file;caption\na.mp4;a dog\n", 1),
    ("excel.csv", "sep=;\nfile;caption\na.mp4;a dog\n", 1),
    ("comma.csv", "video;start;end;text\na.mp4;1,5;2,5;a dog\n", 1),
    ("utf16.tsv", "file\tcaption\na.mp4\ta dog\n".encode("utf-16"), 1),
    ("utf16le.tsv", "file\tcaption\na.mp4\ta dog\n".encode("utf-16-le"), 1),
    ("utf16be.tsv", "file\tcaption\na.mp4\ta dog\n".encode("utf-16-be"), 1),
    ("mark.csv", b"\xef\xbb\xbffile,caption\na.mp4,a dog\n", 1),
    ("western.csv", "file;caption\na.mp4;une forêt\n".encode("cp1252"), 1),
    ("capitals.csv", "Video_ID,Sentence\na.mp4,a dog\n", 1),
    ("clip_name.tsv", "clip_name\tdescription\na.mp4\ta dog\n", 1),
    ("bare.csv", "a dog runs,a.mp4\ntwo cats,b.mp4\n", 2),
    ("list.json", '[{"video": "a.mp4", "caption": "a dog"},\n{"video": "b.mp4", "caption": "x"}]', 2),
    ("object.json", '{"a.mp4": ["a dog", "it runs"],\n "b.mp4": "x y"}', 3),
    ("sentences.json", '{"sentences": [{"video_id": "a.mp4", "caption": "a dog"}]}', 1),
    (
        "coco.json",
        '{"images": [{"id": 1, "file_name": "a.mp4"}], "annotations": [{"image_id": 1, "caption": "a dog"}]}',
        1,
    ),
    ("times.json", '{"v_x": {"duration": 9, "timestamps": [[0, 4], [4, 9]], "sentences": ["A man.", "He."]}}', 2),
    ("lines.jsonl", '{"file": "a.mp4", "captions": ["a", "b"]}\r\n\r\n{"image": "b.jpg", "caption": "c"}\r\n', 3),
    ("short.csv", "file,caption\na.mp4,a dog\nb.mp4\n", -1),
    ("broken.json", '[{"file": "a.mp4", "caption": "x"},\n {"file": ]', -1),
    ("colours.csv", "video,colour\na.mp4,red\n", -1),
)
HOSTS = {  # Host -> status of the link
    "localhost:9999": 303,
    "127.0.0.1:2": 303,
    "[::1]:9999": 303,
    "localhost": 303,
    "nas.local:7860": 421,
    "localhost.evil.example": 421,
    "127.0.0.1.evil.example:7860": 421,
}


def called(words: str) -> list[str]:
    return [name for name in NAMES if same_name(name, words)]


def queries() -> Iterator[Tried]:
    """Each query as it is read, and again as it is written back."""
    for typed, text, excluded, choices in QUERIES:
        try:
            query = parse(typed, names=called)
        except ExplorerError:
            yield Tried("query", typed, "wrong")
            continue
        right = (query.text, query.excluded, len(query.alternatives)) == (text, excluded, choices)
        yield Tried("query", typed, "fine" if right and _again(query) == query else "wrong")
    for typed, language in FOREIGN.items():
        yield Tried("language", typed, "fine" if foreign(typed) == language else "wrong")


def _again(query: Query) -> Query:
    return parse(format_query(query))


def captions(folder: Path) -> Iterator[Tried]:
    """Each file read whole; one that cannot be is refused with its line."""
    for name, content, count in CAPTIONS:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            found = read_captions(path)
            state = "fine" if len(found.pairs) == count else "told" if found.notices and count >= 0 else "lost"
        except ExplorerError as error:
            state = "told" if count < 0 and ", line " in str(error) else "wrong"
        yield Tried("captions", name, state)


def matches(folder: Path) -> Iterator[Tried]:
    """Videos by every spelling of their names; spans within and beyond them; a pickle."""
    for name in ("sub/cafe\u0301.MP4", "b.mp4", "b.wav", "b.jpg", "compressed/b.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    wanted = dict.fromkeys(("sub/café.mp4", "sub\\CAFÉ.mp4", f"{folder}/sub/café.MP4"), "café.MP4")
    for name, file in {**wanted, "C:\\clips\\café.mp4": "cafe\u0301.MP4", "b": "b.mp4", "./B.mp4": "b.mp4"}.items():
        try:
            found, _ = match_videos([CaptionPair(name, "c")], folder)
        except ExplorerError:
            found = {}
        yield Tried("name", name, "fine" if found.get(name) and found[name].name == file else "lost")
    for end, kept in ((9.0, 1), (10.4, 1), (60.0, 0)):
        spans = fit_spans([CaptionPair("a", "c", 5.0, end)], {"a": 10.0})
        state = "fine" if len(spans.pairs) == kept and (end <= 10 or spans.notices) else "lost"
        yield Tried("span", f"5-{end:g} s of 10 s", state)
    (folder / "raw-captions.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    try:
        read_benchmark("msvd", folder)
        yield Tried("pickle", "raw-captions.pkl", "wrong")
    except ExplorerError as error:
        yield Tried("pickle", "raw-captions.pkl", "told" if "never opened" in str(error) else "lost")


def hosts() -> Iterator[Tried]:
    """The link by each Host; a foreign name is refused."""
    for host, status in HOSTS.items():
        asked = Request("GET", b"/", b"token=t", ((b"host", host.encode()),))
        yield Tried("host", host, "fine" if admit(asked, port=7860, token="t").status == status else "wrong")


def run(folder: Path) -> list[Tried]:
    """Every input with what became of it."""
    for name in ("captions", "videos"):
        (folder / name).mkdir()
    return [*queries(), *captions(folder / "captions"), *matches(folder / "videos"), *hosts()]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        tried = run(Path(folder))
    for one in tried:
        if one.state in ("lost", "wrong"):
            print(f"{one.state}: {one.kind} {json.dumps(one.text)}")
    lost, wrong, told = (sum(one.state == state for one in tried) for state in ("lost", "wrong", "told"))
    return finish(
        "R28",
        f"{len(tried)} queries, captions, names and addresses as people have them: {lost} silently lost, {wrong} wrong, "
        f"{told} refused in a sentence with the line",
        good=not lost and not wrong and len(tried) >= 80,
    )


if __name__ == "__main__":
    sys.exit(main())
