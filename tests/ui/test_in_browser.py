"""The page in a real browser over a small library of real films: what a person does, and what the page then shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from explorer.records import Job, Progress
from tests.support.app import CLIPS, real_clips
from tests.support.little_explorer import LittleExplorer
from tests.support.site import TOKEN, Site, running
from tests.test_browser import ARGUMENTS

pytestmark = [pytest.mark.browser, pytest.mark.flaky(reruns=2)]

WAIT = 240_000  # ms, on a machine with much else to do
TIME = "HX.video().currentTime"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> LittleExplorer:
    films = real_clips(tmp_path_factory.mktemp("films") / "my films")
    return LittleExplorer(
        [
            {"public_id": f"film{number:04d}", "path": str(films / name), "duration": 5.0, "caption": caption}
            for number, (name, caption) in enumerate(CLIPS.items())
        ]
    )


@pytest.fixture(scope="module")
def site(library: LittleExplorer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site"), explorer=library, whole=True) as site:
        yield site


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, site: Site) -> Iterator[Any]:
    """A new visitor with the page open; a script's error fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, accept_downloads=True)
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"http://{site.host}/?token={TOKEN}")
    page.locator("#hx-box textarea").wait_for(timeout=WAIT)
    page.locator(".hx-welcome").wait_for(timeout=WAIT)
    yield page
    context.close()
    assert not problems


def search(page: Any, text: str) -> None:
    box = page.locator("#hx-box textarea").first
    box.fill(text)
    box.press("Enter")
    page.locator(".hx-heatmap [role=gridcell]").first.wait_for(timeout=WAIT)
    page.wait_for_function("() => HX.video().readyState >= 1", timeout=WAIT)


def at(page: Any) -> float:
    return float(page.evaluate(f"() => {TIME}"))


# ---- the explanation


def test_every_cell_can_be_read_whatever_its_colour_and_white_is_chance(page: Any) -> None:
    lowest = page.evaluate(
        "() => Math.min(...Array.from({length: 401}, (_, i) => HX.colour(-1 + i / 200, {chance: 0.1, full: 0.4}).contrast))"
    )
    assert lowest >= 4.5
    assert page.evaluate("() => HX.colour(0.1, {chance: 0.1, full: 0.4}).back") == "rgb(255,255,255)"
    search(page, "a bicycle in a street")
    drawn = page.evaluate(
        """() => { const lum = (c) => { const [r, g, b] = c.match(/\\d+/g).map((v) => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
             return .2126 * r + .7152 * g + .0722 * b; };
           return [...document.querySelectorAll('.hx-heat [role=gridcell]')].map((n) => { const s = getComputedStyle(n);
             const [a, b] = [lum(s.color), lum(s.backgroundColor)].sort((x, y) => y - x); return (a + .05) / (b + .05); }); }"""
    )
    assert len(drawn) > 20 and min(drawn) >= 4.5


def test_a_clicked_cell_is_outlined_plays_its_clip_and_can_be_judged(page: Any, library: LittleExplorer) -> None:
    search(page, "a bicycle in a street")
    cell = page.locator(".hx-heatmap [role=gridcell][data-column='1']").first
    start = page.evaluate("() => document.querySelector('.hx-heatmap th[data-column=\"1\"]').title")
    cell.click()
    assert page.locator(".hx-picked").count() == 1 and "0:0" in start
    page.wait_for_function(f"() => {TIME} >= 2.9", timeout=WAIT)
    assert "right for" in page.locator(".hx-ask span").inner_text()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator(".hx-picked").get_attribute("data-column") == "2"
    page.locator("[data-good=yes]").click()
    page.wait_for_function("() => document.querySelector('[data-good=yes].hx-done')", timeout=WAIT)


def test_the_cells_of_the_present_frame_light_up_as_the_film_plays(page: Any) -> None:
    search(page, "a bicycle in a street")
    page.evaluate(f"() => {{ HX.video().pause(); {TIME} = 3.0; }}")
    lit = "() => [...document.querySelectorAll('.hx-strip th.hx-now')].map((n) => n.innerText.trim())"
    page.wait_for_function(f"() => ({lit})().join() === '0:03'", timeout=WAIT)
    page.evaluate(f"() => {{ {TIME} = 1.0; }}")
    page.wait_for_function(f"() => ({lit})().join() === '0:01'", timeout=WAIT)
    assert page.locator(".hx-heatmap [role=gridcell].hx-now").count() >= 1


