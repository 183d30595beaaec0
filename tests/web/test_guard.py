"""The guard answers a long table of friendly and hostile requests as the table says, and keeps the page offline."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.faults.guard import cases, wrong
from explorer.config import Settings
from explorer.records import ExplorerError
from explorer.web.admission import PASS, Request, Verdict, admit, cookie_name, session_of
from explorer.web.guard import HEADERS
from explorer.web.routes import is_plain, route_of
from tests.support.site import TOKEN, Site, send


def ask(target: str = "/config", method: str = "GET", **headers: str) -> int:
    """The admission's status for a request with our Host and cookie; header names with _ for -."""
    named = {"host": "127.0.0.1:7860", "cookie": f"{cookie_name(7860)}={session_of(TOKEN)}", **headers}
    path, _, query = target.partition("?")
    listed = tuple((name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in named.items())
    return admit(Request(method, path.encode(), query.encode(), listed), port=7860, token=TOKEN).status


def test_every_request_of_the_table(site: Site) -> None:
    table = cases(site)
    assert len(table) >= 60
    assert [problem for problem in (wrong(site, case) for case in table) if problem] == []


def test_forwarded_headers_are_not_believed(site: Site) -> None:
    foreign = dict.fromkeys(
        (
            "X-Forwarded-Host",
            "X-Forwarded-Server",
            "X-Gradio-Server",
            "X-Original-URL",
            "X-Rewrite-URL",
            "X-Host",
            "Forwarded",
        ),
        "evil.example",
    )
    answer = site.ask("GET", "/config", {**foreign, "X-Forwarded-Proto": "https", "X-Forwarded-For": "1.2.3.4"})
    assert answer.status == 200
    assert b"evil.example" not in answer.body and f"https://{site.host}".encode() not in answer.body


def test_two_hosts_or_two_origins_are_refused(site: Site) -> None:
    start = f"GET /config HTTP/1.1\r\nHost: {site.host}\r\nCookie: {site.cookie}\r\n"
    assert send(site.port, f"{start}Host: evil.example\r\n\r\n".encode()).status in (400, 421)
    assert send(site.port, f"{start}Origin: http://{site.host}\r\nOrigin: null\r\n\r\n".encode()).status == 403


def test_a_websocket_is_refused_by_the_guard_itself() -> None:
    import asyncio

    from explorer.web.guard import Guard

    said: list[dict[str, object]] = []

    async def tell(message: dict[str, object]) -> None:
        said.append(message)

    async def never() -> None:
        raise AssertionError("the app was asked")

    asyncio.run(Guard(never, port=1, token="t")({"type": "websocket", "headers": []}, never, tell))
    assert said == [{"type": "websocket.close", "code": 1008}]


def test_every_answer_carries_the_headers(site: Site) -> None:
    for target in ("/", "/config", "/media/video-ready-0001", "/nothing-here", "/assets/plotly.min.js"):
        headers = site.ask("GET", target).headers
        for name, value in HEADERS:
            assert headers[name.decode()] == value.decode(), target
        assert "server" not in headers


def test_the_policy_names_no_other_address() -> None:
    policy = dict(HEADERS)[b"content-security-policy"].decode()
    assert "http" not in policy and "*" not in policy
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy


def test_the_link_gives_a_cookie_that_opens_the_page(site: Site) -> None:
    answer = site.ask("GET", f"/?token={TOKEN}", {"Cookie": None})
    assert answer.status == 303 and answer.headers["location"] == "/" and answer.headers["cache-control"] == "no-store"
    cookie, *rules = answer.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict"} <= set(rules) and TOKEN not in cookie
    assert site.ask("GET", "/", {"Cookie": cookie}).status == 200


def test_a_refusal_tells_what_to_do(site: Site) -> None:
    assert b"link printed in the terminal" in site.ask("GET", "/", {"Cookie": None}).body


def test_an_upload_comes_back_boxed_and_nothing_else_does(site: Site) -> None:
    part = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="page.html"\r\n'
        b"Content-Type: text/html\r\n\r\n<script>alert(1)</script>\r\n--x--\r\n"
    )
    sent = site.ask("POST", "/gradio_api/upload", {"Content-Type": "multipart/form-data; boundary=x"}, part)
    assert sent.status == 200
    path = sent.body.decode().strip('[]"')
    assert Path(path).is_relative_to(site.uploads)
    given = site.ask("GET", f"/gradio_api/file={path}")
    assert given.status == 200 and b"alert" in given.body
    assert "sandbox" in given.headers["content-security-policy"]


def test_a_link_out_of_the_uploads_is_refused(site: Site) -> None:
    (site.uploads / "door").symlink_to("/etc/hostname")
    assert site.ask("GET", f"/gradio_api/file={site.uploads}/door").status == 404


