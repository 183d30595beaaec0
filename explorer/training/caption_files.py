"""Reads the files that captions come in: bytes to text, and JSON in all its forms to records with their line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
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
MAX_BYTES = 512 << 20  # of a captions file
BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
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
