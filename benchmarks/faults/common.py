"""What the fault scripts share: the whole app over an exact tower, a look at its state, child processes, figures, exit codes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

from explorer.config import ModelConfig, Settings
from explorer.records import Job
from explorer.service import Explorer
from explorer.store.check import Finding, check
from tests.support.colour import ColourEncoder
from tests.support.indexing import SAMPLING, rows, three_colours

__all__ = [
    "PROJECT",
    "SAMPLING",
    "SKIPPED",
    "ColourTower",
    "children",
    "findings",
    "finish",
    "in_namespace",
    "make_library",
    "open_app",
    "rows",
    "settings_for",
    "skip",
    "stands_still",
    "until",
]

SKIPPED = 77  # exit code where this machine cannot try a goal, with the reason as the last line
QUERIES = ("red", "green", "blue", "red green", "blue then red")


class ColourTower(ColourEncoder):
    """The exact encoder of the index tests in a tower's clothes: the real model, store and search stand on it.

    `meanwhile` is done once, between the decoding and the encoding of the next frames.
    """

    meanwhile: Callable[[], None] | None = None
    engine_name = ""

    def encode_frames(self, pixels: np.ndarray) -> np.ndarray:
        act, self.meanwhile = self.meanwhile, None
        if act is not None:
            act()
        return super().encode_frames(pixels)

    @property
    def device(self) -> Any:
        import torch

        return torch.device("cpu")

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        return np.stack([self.text(text).sentence for text in texts])


def settings_for(data: Path) -> Settings:
    return Settings(data_dir=data, sampling=SAMPLING)


def open_app(data: Path, *, writer: bool = True, settings: Settings | None = None) -> Explorer:
    """The whole service with an encoder of colours in the place of the shipped one; its bank of captions is a short one."""
    from explorer.model.encoder import Encoder
    from explorer.model.hcmi import HCMI

    explorer = Explorer(settings or settings_for(data), writer=writer)
    tower: Any = ColourTower()
    config = ModelConfig(dim=tower.dim, heads=2)
    encoder = Encoder(tower, HCMI(config), name="colour-1")
    explorer.models.encoders._loaded[explorer.models.current] = encoder
    explorer.searches.caches._banks[encoder.name] = encoder.texts(
        [*QUERIES, "white", "black", "a dog", "two cats", "green white"]
    )
    return explorer


def make_library(folder: Path, *, videos: int) -> Path:
    """Short plain-colour videos, each with an order of its own."""
    folder.mkdir(parents=True)
    colours = ("red", "green", "blue")
    for i in range(videos):
        order = tuple(colours[(i // 3**k) % 3] for k in range(3))
        three_colours(folder / f"{i:02d}.mp4", order=order, seconds=2 + i % 3)
    return folder


def findings(explorer: Explorer) -> list[Finding]:
    """Every inconsistency of database, search cache and stills."""
    vectors = explorer.searches.caches.library(explorer.models.encoder()).vectors
    return check(explorer.store, vectors=vectors, stills=explorer.stills)


def stands_still(explorer: Explorer, job_id: int, *, seconds: float = 300.0) -> Job:
    """Wait for a job to be over, paused or interrupted."""
    return explorer.jobs.wait(job_id, seconds)


def until(condition: Callable[[], Any], seconds: float, *, step: float = 0.02) -> float | None:
    """Seconds until something holds; None where it does not within the time."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            return None
        time.sleep(step)
    return time.monotonic() - began


def children(of: int | None = None) -> set[int]:
    """Process ids below a process, this one by default; zombies are not counted."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        try:
            fields = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split() if entry.isdigit() else []
        except OSError:
            continue
        if fields and fields[0] != "Z":
            parents[int(entry)] = int(fields[1])
    found, fresh = set(), {of or os.getpid()}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def in_namespace(kind: str, module: str, *arguments: str) -> int | None:
    """Run a module with a file system ("-m") or a network ("-n") of its own; None where that is not allowed."""
    for prefix in (["unshare", kind], ["unshare", "-r", kind]):
        if shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
            return subprocess.run([*prefix, sys.executable, "-m", module, *arguments], cwd=PROJECT).returncode
    return None


def finish(goal: str, sentence: str, *, good: bool) -> int:
    """Print the figure, last of all, and give the exit code."""
    print(f"{goal} {sentence}", flush=True)
    return 0 if good else 1


def skip(goal: str, reason: str) -> int:
    print(f"{goal} skipped: {reason}", flush=True)
    return SKIPPED
