"""The list of CLIPs as a person sees it: what each costs on this machine and for this library, and which is advised."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from explorer.config import Settings, read_json
from explorer.disk.atomic import write_bytes
from explorer.model.towers.catalogue import CHOICES, GROUPS, Choice, Machine, recommend, seconds
from explorer.records import Progress
from explorer.service.adding import TOWERS
from explorer.store.store import Store

SPEEDS = "speeds.json"  # of the data folder: seconds a frame of each choice, measured here


@dataclass(frozen=True)
class Offered:
    """A choice with what it costs here; `seconds_a_frame` and `library_seconds` are None before they were measured."""

    choice: Choice
    group: str
    here: bool
    recommended: bool
    seconds_a_frame: float | None
    library_seconds: float | None


def list_offers(settings: Settings, store: Store) -> tuple[Offered, ...]:
    """Every choice, in the order of the list; nothing is fetched and nobody is asked."""
    from explorer.model.towers.folder import RECORD, home

    machine = look_at_machine(settings, store)
    advised = recommend(machine)
    return tuple(
        Offered(
            choice,
            GROUPS[choice.group],
            (home(choice.name, settings.data_dir / TOWERS) / RECORD).is_file(),
            choice is advised,
            machine.seconds_a_frame.get(choice.name),
            seconds(choice, machine),
        )
        for choice in CHOICES
    )


def look_at_machine(settings: Settings, store: Store) -> Machine:
    """Speeds as measured, frames the library keeps, free room and memory."""
    speeds = read_json(settings.data_dir / SPEEDS)
    return Machine(
        {name: float(value) for name, value in speeds.items() if isinstance(value, (int, float))},
        store.count_frames(),
        shutil.disk_usage(settings.data_dir).free / 1e6,
        _memory_mb(),
    )


def _memory_mb() -> float:
    """Memory of this machine; where the system does not say, enough for anything."""
    try:
        pages = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text("ascii").splitlines())
        return int(pages["MemTotal"].split()[0]) / 1e3
    except (OSError, KeyError, ValueError):
        return float("inf")


def measure(settings: Settings) -> Iterator[Progress]:
    """Time the image tower of each choice on 16 frames with random weights, and keep the figures.

    Yields:
        Progress in choices.

    Raises:
        ExplorerError: the disk refuses.
    """
    from explorer.model.device import pick_device
    from explorer.model.towers.speed import seconds_a_frame

    device, found = pick_device(settings.device), dict[str, float]()
    for number, choice in enumerate(CHOICES):
        yield Progress("measure", number, len(CHOICES), choice.title)
        found[choice.name] = round(seconds_a_frame(choice.name, device=device), 4)
        write_bytes(settings.data_dir / SPEEDS, json.dumps(found, indent=1).encode())
    yield Progress("done", len(CHOICES), len(CHOICES))
