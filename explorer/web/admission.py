"""Decides on a request by its first line and headers: only this app's own page, opened with its own link, gets through.

A page of any web site can send requests to 127.0.0.1 and, by re-binding a name, even read the answers. So each
request is checked in this order, and what no rule lets through is refused:

    Host              a name of this machine itself, or an allowed one    else 421; the port may be a forwarded one
    method            GET, HEAD or POST                                   else 405
    Origin            absent (reads only) or exactly http://<our Host>    else 403; the word null is refused too
    Sec-Fetch-Site    absent, none or same-origin                         else 403; see below for the one exception
    path              one of the routes the page uses, plainly written    else 400 or 404
    size              Content-Length, and bytes really sent               else 413
    token or cookie   the secret printed in the terminal                  else 401

The exception: a link that carries the right token may be clicked on another site (a terminal or a mail shown in the
browser), for a top-level navigation to / with GET. A stranger does not know the token, and the answer holds no data.
The cookie is SameSite=Strict, and a redirect would still count as begun by the other site, so that click is answered
by a small page which moves on by itself.

A name that was re-bound to this machine is the stranger's own in Host, whatever the port; behind a forwarded port (SSH,
a container, WSL) the browser's Host is localhost with a port that is not ours. So the name decides, and not the port.

A cookie belongs to a host name and not to a port: another server on the same machine which the person visits could
read it. Its name carries the port the browser sees, so that two of our own do not collide; such a server already runs
on the machine.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from explorer.web.routes import OPEN, body_limit, is_plain, route_of

MAX_TARGET = 8192  # bytes of path and query; the page's longest is under 1,000
ADVICE = "Open HCMI Explorer with the link printed in the terminal it was started from."
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
HOST = re.compile(r"([a-z0-9.-]+|\[::1\])(?::(\d{1,5}))?")  # as browsers write it; nothing that HTML would read
STRANGER = "Only this app's own page may ask. " + ADVICE


@dataclass(frozen=True)
class Request:
    """A request's first line and headers, as sent: raw path and query, header names in lower case."""

    method: str
    path: bytes
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]

    def all(self, name: bytes) -> list[str]:
        """Every value of a header, so that a second Host or Origin cannot hide behind the first."""
        return [value.decode("latin-1") for key, value in self.headers if key == name]

    def tokens(self) -> list[str]:
        return parse_qs(self.query.decode("latin-1"), keep_blank_values=True, errors="replace").get("token", [])


@dataclass(frozen=True)
class Verdict:
    """What becomes of a request: status 0 lets it through, anything else answers it with the words of `reason`."""

    status: int = 0
    reason: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()


PASS = Verdict()


def session_of(token: str) -> str:
    """The cookie's value for a token: made from it by HMAC, so that the cookie does not give the link away."""
    return hmac.new(token.encode(), b"hcmi-explorer session", hashlib.sha256).hexdigest()


def cookie_name(port: int) -> str:
    return f"hcmi_explorer_{port}"


def _name(host: str) -> str:
    """The name in a Host value, "" where it is not plainly written."""
    found = HOST.fullmatch(host)
    return found[1] if found else ""


def _seen_port(asked: Request, port: int) -> int:
    """The port the browser sees: another one than ours behind a forwarded port; browsers leave out :80."""
    found = HOST.fullmatch("".join(asked.all(b"host")))
    return int(found[2] or 80) if found else port


def _host(asked: Request, names: tuple[str, ...]) -> Verdict:
    found = asked.all(b"host")
    name = _name(found[0]) if len(found) == 1 else ""
    if name and name in (*LOOPBACK, *names):
        return PASS
    if not name or name.startswith("["):
        return Verdict(421, "This address is not served here. " + ADVICE)
    return Verdict(
        421,
        f"This page was asked for as {name}, which is not a name of this machine itself. {ADVICE} If {name} is how you "
        f"reach it, start it with EXPLORER_HOSTS={name} set.",
    )


def _method(asked: Request) -> Verdict:
    allowed = ((b"allow", b"GET, HEAD, POST"),)
    return PASS if asked.method in ("GET", "HEAD", "POST") else Verdict(405, "This method is not served here.", allowed)


