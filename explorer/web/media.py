"""Gives the player its bytes: /media by opaque id with ranges, /still by frame, and how far a playable copy is."""

from __future__ import annotations

import logging
import os
import stat
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from explorer.records import ExplorerError
from explorer.service.answers import Playable

if TYPE_CHECKING:
    from explorer.service import Explorer

log = logging.getLogger(__name__)

TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/mp4",
    ".3gp": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".ogv": "video/ogg",
    ".ogg": "video/ogg",
    ".gif": "image/gif",
}
# A player asks again for what it already has when the person jumps; the ETag tells it that the file is the same.
KEEP = {"Cache-Control": "private, no-cache", "Content-Disposition": "inline"}
GONE = "The video is not there any more; look whether its drive is connected, then index again."
KEEP_STILL = {"Cache-Control": "private, max-age=86400, immutable"}


def media_type(path: str) -> str:
    """The content type of a file a browser can play; .mov is sent as mp4, its sibling, which every browser takes."""
    return TYPES.get(os.path.splitext(path)[1].lower(), "application/octet-stream")


def _sentence(status: int, message: str) -> JSONResponse:
    return JSONResponse({"state": "failed", "message": message}, status_code=status)


def _public(answer: Playable) -> dict[str, str | float]:
    """What the page may know of an answer: all but the path."""
    return {"state": answer.state, "progress": answer.progress, "message": answer.message}


def _playable(explorer: Explorer, public_id: str) -> Playable | None:
    """What the service says of a video; None where the id names nothing."""
    try:
        return explorer.playback.playable(public_id)
    except ExplorerError as error:
        return Playable("failed", message=str(error))


def _stat_file(path: str) -> os.stat_result:
    """Size and time of a regular file that can be read now.

    Raises:
        OSError: missing, not a regular file (a pipe would wait for ever), or not readable.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(path)
    with open(path, "rb"):
        return found


def _readable(path: str) -> bool:
    """Whether a file that is to be played can be read now."""
    try:
        _stat_file(path)
    except OSError as error:
        log.info("cannot play %r: %s", path, error)
        return False
    return True


def _forget_several_ranges(request: Request) -> None:
    """Take a Range of several parts out of the request: the whole file is a right answer to it (RFC 9110, 14.2).

    No player asks for several, and Starlette would cut the file as finely as a stranger likes.
    """
    if "," in request.headers.get("range", ""):
        headers = request.scope["headers"]
        headers[:] = [(name, value) for name, value in headers if name != b"range"]


def send_file(path: str) -> Response:
    """The file, or the range asked for, in pieces; one sentence where it cannot be read."""
    try:
        found = _stat_file(path)
    except OSError as error:
        log.info("cannot serve %r: %s", path, error)
        return _sentence(404, GONE)
    return FileResponse(path, stat_result=found, media_type=media_type(path), headers=KEEP)


def router(explorer: Explorer) -> APIRouter:
    """Routes over what the service's playback knows."""
    routes = APIRouter()

    @routes.api_route("/media/{public_id}", methods=["GET", "HEAD"])
    def media(public_id: str, request: Request) -> Response:
        answer = _playable(explorer, public_id)
        if answer is None:
            return _sentence(404, "No video of the library has this address.")
        if answer.state == "ready":
            _forget_several_ranges(request)
            return send_file(answer.path)
        return JSONResponse(_public(answer), status_code=202 if answer.state == "making" else 422)

    @routes.get("/media/{public_id}/state")
    def state(public_id: str) -> Response:
        answer = _playable(explorer, public_id)
        if answer is None:
            return _sentence(404, "No video of the library has this address.")
        if answer.state == "ready" and not _readable(answer.path):
            answer = Playable("failed", message=GONE)
        return JSONResponse(_public(answer), headers={"Cache-Control": "no-store"})

    @routes.api_route("/still/{public_id}/{frame}", methods=["GET", "HEAD"])
    def still(public_id: str, frame: int) -> Response:
        jpeg = explorer.playback.still(public_id, frame)
        if jpeg is None:
            return _sentence(404, "There is no still of this moment; index the file again to make it.")
        return Response(jpeg, media_type="image/jpeg", headers=KEEP_STILL)

    return routes
