"""Runs the reliability goals one after the other, each in a process of its own, and prints one table of what was measured.

    python -m benchmarks.faults [--only R5,R6] [--minutes 40] [--quick] [--jobs 1]
Exits 1 where a goal falls short or was not tried for want of time; a goal this machine cannot try is shown with the reason.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.faults.common import PROJECT, SKIPPED
from benchmarks.tables import DOCS, write_table

MINUTES = 45.0  # most for all goals; on two quiet cores they take about half of it


@dataclass(frozen=True)
class Goal:
    """A goal, its command, and the shorter form of it that --quick runs."""

    name: str
    what: str
    command: str
    quick: str = ""
    limit: float = 420.0  # seconds


@dataclass(frozen=True)
class Row:
    """What one goal came to."""

    goal: Goal
    command: str
    figure: str
    state: str  # ok | short | skipped
    seconds: float


F = "benchmarks.faults."
GOALS = (
    Goal("R1", "hostile folder", F + "hostile"),
    Goal("R2", "mutations", F + "mutations --count 5000", F + "mutations --count 200", 900),
    Goal("R3", "right frame, right time", F + "stripes", F + "stripes --short"),
    Goal("R4", "rescue of cut files", F + "rescue"),
    Goal("R5", "kill -9 while indexing", F + "kill_index --kills 200", F + "kill_index --kills 8", 900),
    Goal("R6", "kill -9 while training", F + "kill_train --kills 50", F + "kill_train --kills 3", 900),
    Goal("R7", "failing system calls", F + "syscalls", F + "syscalls --at-most 2", 600),
    Goal("R8", "disk full", F + "disk_full", F + "disk_full --videos 6"),
    Goal("R9", "drive vanishes", F + "drive --goal R9", F + "drive --goal R9 --rounds 4"),
    Goal("R10", "read-only media", F + "drive --goal R10"),
    Goal("R11", "change detection", "pytest -p no:cacheprovider tests/media/test_scan.py"),
    Goal("R13", "bit rot", F + "bitrot --flips 200", F + "bitrot --flips 20", 600),
    Goal("R14", "cancel", F + "cancel", F + "cancel --times 2"),
    Goal("R15", "hung decoder", F + "hung", F + "hung --times 4"),
    Goal("R16", "memory", F + "memory --files 10000", F + "memory --files 200", 900),
    Goal("R17", "size", "benchmarks.index_size", "benchmarks.index_size --files 2000", 600),
    Goal("R18", "tabs", F + "tabs", F + "tabs --searches 10", 600),
    Goal("R20", "two instances", F + "races", F + "races --races 100"),
    Goal("R21", "names", F + "names"),
    Goal("R22", "web guard", F + "guard"),
    Goal("R23", "no network", F + "offline --suite part", F + "offline --suite none", 900),
    Goal("R24", "unsafe loads", F + "unsafe"),
    Goal("R25", "upgrade", F + "migrate --kills 50", F + "migrate --kills 6"),
    Goal("R27", "told", F + "told"),
    Goal("R28", "as people have them: queries, captions, names", F + "people"),
    Goal("R29", "as people have them: files and folders", F + "as_people_have"),
)
CHECKED = ("R5", "R7", "R8", "R9", "R13", "R14", "R18", "R21")  # each of their runs ends in explorer.store.check


def run(goal: Goal, *, quick: bool, until: float) -> Row:
    """Run one goal; it is killed, with what it started, when its time is over."""
    command = goal.quick if quick and goal.quick else goal.command
    began, limit = time.monotonic(), min(goal.limit, until - time.monotonic())
    if limit <= 1:
        return Row(goal, command, "not tried: no time was left", "short", 0.0)
    process = subprocess.Popen(
        [sys.executable, "-m", *shlex.split(command)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, complained = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        _end(process)
        return Row(goal, command, f"not done within {limit:.0f} s", "short", time.monotonic() - began)
    lines = (
        [line for line in said.splitlines() if line.strip()]
        or complained.strip().splitlines()[-1:]
        or ["it said nothing"]
    )
    state = {0: "ok", SKIPPED: "skipped"}.get(process.returncode, "short")
    for line in (lines[:-1] + complained.splitlines()[-5:])[-20:] if state == "short" else ():
        print(f"{goal.name}: {line}", file=sys.stderr)
    return Row(goal, command, lines[-1], state, time.monotonic() - began)


def _end(process: subprocess.Popen[str]) -> None:
    """Kill a script and everything it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def checked(rows: list[Row]) -> list[Row]:
    """R12: the index equals the database after every fault, as the scripts that make the faults themselves look."""
    looked = [row for row in rows if row.goal.name in CHECKED and row.state != "skipped"]
    if not looked:
        return []
    failed = [row.goal.name for row in looked if row.state != "ok"]
    names = ", ".join(row.goal.name for row in looked)
    figure = f"checked after every fault of {names}: " + (
        f"not in {', '.join(failed)}" if failed else "no inconsistency"
    )
    return [
        Row(Goal("R12", "index equals database", ""), "within the others", figure, "short" if failed else "ok", 0.0)
    ]


def table(rows: list[Row]) -> str:
    """The rows as Markdown, in the order of the goals."""
    ordered = sorted(rows, key=lambda row: int(row.goal.name[1:]))
    lines = ["| goal | what | command | figure | | seconds |", "|---|---|---|---|---|---|"]
    for row in ordered:
        command = f"`python -m {row.command}`" if row.goal.command else row.command
        figure = row.figure.removeprefix(row.goal.name).lstrip(": ").replace("|", "\\|")
        lines.append(f"| {row.goal.name} | {row.goal.what} | {command} | {figure} | {row.state} | {row.seconds:.0f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="goals, such as R5,R6")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--quick", action="store_true", help="small counts: a look that everything works")
    parser.add_argument("--jobs", type=int, default=1, help="goals at once; times are only comparable with 1")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    chosen = parser.parse_args()
    wanted = {name.strip() for name in chosen.only.split(",") if name.strip()}
    unknown = wanted - {goal.name for goal in GOALS}
    if unknown:
        parser.error(f"no goal {', '.join(sorted(unknown))}; there are {', '.join(goal.name for goal in GOALS)}")
    until = time.monotonic() + 60 * chosen.minutes

    def tried(goal: Goal) -> Row:
        row = run(goal, quick=chosen.quick, until=until)
        print(f"{row.state:8}{row.seconds:6.0f} s  {row.figure}", file=sys.stderr, flush=True)
        return row

    with ThreadPoolExecutor(chosen.jobs) as pool:
        rows = list(pool.map(tried, [goal for goal in GOALS if not wanted or goal.name in wanted]))
    rows += checked(rows)
    print(table(rows))
    if chosen.write:
        write_table(DOCS / "reliability.md", "faults", table(rows))
    return 1 if any(row.state == "short" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
