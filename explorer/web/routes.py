"""Names every address the page uses, so that the guard can refuse all others, and how much each may send."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote_to_bytes

UPLOAD_LIMIT = 32 << 20  # bytes: a photo to search by, or a file of captions
BODY_LIMIT = 2 << 20  # bytes of any other request: an event carries its state's id, not the state
FILE = "/gradio_api/file="
OPEN = ("/health", "/manifest.json")  # asked without a cookie, by a second start and by the browser; nothing private

READS = frozenset(
    (
        "/",
        *OPEN,
        "/pulse",
        "/config",
        "/theme.css",
        "/gradio_api/theme.css",
        "/favicon.ico",
        "/gradio_api/info",
        "/gradio_api/queue/data",
        "/gradio_api/startup-events",
        "/gradio_api/upload_progress",
    )
)
READ_PATTERN = re.compile(
    r"/assets/[\w.-]{1,120}|/static/[\w./-]{1,200}|/gradio_api/heartbeat/\w{1,64}"
    r"|/media/[\w-]{8,64}(/state)?|/still/[\w-]{8,64}/\d{1,9}",
    re.ASCII,
)
WRITES = frozenset(
    (
        "/gradio_api/queue/join",
        "/gradio_api/upload",
        "/gradio_api/cancel",
        "/gradio_api/reset",
        "/gradio_api/component_server",
        "/gradio_api/component_server/",
    )
)
CODED_TWICE = re.compile(rb"%(?:25|00|2e|5c)", re.IGNORECASE)  # no page of ours writes % NUL . \ this way
BROKEN_PERCENT = re.compile(rb"%(?![0-9a-fA-F]{2})")


def is_plain(raw_path: bytes) -> bool:
    """Whether a path is written so that every reader of it agrees on what it names.

    Example:
        >>> is_plain(b"/media/abcdefgh"), is_plain(b"/media/../config"), is_plain(b"/media/%2e%2e/config")
        (True, False, False)
    """
    if CODED_TWICE.search(raw_path) or BROKEN_PERCENT.search(raw_path):
        return False
    try:
        path = unquote_to_bytes(raw_path).decode("utf-8")
    except UnicodeDecodeError:  # overlong forms of / and . among them
        return False
    steps = [step.split(";")[0] for step in path.split("/")]
    odd = any(ord(letter) < 32 or letter in "\\\x7f" for letter in path)
    return path.startswith("/") and "//" not in path and not odd and not {".", ".."} & set(steps)


def route_of(method: str, raw_path: bytes, *, uploads: str = "") -> str | None:
    """The route a plain path belongs to, or None where the page has no use for it.

    Example:
        >>> route_of("GET", b"/still/abcdefgh/3"), route_of("GET", b"/gradio_api/proxy=x"), route_of("POST", b"/")
        ('read', None, None)
    """
    path = unquote_to_bytes(raw_path).decode("utf-8", "replace")
    if method == "POST":
        return "write" if path in WRITES else None
    if path.startswith(FILE):
        return "file" if _inside(path[len(FILE) :], uploads) else None
    return "read" if path in READS or READ_PATTERN.fullmatch(path) else None


def _inside(path: str, folder: str) -> bool:
    """Whether a file lies in the folder once links are followed; addresses and relative names never do."""
    if not folder or not os.path.isabs(path):
        return False
    real, home = os.path.realpath(path), os.path.realpath(folder)
    return real != home and os.path.commonpath((real, home)) == home if _same_drive(real, home) else False


def _same_drive(one: str, other: str) -> bool:
    return os.path.splitdrive(one)[0].lower() == os.path.splitdrive(other)[0].lower()


def body_limit(method: str, raw_path: bytes) -> int:
    """Bytes a request may carry: none on a read."""
    if method != "POST":
        return 0
    return UPLOAD_LIMIT if raw_path == b"/gradio_api/upload" else BODY_LIMIT
