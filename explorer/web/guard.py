"""Stands before the app: asks for admission, drops foreign hints, counts bytes, adds the headers of an offline page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from explorer.web.admission import Request, Verdict, admit
from explorer.web.routes import FILE, body_limit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

FORWARDED = (
    b"forwarded",
    b"x-forwarded",
    b"x-real-ip",
    b"x-original",
    b"x-rewrite",
    b"x-host",
    b"x-gradio-server",
    b"x-http-method",
    b"x-method-override",
    b"via",
    b"client-ip",
    b"true-client-ip",
    b"cf-connecting",
)
# Gradio's page carries inline scripts and gr.HTML makes functions from text, hence the two unsafe words; but nothing
# can be fetched from, sent to or framed by another address, which keeps the page offline and a stray script mute.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "frame-src 'none'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
SANDBOX = (b"content-security-policy", b"sandbox; default-src 'none'; frame-ancestors 'none'")


class Guard:
    """ASGI middleware: refuses a request, or passes it on without foreign hints and answers with safe headers."""

    def __init__(self, app: ASGIApp, *, port: int, token: str, uploads: str = "", names: tuple[str, ...] = ()) -> None:
        self.app, self.port, self.token, self.uploads, self.names = app, port, token, uploads, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # the page speaks only HTTP
            return await send({"type": "websocket.close", "code": 1008})
        asked = Request(scope["method"], scope["raw_path"], scope["query_string"], tuple(scope["headers"]))
        verdict = admit(asked, port=self.port, token=self.token, uploads=self.uploads, names=self.names)
        if verdict.status:
            return await _answer(verdict, send)
        await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        room, started = body_limit(scope["method"], scope["raw_path"]), False

        async def counted() -> Message:
            nonlocal room
            message = await receive()
            room -= len(message.get("body", b""))
            return message if room >= 0 else {"type": "http.disconnect"}

        async def marked(message: Message) -> None:
            nonlocal started
            if room < 0 and not started:  # what the app says of a body cut short is not shown
                return
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": _safe(message.get("headers", ()), _sandbox(scope["raw_path"]))}
            await send(message)

        kept = [(name, value) for name, value in scope["headers"] if not name.startswith(FORWARDED)]
        try:
            await self.app({**scope, "headers": kept}, counted, marked)
        finally:
            if room < 0 and not started:
                await _answer(Verdict(413, "This request is larger than allowed."), send)


def _sandbox(raw_path: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """An uploaded page or drawing is never run, whatever it says it is."""
    return (SANDBOX,) if raw_path.startswith(FILE.encode()) else ()


def _safe(headers: Iterable[tuple[bytes, bytes]], extra: tuple[tuple[bytes, bytes], ...]) -> list[tuple[bytes, bytes]]:
    ours = dict((*HEADERS, *extra))
    rest = [
        (name, value)
        for name, value in headers
        if name.lower() not in ours and not name.lower().startswith((b"access-control-", b"server"))
    ]
    return rest + list(ours.items())


async def _answer(verdict: Verdict, send: Send) -> None:
    page = f"<!doctype html><meta charset=utf-8><title>HCMI Explorer</title><p>{verdict.reason}</p>".encode()
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", str(len(page)).encode()),
        (b"connection", b"close"),
        *HEADERS,
        *verdict.headers,
    ]
    await send({"type": "http.response.start", "status": verdict.status, "headers": headers})
    await send({"type": "http.response.body", "body": page})
