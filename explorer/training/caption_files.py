"""Reads the files that captions come in, JSON lines, JSON, CSV or TSV, into records with the line a person finds them
at."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.records import ExplorerError

# names of columns and fields, the likeliest first
FILE_FIELDS = (
    "file filename file_name video video_name video_id videoid video_path clip_name clip_id clip image image_name "
    "image_id path file_path filepath vid youtube_id name id"
).split()
TEXT_FIELDS = (
    "captions caption sentences sentence descriptions description texts text queries query annotation desc raw"
).split()
START_FIELDS = "start start_time start_sec start_s begin t_start from".split()
END_FIELDS = "end end_time end_sec end_s stop t_end to".split()
SPAN_FIELDS = "timestamps timestamp segment segments span times".split()
ALL_FIELDS = frozenset((*FILE_FIELDS, *TEXT_FIELDS, *START_FIELDS, *END_FIELDS, *SPAN_FIELDS))
LISTS = ("sentences", "annotations", "data", "captions")  # names under which a JSON object lists its records
SUFFIX = re.compile(r"\.[A-Za-z0-9]{2,5}$")
MAX_BYTES = 512 << 20  # of a captions file
BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
DELIMITERS = {".csv": ",;\t|", ".tsv": "\t,;|", ".txt": "\t,;|"}  # tried in this order
LOOKED_AT = 20  # rows that choose the delimiter
EXAMPLE = '{"file": "a.mp4", "captions": ["..."]}'


@dataclass(frozen=True)
class Line:
    """One record of an annotation file, with the number a person finds it at."""

    number: int
    fields: dict[str, Any]


# ---- bytes to text


def read_bytes(path: Path) -> bytes:
    """A file's bytes, or one sentence on why not."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ExplorerError(f"{path} is larger than {MAX_BYTES >> 20} MB; split it into smaller files")
        return path.read_bytes()
    except OSError as error:
        raise ExplorerError(f"cannot read {path}: {error.strerror or error}; check the name and its access") from error


def encoding_of(data: bytes) -> tuple[str, int]:
    """(encoding, bytes of its mark): by the byte order mark, by the zeros of unmarked UTF-16, else UTF-8."""
    for mark, name in BOMS:
        if data.startswith(mark):
            return name, len(mark)
    start = data[:400]
    if len(start) >= 4 and start[1::2].count(0) > len(start) // 4 and not start[::2].count(0):
        return "utf-16-le", 0
    if len(start) >= 4 and start[::2].count(0) > len(start) // 4 and not start[1::2].count(0):
        return "utf-16-be", 0
    return "utf-8", 0


def read_text(path: Path) -> str:
    """A UTF-8 or UTF-16 file, or one sentence naming the line that is neither."""
    data = read_bytes(path)
    encoding, mark = encoding_of(data)
    try:
        return data[mark:].decode(encoding)
    except UnicodeDecodeError as error:
        number = data[: mark + error.start].count(b"\n") + 1
        raise ExplorerError(f"{path}, line {number}: not UTF-8 text; save the file again as UTF-8") from error


def read_table_text(path: Path, notices: list[str]) -> str:
    """A table's text; what spreadsheets on Windows save in their old Western encoding is read as that, with a
    notice."""
    data = read_bytes(path)
    try:
        return read_text(path)
    except ExplorerError:
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            text = ""
        foreign = {c for c in text if ord(c) > 127}
        if not foreign or not all(c.isalpha() or c in "‘’“”–—…°€£«»§" for c in foreign):
            raise
    notices.append(
        f"{path}: not UTF-8; read as Western text (Windows-1252); where letters look wrong, save it as UTF-8"
    )
    return text


# ---- JSON


def json_lines(path: Path) -> Iterator[Line]:
    """Every line that is not blank as a JSON object."""
    yield from _objects_of_lines(path, read_text(path))


def _objects_of_lines(path: Path, text: str) -> Iterator[Line]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield Line(number, _object(path, number, _loads(path, number, line)))