@pytest.mark.parametrize("form", ["png", "svg", "csv", "json"])
def test_an_alignment_is_kept_as_a_picture_and_as_numbers(page: Any, tmp_path: Path, form: str) -> None:
    search(page, "a bicycle in a street")
    page.locator(".hx-keep summary").click()
    with page.expect_download(timeout=WAIT) as kept:
        page.locator(f"[data-save={form}][data-grid=heat]").click()
    path = tmp_path / "kept"
    kept.value.save_as(path)
    content, cells = path.read_bytes(), page.locator(".hx-heatmap [role=gridcell]").count()
    assert kept.value.suggested_filename == f"bikes.mp4 phrases.{form}"
    if form == "png":
        assert content.startswith(b"\x89PNG") and len(content) > 5000
    elif form == "svg":
        assert content.count(b"<rect") > cells and b"bicycle" in content and b"chance" in content
    elif form == "csv":
        rows = content.decode().strip().split("\r\n")
        assert len(rows) == 6 and rows[0].startswith('"phrases","clip 0:00') and len(rows[1].split('","')[-1]) > 0
    else:
        told = json.loads(content)
        assert told["query"] == "a bicycle in a street" and len(told["rows"]) * len(told["columns"]) == cells
        assert told["scale"]["full"] > 0 and all(isinstance(v, float) for row in told["values"] for v in row)


# ---- the player


def test_keys_skip_without_pausing_step_by_frames_and_work_on_a_tab_button(page: Any) -> None:
    search(page, "a white rabbit")
    page.locator("#hx-video").evaluate("async (v) => { v.muted = true; v.currentTime = 0; await v.play(); }")
    page.locator(".hx-card").first.focus()
    page.keyboard.press("j")
    assert not page.evaluate("() => HX.video().paused")
    page.keyboard.press("l")
    assert not page.evaluate("() => HX.video().paused")
    page.evaluate(f"() => {{ HX.video().pause(); {TIME} = 1; }}")
    page.keyboard.press(".")
    page.wait_for_function(f"() => {TIME} > 1.005 && {TIME} < 1.1", timeout=WAIT)
    page.get_by_role("tab", name="Search").focus()
    page.keyboard.press("/")
    page.wait_for_function("() => document.activeElement === HX.box()", timeout=WAIT)


def test_a_moment_plays_over_and_over_on_request(page: Any) -> None:
    search(page, "a white rabbit")
    page.locator("[data-act=loop]").click()
    assert page.locator("[data-act=loop]").get_attribute("aria-pressed") == "true"
    page.locator("#hx-video").evaluate(
        "async (v) => { v.muted = true; HX.jump(1, 1.6); await new Promise((r) => setTimeout(r, 300)); }"
    )
    page.wait_for_function(f"() => {TIME} > 1.45", timeout=WAIT)
    page.wait_for_function(f"() => {TIME} < 1.3", timeout=WAIT)
    page.keyboard.press("r")
    assert page.locator("[data-act=loop]").get_attribute("aria-pressed") == "false"


def test_speed_and_volume_are_remembered(page: Any) -> None:
    search(page, "a white rabbit")
    page.locator("select[name=speed]").select_option("1.5")
    page.evaluate("() => { HX.video().volume = 0.25; }")
    page.wait_for_function("() => JSON.parse(localStorage.getItem('hx-volume') || '{}').volume === 0.25", timeout=WAIT)
    page.reload()
    page.locator(".hx-heatmap [role=gridcell]").first.wait_for(timeout=WAIT)
    page.wait_for_function("() => HX.video().readyState >= 1", timeout=WAIT)
    assert page.evaluate("() => [HX.video().playbackRate, HX.video().volume]") == [1.5, 0.25]
    page.locator(".hx-card").first.focus()
    page.keyboard.press(">")
    assert page.locator("select[name=speed]").input_value() == "2"


