"""Tells an open page, each time it asks, whether the app was started anew and whether anything changed by itself."""

from __future__ import annotations

import secrets
import zlib
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import JSONResponse

if TYPE_CHECKING:
    from explorer.service import Explorer


def state_of(explorer: Explorer) -> str:
    """A short text that is another one whenever a job or the model is in another state.

    A job under way changes it too: the page then looks at the job itself, as often as it likes.
    """
    jobs = [(job.id, job.kind, job.state) for job in explorer.jobs.list()]
    return f"{zlib.crc32(repr((jobs, explorer.status().model)).encode()):08x}"


def router(explorer: Explorer) -> APIRouter:
    """GET /pulse: {"app", "start", "state"}. `start` names this start of the app, `state` what it is doing."""
    routes, start = APIRouter(), secrets.token_hex(8)

    @routes.get("/pulse")
    def pulse() -> JSONResponse:
        told = {"app": "hcmi-explorer", "start": start, "state": state_of(explorer)}
        return JSONResponse(told, headers={"Cache-Control": "no-store"})

    return routes