def _origin(asked: Request) -> Verdict:
    found = asked.all(b"origin")
    if not found and asked.method in ("GET", "HEAD"):  # browsers leave it out of plain reads
        return PASS
    return PASS if found == [f"http://{host}" for host in asked.all(b"host")] else Verdict(403, STRANGER)


def _site(asked: Request, token: str) -> Verdict:
    if asked.all(b"sec-fetch-site") in ([], ["none"], ["same-origin"]):
        return PASS
    opened = asked.all(b"sec-fetch-mode") == ["navigate"] and asked.all(b"sec-fetch-dest") == ["document"]
    link = asked.method == "GET" and asked.path == b"/" and _matches(asked.tokens(), token)
    return PASS if opened and link else Verdict(403, STRANGER)


def _path(asked: Request, uploads: str) -> Verdict:
    if len(asked.path) + len(asked.query) > MAX_TARGET:
        return Verdict(414, "This address is too long.")
    if not is_plain(asked.path):
        return Verdict(400, "This address is not plainly written.")
    known = route_of(asked.method, asked.path, uploads=uploads) is not None
    return PASS if known else Verdict(404, "There is nothing here.")


def _size(asked: Request) -> Verdict:
    limit = body_limit(asked.method, asked.path)
    found = asked.all(b"content-length")
    if any(not (size.isascii() and size.isdigit()) for size in found):
        return Verdict(400, "Content-Length is not a number.")
    return PASS if all(int(size) <= limit for size in found) else Verdict(413, f"This request is over {limit} bytes.")


def _matches(given: list[str], wanted: str) -> bool:
    return len(given) == 1 and hmac.compare_digest(given[0].encode("utf-8", "replace"), wanted.encode())


def _secret(asked: Request, port: int, token: str) -> Verdict:
    if asked.path.decode("latin-1") in OPEN:
        return PASS
    if asked.path == b"/" and asked.tokens():
        right = asked.method == "GET" and _matches(asked.tokens(), token)
        return _welcome(asked, port, token) if right else Verdict(401, ADVICE)
    return (
        PASS
        if _matches(_cookies(asked, cookie_name(_seen_port(asked, port))), session_of(token))
        else Verdict(401, ADVICE)
    )


def _cookies(asked: Request, name: str) -> list[str]:
    found = []
    for part in ";".join(asked.all(b"cookie")).split(";"):  # one odd cookie of another app must not hide ours
        try:
            found += [morsel.value for key, morsel in SimpleCookie(part.strip()).items() if key == name]
        except CookieError:
            continue
    return found


def _welcome(asked: Request, port: int, token: str) -> Verdict:
    cookie = f"{cookie_name(_seen_port(asked, port))}={session_of(token)}; HttpOnly; SameSite=Strict; Path=/"
    kept = ((b"set-cookie", cookie.encode()), (b"cache-control", b"no-store"))
    if asked.all(b"sec-fetch-site") in ([], ["none"], ["same-origin"]):
        return Verdict(303, "Opening HCMI Explorer.", (*kept, (b"location", b"/")))
    return Verdict(200, "Opening HCMI Explorer.", (*kept, (b"refresh", b"0; url=/")))


def admit(asked: Request, *, port: int, token: str, uploads: str = "", names: tuple[str, ...] = ()) -> Verdict:
    """Decide on one request; the checks and their order are the table at the top of this file.

    Args:
        asked: the request's first line and headers.
        port: the port we listen on.
        token: the secret of the printed link.
        uploads: the folder Gradio keeps this page's own uploads in; files elsewhere are not given out.
        names: host names allowed besides this machine's own.

    Returns:
        The first refusal, the welcome that sets the cookie, or PASS.
    """
    checks = (
        _host(asked, names),
        _method(asked),
        _origin(asked),
        _site(asked, token),
        _path(asked, uploads),
        _size(asked),
    )
    refused = [verdict for verdict in checks if verdict is not PASS]
    return refused[0] if refused else _secret(asked, port, token)
