"""Reads a person's captions (JSONL, JSON, CSV, TSV) into caption pairs, and says in one sentence what it left out."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.records import CaptionPair, ExplorerError

MAX_WORDS = 200  # of a caption; a text tower reads 77 to 256 tokens, the rest would be lost unsaid
MAX_BYTES = 512 << 20  # of a captions file
NOT_MEDIA = {".json", ".jsonl", ".csv", ".tsv", ".txt", ".md", ".srt", ".vtt", ".npz"}  # lie beside videos
SHOWN = 3  # names in a notice before "and n more"


@dataclass(frozen=True)
class CaptionSet:
    """Caption pairs in file order, and a sentence for everything cut, joined or left out."""

    pairs: tuple[CaptionPair, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """One record of an annotation file, with the number a person finds it at."""

    number: int
    fields: dict[str, Any]


def read_text(path: Path) -> str:
    """A UTF-8 file (a byte order mark is allowed), or one sentence naming the line that is not."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ExplorerError(f"{path} is larger than {MAX_BYTES >> 20} MB; split it into smaller files")
        data = path.read_bytes()
    except OSError as error:
        raise ExplorerError(f"cannot read {path}: {error.strerror or error}; check the name and its access") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise ExplorerError(f"{path}, line {number}: not UTF-8 text; save the file again as UTF-8") from error


