"""Sends a table of friendly and hostile requests to a real server and counts the answers that are as the table says.

python benchmarks/faults/guard.py        prints "guard: N/N as the table says" and exits 0, or lists the others
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.site import TOKEN, Site, running

VIDEO = "/media/video-ready-0001"
CROSS = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@dataclass(frozen=True)
class Case:
    """One request and the statuses that are right; a header given as None is left out."""

    name: str
    want: int
    target: str = "/config"
    method: str = "GET"
    headers: dict[str, str | None] = field(default_factory=dict)
    body: bytes = b""


def friends(site: Site) -> list[Case]:
    """What the page and the person do."""
    local, same = f"localhost:{site.port}", {"Sec-Fetch-Site": "same-origin"}
    json = {"Content-Type": "application/json"}
    return [
        Case("the page", 200, "/"),
        Case("by the name localhost", 200, "/", headers={"Host": local}),
        Case("the settings of the page", 200),
        Case("Gradio's own script", 200, gradio_script()),
        Case("plotly", 200, "/assets/plotly.min.js"),
        Case("head of the page", 200, "/", "HEAD"),
        Case("typed address", 200, "/", headers={"Sec-Fetch-Site": "none"}),
        Case("our page asks", 200, headers=same),
        Case("our Origin", 200, headers={"Origin": f"http://{site.host}"}),
        Case("localhost's own Origin", 200, headers={"Host": local, "Origin": f"http://{local}"}),
        *(
            Case(f"the link through {host}", 303, f"/?token={TOKEN}", headers={"Host": host, "Cookie": None})
            for host in ("localhost:9999", "127.0.0.1:2", "localhost", "[::1]:9999")  # a forwarded port
        ),
        Case(
            "a forwarded port's own Origin",
            401,  # through to the secret: the cookie is of another port
            headers={"Host": "localhost:9999", "Origin": "http://localhost:9999"},
        ),
        Case(
            "another port's Origin", 403, headers={"Host": "localhost:9999", "Origin": f"http://localhost:{site.port}"}
        ),
        Case("a video", 200, VIDEO),
        Case("a part of it", 206, VIDEO, headers={"Range": "bytes=5-9"}),
        Case("head of a video", 200, VIDEO, "HEAD"),
        Case("how far a copy is", 200, "/media/video-making-001/state"),
        Case("a copy in the making", 202, "/media/video-making-001"),
        Case("a still", 200, "/still/video-ready-0001/3"),
        Case("health without a cookie", 200, "/health", headers={"Cookie": None}),
        Case("the link", 303, f"/?token={TOKEN}", headers={"Cookie": None}),
        Case("the link typed", 303, f"/?token={TOKEN}", headers={"Cookie": None, "Sec-Fetch-Site": "none"}),
        Case("the link clicked elsewhere", 200, f"/?token={TOKEN}", headers={"Cookie": None, **CROSS}),
        Case("other cookies beside ours", 200, headers={"Cookie": f"a=b; odd[]=1; {site.cookie}; z="}),
        Case("an event without a body", 422, "/gradio_api/queue/join", "POST", json),
    ]


def gradio_script() -> str:
    """The address of one script of the installed Gradio."""
    import gradio

    folder = Path(gradio.__file__).parent / "templates" / "frontend" / "assets"
    return f"/assets/{min(path.name for path in folder.glob('index-*.js'))}"


def strangers(site: Site) -> list[Case]:
    """Requests by other names, from other origins, without the secret."""
    mine, evil = f"http://{site.host}", "http://evil.example"
    return [
        *(
            Case(f"Host {host}", 421, headers={"Host": host})
            for host in (
                "evil.example",
                f"evil.example:{site.port}",
                f"LOCALHOST.:{site.port}",
                f"127.0.0.1.evil.example:{site.port}",
                f"0.0.0.0:{site.port}",
                f"2130706433:{site.port}",
                f"{site.host}@evil.example",
                "",
            )
        ),
        Case("no Host", 400, headers={"Host": None}),
        Case("token, foreign Host", 421, f"/?token={TOKEN}", headers={"Host": "a.b"}),
        *(
            Case(f"Origin {origin}", 403, headers={"Origin": origin})
            for origin in (
                evil,
                "null",
                "",
                f"https://{site.host}",
                f"http://localhost:{site.port}",
                f"http://127.0.0.1:{site.port + 1}",
                f"{mine}.evil.example",
                f"{mine}/",
                f"{mine}, {evil}",
                "file://",
                "chrome-extension://abc",
            )
        ),
        *(
            Case(f"event from {origin}", 403, "/gradio_api/queue/join", "POST", {"Origin": origin}, b"{}")
            for origin in (evil, "null", None)
        ),
        Case("upload from elsewhere", 403, "/gradio_api/upload", "POST", {"Origin": evil}, b"x"),
        Case(
            "preflight",
            405,
            "/gradio_api/queue/join",
            "OPTIONS",
            {"Origin": evil, "Access-Control-Request-Method": "POST"},
        ),
        Case("script from another site", 403, headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}),
        Case("another port of this machine", 403, headers={"Sec-Fetch-Site": "same-site"}),
        Case("video in another site", 403, VIDEO, headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "video"}),
        Case("link from another site, no token", 403, "/", headers=CROSS),
        Case("link from another site, wrong token", 403, "/?token=guess", headers={"Cookie": None, **CROSS}),
        Case("token in a frame elsewhere", 403, f"/?token={TOKEN}", headers={**CROSS, "Sec-Fetch-Dest": "iframe"}),
        Case("made-up Sec-Fetch-Site", 403, headers={"Sec-Fetch-Site": "same-origin, none"}),
        *(
            Case(f"no cookie, {target}", 401, target, headers={"Cookie": None})
            for target in ("/", "/config", VIDEO, "/still/video-ready-0001/3", "/gradio_api/queue/data", "/theme.css")
        ),
        *(
            Case(f"cookie {value[:20]}", 401, headers={"Cookie": value})
            for value in (
                "x=1",
                f"hcmi_explorer_{site.port}=",
                f"hcmi_explorer_{site.port}={TOKEN}",
                f"{site.cookie}; {site.cookie}",
                f"hcmi_explorer_{site.port + 1}={site.cookie.split('=')[1]}",
            )
        ),
        *(
            Case(f"link {query[:20]}", 401, f"/?{query}", headers={"Cookie": None})
            for query in (
                "token=",
                "token=wrong",
                f"token={TOKEN[:-1]}",
                f"token={TOKEN}&token={TOKEN}",
                f"Token={TOKEN}",
                "token=%FF%00",
            )
        ),
        Case("token elsewhere", 401, f"/config?token={TOKEN}", headers={"Cookie": None}),
    ]


def wanderers(site: Site) -> list[Case]:
    """Addresses, methods and sizes the page never uses."""
    here = "/gradio_api/file="
    return [
        *(
            Case(f"path {target}", 400, target)
            for target in (
                "/media/../config",
                "/media/%2e%2e/config",
                "/media/%2E%2E%2Fconfig",
                "/media/..%2fconfig",
                "/media/%252e%252e/config",
                "/media/..%5cconfig",
                "/media/..\\config",
                "/media/%c0%ae%c0%ae/config",
                "/media/..;/config",
                "/assets/%00.js",
                "//evil.example/config",
                "/./config",
                "/media/%zz",
                "/static/../../../../etc/passwd",
                "/assets/..%252f..%252froutes.py",
                "http://evil.example/config",
                f"{here}/tmp/../etc/passwd",
                "/%E0%80%AFetc/passwd",
                "/media/a%0d%0aSet-Cookie:x",
                f"{here}http://evil.example/x",
                f"{here}https%3A%2F%2Fevil.example",
                "/gradio_api/proxy=https://evil.hf.space/x",
            )
        ),
        *(
            Case(f"no such place {target}", 404, target)
            for target in (
                "/docs",
                "/openapi.json",
                "/gradio_api/openapi.json",
                "/login",
                "/logout",
                "/monitoring",
                "/gradio_api/token",
                "/gradio_api/proxy=evil.hf.space",
                f"{here}http:/evil.example/x",
                f"{here}/etc/passwd",
                f"{here}%2Fetc%2Fpasswd",
                f"{here}{site.folder / 'film.mp4'}",
                f"{here}{site.uploads}",
                f"{here}film.mp4",
                "/gradio_api/runs",
                "/gradio_api/dev/reload",
                "/gradio_api/vibe-code",
                "/svelte/x.js",
                "/media/unknown-id-0001",
                "/media/short",
                "/still/video-ready-0001/4",
                "/still/video-ready-0001/-1",
                "/still/video-ready-0001/1e3",
                "/media/video-gone-00001",
                "/assets/server.py",
                "/robots.txt",
                "/gradio_api/queue/status",
            )
        ),
        *(
            Case(f"write {target}", 404, target, "POST")
            for target in (
                "/",
                "/login",
                "/gradio_api/run/predict",
                "/gradio_api/api/predict",
                "/gradio_api/call/x",
                "/gradio_api/call/v2/x",
                "/gradio_api/vibe-edit",
                "/gradio_api/stream/x",
                "/gradio_api/process_recording",
                "/gradio_api/run-history/connect",
            )
        ),
        *(Case(f"method {verb}", 405, "/", verb) for verb in ("PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "get")),
        Case("a long address", 414, "/config?x=" + "a" * 9000),
        Case("a large event", 413, "/gradio_api/queue/join", "POST", {"Content-Length": str(3 << 20)}),
        Case("a large upload", 413, "/gradio_api/upload", "POST", {"Content-Length": str(33 << 20)}),
        Case("a read with a body", 413, headers={"Content-Length": "5"}, body=b"hello"),
        Case(
            "a large event unannounced",
            413,
            "/gradio_api/queue/join",
            "POST",
            {"Content-Length": None, "Transfer-Encoding": "chunked", "Content-Type": "application/json"},
            endless(),
        ),
        Case(
            "a WebSocket",
            404,
            "/gradio_api/queue/join",
            headers={
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
                "Sec-WebSocket-Version": "13",
            },
        ),
    ]


def endless() -> bytes:
    """A chunked body of 3 MiB that does not say so first."""
    return (b"10000\r\n" + b"x" * 0x10000 + b"\r\n") * 48 + b"0\r\n\r\n"


def cases(site: Site) -> list[Case]:
    return [*friends(site), *strangers(site), *wanderers(site)]


def wrong(site: Site, case: Case) -> str:
    """What is not as the table says, "" where all is: the status, the safe headers, no cookie but with the link."""
    answer = site.ask(case.method, case.target, case.headers, case.body)
    if answer.status != case.want:
        return f"{case.name}: {answer.status}, not {case.want}"
    given = {name for name in answer.headers if name.startswith("access-control-")}
    if (answer.status != 400 and answer.headers.get("x-content-type-options") != "nosniff") or given:
        return f"{case.name}: headers {sorted(given) or 'missing'}"
    leaked = "set-cookie" in answer.headers and case.target != f"/?token={TOKEN}"
    return f"{case.name}: gave a cookie away" if leaked else ""


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as site:
        table = cases(site)
        problems = [problem for problem in (wrong(site, case) for case in table) if problem]
    print(*problems, f"guard: {len(table) - len(problems)}/{len(table)} as the table says", sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
