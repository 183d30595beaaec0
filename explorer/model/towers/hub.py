"""What a model hub says of a file, and the way to its bytes: no token, no cookies, one sentence for each refusal."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpx

from explorer.records import ExplorerError

HUB = "https://huggingface.co"  # HF_ENDPOINT names another, a mirror for one
SILENCE = 20.0  # seconds without a byte, after which a connection counts as lost
REDIRECTS = 5
HERE = ("127.0.0.1", "localhost", "::1")
DIGEST = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Remote:
    """A file of the hub as it is now: its digest names the bytes, its revision the commit they belong to."""

    repo: str
    file: str
    revision: str
    size: int  # bytes
    digest: str  # sha256, or git's sha1 of a small file
    url: str


class Lost(Exception):
    """The connection ended, or brought nothing for too long: worth another try."""


def look_up(repo: str, file: str, *, revision: str = "main") -> Remote | None:
    """Ask the hub for a file's size and digest; None where the repository does not have it.

    Raises:
        ExplorerError: no network, refused, or an answer that makes no sense.
    """
    url = f"{endpoint()}/{repo}/resolve/{revision}/{file}"
    with open_client() as client:
        answer = _same_host(client, url, repo)
    if answer.status_code == 404:
        return None
    found = answer.headers
    size = found.get("x-linked-size") or found.get("content-length") or ""
    digest = (found.get("x-linked-etag") or found.get("etag") or "").removeprefix("W/").strip('"').lower()
    if not size.isdigit() or not DIGEST.fullmatch(digest):
        raise ExplorerError(f"the hub names no size and checksum of {file} of {repo}; try again later")
    commit = found.get("x-repo-commit", revision)
    return Remote(repo, file, commit, int(size), digest, f"{endpoint()}/{repo}/resolve/{commit}/{file}")


def endpoint() -> str:
    """The hub's address: HF_ENDPOINT, which mirrors use, or the public one; only this machine may go without TLS.

    Raises:
        ExplorerError: an address that is not https.
    """
    address = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    _refuse_plain(address, hub=address)
    return address


def _refuse_plain(url: str, *, hub: str) -> None:
    """A hub on this machine may speak without TLS, and send us on to this machine; no other may."""
    here = urlsplit(hub).hostname in HERE and urlsplit(url).hostname in HERE
    if urlsplit(url).scheme != "https" and not here:
        raise ExplorerError(f"{url.split('?')[0]} is not an https address; look at HF_ENDPOINT or try again later")


def open_client() -> httpx.Client:
    """No token, no cookies, no telling of versions; the system's proxy is used where one is set."""
    return httpx.Client(
        headers={"user-agent": "hcmi-explorer", "accept-encoding": "identity"},
        timeout=httpx.Timeout(SILENCE, connect=10.0),
        follow_redirects=False,
    )


def _same_host(client: httpx.Client, url: str, repo: str) -> httpx.Response:
    """The hub's own answer to HEAD: a renamed repository is followed, the way to the store of large files is not."""
    for _ in range(REDIRECTS):
        try:
            answer = client.head(url)
        except httpx.HTTPError as error:
            raise _unreachable(error) from error
        onward = answer.headers.get("location")
        if answer.status_code == 404:
            return answer
        if onward is None or "x-linked-size" in answer.headers or urlsplit(onward).netloc not in ("", _host(url)):
            _refuse(answer.status_code, f"{repo}")
            return answer
        url = urljoin(url, onward)
    raise ExplorerError(f"the hub sends {repo} round in a circle; try again later")


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _unreachable(error: Exception) -> ExplorerError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return ExplorerError(
        f"{_host(endpoint())} cannot be reached ({reason}); look at the connection, then resume: what came is kept"
    )


def _refuse(status: int, what: str) -> None:
    """A sentence for each answer that is no file.

    Raises:
        ExplorerError: the status is an error; Lost where another try may help.
    """
    if status in (401, 403):
        raise ExplorerError(
            f"the hub refuses {what} ({status}): it asks for an account, and this app sends none, or it is gone; "
            "choose another model, or fetch the file in a browser and give its path"
        )
    if status == 404:
        raise ExplorerError(f"the hub does not have {what} any more (404); choose another model")
    if status == 429:
        raise ExplorerError("the hub asks for a pause (429, too many requests); resume in some minutes")
    if status >= 500:
        raise ExplorerError(f"the hub is out of order ({status}); resume later: what came is kept")
    if status >= 400:
        raise ExplorerError(f"the hub does not give {what} ({status}); choose another model")


def open_at(client: httpx.Client, remote: Remote, start: int) -> httpx.Response:
    """A running answer with the file's bytes from `start` on, from wherever the hub sends us."""
    url = remote.url
    for _ in range(REDIRECTS):
        _refuse_plain(url, hub=endpoint())
        answer = client.send(
            client.build_request("GET", url, headers={"range": f"bytes={start}-"} if start else {}), stream=True
        )
        if not answer.is_redirect:
            break
        answer.close()
        url = urljoin(url, answer.headers["location"])
    _refuse(answer.status_code, f"{remote.file} of {remote.repo}")
    if (
        start
        and answer.status_code == 206
        and not answer.headers.get("content-range", "").startswith(f"bytes {start}-")
    ):
        raise Lost("the hub sent another part than the one asked for")
    return answer
