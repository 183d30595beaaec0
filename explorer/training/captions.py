"""Reads a person's captions (JSON lines, JSON, CSV, TSV) into caption pairs, and says in one sentence what it left
out."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from explorer.language.spelling import composed
from explorer.records import CaptionPair, ExplorerError
from explorer.training.caption_files import (
    END_FIELDS,
    FILE_FIELDS,
    SPAN_FIELDS,
    START_FIELDS,
    TEXT_FIELDS,
    Line,
    json_records,
)
from explorer.training.caption_tables import field_name, table_records

MAX_WORDS = 200  # of a caption; a text tower reads 77 to 256 tokens, the rest would be lost unsaid
OVERSHOOT = 2.0  # seconds that a span may end after its file: clocks and cuts differ so much
SHOWN = 3  # names in a notice before "and n more"
CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)")
Span = tuple[float | None, float | None]


@dataclass(frozen=True)
class CaptionSet:
    """Caption pairs in file order, and a sentence for everything cut, joined or left out."""

    pairs: tuple[CaptionPair, ...]
    notices: tuple[str, ...] = ()


def _value(line: Line, names: Iterable[str]) -> object:
    """The first field of these names that holds something."""
    fields = {field_name(str(name)): value for name, value in line.fields.items()}
    return next((fields[name] for name in names if fields.get(name) not in (None, "", [])), None)


def _second(line: Line, name: str, value: object, path: Path) -> float | None:
    """Seconds of a number, "1.5", "1,5" or "0:01:30.5"; None where there is none."""
    if value is None:
        return None
    text = str(value).strip().replace(",", ".")
    clock = CLOCK.fullmatch(text)
    try:
        if isinstance(value, bool):
            raise ValueError
        seconds = float(clock[1] or 0) * 3600 + float(clock[2]) * 60 + float(clock[3]) if clock else float(text)
    except (TypeError, ValueError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ExplorerError(f"{path}, line {line.number}: {name} must be seconds from 0, not {value!r}; mend the line")
    return seconds


def _span(line: Line, path: Path, given: tuple[object, object]) -> Span:
    start, end = (_second(line, name, value, path) for name, value in zip(("start", "end"), given))
    if (start is None) != (end is None):
        raise ExplorerError(f"{path}, line {line.number}: a span needs both start and end; add the other or remove it")
    if start is not None and end is not None and end <= start:
        raise ExplorerError(
            f"{path}, line {line.number}: the span ends ({end:g} s) before it starts ({start:g} s); mend the line"
        )
    return start, end


def _spans(line: Line, path: Path, count: int) -> list[Span]:
    """A span for each of the line's captions: one for all of them, or a list as long as theirs."""
    listed = _value(line, SPAN_FIELDS)
    if listed is None:
        return [_span(line, path, (_value(line, START_FIELDS), _value(line, END_FIELDS)))] * count
    several = isinstance(listed, list) and bool(listed) and isinstance(listed[0], list)
    rows = listed if isinstance(listed, list) and several else [listed]
    pairs = [row for row in rows if isinstance(row, list) and len(row) == 2]
    if len(pairs) != len(rows) or len(pairs) not in (1, count):
        raise ExplorerError(
            f"{path}, line {line.number}: timestamps must be [start, end] for each of {count} captions; mend the line"
        )
    found = [_span(line, path, (pair[0], pair[1])) for pair in pairs]
    return found * count if len(found) == 1 else found


def _texts(line: Line, path: Path) -> list[str]:
    """The captions of a line; one that is blank keeps its place."""
    given = _value(line, TEXT_FIELDS)
    texts = [given] if isinstance(given, str) else given
    if texts is None:
        return []
    if isinstance(texts, list) and texts and all(isinstance(text, dict) for text in texts):
        texts = [_value(Line(line.number, text), TEXT_FIELDS) for text in texts]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ExplorerError(f"{path}, line {line.number}: captions must be text or a list of texts; mend the line")
    return [composed(" ".join(text.split())) for text in texts]


def _file(line: Line) -> str:
    value = _value(line, FILE_FIELDS)
    name = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return "" if "\0" in name else composed(name)


