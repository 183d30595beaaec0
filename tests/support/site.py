"""A real server on a real socket over a few real files: what the tests of the web side ask."""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from explorer.records import Job
from explorer.service.answers import Playable, Status
from explorer.web import server
from explorer.web.admission import cookie_name, session_of

TOKEN = "a-token-of-the-tests-0123456789"
STILL = b"\xff\xd8\xff\xe0 one still \xff\xd9"


@dataclass
class Shelf:
    """The questions the web side has for the service, answered from a dictionary of files and a list of jobs."""

    files: dict[str, Playable] = field(default_factory=dict)
    stills: dict[tuple[str, int], bytes] = field(default_factory=dict)
    work: list[Job] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.playback = SimpleNamespace(playable=self.playable, still=self.still)
        self.jobs = SimpleNamespace(list=lambda: tuple(self.work))

    def status(self) -> Status:
        return Status("ready")

    def playable(self, public_id: str) -> Playable | None:
        return self.files.get(public_id)

    def still(self, public_id: str, frame: int) -> bytes | None:
        return self.stills.get((public_id, frame))


@dataclass(frozen=True)
class Site:
    """A running app: where it is, its secret, its folder and its shelf."""

    port: int
    folder: Path
    shelf: Shelf
    uploads: Path

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def cookie(self) -> str:
        return f"{cookie_name(self.port)}={session_of(TOKEN)}"

    def ask(self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        """One request with our Host and cookie; a header given as None is left out."""
        ours = {"Host": self.host, "Cookie": self.cookie}
        if method == "POST":
            ours |= {"Origin": f"http://{self.host}", "Content-Length": str(len(body))}
        named = {**ours, **(headers or {})}
        lines = [f"{name}: {value}" for name, value in named.items() if value is not None]
        return send(self.port, "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode("latin-1") + body)


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers by lower-case name, body."""

    status: int
    headers: dict[str, str]
    body: bytes


def send(port: int, request: bytes, *, timeout: float = 20.0) -> Answer:
    """Exactly these bytes to the server, and its answer."""
    method = request.split(b" ", 1)[0].decode("latin-1")
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(request)
        reply = http.client.HTTPResponse(connection, method=method)
        reply.begin()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        endless = "text/event-stream" in headers.get("content-type", "")
        return Answer(reply.status, headers, b"" if endless else reply.read())


def tiny_page() -> Any:
    """The least page of Gradio that has an event, an upload and a file to give back."""
    import gradio

    with gradio.Blocks(title="tiny") as blocks:
        said = gradio.Textbox(label="words", elem_id="words")
        answer = gradio.Textbox(label="answer", elem_id="answer")
        gradio.Image(label="picture", type="numpy")
        said.submit(lambda text: text.upper(), said, answer)
    return blocks


def make_shelf(folder: Path) -> Shelf:
    """A video to play, one in the making, one that failed, one that is gone; the bytes need not be a film here."""
    (folder / "film.mp4").write_bytes(bytes(range(256)) * 1000)
    files = {
        "video-ready-0001": Playable("ready", 1.0, str(folder / "film.mp4")),
        "video-gone-00001": Playable("ready", 1.0, str(folder / "gone.mp4")),
        "video-making-001": Playable("making", 0.4, message="40 % done"),
        "video-failed-001": Playable("failed", message="cannot decode it"),
    }
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.mp4")
        files["video-pipe-00001"] = Playable("ready", 1.0, str(folder / "pipe.mp4"))
    return Shelf(files, {("video-ready-0001", 3): STILL})


@contextmanager
def running(folder: Path, *, explorer: Any = None, blocks: Any = None, whole: bool = False) -> Iterator[Site]:
    """The app served by uvicorn in a thread, until the block ends; `whole`: with the page itself, as a person sees it."""
    import uvicorn

    server.prepare_environment(folder)
    shelf, uploads = make_shelf(folder), folder / server.UPLOADS
    with server.bind(0) as listening:
        port = listening.getsockname()[1]
        app = server.create_app(
            explorer or shelf,
            port=port,
            token=TOKEN,
            uploads=str(uploads),
            blocks=None if whole else blocks or tiny_page(),
        )
        live = uvicorn.Server(server.settings_of(app))
        thread = threading.Thread(target=live.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not live.started and thread.is_alive():
            time.sleep(0.02)
        try:
            yield Site(port, folder, shelf, uploads)
        finally:
            live.should_exit = True
            thread.join(10)
