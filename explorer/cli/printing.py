"""What the command line prints: results as text or JSON on stdout, progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from explorer.records import Progress


def say(value: object, *, as_json: bool, text: str = "") -> None:
    """Print one result; odd bytes of file names are spelled out, control characters never reach the terminal raw."""
    line = json.dumps(value, ensure_ascii=True) if as_json else text
    printable = "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in line)
    print(printable.encode("utf-8", "backslashreplace").decode("utf-8"), flush=True)


def show(step: Progress, *, as_json: bool) -> None:
    """One line of progress on stderr, failures as they come."""
    if as_json:
        say(
            {"stage": step.stage, "done": round(step.done, 2), "total": round(step.total, 2), "current": step.current},
            as_json=True,
        )
        return
    for failure in step.failures:
        print(f"\r{failure.reason}".encode("utf-8", "backslashreplace").decode(), file=sys.stderr)
    left = f", {step.eta:.0f} s left" if step.eta is not None else ""
    name = Path(step.current).name.encode("utf-8", "backslashreplace").decode()
    if sys.stderr.isatty():
        print(f"\r\033[K{step.stage} {step.done:.0f} of {step.total:.0f}{left}  {name[:60]}", end="", file=sys.stderr)


def run(steps: Iterator[Progress], *, as_json: bool) -> Mapping[str, object]:
    """Show all of a long work's progress; the summary of its end."""
    summary: Mapping[str, object] = {}
    for step in steps:
        if step.stage != "done":
            show(step, as_json=as_json)
        summary = step.summary or summary
    if sys.stderr.isatty() and not as_json:
        print("\r\033[K", end="", file=sys.stderr)
    return summary


def rows(value: object) -> list[Any]:  # Any: JSON objects, each of the form its writer documents
    """The items of a list in a summary; none in the place of anything else."""
    return list(value) if isinstance(value, (list, tuple)) else []