def _parse(path: Path, lines: Iterable[Line], notices: list[str]) -> Iterator[CaptionPair]:
    for line in lines:
        texts, file = _texts(line, path), _file(line)
        if not file:
            notices.append(f'{path}, line {line.number}: names no video and was left out; add its "file"')
        elif not any(texts):
            notices.append(f"{path}, line {line.number}: {file} has no caption and was left out; add one")
        else:
            for text, (start, end) in zip(texts, _spans(line, path, len(texts))):
                if text:
                    yield CaptionPair(file, _cut(text, path, line.number, notices), start, end)


def _cut(text: str, path: Path, number: int, notices: list[str]) -> str:
    words = text.split()
    if len(words) <= MAX_WORDS:
        return text
    notices.append(f"{path}, line {number}: a caption of {len(words)} words was cut to its first {MAX_WORDS}")
    return " ".join(words[:MAX_WORDS])


def _lines(path: Path, notices: list[str]) -> Iterator[Line]:
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson", ".json"):
        return json_records(path)
    if suffix in (".csv", ".tsv", ".txt"):
        return table_records(path, notices)
    raise ExplorerError(f"{path}: captions are read from .jsonl, .json, .csv or .tsv; rename or convert the file")


def read_captions(path: Path) -> CaptionSet:
    """A person's captions: lines of {"file", "captions": [...]} or {"file", "caption", "start", "end"}, or a table
    with the columns file, caption and, where it is a span, start and end (seconds); other usual names, forms of JSON
    and delimiters are read too (caption_files).

    A line without a video or caption is left out with a notice; a repeated pair is kept once and counted; a caption
    of more than 200 words is cut with a notice. Any language is read as it is.

    Raises:
        ExplorerError: unreadable, no text, broken JSON, a wrong span: one sentence with file and line number;
            or no caption at all.
    """
    notices: list[str] = []
    pairs = tuple(_parse(path, _lines(path, notices), notices))
    kept = tuple(dict.fromkeys(pairs))
    if not kept:
        detail = f" ({notices[0]})" if notices else ""
        raise ExplorerError(
            f'{path} holds no caption{detail}; write lines such as {{"file": "a.mp4", "captions": ["a dog jumps"]}}'
        )
    if len(kept) < len(pairs):
        notices.append(f"{path}: {len(pairs) - len(kept)} repeated captions were kept once")
    return CaptionSet(kept, tuple(notices))


def write_captions(path: Path, pairs: Iterable[CaptionPair]) -> None:
    """One JSON line a pair, in the form `read_captions` takes; the file is the person's to edit."""
    lines = [
        json.dumps(
            {
                "file": pair.file,
                "caption": pair.caption,
                **({} if pair.start is None else {"start": pair.start, "end": pair.end}),
            },
            ensure_ascii=False,
        )
        for pair in pairs
    ]
    temporary = path.with_name(path.name + ".new")
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write("".join(line + "\n" for line in lines))
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


def some(names: Iterable[str]) -> str:
    """`a, b, c and 4 more`."""
    names = list(names)
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest


def fit_spans(pairs: Iterable[CaptionPair], durations: Mapping[str, float]) -> CaptionSet:
    """Spans within their files: one that ends a little late is cut, one that lies beyond the end is left out.

    Args:
        pairs: captions; those of whole files, and of files without a known duration, stay as they are.
        durations: file -> seconds.
    """
    kept, beyond, cut = [], [], 0
    for pair in pairs:
        length = durations.get(pair.file)
        if pair.start is None or pair.end is None or length is None or pair.end <= length:
            kept.append(pair)
        elif pair.start < length and pair.end - length <= max(OVERSHOOT, 0.1 * (pair.end - pair.start)):
            kept.append(replace(pair, end=length))
            cut += 1
        else:
            beyond.append(f"{pair.file} {pair.start:g}-{pair.end:g} s of {length:.1f} s")
    notices: tuple[str, ...] = (f"spans that end after their video were cut to it: {cut}",) if cut else ()
    if beyond:
        notices += (
            f"captions of spans beyond the end of their video were left out: {len(beyond)} ({some(beyond)}); "
            "they may be of another cut",
        )
    return CaptionSet(tuple(kept), notices)