def json_lines(path: Path) -> Iterator[Line]:
    """Every line that is not blank as a JSON object."""
    for number, text in enumerate(read_text(path).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", str(error))
            raise ExplorerError(f"{path}, line {number}: broken JSON ({reason}); mend or remove the line") from error
        if not isinstance(fields, dict):
            raise ExplorerError(
                f"{path}, line {number}: expected an object such as "
                '{"file": "a.mp4", "captions": ["..."]}; mend or remove the line'
            )
        yield Line(number, fields)


def table_lines(path: Path, *, delimiter: str, columns: tuple[str, ...] = ()) -> Iterator[Line]:
    """The rows of a CSV or TSV; its first row names the columns unless they are given."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter)
    names = list(columns)
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if not names:
                names = [cell.strip().lower() for cell in row]
                continue
            if len(row) != len(names):
                raise ExplorerError(
                    f"{path}, line {reader.line_num}: {len(row)} columns where {len(names)} are "
                    "expected; put text with a comma in quotes"
                )
            yield Line(reader.line_num, dict(zip(names, row, strict=True)))
    except csv.Error as error:
        raise ExplorerError(f"{path}, line {reader.line_num}: {error}; mend or remove the line") from error


def _second(line: Line, name: str, path: Path) -> float | None:
    value = line.fields.get(name)
    if value is None or value == "":
        return None
    try:
        seconds = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ExplorerError(f"{path}, line {line.number}: {name} must be seconds from 0, not {value!r}; mend the line")
    return seconds


def _span(line: Line, path: Path) -> tuple[float | None, float | None]:
    start, end = _second(line, "start", path), _second(line, "end", path)
    if (start is None) != (end is None):
        raise ExplorerError(f"{path}, line {line.number}: a span needs both start and end; add the other or remove it")
    if start is not None and end is not None and end <= start:
        raise ExplorerError(
            f"{path}, line {line.number}: the span ends ({end:g} s) before it starts ({start:g} s); mend the line"
        )
    return start, end


def _texts(line: Line, path: Path) -> list[str]:
    given = line.fields.get("captions", line.fields.get("caption"))
    texts = [given] if isinstance(given, str) else given
    if texts is None:
        return []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ExplorerError(f"{path}, line {line.number}: captions must be text or a list of texts; mend the line")
    return [" ".join(text.split()) for text in texts if text.strip()]


def _file(line: Line) -> str:
    for name in ("file", "video", "image", "path"):
        value = line.fields.get(name)
        if isinstance(value, str) and value.strip() and "\0" not in value:
            return value.strip()
    return ""


def _parse(path: Path, lines: Iterable[Line], notices: list[str]) -> Iterator[CaptionPair]:
    for line in lines:
        texts, file = _texts(line, path), _file(line)
        if not file:
            notices.append(f'{path}, line {line.number}: names no video and was left out; add its "file"')
        elif not texts:
            notices.append(f"{path}, line {line.number}: {file} has no caption and was left out; add one")
        else:
            start, end = _span(line, path)
            for text in texts:
                yield CaptionPair(file, _cut(text, path, line.number, notices), start, end)


def _cut(text: str, path: Path, number: int, notices: list[str]) -> str:
    words = text.split()
    if len(words) <= MAX_WORDS:
        return text
    notices.append(f"{path}, line {number}: a caption of {len(words)} words was cut to its first {MAX_WORDS}")
    return " ".join(words[:MAX_WORDS])


def _lines(path: Path) -> Iterator[Line]:
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson", ".json"):
        return json_lines(path)
    if suffix in (".csv", ".tsv"):
        return table_lines(path, delimiter="," if suffix == ".csv" else "\t")
    raise ExplorerError(f"{path}: captions are read from .jsonl, .csv or .tsv; rename or convert the file")


def read_captions(path: Path) -> CaptionSet:
    """A person's captions: lines of {"file", "captions": [...]} or {"file", "caption", "start", "end"}, or a table
    with the columns file, caption and, where it is a span, start and end (seconds).

    A line without a video or caption is left out with a notice; a repeated pair is kept once and counted; a caption
    of more than 200 words is cut with a notice. Any language is read as it is.

    Raises:
        ExplorerError: unreadable, not UTF-8, broken JSON, a wrong span: one sentence with file and line number;
            or no caption at all.
    """
    notices: list[str] = []
    pairs = tuple(_parse(path, _lines(path), notices))
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


def match_videos(
    pairs: Iterable[CaptionPair], folder: Path, *, stems: bool = False
) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Find the file of every caption inside `folder`: by its relative path, else by a base name that is unique there.

    Args:
        pairs: captions; `file` is a relative path or a name.
        folder: the videos; links out of it are not followed.
        stems: names carry no extension (video ids of a benchmark).

    Returns:
        (name -> path of the files found, notices: captions without a video, videos without a caption).

    Raises:
        ExplorerError: the folder is missing, or holds none of the videos.
    """
    if not folder.is_dir():
        raise ExplorerError(f"{folder} is not a folder; give the one that holds the videos")
    wanted = list(dict.fromkeys(pair.file for pair in pairs))
    by_name = _files_by_name(folder, stems=stems)
    found = {name: path for name in wanted if (path := _one(_candidates(name, by_name, stems), folder / _key(name)))}
    if not found:
        raise ExplorerError(
            f"none of the {len(wanted)} videos named by the captions is in {folder} "
            f"({some(wanted)}); give the folder that holds them"
        )
    return found, _match_notices(wanted, found, by_name, folder)


def _key(name: str) -> str:
    return os.path.normpath(name).replace(os.sep, "/")


def _candidates(name: str, by_name: dict[str, list[Path]], stems: bool) -> list[Path]:
    """Files of that name; of a benchmark also those that were only stored under another ending."""
    return by_name.get(_key(name)) or (by_name.get(Path(name).stem, []) if stems else [])


def _one(paths: list[Path], exact: Path) -> Path | None:
    """The path itself where it is there, else the only file of that name; two of one name are nobody's."""
    if exact in paths:
        return exact
    return paths[0] if len(paths) == 1 else None


def _files_by_name(folder: Path, *, stems: bool) -> dict[str, list[Path]]:
    table: dict[str, list[Path]] = {}
    for root, _, files in os.walk(folder):
        for file in sorted(files):
            path = Path(root) / file
            relative = path.relative_to(folder).as_posix()
            names = {relative, file} | ({path.stem} if stems else set())
            for name in names:
                table.setdefault(name, []).append(path)
    return table


def _match_notices(
    wanted: list[str], found: dict[str, Path], by_name: dict[str, list[Path]], folder: Path
) -> tuple[str, ...]:
    notices = []
    missing = [name for name in wanted if name not in found]
    if missing:
        notices.append(
            f"{len(missing)} of {len(wanted)} captioned videos are not in {folder} and were left out: {some(missing)}"
        )
    used = set(found.values())
    there = {path for paths in by_name.values() for path in paths if path.suffix.lower() not in NOT_MEDIA}
    bare = sorted(path.name for path in there - used)
    if bare:
        notices.append(f"{len(bare)} files in {folder} have no caption: {some(bare)}")
    return tuple(notices)