def test_full_screen_keeps_the_keys(page: Any) -> None:
    search(page, "a white rabbit")
    page.locator(".hx-card").first.focus()
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement?.matches('.hx-player')", timeout=WAIT)
    before = page.locator(".hx-chosen").get_attribute("data-id")
    page.keyboard.press("n")
    page.wait_for_function("id => document.querySelector('.hx-chosen').dataset.id !== id", arg=before, timeout=WAIT)
    page.keyboard.press("f")
    page.wait_for_function("() => !document.fullscreenElement", timeout=WAIT)


def test_a_file_deleted_since_says_that_it_is_gone(page: Any, library: LittleExplorer) -> None:
    search(page, "a man in a suit")
    film = Path(library.path_of("film0002"))
    aside = film.rename(film.with_suffix(".away"))
    try:
        page.evaluate("() => HX.play('film0001', 0, 1)")
        page.wait_for_function("() => HX.video().src.includes('film0001')", timeout=WAIT)
        page.evaluate("() => HX.play('film0002', 0, 1)")
        page.wait_for_function(
            "() => document.querySelector('.hx-cover').innerText.includes('not there any more')", timeout=WAIT
        )
    finally:
        aside.rename(film)


# ---- the address, other tabs, a restart


def test_the_address_brings_back_the_search_its_weights_and_its_moment(page: Any, site: Site) -> None:
    search(page, "a man in a suit")
    page.locator("input[name=clip]").fill("1.8")
    page.locator("input[name=clip]").dispatch_event("input")
    page.wait_for_function("() => location.hash.includes('w=')", timeout=WAIT)
    page.locator(".hx-tail summary").click()
    page.locator(".hx-tail .hx-card").first.click()
    page.wait_for_function("() => location.hash.includes('v=film0001')", timeout=WAIT)
    chosen, address = page.locator(".hx-chosen").get_attribute("data-id"), page.url
    page.goto("about:blank")
    page.goto(address)
    page.locator(".hx-heatmap [role=gridcell]").first.wait_for(timeout=WAIT)
    assert page.locator(".hx-chosen").get_attribute("data-id") == chosen
    assert page.locator("#hx-box textarea").input_value() == "a man in a suit"
    assert page.locator("input[name=clip]").input_value() == "1.8"


def test_a_tab_learns_that_another_one_resumed_the_work(page: Any, library: LittleExplorer) -> None:
    library.work = [Job(1, "index", "paused", {}, Progress("decode", 1, 5), 0.0)]
    page.wait_for_function("() => document.querySelector('#hx-head').innerText.includes('paused')", timeout=WAIT)
    library.work = [Job(1, "index", "running", {}, Progress("decode", 2, 5), 0.0)]
    page.wait_for_function("() => !document.querySelector('#hx-head').innerText.includes('paused')", timeout=WAIT)
    library.work = []
    page.wait_for_function("() => !document.querySelector('#hx-head').innerText.includes('Indexing')", timeout=WAIT)


# ---- what is not ours, and who cannot see or use a pointer


def test_the_head_of_the_page_names_no_other_machine(page: Any, site: Site) -> None:
    head = page.evaluate("() => document.head.outerHTML") + page.evaluate("() => fetch('/').then((r) => r.text())")
    found = set(re.findall(r"(?:https?:)?//([\w.-]+\.[a-z]{2,})", head)) - {"127.0.0.1"}
    assert not found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("tab", ["Search", "Library", "Models", "Teach", "Help"])
def test_axe_finds_nothing_serious(browser: Any, site: Site, scheme: str, tab: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    try:
        page.goto(f"http://{site.host}/?token={TOKEN}")
        page.locator(".hx-welcome").wait_for(timeout=WAIT)
        if tab == "Search":
            search(page, "a man in a suit")
        else:
            page.get_by_role("tab", name=tab).click()
            page.wait_for_timeout(800)
        found = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
        serious = [
            f"{one['id']}: {one['help']}: {node['html'][:160]} {node['any'][0]['message'] if node['any'] else ''}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert not serious, "\n".join(serious)
    finally:
        context.close()
