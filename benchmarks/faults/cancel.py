"""Goal R14: cancel stops indexing, a playable copy and training within 2 s, and leaves no process behind after 5 s.

Run: python -m benchmarks.faults.cancel [--times 12] [--shipped]. The last line is the figure; exit 1 if it falls short.
A job goes on when nobody looks at it, and is seen by whoever looks next: both are tried too.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.common import children, findings, finish, make_library, open_app, until
from explorer.config import Settings
from explorer.service import Explorer
from explorer.service.requests import FineTuneRequest
from tests.support.videos import Recipe, numbered

LIMIT, GONE = 2.0, 5.0


@dataclass
class Figures:
    """Seconds from asking to standing still, by what was stopped; processes still there later; what else was wrong."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    orphans: int = 0
    wrong: list[str] = field(default_factory=list)

    def note(self, kind: str, seconds: float | None) -> None:
        self.seconds.setdefault(kind, []).append(seconds if seconds is not None else float("inf"))

    @property
    def worst(self) -> float:
        return max(max(times) for times in self.seconds.values())


def stop_job(app: Explorer, job_id: int, kind: str, figures: Figures, *, after: float) -> None:
    """Cancel a job some seconds after its start and measure until it stands still."""
    own = children()
    time.sleep(after)
    state = next(job.state for job in app.jobs.list() if job.id == job_id)
    if state not in ("queued", "running"):
        return
    began = time.monotonic()
    app.jobs.cancel(job_id)
    still = until(lambda: next(j.state for j in app.jobs.list() if j.id == job_id) not in ("queued", "running"), 60)
    figures.note(kind, None if still is None else time.monotonic() - began)
    left = until(lambda: not children() - own - _lasting(app), GONE)
    figures.orphans += 0 if left is not None else len(children() - own - _lasting(app))


def _lasting(app: Explorer) -> set[int]:
    """Processes that are meant to stay."""
    worker = app.library._worker
    return {worker.pid} if worker is not None and worker.pid else set()


def stop_indexing(app: Explorer, library: Path, figures: Figures, *, times: int, chance: random.Random) -> None:
    app.store.add_root(library)
    for number in range(times):
        numbered(library / f"long{number}.mp4", Recipe(fps=25, frames=1000 + number, height=240))
        stop_job(app, app.library.start_index(), "index", figures, after=chance.uniform(0.0, 1.5))
    figures.wrong += [str(one) for one in findings(app)]
    job_id = app.library.start_index()  # nobody looks: no tab, no poll, until it is over
    if until(lambda: app.jobs.get(job_id).state == "done", 300, step=0.5) is None:
        figures.wrong.append("a job that nobody looked at did not come to its end")
    if not any(job.id == job_id and job.progress.summary for job in app.jobs.list()):
        figures.wrong.append("a new look does not show the job")


def stop_copies(app: Explorer, figures: Figures, *, times: int, chance: random.Random) -> None:
    """Closing the app is what stops a copy; half a copy is never kept."""
    from explorer.service.copies import Copies

    video = next(video for video in app.store.videos() if video.path.endswith(".avi"))
    for number in range(times):
        copies, own = Copies(app.settings.data_dir / f"playable{number}"), children()
        copies.request(video)
        time.sleep(chance.uniform(0.0, 1.0))
        began = time.monotonic()
        copies.close()
        figures.note("copy", time.monotonic() - began)
        left = until(lambda own=own: not children() - own, GONE)
        figures.orphans += 0 if left is not None else len(children() - own)
        halves = [path.name for path in copies.folder.glob("*.part")] if copies.folder.is_dir() else []
        figures.wrong += [f"half a copy was left: {name}" for name in halves]


def stop_training(app: Explorer, figures: Figures, *, times: int, chance: random.Random) -> None:
    for video in app.store.videos():
        for text in ("red and green", "blue things", f"a film called {Path(video.path).stem}"):
            app.teaching.add_caption(video.public_id, text)
    for _ in range(times):
        stop_job(
            app,
            app.teaching.start_training(FineTuneRequest(epochs=200)),
            "train",
            figures,
            after=chance.uniform(0.0, 4.0),
        )


def run(folder: Path, *, times: int, shipped: bool, seed: int = 0) -> Figures:
    """Stop each kind of work `times` times at random moments, over the shipped model or the exact one."""
    figures, chance = Figures(), random.Random(seed)
    library = make_library(folder / "library", videos=6)
    numbered(library / "long.avi", Recipe(codec="mpeg4", suffix=".avi", fps=25, frames=1000, width=640, height=480))
    app = Explorer(Settings(data_dir=folder / "data")) if shipped else open_app(folder / "data")
    with app:
        app.models.encoder()
        stop_indexing(app, library, figures, times=times, chance=chance)
        stop_copies(app, figures, times=times, chance=chance)
        stop_training(app, figures, times=times, chance=chance)
    left = until(lambda: not children(), GONE)
    figures.orphans += 0 if left is not None else len(children())
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=12)
    parser.add_argument(
        "--shipped", action="store_true", help="the shipped model instead of the exact one: slower steps"
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = run(Path(folder), times=chosen.times, shipped=chosen.shipped)
    print(*figures.wrong, sep="\n")
    told = ", ".join(f"{kind} {max(times):.2f} s ({len(times)})" for kind, times in figures.seconds.items())
    return finish(
        "R14",
        f"longest wait after cancel: {told}; {figures.orphans} processes left after {GONE:.0f} s, {len(figures.wrong)} things wrong",
        good=figures.worst <= LIMIT and not figures.orphans and not figures.wrong and len(figures.seconds) == 3,
    )


if __name__ == "__main__":
    sys.exit(main())
