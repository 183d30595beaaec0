"""Goal R18: eight tabs search at once while the library is indexed: no error, and nobody gets another's answer.

Run: python -m benchmarks.faults.tabs [--tabs 8] [--searches 200]. The last line is the figure; exit 1 if it falls short.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.faults.common import findings, finish, make_library, open_app, stands_still
from explorer.service import Explorer
from tests.support.indexing import three_colours

COLOURS = ("red", "green", "blue")


class Tab(threading.Thread):
    """One visitor: searches in an order of its own, and looks whether each answer is to its own question."""

    def __init__(self, app: Explorer, number: int, *, searches: int) -> None:
        super().__init__(daemon=True)
        self.app, self.number, self.searches = app, number, searches
        self.wrong: list[str] = []
        self.done = 0

    def run(self) -> None:
        asked = itertools.islice(itertools.cycle(COLOURS), self.number, self.number + self.searches)
        for place, colour in enumerate(asked):
            text = f"{colour} {self.number} {place % 20}"  # words that mean nothing make each question its own
            try:
                self.look(text, colour)
            except Exception as error:  # whatever it is, it is what the goal forbids
                self.wrong.append(f"{text}: {type(error).__name__}: {error}")
            self.done += 1

    def look(self, text: str, colour: str) -> None:
        result = self.app.searches.search(text, k=5)
        if result.query.text != text:
            self.wrong.append(f"asked {text}, answered {result.query.text}")
        if not result.hits or result.hits[0].scores.video_sentence < 0.5:
            self.wrong.append(
                f"{text}: {len(result.hits)} hits, the best {result.hits[0].scores.video_sentence if result.hits else 0:.2f}"
            )
        elif self.done % 20 == 0:
            why = self.app.searches.explain(text, result.hits[0].public_id, result.hits[0].start)
            if colour not in why.words:
                self.wrong.append(f"{text}: explained by {why.words}")


def run(folder: Path, *, tabs: int, searches: int) -> tuple[int, list[str], float, int]:
    """(searches made, what went wrong, seconds, videos indexed meanwhile)."""
    library = make_library(folder / "library", videos=9)
    with open_app(folder / "data") as app:
        stands_still(app, app.library.add_folder(str(library)))
        app.searches.search("red")
        visitors = [Tab(app, number, searches=searches) for number in range(tabs)]
        began = time.monotonic()
        for visitor in visitors:
            visitor.start()
        added = keep_indexing(app, library, visitors)
        took = time.monotonic() - began
        wrong = [line for visitor in visitors for line in visitor.wrong] + [str(one) for one in findings(app)]
        return sum(visitor.done for visitor in visitors), wrong, took, added


def keep_indexing(app: Explorer, library: Path, visitors: list[Tab]) -> int:
    """Add files and index them for as long as someone searches; how many."""
    added = 0
    while any(visitor.is_alive() for visitor in visitors):
        three_colours(
            library / f"more{added:03d}.mp4", order=COLOURS[added % 3 :] + COLOURS[: added % 3], seconds=2 + added % 5
        )
        added += 1
        stands_still(app, app.library.start_index())
    return added


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tabs", type=int, default=8)
    parser.add_argument("--searches", type=int, default=200)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made, wrong, took, added = run(Path(folder), tabs=chosen.tabs, searches=chosen.searches)
    print(*wrong[:20], sep="\n")
    return finish(
        "R18",
        f"{chosen.tabs} tabs, {made} searches in {took:.0f} s while {added} videos were indexed: {len(wrong)} errors or mixed answers",
        good=not wrong and made == chosen.tabs * chosen.searches and added > 0,
    )


if __name__ == "__main__":
    sys.exit(main())
