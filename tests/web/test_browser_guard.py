"""A real browser: our page works under its policy without a complaint, and a page of another origin reads nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.site import TOKEN, Site

pytestmark = [pytest.mark.browser, pytest.mark.flaky(reruns=2)]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

STRANGER = """<!doctype html><title>stranger</title><body><script>
const app = "%(app)s", token = "%(token)s";
async function attempt(name, work) {
  try { return [name, await work()]; } catch (error) { return [name, "blocked"]; }
}
async function reading(path, options) {
  const answer = await fetch(app + path, {credentials: "include", ...options});
  return answer.type === "opaque" ? "blocked" : "read " + (await answer.text()).length;
}
function loading(tag, path) {
  return new Promise(done => {
    const part = document.createElement(tag);
    part.onload = part.onloadeddata = () => done(tag === "iframe" && !framed(part) ? "blocked" : "loaded");
    part.onerror = () => done("blocked");
    part.src = app + path;
    document.body.append(part);
    setTimeout(() => done("blocked"), 4000);
  });
}
function framed(part) { try { return part.contentDocument !== null; } catch (error) { return false; } }
window.tried = Promise.all([
  attempt("config", () => reading("/config")),
  attempt("page", () => reading("/")),
  attempt("token", () => reading("/?token=" + token)),
  attempt("mute", () => reading("/config", {mode: "no-cors"})),
  attempt("event", () => reading("/gradio_api/queue/join", {method: "POST", body: "{}", mode: "no-cors"})),
  attempt("upload", () => { const form = new FormData(); form.append("files", new Blob(["x"]), "x.txt");
                            return reading("/gradio_api/upload", {method: "POST", body: form}); }),
  attempt("script", () => loading("script", "/assets/plotly.min.js")),
  attempt("picture", () => loading("img", "/still/video-ready-0001/3")),
  attempt("video", () => loading("video", "/media/video-ready-0001")),
  attempt("frame", () => loading("iframe", "/")),
  attempt("socket", () => new Promise((done, failed) => { const socket = new WebSocket(app.replace("http", "ws") + "/");
                          socket.onopen = () => done("opened"); socket.onerror = failed; })),
]);
</script>"""


class Page(BaseHTTPRequestHandler):
    """Serves one page to whoever asks."""

    def __init__(self, page: str, *args: Any) -> None:
        self.page = page.encode()
        super().__init__(*args)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visitor(browser: Any, site: Site) -> Iterator[Any]:
    """A browser in which the person has opened the app, with all its page complained of or asked for elsewhere."""
    context = browser.new_context()
    page = context.new_page()
    page.complaints, page.asked = [], []
    page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(f"http://{site.host}/?token={TOKEN}")
    yield page
    context.close()


@pytest.fixture(params=["another port", "another name"])
def stranger(request: pytest.FixtureRequest, site: Site) -> Iterator[str]:
    """The address of a page of another origin: same machine and another port, or the machine's other name."""
    page = STRANGER % {"app": f"http://{site.host}", "token": TOKEN}
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Page, page))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    name = "127.0.0.1" if request.param == "another port" else "localhost"
    yield f"http://{name}:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def test_the_page_works_under_its_policy(visitor: Any, site: Site) -> None:
    visitor.wait_for_selector("#words textarea", timeout=120_000)
    assert "token" not in visitor.url
    visitor.fill("#words textarea", "a red ball")
    visitor.press("#words textarea", "Enter")
    visitor.wait_for_function("document.querySelector('#answer textarea').value === 'A RED BALL'", timeout=60_000)
    assert visitor.complaints == []
    elsewhere = [url for url in visitor.asked if not url.startswith((f"http://{site.host}/", "data:", "blob:"))]
    assert elsewhere == []


def test_an_upload_is_taken_and_shown(visitor: Any) -> None:
    visitor.wait_for_selector("input[type=file]", state="attached", timeout=120_000)
    picture = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763"
        "f8cfc000000301010018dd8db00000000049454e44ae426082"
    )
    visitor.set_input_files("input[type=file]", {"name": "dot.png", "mimeType": "image/png", "buffer": picture})
    visitor.wait_for_function(
        "[...document.images].some(one => one.src.includes('file=') && one.naturalWidth === 1)", timeout=60_000
    )
    assert visitor.complaints == []


def test_the_page_cannot_reach_another_address(visitor: Any, stranger: str) -> None:
    visitor.wait_for_selector("#words textarea", timeout=120_000)
    reached = visitor.evaluate("url => fetch(url).then(() => 'reached', () => 'refused')", stranger)
    assert reached == "refused"
    assert any("Content Security Policy" in line for line in visitor.complaints)


def test_another_origin_reads_nothing(visitor: Any, stranger: str, site: Site) -> None:
    page = visitor.context.new_page()  # the same browser, so the cookie is there
    page.goto(stranger)
    tried = dict(page.evaluate("window.tried"))
    assert len(tried) == 11 and set(tried.values()) == {"blocked"}, tried
    assert not any(site.uploads.rglob("x.txt"))


@pytest.mark.parametrize("stranger", ["another name"], indirect=True)
def test_a_link_clicked_elsewhere_opens_the_page(browser: Any, site: Site, stranger: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(stranger)
    page.evaluate("url => { location.href = url }", f"http://{site.host}/?token={TOKEN}")
    page.wait_for_selector("#words textarea", timeout=120_000)
    assert page.url == f"http://{site.host}/"
    context.close()


def test_without_the_link_a_person_is_told_what_to_do(browser: Any, site: Site) -> None:
    context = browser.new_context()
    page = context.new_page()
    assert page.goto(f"http://{site.host}/").status == 401
    assert "link printed in the terminal" in page.inner_text("body")
    context.close()
