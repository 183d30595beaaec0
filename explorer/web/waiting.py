"""Answers from the first second, while Gradio is still being imported: a page that says so and looks again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)

PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="1"><title>HCMI Explorer</title>
<style>:root{color-scheme:light dark}body{font:1.1rem system-ui,sans-serif;display:grid;place-items:center;
min-height:90vh;margin:0}</style><p role="status">Opening HCMI Explorer&hellip;</p></html>"""


class Opening:
    """ASGI app that stands in for another until it has been made in a thread, and from then on is that other one.

    Importing Gradio takes two to four seconds, nearly all of the time a person would look at nothing.
    """

    def __init__(self, make: Callable[[], FastAPI], *, failed: Callable[[Exception], None]) -> None:
        """make: builds the FastAPI app, in a thread; failed: told where that did not work, in the event loop."""
        self.make, self.failed = make, failed
        self.app: FastAPI | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self.app is not None:
            await self.app(scope, receive, send)
        else:
            await _wait(scope, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        async with contextlib.AsyncExitStack() as stack:
            work = asyncio.create_task(self._open(stack))
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
            work.cancel()
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        try:
            app = await asyncio.to_thread(self.make)
            await stack.enter_async_context(app.router.lifespan_context(app))
        except Exception as error:  # whatever it is, the person must not wait for ever
            log.debug("cannot open the page", exc_info=True)
            return self.failed(error)
        self.app = app


async def _wait(scope: Scope, send: Send) -> None:
    """The waiting page for whoever opens the app, 503 for a tab left open from before; /health says who we are."""
    health = scope["path"] == "/health"
    status = 200 if health or scope["path"] == "/" else 503
    body = b'{"app":"hcmi-explorer"}' if health else PAGE
    headers = [
        (b"content-type", b"application/json" if health else b"text/html; charset=utf-8"),
        (b"retry-after", b"1"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
