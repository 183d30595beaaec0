"""JSON files that prove themselves: an object with a checksum inside, and the digest of a file that a person writes."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path

from explorer.disk.atomic import write_bytes
from explorer.records import ExplorerError

SEAL = "seal"  # the key that holds the checksum of all the others
NO_FILE = "none"  # the digest of a file that is not there


def read_json(path: Path, *, limit: int = 1 << 20) -> dict[str, object]:
    """Read the JSON object in a file, {} where there is no file.

    Raises:
        ExplorerError: it cannot be read, is larger than `limit` bytes, or holds no JSON object.
    """
    try:
        if path.stat().st_size > limit:
            raise ExplorerError(f"{path} is larger than {limit} bytes; remove it to start from the defaults")
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ExplorerError(f"cannot read {path}: {error}; mend or remove it") from error
    if not isinstance(data, dict):
        raise ExplorerError(f"{path} must hold a JSON object; mend or remove it")
    return data


def read_sealed(path: Path) -> dict[str, object]:
    """Read an object that `write_sealed` wrote, without its seal; {} where there is no file.

    Raises:
        ExplorerError: it cannot be read, or its checksum does not fit.
    """
    sealed = read_json(path)
    data = {name: value for name, value in sealed.items() if name != SEAL}
    if sealed and sealed.get(SEAL) != checksum(data):
        raise ExplorerError(f"{path} is damaged, its checksum does not fit")
    return data


def write_sealed(path: Path, data: Mapping[str, object]) -> None:
    """Replace a file by an object and its checksum.

    Raises:
        ExplorerError: the disk refuses; the old file is as it was.
    """
    text = json.dumps({**data, SEAL: checksum(data)}, ensure_ascii=True, indent=1)
    write_bytes(path, text.encode("ascii"))


def checksum(data: Mapping[str, object]) -> int:
    """CRC-32 of an object, whatever the order of its keys.

    >>> checksum({"a": 1, "b": 2}) == checksum({"b": 2, "a": 1})
    True
    """
    return zlib.crc32(json.dumps(data, sort_keys=True, ensure_ascii=True).encode("ascii"))


def digest_of(path: Path) -> str:
    """The sha256 of a file's bytes in hexadecimal, NO_FILE where there is none.

    Raises:
        OSError: it cannot be read.
    """
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else NO_FILE
