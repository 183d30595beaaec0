"""Takes out of the page's head what Gradio puts there for link previews: names and addresses of another site."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Gradio's template has them fixed. Nothing fetches them, but the page of an offline app names no other machine.
PREVIEW = re.compile(rb"<meta\b[^>]*\b(?:property|name)=\"(?:og|twitter):[^>]*>\s*", re.IGNORECASE)


class OwnHead:
    """ASGI middleware: the page at / without the tags of link previews; everything else passes untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/":
            return await self.app(scope, receive, send)
        start: Message = {}
        body = bytearray()

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                page = without_previews(bytes(body)) if scope["method"] == "GET" else bytes(body)
                await send({**start, "headers": _sized(start.get("headers", ()), len(page), scope["method"])})
                await send({"type": "http.response.body", "body": page})

        await self.app(scope, receive, collect)


def without_previews(page: bytes) -> bytes:
    """A page without the tags that another site would show a preview by.

    Example:
        >>> without_previews(b'<title>x</title><meta property="og:image" content="a">')
        b'<title>x</title>'
    """
    return PREVIEW.sub(b"", page)


def _sized(headers: Iterable[tuple[bytes, bytes]], length: int, method: str) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if method != "GET" or name.lower() != b"content-length"]
    return [*kept, (b"content-length", str(length).encode())] if method == "GET" else kept
