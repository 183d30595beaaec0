"""Says when a file was recorded: what its container says, else a date in its name, else the time of the file."""

from __future__ import annotations

import os
import re
import time
from datetime import datetime

from explorer.records import Recorded, VideoFile

EARLIEST = datetime(1980, 1, 2).timestamp()  # clocks that were never set give 1904, 1970 or the first day of 1980
LEEWAY = 2 * 86400.0  # seconds a clock may go ahead of ours
_DAY = r"(?P<year>19[89]\d|20\d\d)(?P<gap>[-_. ]?)(?P<month>0[1-9]|1[0-2])(?P=gap)(?P<day>0[1-9]|[12]\d|3[01])"
_CAR_DAY = r"(?P<year>20\d\d)_(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12]\d|3[01])"  # 2023_0704_123456 of car cameras
_TIME = (
    r"(?:(?:[-_ T]|[-_ ]at[-_ ]|, )?(?P<hour>[01]\d|2[0-3])(?P<mark>[-_.:h]?)(?P<minute>[0-5]\d)"
    r"(?:(?P=mark)|m)?(?P<second>[0-5]\d))?"
)
NAMED = tuple(re.compile(rf"(?<!\d){day}(?:{_TIME}|(?!\d))") for day in (_DAY, _CAR_DAY))


def container_time(text: str) -> float | None:
    """Seconds since the epoch of a time as containers write it; None where it is none, or one of a clock never set.

    A time without a zone is one of this machine's.

    Example:
        >>> container_time("2023-07-04T10:00:00.000000Z"), container_time("1904-01-01T00:00:00Z")
        (1688464800.0, None)
    """
    text = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", text.strip().replace("Z", "+00:00"))
    try:
        return _believed(datetime.fromisoformat(text).timestamp()) if ":" in text else None
    except (ValueError, OverflowError, OSError):
        return None


def name_time(name: str) -> float | None:
    """Seconds since the epoch of the day, and time of day, in a file's name; noon of the day where it tells no time.

    Phones, messengers, screen recorders and car cameras name files so: VID_20230704_101500, VID-20230704-WA0001,
    2023-07-04 10.15.00, 2023_0704_101500_001.

    Example:
        >>> name_time("VID-20230704-WA0001.mp4") == datetime(2023, 7, 4, 12).timestamp()
        True
        >>> name_time("trailer 1920x1080.mp4") is None
        True
    """
    for pattern in NAMED:
        for found in pattern.finditer(name):
            parts = [found[part] for part in ("year", "month", "day")]
            parts += [found[part] for part in ("hour", "minute", "second")] if found["hour"] else ["12", "0", "0"]
            try:
                moment = _believed(datetime(*map(int, parts)).timestamp())  # type: ignore[arg-type]
            except (ValueError, OverflowError, OSError):  # the 31st of a short month
                continue
            if moment is not None:
                return moment
    return None


def _believed(moment: float) -> float | None:
    return moment if EARLIEST <= moment <= time.time() + LEEWAY else None


def recorded(file: VideoFile, created: float | None) -> Recorded:
    """When a file was recorded and what says so.

    Args:
        file: its path and own time.
        created: seconds since the epoch as its container says, None where it does not.
    """
    if created is not None:
        return Recorded(created, "container")
    named = name_time(os.path.basename(file.path))
    return Recorded(file.mtime_ns / 1e9, "file") if named is None else Recorded(named, "name")