@pytest.mark.parametrize(
    "path",
    [
        b"/a/../b",
        b"/a/%2e./b",
        b"/a/.%2e/b",
        b"/a%2f..%2fb",
        b"/a/..;x/b",
        b"/a\\b",
        b"/a%5Cb",
        b"/a%00",
        b"/a\n",
        b"/%",
        b"/%4",
        b"/%g1",
        b"a",
        b"",
        b"*",
        b"//a",
        b"/a//b",
        b"/%c0%af",
        b"/%ff",
        b"/%252f",
        b"/%2525",
        b"/a/%2e",
        b"/\x7f",
    ],
)
def test_paths_that_two_readers_could_read_differently(path: bytes) -> None:
    assert not is_plain(path)


def test_plain_paths() -> None:
    for path in (b"/", b"/a.b/c-d_e", b"/a%20b", b"/%C3%A9t%C3%A9", b"/a..b", b"/...", b"/file=/tmp/x%2Fy"):
        assert is_plain(path)


def test_no_upload_folder_gives_no_file(tmp_path: Path) -> None:
    target = f"/gradio_api/file={tmp_path}/a".encode()
    assert route_of("GET", target) is None
    assert route_of("GET", target, uploads=str(tmp_path)) == "file"
    assert route_of("GET", f"/gradio_api/file={tmp_path}x/a".encode(), uploads=str(tmp_path)) is None


def test_port_80_is_named_without_its_number() -> None:
    cookie = f"{cookie_name(80)}={session_of(TOKEN)}"
    asked = Request("GET", b"/", b"", ((b"host", b"localhost"), (b"cookie", cookie.encode())))
    assert admit(asked, port=80, token=TOKEN) == PASS


def test_a_cookie_of_another_token_is_refused() -> None:
    assert ask() == 0
    assert ask(cookie=f"{cookie_name(7860)}={session_of('another')}") == 401
    assert session_of("a") != session_of("b")


def test_content_length_must_be_a_number() -> None:
    for value in ("-1", "1e3", "0x10", " 5", "\xb2"):
        assert ask("/gradio_api/queue/join", "POST", origin="http://127.0.0.1:7860", content_length=value) == 400


def opened(host: str, *, names: tuple[str, ...] = ()) -> Verdict:
    """What the link gets by a Host, without a cookie."""
    asked = Request("GET", b"/", f"token={TOKEN}".encode(), ((b"host", host.encode("latin-1")),))
    return admit(asked, port=7860, token=TOKEN, names=names)


def test_a_forwarded_port_opens_the_page_and_keeps_its_own_cookie() -> None:
    welcome = opened("localhost:9999")
    cookie = dict(welcome.headers)[b"set-cookie"].split(b";")[0]
    assert welcome.status == 303 and cookie.startswith(b"hcmi_explorer_9999=")
    seen = ((b"host", b"localhost:9999"), (b"origin", b"http://localhost:9999"), (b"cookie", cookie))
    assert admit(Request("POST", b"/gradio_api/queue/join", b"", seen), port=7860, token=TOKEN) == PASS
    foreign = (seen[0], (b"origin", b"http://localhost:3000"), seen[2])
    assert admit(Request("POST", b"/gradio_api/queue/join", b"", foreign), port=7860, token=TOKEN).status == 403


def test_a_foreign_name_is_refused_with_what_to_set_until_it_is_allowed() -> None:
    refused = opened("nas.local:7860")
    assert refused.status == 421 and "EXPLORER_HOSTS=nas.local" in refused.reason
    assert opened("nas.local:8080", names=("nas.local",)).status == 303
    for host in (
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:7860",
        "nas.local.evil",
        "0.0.0.0:7860",
    ):
        assert opened(host, names=("nas.local",)).status == 421, host
    for host in ("<script>", "a b", "", "localhost:7860@evil", "LOCALHOST", "[::2]:7860", "localhost:999999"):
        verdict = opened(host)
        assert verdict.status == 421 and "<" not in verdict.reason and "EXPLORER_HOSTS=<" not in verdict.reason


def test_the_names_and_the_address_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLORER_HOSTS", "NAS.local, box")
    monkeypatch.setenv("EXPLORER_LISTEN", "0.0.0.0")
    settings = Settings.load(data_dir=tmp_path)
    assert settings.host_names == ("nas.local", "box") and settings.listen == "0.0.0.0"
    for name, value in (("EXPLORER_HOSTS", "http://a"), ("EXPLORER_HOSTS", "*"), ("EXPLORER_LISTEN", "everywhere")):
        with monkeypatch.context() as other, pytest.raises(ExplorerError, match="settings: "):
            other.setenv(name, value)
            Settings.load(data_dir=tmp_path)
