"""The values of a query's filters: durations in seconds, and days, months, years or seasons as two dates."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from functools import lru_cache

from explorer.records import ExplorerError

MAX_SECONDS = 1e8  # three years of film
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s?)?")
CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)")
ISO = re.compile(r"(\d{4})(?:[-/.](\d{1,2})(?:[-/.](\d{1,2}))?)?", re.ASCII)
SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}  # first month, north of the equator
SEASON = re.compile(rf"(?:(last|this)\s+)?({'|'.join(SEASONS)})(?:\s+(?:of\s+)?(\d{{4}}))?")
PLAIN = re.compile(r"[\w\s.,/:'-]{1,40}")  # what dates are written with
Period = tuple[date, date]  # [first day, first day no longer in it)


def seconds_of(value: str) -> float | None:
    """Seconds of `30`, `30s`, `2m`, `1h30m` or `1:30`; None where it is no duration.

    >>> seconds_of("2m"), seconds_of("1h30m"), seconds_of("1:30"), seconds_of("x")
    (120.0, 5400.0, 90.0, None)

    Raises:
        ExplorerError: longer than any video.
    """
    clock, units = CLOCK.fullmatch(value), DURATION.fullmatch(value)
    if clock:
        seconds = float(clock[1] or 0) * 3600 + float(clock[2]) * 60 + float(clock[3])
    elif value and units:
        seconds = sum(float(units[unit] or 0) * factor for unit, factor in UNITS.items())
    else:
        return None
    if not math.isfinite(seconds) or seconds > MAX_SECONDS:
        raise ExplorerError(f"{value[:40]} is longer than any video; write a duration like 90, 2m or 1h30m")
    return round(seconds, 3)  # to the millisecond, so that it can be written back


def period(value: str, *, today: date | None = None) -> Period | None:
    """The days that `2023`, `2023-05`, `2023-05-17`, "last summer", "4 July 2023" or "2 weeks ago" name; None where
    it names none.

    >>> period("2023-02")
    (datetime.date(2023, 2, 1), datetime.date(2023, 3, 1))
    >>> period("last summer", today=date(2026, 3, 1))
    (datetime.date(2025, 6, 1), datetime.date(2025, 9, 1))
    """
    today = today or date.today()
    try:
        return _iso(value) or _named(" ".join(value.lower().split()), today) or _parsed(value, today)
    except (ValueError, OverflowError):  # a day that no calendar has
        return None


def _iso(value: str) -> Period | None:
    found = ISO.fullmatch(value)
    if not found:
        return None
    year, month, day = (int(part) if part else 0 for part in found.groups())
    return _span(date(year, month or 1, day or 1), "day" if day else "month" if month else "year")


def _span(first: date, unit: str) -> Period:
    """The day, week, month, year or season that begins on a date; the last year there is ends with its last day."""
    months = {"month": 1, "season": 3, "year": 12}.get(unit)
    if months is None:
        days = timedelta(7 if unit == "week" else 1)
        return first, min(first, date.max - days) + days
    later = first.year * 12 + first.month - 1 + months
    return first, date.max if later // 12 > date.max.year else date(later // 12, later % 12 + 1, 1)


def _named(value: str, today: date) -> Period | None:
    """Today, yesterday, last or this week, month, year, and seasons."""
    if value in ("today", "yesterday"):
        return _span(today - timedelta(value == "yesterday"), "day")
    if value in ("this week", "last week"):
        monday = today - timedelta(today.weekday())
        return _span(monday - timedelta(7 if value.startswith("last") else 0), "week")
    if value in ("this month", "last month"):
        first = today.replace(day=1)
        return _span((first - timedelta(1)).replace(day=1) if value.startswith("last") else first, "month")
    if value in ("this year", "last year"):
        return _span(date(today.year - value.startswith("last"), 1, 1), "year")
    found = SEASON.fullmatch(value)
    return _season(found, today) if found and (found[1] or found[3]) else None


def _season(found: re.Match[str], today: date) -> Period:
    """`summer 2023` by its year; `last` is the newest one that is over, `this` the newest that has begun."""
    month = SEASONS[found[2]]
    if found[3]:
        return _span(date(int(found[3]), month, 1), "season")
    spans = [_span(date(today.year - back, month, 1), "season") for back in (0, 1, 2)]
    return next(span for span in spans if (span[1] if found[1] == "last" else span[0]) <= today)


@lru_cache(maxsize=256)
def _parsed(value: str, today: date) -> Period | None:
    """Other ways to write a date, in any language, by dateparser; only of values with a number, for it takes "me" for
    a Wednesday."""
    if (
        not re.search(r"\d", value)
        or not re.search(r"[^\W\d_]{3}|\d[./-]\d|[年月日]", value)
        or not PLAIN.fullmatch(value)
    ):
        return None
    from dateparser.date import DateDataParser  # 0.1 s to import, and asked by few queries

    noon = datetime(today.year, today.month, today.day, 12)
    settings = {
        "PREFER_DATES_FROM": "past",
        "PREFER_DAY_OF_MONTH": "first",
        "PREFER_MONTH_OF_YEAR": "first",
        "RELATIVE_BASE": noon,
        **({"DATE_ORDER": "DMY"} if re.fullmatch(r"[\d.\s]+", value) else {}),  # with dots the day is first everywhere
    }
    found = DateDataParser(settings=settings).get_date_data(value)
    if found.date_obj is None:
        return None
    day = found.date_obj.date()
    if found.period == "week":
        day -= timedelta(day.weekday())
    return _span(day, found.period if found.period in ("week", "month", "year") else "day")