def _loads(path: Path, number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", str(error))
        line = number + getattr(error, "lineno", 1) - 1
        raise ExplorerError(f"{path}, line {line}: broken JSON ({reason}); mend or remove the line") from error


def _object(path: Path, number: int, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ExplorerError(f"{path}, line {number}: expected an object such as {EXAMPLE}; mend or remove the line")
    return value


def json_records(path: Path) -> Iterator[Line]:
    """The records of a JSON file in any of its forms: a line each, a list of objects, an object of lists, or an object
    whose names are the videos.

    {"a.mp4": ["..."]}, {"v_x": {"sentences": [...], "timestamps": [...]}}, {"sentences": [{"video_id", "caption"}]}
    and {"images": [...], "annotations": [{"image_id", "caption"}]} are read too.
    """
    text = read_text(path)
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        if text.lstrip().startswith("["):
            _loads(path, 1, text)  # says where
        yield from _objects_of_lines(path, text)
        return
    if isinstance(whole, list):
        for number, item in zip(_places(text, len(whole)), whole):
            yield Line(number, _object(path, number, item))
    else:
        yield from _records_of(path, text, _object(path, 1, whole))


def _places(text: str, count: int) -> list[int]:
    """The line on which each item of a JSON list begins."""
    decoder, at, places = json.JSONDecoder(), text.index("[") + 1, []
    line, counted = 1, 0
    for _ in range(count):
        while text[at] in " \t\r\n,":
            at += 1
        line, counted = line + text.count("\n", counted, at), at
        places.append(line)
        _, at = decoder.raw_decode(text, at)
    return places


def _records_of(path: Path, text: str, whole: dict[str, Any]) -> Iterator[Line]:
    """The records of one JSON object: those of a list it holds, itself, or one for each of its names."""
    listed = next((whole[name] for name in LISTS if _is_list_of_objects(whole.get(name))), None)
    if listed is not None:
        images = [image for image in whole.get("images", []) if isinstance(image, dict)]
        files = {image.get("id"): image.get("file_name") for image in images}
        for item in listed:
            named = files.get(item.get("image_id"))
            yield Line(1, {**item, "file": named} if named else item)
    elif any(isinstance(whole.get(name), str) for name in FILE_FIELDS):
        yield Line(1, whole)
    else:
        at = 0
        for name, value in whole.items():
            at = max(text.find(json.dumps(name, ensure_ascii=False), at), at)
            number = text.count("\n", 0, at) + 1
            yield from (Line(number, {**fields, "file": name}) for fields in _of_one_file(path, number, value))


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _of_one_file(path: Path, number: int, value: object) -> list[dict[str, Any]]:
    """What stands behind a video's name: captions, an object, or a list of objects."""
    if _is_list_of_objects(value):
        return value  # type: ignore[return-value]
    if isinstance(value, (str, list)):
        return [{"captions": value}]
    return [_object(path, number, value)]


# ---- tables


def table_lines(path: Path, *, delimiter: str, columns: tuple[str, ...] = ()) -> Iterator[Line]:
    """The rows of a CSV or TSV; its first row names the columns unless they are given."""
    rows = iter(read_rows(path, read_text(path), delimiter))
    names = list(columns)
    for number, row in rows:
        if not names:
            names = [field_name(cell) for cell in row]
            continue
        yield Line(number, _named(path, number, names, row))


def _named(path: Path, number: int, names: Sequence[str], row: list[str]) -> dict[str, Any]:
    """A row under its columns' names; empty cells at its end may be left out or be too many."""
    while len(row) > len(names) and not row[-1].strip():
        row = row[:-1]
    if len(row) != len(names):
        raise ExplorerError(
            f"{path}, line {number}: {len(row)} columns where {len(names)} are expected; "
            "put text with a comma in quotes, and a quote within a text twice"
        )
    return dict(zip(names, row, strict=True))


def read_rows(path: Path, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """(line, cells) of each row that is not empty.

    A quote that opens a cell and is never closed would swallow the rows after it: such a table is read with quotes as
    signs, and quotes around a whole cell are taken off.
    """
    quoted = _quoted_rows(path, text, delimiter)
    cells = [cell for _, row in quoted for cell in row]
    whole = not any("\n" in cell for cell in cells) or _is_strict(text, delimiter)
    if whole and not any(_is_swallowing(cell, delimiter) for cell in cells):
        return quoted
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    plain = [
        (n, [_unquoted(cell) for cell in line.split(delimiter)]) for n, line in enumerate(lines, 1) if line.strip()
    ]
    if delimiter == "," and len({len(row) for _, row in plain}) > 1:
        width = len(plain[0][1])
        number = next(n for n, row in plain if len(row) != width)
        raise ExplorerError(
            f"{path}, line {number}: a quote within a cell leaves its end open; write quotes within a text twice"
        )
    return plain


def _quoted_rows(path: Path, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """Rows by the usual rules of quoting."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise ExplorerError(f"{path}, line {reader.line_num}: {error}; mend or remove the line") from error


def _is_strict(text: str, delimiter: str) -> bool:
    """Whether every quote that opens a cell also ends it."""
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            pass
    except csv.Error:
        return False
    return True


def _is_swallowing(cell: str, delimiter: str) -> bool:
    """Whether a cell holds what looks like rows of their own: a tab, or a file's name in front, on a later line."""
    start = re.compile(rf'[^"{re.escape(delimiter)}]*\.\w{{2,4}}\s*"?{re.escape(delimiter)}')
    return any(start.match(line) or (delimiter == "\t" and "\t" in line) for line in cell.split("\n")[1:])


def _unquoted(cell: str) -> str:
    inner = cell.strip()[1:-1]
    whole = len(cell.strip()) > 1 and cell.strip()[0] == cell.strip()[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if whole else cell


def field_name(cell: str) -> str:
    """A column's name as it is compared.

    >>> field_name(" Clip-Name ")
    'clip_name'
    """
    return re.sub(r"[\s.-]+", "_", cell.strip().strip('"').lower())


def table_records(path: Path, notices: list[str]) -> Iterator[Line]:
    """The rows of a person's table: any usual delimiter, with or without names of the columns.

    Raises:
        ExplorerError: no column can be told to name the videos, or to hold the captions.
    """
    text = read_table_text(path, notices)
    first, _, rest = text.partition("\n")
    given = re.fullmatch(r"sep=(.)\r?", first)  # what Excel writes to say it
    if given:
        text = "\n" + rest
    rows = read_rows(path, text, given[1] if given else _delimiter(path, text))
    if not rows:
        return
    names = [field_name(cell) for cell in rows[0][1]]
    if not ALL_FIELDS.isdisjoint(names):
        rows = rows[1:]
        _check_columns(path, names, notices)
    else:
        names = _guessed_columns(path, [row for _, row in rows])
        notices.append(
            f"{path}: the first row names no columns, so column {names.index('file') + 1} is read as the video and "
            f"column {names.index('caption') + 1} as the caption"
        )
    for number, row in rows:
        yield Line(number, _named(path, number, names, row))


def _delimiter(path: Path, text: str) -> str:
    """The sign between cells: the one that parts known names of columns, else the one that parts the rows alike."""
    lines = [line for line in text.splitlines()[: LOOKED_AT * 2] if line.strip()][:LOOKED_AT]
    signs = DELIMITERS.get(path.suffix.lower(), DELIMITERS[".csv"])
    if not lines:
        return signs[0]
    known = {sign: len(ALL_FIELDS & {field_name(cell) for cell in lines[0].split(sign)}) for sign in signs}
    if max(known.values()) > 1:
        return max(signs, key=lambda sign: known[sign])
    parted = {sign: min(line.count(sign) for line in lines) for sign in signs}
    return next((sign for sign in signs if parted[sign]), signs[0])


def _check_columns(path: Path, names: Sequence[str], notices: list[str]) -> None:
    """Say which columns are read where several could be."""
    for fields, what in ((FILE_FIELDS, "name the video"), (TEXT_FIELDS, "hold the caption")):
        found = [name for name in fields if name in names]
        if not found:
            raise ExplorerError(
                f"{path}, line 1: no column that could {what} (found {', '.join(names)[:200]}); call it {fields[0]}"
            )
        if len(found) > 1:
            notices.append(f"{path}, line 1: the columns {' and '.join(found)} could {what}; {found[0]} is read")


def _guessed_columns(path: Path, rows: list[list[str]]) -> list[str]:
    """Names for the columns of a table without a first row of names: the video, the caption, and two of seconds."""
    width = len(rows[0])
    columns = [[row[i].strip() for row in rows if len(row) == width] for i in range(width)]
    numbers = [i for i, cells in enumerate(columns) if all(re.fullmatch(r"[\d:.,]+", cell) for cell in cells)]
    texts = [i for i in range(width) if i not in numbers and any(" " in cell for cell in columns[i])]
    files = [i for i, cells in enumerate(columns) if i not in numbers and all(SUFFIX.search(cell) for cell in cells)]
    files = files or [i for i in range(width) if i not in numbers and i not in texts]
    texts = [i for i in texts if i not in files] or [i for i in range(width) if i not in (*files, *numbers)]
    if len(files) != 1 or len(texts) != 1 or len(numbers) not in (0, 2):
        raise ExplorerError(
            f"{path}, line 1: cannot tell which of {width} columns names the video and which holds the caption; "
            "write their names, such as file and caption, on the first line"
        )
    names = {files[0]: "file", texts[0]: "caption"} | dict(zip(numbers, ("start", "end")))
    return [names[i] for i in range(width)]
