"""Renews the picture of the page in the README: the app over the sample library, one search, in Chromium.

python -m benchmarks.picture [--query TEXT] [--dark] [--out assets/page.png]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.config import ASSETS, Settings

if TYPE_CHECKING:
    from playwright.sync_api import Page

WAIT = 240_000  # ms
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def index_samples(data: Path) -> None:
    """Make and index the sample library in a data folder."""
    from explorer import Explorer
    from explorer.service.requests import SamplesRequest

    with Explorer(Settings(data_dir=data)) as explorer:
        for _ in explorer.library.add_samples(SamplesRequest()):
            pass


def search(page: Page, text: str) -> None:
    """Ask, and wait until cards, player and charts stand."""
    box = page.locator("#hx-box textarea, #hx-box input").first
    box.wait_for(timeout=WAIT)
    page.wait_for_function("() => window.HX && HX.box()", timeout=WAIT)
    box.fill(text)
    box.press("Enter")
    page.locator(".hx-card").first.wait_for(timeout=WAIT)
    page.wait_for_function("() => document.querySelector('video')?.readyState >= 2", timeout=WAIT)
    page.wait_for_function("() => document.querySelector('#hx-charts')?.innerText.length > 40", timeout=WAIT)
    page.wait_for_timeout(3000)  # stills and fonts come last


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--query", default="a man in a suit")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--out", type=Path, default=ASSETS / "page.png")
    chosen = parser.parse_args()
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        print("no Chromium is installed; the picture cannot be taken")
        return 77
    from playwright.sync_api import sync_playwright

    from tests.support.app import opened

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        index_samples(Path(folder))
        with opened(Path(folder)) as link:
            window = play.chromium.launch(executable_path=browser, args=ARGUMENTS)
            scheme = "dark" if chosen.dark else "light"
            page = window.new_page(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
            page.goto(link)
            search(page, chosen.query)
            page.screenshot(path=str(chosen.out))
            window.close()
    print(chosen.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
