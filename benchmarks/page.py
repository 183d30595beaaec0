"""What a person feels of the page: first paint, first search, Enter to painted, and what a first load weighs, in Chromium.

    python -m benchmarks.page [--files 100,1000,10000] [--queries 50] [--write]
Made libraries of so many files (20 windows each) under the shipped model; the app is started anew for each. Needs Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.index_size import fill
from benchmarks.tables import DOCS, write_table
from explorer.config import SHIPPED_CHECKPOINTS
from explorer.store.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Page

WINDOWS = 20  # of a file
WAIT = 240_000  # ms
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
THINGS = "dog cat horse boat car tree house river road bridge child bird train market garden kitchen beach".split()
PLACES = "at night,in the snow,near the sea,in a city,on a hill,in the rain".split(",")
# Seconds from Enter to the frame after the answer's cards stand in the page.
ENTER = """async text => {
  const box = HX.box();
  box.focus(); box.value = text; box.dispatchEvent(new Event('input', {bubbles: true}));
  await new Promise(done => setTimeout(done, 120));
  const results = document.querySelector('#hx-results') || document.querySelector('.hx-card')?.parentElement || document.body;
  const began = performance.now();
  const changed = new Promise(done => {
    const watch = new MutationObserver(() => {
      if (document.querySelector('.hx-chips')?.innerText.includes(text.split(' ').at(-1))) { watch.disconnect(); done(); }
    });
    watch.observe(document.body, {childList: true, subtree: true, characterData: true});
  });
  box.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', code: 'Enter', keyCode: 13, bubbles: true}));
  await changed;
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  return (performance.now() - began) / 1000;
}"""
WEIGHT = """() => performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
  .reduce((sum, entry) => sum + entry.encodedBodySize, 0)"""
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime / 1000"


@dataclass(frozen=True)
class Felt:
    """One library size: seconds, and megabytes of a first load."""

    files: int
    page: float  # from the command to the whole page
    paint: float  # from the request of the page to its first paint
    first: float  # the first search, Enter to painted
    p50: float
    p95: float
    weight: float


def queries(count: int) -> list[str]:
    """Different everyday queries, each with another last word than the one before."""
    return [f"a {THINGS[i % len(THINGS)]} {PLACES[i % len(PLACES)]}" for i in range(count)]


def feel(page: Page, files: int, link: str, *, count: int, began: float) -> Felt:
    """Open the page, search, and measure."""
    page.goto(link)
    page.locator("#hx-box textarea, #hx-box input").first.wait_for(timeout=WAIT)
    opened = time.monotonic() - began
    page.wait_for_function("() => window.HX && HX.box()", timeout=WAIT)
    paint, weight = page.evaluate(PAINT), page.evaluate(WEIGHT) / 1e6
    took = [page.evaluate(ENTER, text) for text in queries(count + 1)]
    middle, late = np.percentile(took[1:], (50, 95))
    return Felt(files, opened, paint or 0.0, took[0], float(middle), float(late), weight)


def measure(files: int, *, count: int, browser: str) -> Felt:
    """One library of so many files, in an app and a browser of its own."""
    from playwright.sync_api import sync_playwright

    from explorer.model.checkpoint import describe
    from tests.support.app import opened

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        with Store(Path(folder) / "index.db") as store:
            fill(store, files=files, windows=WINDOWS, encoder=describe(SHIPPED_CHECKPOINTS / "starter")["id"])
        began = time.monotonic()
        with opened(Path(folder)) as link:
            window = play.chromium.launch(executable_path=browser, args=ARGUMENTS)
            try:
                return feel(window.new_page(), files, link, count=count, began=began)
            finally:
                window.close()


def table(rows: list[Felt]) -> str:
    """The rows as Markdown."""
    lines = [
        "| files | page there after the command, s | first paint, s | first search, s | Enter to painted p50 / p95, s | first load, MB |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.files:,} | {r.page:.1f} | {r.paint:.2f} | {r.first:.2f} | {r.p50:.2f} / {r.p95:.2f} | {r.weight:.1f} |"
        for r in rows
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", default="100,1000,10000")
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--write", action="store_true", help="put the table into docs/results.md")
    chosen = parser.parse_args()
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        print("no Chromium is installed; the page cannot be measured")
        return 77
    rows = [measure(int(files), count=chosen.queries, browser=browser) for files in chosen.files.split(",")]
    print(table(rows))
    if chosen.write:
        write_table(DOCS / "results.md", "page", table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
