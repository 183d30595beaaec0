"""The link that opens the page: how it is spelled, whether this app answers at it, and the browser that opens it."""

from __future__ import annotations

import http.client
import logging
import webbrowser
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

HOST = "127.0.0.1"


def link(port: int, token: str) -> str:
    """The address that opens the page, once, in a browser that does not know it yet."""
    return f"http://{HOST}:{port}/?token={token}"


def answers(url: str, *, timeout: float = 2.0) -> bool:
    """Whether this app answers at the port of a link: what a second start asks before it opens the first one's page."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or HOST, parts.port, timeout=timeout)
    try:
        connection.request("GET", "/health")
        reply = connection.getresponse()
        return reply.status == 200 and b"hcmi-explorer" in reply.read(200)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def open_link(url: str) -> bool:
    """Open the person's browser; False where there is none, and the printed link serves."""
    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError) as error:
        log.info("no browser to open: %s", error)
        return False
