"""A model hub on this machine: HEAD with etag and linked size, ranges, redirects to a store, failures on demand."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c0ffee" + "0" * 34
LARGE = 100_000  # bytes from which a file lies in the store of large files


@dataclass
class Hub:
    """What it offers, how it fails, and what it was asked."""

    files: dict[tuple[str, str], bytes] = field(default_factory=dict)  # (repository, file) -> bytes
    renamed: dict[str, str] = field(default_factory=dict)  # repository -> its new name
    status: dict[str, int] = field(default_factory=dict)  # file -> answer in place of it
    cuts: list[int] = field(default_factory=list)  # bytes after which the next connections to the store break
    rate: float = 0.0  # bytes a second of the store; 0 is all at once
    silent: bool = False  # the store accepts and sends nothing
    ranges: bool = True
    spoiled: bool = False  # the store sends other bytes
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)  # (verb, path, headers)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, repo: str, file: str, data: bytes) -> None:
        self.files[repo, file] = data

    def starts(self) -> list[int]:
        """From which byte each request to the store began."""
        wanted = [headers.get("range", "bytes=0-") for verb, path, headers in self.asked if path.startswith("/store/")]
        return [int(text.removeprefix("bytes=").rstrip("-")) for text in wanted]


@contextlib.contextmanager
def serving() -> Iterator[Hub]:
    """A hub that listens until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    hub.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            hub.asked.append((self.command, self.path, headers))
            if self.path.startswith("/store/"):
                self.send_large(headers)
                return
            repo, _, rest = self.path.lstrip("/").partition("/resolve/")
            file = rest.partition("/")[2]
            if repo in hub.renamed:
                self.head(307, {"Location": self.path.replace(repo, hub.renamed[repo]), "Content-Length": "0"})
            elif file in hub.status:
                self.head(hub.status[file], {"Content-Length": "0"})
            elif (repo, file) not in hub.files:
                self.head(404, {"Content-Length": "0", "X-Error-Code": "EntryNotFound"})
            elif len(hub.files[repo, file]) >= LARGE:
                self.point_to_store(hub.files[repo, file])
            else:
                self.send_small(hub.files[repo, file], body=body)

        def head(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def send_small(self, data: bytes, *, body: bool) -> None:
            digest = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            self.head(200, {"ETag": f'"{digest}"', "X-Repo-Commit": COMMIT, "Content-Length": str(len(data))})
            if body:
                self.wfile.write(data)

        def point_to_store(self, data: bytes) -> None:
            digest = hashlib.sha256(data).hexdigest()
            place = f"http://localhost:{hub.port}/store/{digest}?signature=x"
            linked = {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{digest}"', "X-Repo-Commit": COMMIT}
            self.head(302, {**linked, "Location": place, "Content-Length": "0", "ETag": '"of-the-answer"'})

        def send_large(self, headers: dict[str, str]) -> None:
            digest = self.path.split("/")[2].split("?")[0]
            data = next(data for data in hub.files.values() if hashlib.sha256(data).hexdigest() == digest)
            asked = headers.get("range") if hub.ranges else None
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            self.pour(bytes(len(data) - start) if hub.spoiled else data[start:])

        def pour(self, data: bytes) -> None:
            limit = hub.cuts.pop(0) if hub.cuts else len(data)
            step = max(1, int(hub.rate / 20)) if hub.rate else 1 << 20
            while hub.silent:
                time.sleep(0.05)
            with contextlib.suppress(ConnectionError):
                for first in range(0, min(limit, len(data)), step):
                    self.wfile.write(data[first : min(first + step, limit)])
                    time.sleep(0.05 if hub.rate else 0)
            if limit < len(data):
                self.close_connection = True
                self.connection.close()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
