"""Reads tables of captions, CSV or TSV in any usual dialect, into records with the line a person finds them at."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from explorer.records import ExplorerError
from explorer.training.caption_files import ALL_FIELDS, FILE_FIELDS, TEXT_FIELDS, Line, read_bytes, read_text

DELIMITERS = {".csv": ",;\t|", ".tsv": "\t,;|", ".txt": "\t,;|"}  # tried in this order
LOOKED_AT = 20  # rows that choose the delimiter
SUFFIX = re.compile(r"\.[A-Za-z0-9]{2,5}$")


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
