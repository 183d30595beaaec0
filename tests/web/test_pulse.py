"""An open page learns that the app was started anew, and that work is in another state, without holding a line open."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from explorer.records import Job, Progress
from tests.support.site import Site, running


def pulse(site: Site) -> dict[str, Any]:
    answer = site.ask("GET", "/pulse")
    assert answer.status == 200 and answer.headers["cache-control"] == "no-store"
    return json.loads(answer.body)


def test_the_state_is_another_one_when_a_job_is_and_else_the_same(site: Site) -> None:
    before = pulse(site)
    assert before == pulse(site) and before["app"] == "hcmi-explorer" and re.fullmatch("[0-9a-f]{16}", before["start"])
    job = Job(1, "index", "running", {}, Progress("decode", 1, 5), 0.0)
    site.shelf.work[:] = [job]
    running_now = pulse(site)
    site.shelf.work[:] = [replace(job, progress=Progress("decode", 2, 5))]
    further = pulse(site)
    site.shelf.work[:] = [replace(job, state="paused")]
    paused = pulse(site)
    site.shelf.work.clear()
    assert len({one["state"] for one in (before, running_now, paused)}) == 3 and further == running_now


def test_another_start_has_another_name(site: Site, tmp_path: Path) -> None:
    with running(tmp_path) as again:
        assert pulse(again)["start"] != pulse(site)["start"]


def test_a_stranger_learns_nothing(site: Site) -> None:
    assert site.ask("GET", "/pulse", {"Cookie": None}).status == 401
    assert site.ask("GET", "/pulse", {"Sec-Fetch-Site": "cross-site"}).status == 403
