"""What is clicked becomes the words of the query that say the same, and back: in:, on:, after:, longer: and more."""

from __future__ import annotations

import re
from dataclasses import dataclass

from explorer.records import Query

NAMES = ("in", "file", "on", "after", "before", "longer", "shorter")
ONCE = {
    "on": ("on", "after", "before"),
    "after": ("on", "after"),
    "before": ("on", "before"),
}  # what a new one replaces


@dataclass(frozen=True)
class Filter:
    """A filter as a chip shows it, and as it stands in the query."""

    text: str
    written: str


def written(name: str, value: str) -> str:
    """A filter as it is typed.

    Example:
        >>> written("in", "my trips"), written("on", "2024-06-03")
        ('in:"my trips"', 'on:2024-06-03')
    """
    plain = value.replace('"', "").strip()
    return f'{name}:"{plain}"' if re.search(r"[^\w./-]", plain) else f"{name}:{plain}"


def pattern(name: str) -> re.Pattern[str]:
    """Any filter of a name, as a person may have typed it."""
    return re.compile(rf'(?<!\S){name}:\s*(?:"[^"]*"|\S+)', re.IGNORECASE)


def add(text: str, name: str, value: str) -> str:
    """A query with one filter more; it takes the place of those that it makes meaningless.

    Example:
        >>> add("a dog on:2023", "on", "2024-06-03")
        'a dog on:2024-06-03'
    """
    if name not in NAMES or not value.strip():
        return text
    for other in ONCE.get(name, (name,)):
        text = pattern(other).sub(" ", text)
    return " ".join(f"{text} {written(name, value)}".split())


def remove(text: str, one: str) -> str:
    """A query without a filter, given as it stands in it or as this module would write it.

    Example:
        >>> remove('a dog in:"my trips" longer:2m', 'in:"my trips"')
        'a dog longer:2m'
    """
    name, _, value = one.partition(":")
    if name not in NAMES:
        return text
    wanted = value.strip().strip('"').casefold()
    parts = pattern(name).findall(text)
    same = [found for found in parts if found.partition(":")[2].strip().strip('"').casefold() == wanted]
    for found in same or parts[:1]:
        text = text.replace(found, " ", 1)
    return " ".join(text.split())


def of(query: Query) -> list[Filter]:
    """The filters of a query, each as its chip."""
    found = [("in", folder) for folder in query.folders] + [("file", name) for name in query.files]
    found += [(name, value) for name in ("on", "after", "before") if (value := getattr(query, name))]
    made = [Filter(f"{name}: {value}", written(name, value)) for name, value in found]
    for name in ("longer", "shorter"):
        seconds = getattr(query, name)
        if seconds is not None:
            made.append(Filter(f"{name} than {seconds:g} s", f"{name}:{seconds:g}"))
    return made
