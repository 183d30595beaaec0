"""Numbers, names and sentences become text and escaped HTML: pure, so that every word on the page can be tested."""

from __future__ import annotations

import os
import re
import time
import unicodedata
from html import escape
from urllib.parse import quote

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
JOINERS = "\u200c\u200d"  # part of emoji and of several scripts, harmless


def visible(text: object) -> str:
    """Any text as it can be shown: odd bytes, control and direction-changing characters become a visible mark."""
    kept = (c if c in JOINERS or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else "\ufffd" for c in str(text))
    return "".join(kept)


def safe(text: object) -> str:
    """Any text, for the inside of an element or of a quoted attribute."""
    return escape(visible(text), quote=True)


def clock(seconds: float) -> str:
    """Seconds as a person reads a position: 0:07, 12:30, 1:02:03.

    Example:
        >>> clock(7.4), clock(750), clock(3723)
        ('0:07', '12:30', '1:02:03')
    """
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def seconds(text: str) -> float:
    """A position as a person types it: 12, 12.5, 1:02, 1:02:03.

    Raises:
        ValueError: not a time of that form.

    Example:
        >>> seconds("12.5"), seconds("1:02"), seconds("1:02:03")
        (12.5, 62.0, 3723.0)
    """
    if not re.fullmatch(r"\s*(\d{1,5}:){0,2}\d{1,6}(\.\d{1,6})?\s*", text, re.ASCII):
        raise ValueError(f"not a time: {text!r}")
    return sum(float(part) * 60**place for place, part in enumerate(reversed(text.split(":"))))


def span(start: float, end: float) -> str:
    """A stretch of time: 0:03–0:07; one within a second is that second."""
    return clock(start) if clock(start) == clock(end) else f"{clock(start)}–{clock(end)}"


def fine_clock(seconds: float) -> str:
    """A position with tenths of a second.

    Example:
        >>> fine_clock(7.46), fine_clock(59.99)
        ('0:07.5', '1:00.0')
    """
    tenths = max(0, round(10 * seconds))
    return f"{clock(tenths / 10)}.{tenths % 10}"


def fine_span(start: float, end: float) -> str:
    """A stretch of time with tenths of a second: 0:03.2–0:03.8."""
    first, last = fine_clock(start), fine_clock(end)
    return first if first == last else f"{first}–{last}"


def length(seconds: float) -> str:
    """An amount of time: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """An amount of bytes: 640 kB, 12 MB, 1.4 GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"


def day(stamp: float) -> str:
    """Seconds since the epoch as a local date and time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(stamp))


def date(stamp: float | None) -> str:
    """Seconds since the epoch as a local day: 3 Jun 2024; empty where it is not known."""
    if stamp is None:
        return ""
    try:
        found = time.localtime(stamp)
    except (OverflowError, OSError, ValueError):
        return ""
    return f"{found.tm_mday} {MONTHS[found.tm_mon - 1]} {found.tm_year}"


def middle(name: str) -> tuple[str, str]:
    """A file's name in two parts, so that a narrow place cuts it in the middle: the end stays, as it tells files apart.

    Example:
        >>> middle("holiday in the mountains 0042.mp4")
        ('holiday in the mountains', ' 0042.mp4')
    """
    stem = len(os.path.splitext(name)[0])
    cut = max(0, stem - 5)
    return (name[:cut], name[cut:]) if len(name) > 14 else ("", name)


def count(number: float, noun: str, nouns: str = "") -> str:
    """1 video, 2 videos; `nouns` where the plural is not the noun with an s."""
    return f"{number:,.0f} " + (noun if number == 1 else nouns or f"{noun}s")


def sentence(text: str) -> str:
    """A message as a sentence of its own.

    Example:
        >>> sentence("no folder yet; add one")
        'No folder yet; add one.'
    """
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def basename(path: str) -> str:
    """The file's own name, or the whole path where it has none."""
    return os.path.basename(path) or path


def name(path: str) -> str:
    """The file's own name, escaped."""
    return safe(basename(path))


def still(public_id: str, frame: int) -> str:
    """The address of a kept frame's picture."""
    return f"/still/{quote(public_id, safe='')}/{int(frame)}"
