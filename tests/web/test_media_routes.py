"""A player gets exactly the bytes it asks for, by opaque id, and a sentence where there are none."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from explorer.records import ExplorerError
from explorer.service.answers import Playable
from explorer.web.media import media_type, router
from tests.support.site import STILL, Site, running

FILM = bytes(range(256)) * 1000
VIDEO = "/media/video-ready-0001"


def part(site: Site, asked: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = site.ask("GET", VIDEO, {"Range": asked, **named})
    return answer.status, answer.body, answer.headers


def test_the_whole_file(site: Site) -> None:
    answer = site.ask("GET", VIDEO)
    assert (answer.status, answer.body) == (200, FILM)
    assert answer.headers["content-type"] == "video/mp4" and answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"] == "inline" and answer.headers["content-length"] == str(len(FILM))


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 256000),
        ("bytes=100-199", 100, 200),
        ("bytes=-10", 255990, 256000),
        ("bytes=255999-", 255999, 256000),
        ("bytes=255999-999999", 255999, 256000),
        ("bytes=-999999", 0, 256000),
        ("bytes=65530-65545", 65530, 65546),
        ("BYTES=5-6", 5, 7),
    ],
)
def test_one_range(site: Site, asked: str, start: int, end: int) -> None:
    status, body, headers = part(site, asked)
    assert (status, body) == (206, FILM[start:end])
    assert headers["content-range"] == f"bytes {start}-{end - 1}/{len(FILM)}"
    assert headers["content-length"] == str(end - start)


@pytest.mark.parametrize("asked", ["bytes=256000-", "bytes=999999-", "bytes=-0"])
def test_a_range_past_the_end(site: Site, asked: str) -> None:
    status, _, headers = part(site, asked)
    assert status == 416 and headers["content-range"] == f"bytes */{len(FILM)}"


@pytest.mark.parametrize("asked", ["bytes=9-5", "bytes=", "bytes=a-b", "lines=0-1", "0-1", "bytes=--5"])
def test_a_range_that_says_nothing(site: Site, asked: str) -> None:
    assert part(site, asked)[0] in (200, 400, 416)


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=0-,0-", ",".join(["bytes=0-1", *["3-4"] * 500])])
def test_several_ranges_give_the_whole_file(site: Site, asked: str) -> None:
    status, body, headers = part(site, asked)
    assert (status, body) == (200, FILM) and "content-range" not in headers


def test_if_range(site: Site) -> None:
    known = site.ask("GET", VIDEO).headers
    assert part(site, "bytes=1-2", If_Range=known["etag"])[:2] == (206, FILM[1:3])
    assert part(site, "bytes=1-2", If_Range=known["last-modified"])[0] == 206
    assert part(site, "bytes=1-2", If_Range='"another"')[:2] == (200, FILM)


def test_the_etag_changes_with_the_file(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    site.shelf.files["video-change-001"] = Playable("ready", 1.0, str(path))
    path.write_bytes(b"one")
    first = site.ask("GET", "/media/video-change-001").headers["etag"]
    path.write_bytes(b"three")
    assert site.ask("GET", "/media/video-change-001").headers["etag"] != first


def test_head(site: Site) -> None:
    answer = site.ask("HEAD", VIDEO)
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", str(len(FILM)))


@pytest.mark.parametrize("video", ["video-gone-00001", "video-pipe-00001"])
def test_the_state_of_a_file_that_is_gone_says_so(site: Site, video: str) -> None:
    if video in site.shelf.files:
        told = json.loads(site.ask("GET", f"/media/{video}/state").body)
        assert told["state"] == "failed" and "not there any more" in told["message"]


def test_states(site: Site) -> None:
    making = site.ask("GET", "/media/video-making-001")
    said = {"state": "making", "progress": 0.4, "message": "40 % done"}
    assert making.status == 202 and json.loads(making.body) == said
    failed = site.ask("GET", "/media/video-failed-001")
    assert failed.status == 422 and json.loads(failed.body)["message"] == "cannot decode it"
    state = site.ask("GET", "/media/video-ready-0001/state")
    assert state.status == 200 and json.loads(state.body) == {"state": "ready", "progress": 1.0, "message": ""}
    assert b"film.mp4" not in state.body and state.headers["cache-control"] == "no-store"


def test_a_vanished_file_and_a_pipe_are_one_sentence(site: Site) -> None:
    for public_id in ("video-gone-00001", "video-pipe-00001"):
        if public_id in site.shelf.files:
            answer = site.ask("GET", f"/media/{public_id}")
            assert answer.status == 404 and "not there any more" in json.loads(answer.body)["message"]
            assert str(site.folder).encode() not in answer.body


def test_an_unknown_id(site: Site) -> None:
    assert site.ask("GET", "/media/no-such-video-01").status == 404
    assert site.ask("GET", "/media/no-such-video-01/state").status == 404


def test_odd_names_are_sent_too(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "a\udcff \u202e;$(id)'\".webm"
    path.write_bytes(b"odd")
    site.shelf.files["video-oddname-01"] = Playable("ready", 1.0, str(path))
    answer = site.ask("GET", "/media/video-oddname-01")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"odd", "video/webm")


def test_a_still(site: Site) -> None:
    answer = site.ask("GET", "/still/video-ready-0001/3")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, STILL, "image/jpeg")
    assert "max-age=86400" in answer.headers["cache-control"]
    assert site.ask("GET", "/still/video-ready-0001/99").status == 404


def test_a_service_in_trouble_is_a_sentence() -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    class Troubled:
        def playable(self, public_id: str) -> Playable:
            raise ExplorerError(f"cannot make a playable copy of {public_id}: the disk is full; free some space")

    app = FastAPI()
    app.include_router(router(SimpleNamespace(playback=Troubled())))
    answer = TestClient(app).get("/media/video-0000001")
    assert answer.status_code == 422 and "disk is full" in answer.json()["message"]


def test_types() -> None:
    assert media_type("/a/B.MP4") == "video/mp4" and media_type("x.mkv") == "video/x-matroska"
    assert media_type("x.html") == media_type("x") == "application/octet-stream"


def test_two_servers_do_not_take_each_others_cookie(site: Site, tmp_path: Path) -> None:
    with running(tmp_path) as other:
        assert other.port != site.port
        assert other.ask("GET", "/config", {"Cookie": site.cookie}).status == 401
        assert other.ask("GET", "/config").status == 200
