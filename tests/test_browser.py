"""The whole app in a real browser: add a folder, watch it being indexed, search, click the heatmap, see the player jump."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests.app import opened, real_clips

pytestmark = pytest.mark.browser

WAIT = 240_000                 # ms; indexing three clips on a busy machine
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


def test_index_search_and_play_from_a_clicked_cell(tmp_path: Path, chromium: str) -> None:
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    folder = real_clips(tmp_path / "my films")
    with opened(tmp_path / "data") as link, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(link)
        page.get_by_role("tab", name="Library").click(timeout=WAIT)
        page.locator("#hx-path input, #hx-path textarea").first.fill(str(folder))
        page.locator("#hx-add").click()
        page.wait_for_function("() => /(^|\\D)3\\s*videos/.test(document.querySelector('#hx-head').innerText)", timeout=WAIT)

        page.get_by_role("tab", name="Search").click()
        box = page.locator("#hx-box textarea, #hx-box input").first
        box.fill("a bicycle in a street")
        box.press("Enter")
        first = page.locator(".hx-card").first
        first.wait_for(timeout=WAIT)
        assert "bikes" in first.inner_text()

        cells = page.locator("#hx-charts .js-plotly-plot, .js-plotly-plot")
        cells.first.wait_for(timeout=WAIT)
        video = page.locator("video").first
        page.wait_for_function("() => document.querySelector('video').readyState >= 1", timeout=WAIT)
        before = video.evaluate("v => { v.pause(); v.currentTime = 0; return v.currentTime }")
        area = cells.first.locator(".nsewdrag").first.bounding_box()
        assert area is not None
        page.mouse.click(area["x"] + area["width"] * 0.93, area["y"] + area["height"] * 0.5)
        page.wait_for_function(f"() => document.querySelector('video').currentTime > {before} + 1", timeout=30_000)
        assert all(url.startswith(("http://127.0.0.1:", "data:", "blob:")) for url in asked), "the page asked another machine"
        browser.close()


def test_a_second_start_points_to_the_first(tmp_path: Path) -> None:
    from tests.app import opened as second
    with opened(tmp_path / "data") as link, second(tmp_path / "data") as again:
        assert again == link
