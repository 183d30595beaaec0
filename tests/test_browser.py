"""The whole app in a real browser: index a folder, search, click the heatmap, judge, compare two models, read a notice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.app import opened, real_clips

pytestmark = [pytest.mark.browser, pytest.mark.flaky(reruns=2)]

WAIT = 240_000  # ms; indexing three clips on a busy machine
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIME = "document.querySelector('#hx-video').currentTime"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[Any]:
    """The page over three indexed clips, opened on a data folder whose desk.json was damaged; `asked` lists its requests."""
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    films, data = real_clips(tmp_path_factory.mktemp("films") / "my films"), tmp_path_factory.mktemp("data")
    (data / "desk.json").write_text('{"history": ["flipped"], "seal": 1}', "ascii")
    with opened(data) as link, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        made = browser.new_page(viewport={"width": 1400, "height": 1000})
        made.asked = []
        made.on("request", lambda request: made.asked.append(request.url))
        made.goto(link)
        made.get_by_role("tab", name="Library").click(timeout=WAIT)
        made.locator("#hx-path input, #hx-path textarea").first.fill(str(films))
        made.locator("#hx-add").click()
        made.wait_for_function(
            "() => /(^|\\D)3\\s*videos/.test(document.querySelector('#hx-head').innerText)", timeout=WAIT
        )
        made.get_by_role("tab", name="Search").click()
        yield made
        browser.close()


def search(page: Any, text: str) -> None:
    """Ask, and wait for the answer and its evidence."""
    box = page.locator("#hx-box textarea, #hx-box input").first
    box.fill(text)
    box.press("Enter")
    page.wait_for_function(
        "text => document.querySelector('.hx-chips')?.innerText.includes(text)", arg=text.split()[-1], timeout=WAIT
    )
    page.locator("#hx-charts .hx-strip [role=gridcell]").first.wait_for(timeout=WAIT)
    page.wait_for_function("() => document.querySelector('video').readyState >= 1", timeout=WAIT)


def names(page: Any, column: str = "") -> list[str]:
    return [name.strip() for name in page.locator(f"{column} .hx-card .hx-name").all_text_contents()]


def test_index_search_and_play_from_a_clicked_cell(page: Any) -> None:
    search(page, "a bicycle in a street")
    assert "bikes" in page.locator(".hx-card").first.inner_text()
    page.evaluate("() => { const v = document.querySelector('video'); v.pause(); v.currentTime = 0; }")
    cell = page.locator("#hx-charts .hx-heatmap [role=gridcell]:last-child").first
    cell.click()
    page.wait_for_function(f"() => {TIME} > 1", timeout=30_000)
    assert "hx-picked" in (cell.get_attribute("class") or "") and page.locator(".hx-picked").count() == 1
    assert "clip 0:" in page.locator(".hx-ask span").inner_text()
    assert all(url.startswith(("http://127.0.0.1:", "data:", "blob:")) for url in page.asked), (
        "the page asked another machine"
    )


def test_a_notice_is_shown_and_stays_away_once_it_was_put_away(page: Any) -> None:
    notice = page.locator(".hx-news")
    assert "desk.json was damaged" in notice.inner_text()
    notice.locator("[data-dismiss]").click()
    notice.wait_for(state="hidden", timeout=WAIT)


def test_a_thumb_moves_the_hit_at_once_and_for_the_same_words_later(page: Any) -> None:
    search(page, "a man in a suit")
    before = names(page)
    page.locator("[data-act=bad]").click()
    page.locator(".hx-judged.hx-wrong").wait_for(timeout=WAIT)
    assert names(page) == [*before[1:], before[0]]
    search(page, "a white rabbit")
    assert page.locator(".hx-judged").count() == 0
    search(page, "A man in a suit")
    page.locator(".hx-judged.hx-wrong").wait_for(timeout=WAIT, state="attached")
    page.evaluate("() => document.querySelectorAll('.hx-tail').forEach((tail) => { tail.open = true; })")
    assert names(page)[-1] == before[0]
    page.locator(".hx-undo").click()
    page.wait_for_function("() => !document.querySelector('.hx-judged')", timeout=WAIT)
    assert names(page) == before


def test_the_charts_follow_the_chosen_model_and_a_node_of_its_graph_jumps(page: Any) -> None:
    search(page, "a man drives a car")
    page.locator("select[name=beside]").select_option("hgr")
    page.locator(".hx-two").wait_for(timeout=WAIT)
    page.locator(".hx-column[data-second=true] .hx-card").first.click()
    page.wait_for_function(
        "() => document.querySelector('.hx-heat-block h4').textContent === 'Actions × frames'", timeout=WAIT
    )
    assert "drives" in page.locator(".hx-action").inner_text() and page.locator(".hx-chosen").count() == 1
    page.locator("#hx-graph summary").click()
    node = page.locator("#hx-graph .points path").last
    node.wait_for(timeout=WAIT)
    wanted = page.evaluate("() => document.querySelector('#hx-graph .hx-figure').data[2].customdata.at(-1)[0]")
    page.wait_for_function("() => document.querySelector('video').readyState >= 1", timeout=WAIT)
    page.evaluate(f"() => {{ document.querySelector('#hx-video').pause(); {TIME} = {wanted} > 1 ? 0 : 2; }}")
    node.click(force=True)
    page.wait_for_function(f"() => Math.abs({TIME} - {wanted}) < 0.9", timeout=30_000)
    page.locator("select[name=beside]").select_option("")
    page.wait_for_function(
        "() => document.querySelector('.hx-heat-block h4').textContent === 'Phrases × clips'", timeout=WAIT
    )


def test_keys_work_from_the_focused_player_and_the_search_box_shows_its_focus(page: Any) -> None:
    page.evaluate("() => document.querySelector('#hx-video').focus()")
    page.keyboard.press("/")
    page.wait_for_function("() => document.activeElement === HX.box()", timeout=WAIT)
    assert page.evaluate("() => getComputedStyle(HX.box()).boxShadow").endswith("0px 0px 0px 1px")


def test_charts_are_drawn_anew_for_another_width_also_while_their_tab_is_away(page: Any) -> None:
    search(page, "a bicycle in a street")
    page.evaluate("() => { document.querySelector('#hx-graph details').open = true; }")
    fits = "() => { const b = document.querySelector('#hx-graph .hx-figure'); return b.clientHeight > 60 && b.layout && b.layout.width === b.clientWidth; }"
    page.wait_for_function(fits, timeout=WAIT)
    page.get_by_role("tab", name="Help").click()
    page.set_viewport_size({"width": 800, "height": 1000})
    page.get_by_role("tab", name="Search").click()
    page.wait_for_function(fits, timeout=WAIT)
    page.set_viewport_size({"width": 1400, "height": 1000})
    page.wait_for_function(fits, timeout=WAIT)


def test_a_second_start_points_to_the_first(tmp_path: Path) -> None:
    from tests.support.app import opened as second

    with opened(tmp_path / "data") as link, second(tmp_path / "data") as again:
        assert again == link
