"""Choosing a folder of this machine: one function an event of the folder browser in the Library tab."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from explorer.service.places import Forecast, Listing, Place, forecast, look_into, places
from explorer.ui.aliases import Data
from explorer.ui.panels import OF_VIDEO
from explorer.ui.present import count, length
from explorer.ui.render import render

if TYPE_CHECKING:
    from explorer.service import Explorer


def folder_browser(explorer: Explorer, listing: Listing | None = None, *, told: str = "") -> str:
    """The places of this machine and the folder that is open, as HTML."""
    inside = listing.folders if listing else ()
    return render(
        "folder_browser",
        places=places([folder.path for folder in explorer.library.folders()]),
        listing=listing,
        folders=[Place(name, os.path.join(listing.path, name), "folder") for name in inside if listing],
        told=told,
        unfolded=listing is not None,
    )


def browse(explorer: Explorer, data: Data) -> str:
    """A folder was opened, or asked what it holds; without one the places alone."""
    path = str(data.get("value", ""))
    if not path:
        return folder_browser(explorer)
    told = forecast_text(forecast(path), speed(explorer)) if data.get("action") == "hold" else ""
    return folder_browser(explorer, look_into(path), told=told)


def speed(explorer: Explorer) -> float:
    """Seconds of video a second of indexing did last on this machine; 0.0 where none was indexed yet."""
    done = [job for job in explorer.jobs.list() if job.kind in OF_VIDEO and job.progress.rate > 0]
    return max(done, key=lambda job: job.created).progress.rate if done else 0.0


def forecast_text(found: Forecast, rate: float) -> str:
    """What a folder holds and how long indexing will take, in one sentence.

    Example:
        >>> forecast_text(Forecast("/a", 40, 10**9, 7200.0), 24.0)
        '40 videos, about 2.0 h; indexing takes about 5 min here.'
    """
    if not found.files:
        return "no video was found."
    least = "" if found.whole else "at least "
    parts = [f"{least}{count(found.files, 'video')}" + (f", about {length(found.seconds)}" if found.seconds else "")]
    if rate and found.seconds:
        parts.append(f"indexing takes about {length(found.seconds / rate)} here")
    if found.skipped:
        parts.append(f"{count(len(found.skipped), 'file or folder', 'files or folders')} cannot be read")
    return "; ".join(parts) + "."
