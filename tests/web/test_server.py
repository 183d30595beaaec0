"""The app opens at once on 127.0.0.1 alone, says its link, and closes cleanly."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from explorer.config import IMPORT_DIR
from explorer.records import ExplorerError
from explorer.web import server
from tests.support.site import Site

PROGRAM = """
import sys
from pathlib import Path
from explorer.config import Settings
from explorer.web import server
from tests.support.site import Shelf, make_shelf, tiny_page
folder = Path(sys.argv[1])
server._page = lambda explorer: (tiny_page(), {})
server.serve(make_shelf(folder), Settings(data_dir=folder, port=int(sys.argv[2])), open_browser=False,
             started=lambda port, url: (folder / "url").write_text(url),
             ready=lambda: (folder / "ready").write_text("gradio" if "gradio" in sys.modules else "too early"))
print("torch was imported" if "torch" in sys.modules else "closed without torch")
"""


def start(folder: Path, port: int, **environment: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(IMPORT_DIR), "PYTHONUNBUFFERED": "1", **environment}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), str(port)],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def get(url: str, cookie: str = "") -> tuple[int, str, bytes]:
    """Status, cookie and body of a page; the first second's refused connections are waited for."""
    host, _, target = url.removeprefix("http://").partition("/")
    for _ in range(200):
        try:
            connection = http.client.HTTPConnection(host, timeout=10)
            connection.request("GET", f"/{target}", headers={"Cookie": cookie})
            answer = connection.getresponse()
            return answer.status, (answer.getheader("set-cookie") or "").split(";")[0], answer.read()
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise AssertionError(f"{url} never answered")


def worked(pid: int) -> float:
    """Seconds a process has had a processor: on a machine busy with other things, the time it would take alone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return float("inf")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], str, float, Path]]:
    """A started app: the process, its link, the seconds it took until its first answer, its folder."""
    folder, began = tmp_path_factory.mktemp("served"), time.monotonic()
    process = start(folder, 0)
    assert process.stdout
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found
    status, _, _ = get(found.group())
    assert status == 303
    yield process, found.group(), min(time.monotonic() - began, worked(process.pid)), folder
    process.kill()
    process.wait()


def test_it_answers_within_three_seconds_then_shows_the_page_and_says_that_it_is_made(opened: tuple) -> None:
    _, url, seconds, folder = opened
    assert seconds < 3
    cookie = get(url)[1]
    deadline = time.monotonic() + 240
    while b"gradio_config" not in (body := get(url.split("?")[0], cookie)[2]):
        assert b"Opening HCMI Explorer" in body and time.monotonic() < deadline
        time.sleep(0.1)
    assert (folder / "ready").read_text() == "gradio"


def test_the_lock_is_told_the_link(opened: tuple) -> None:
    assert (opened[3] / "url").read_text() == opened[1]


def test_a_second_start_finds_the_first(opened: tuple) -> None:
    assert server.answers(opened[1])
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        assert not server.answers(f"http://127.0.0.1:{deaf.getsockname()[1]}/", timeout=0.2)
    assert not server.answers("http://127.0.0.1:1/")


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs /proc/net/tcp")
def test_only_the_own_machine_is_listened_to(opened: tuple) -> None:
    process, port = opened[0], int(re.findall(r":(\d+)/", opened[1])[0])
    assert listening(process.pid) == [("0100007F", port)]


def listening(pid: int) -> list[tuple[str, int]]:
    """(address, port) of every TCP socket a process and its children listen on, addresses as the kernel writes them."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    links = [os.readlink(link) for one in (pid, *children) for link in Path(f"/proc/{one}/fd").iterdir()]
    tables = [Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    return [
        (row[1].split(":")[0], int(row[1].split(":")[1], 16))
        for row in rows
        if row[3] == "0A" and f"socket:[{row[9]}]" in links
    ]


def test_the_cookie_of_an_open_page_is_good_after_a_kill_and_a_new_start(tmp_path: Path) -> None:
    def opened_link(process: subprocess.Popen[str]) -> str:
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        return found.group()

    first = start(tmp_path, 0)
    link = opened_link(first)
    cookie, port = get(link)[1], int(re.findall(r":(\d+)/", link)[0])
    first.kill()
    first.communicate()
    (tmp_path / "film.mp4").unlink()
    (tmp_path / "pipe.mp4").unlink(missing_ok=True)
    second = start(tmp_path, port)
    try:
        assert opened_link(second) == link and cookie
        assert get(link.split("?")[0], cookie)[0] == 200 and get(link.split("?")[0])[0] == 401
    finally:
        second.kill()
        second.communicate()


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_closes_it_quietly(opened: tuple) -> None:
    process, url, _, _ = opened
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, complained = process.communicate(timeout=120)
    assert process.returncode == 0 and "closed without torch" in said
    assert "Traceback" not in complained
    assert not server.answers(url)


@pytest.mark.parametrize("value", ["True", "1", "yes"])
def test_sharing_is_refused(tmp_path: Path, value: str) -> None:
    process = start(tmp_path, 0, GRADIO_SHARE=value)
    said, complained = process.communicate(timeout=180)
    assert process.returncode != 0 and said == ""
    assert "ExplorerError: GRADIO_SHARE is set" in complained and not (tmp_path / "url").exists()


def test_what_widens_gradio_is_taken_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        os,
        "environ",
        {
            "HOME": "/home/someone",
            "GRADIO_SHARE": "false",
            "GRADIO_ALLOWED_PATHS": "/",
            "GRADIO_LOCAL_DEV_MODE": "1",
            "GRADIO_ROOT_PATH": "http://evil.example",
            "GRADIO_SERVER_NAME": "0.0.0.0",
            "GRADIO_VIBE_MODE": "1",
        },
    )
    server.prepare_environment(tmp_path)
    left = {name: value for name, value in os.environ.items() if name.startswith("GRADIO_")}
    assert set(left) == {
        "GRADIO_ANALYTICS_ENABLED",
        "GRADIO_SSR_MODE",
        "GRADIO_RUN_HISTORY",
        "GRADIO_MCP_SERVER",
        "GRADIO_TEMP_DIR",
    }
    assert left["GRADIO_ANALYTICS_ENABLED"] == "False" and left["GRADIO_TEMP_DIR"] == str(tmp_path / "uploads")
    assert os.environ["HOME"] == "/home/someone"


def test_a_taken_port_is_passed_over() -> None:
    with server.bind(0) as first:
        taken = first.getsockname()[1]
        with server.bind(taken) as second:
            assert taken < second.getsockname()[1] < taken + server.PORTS_TRIED
            assert second.getsockname()[0] == "127.0.0.1"


def test_no_free_port_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PORTS_TRIED", 1)
    with server.bind(0) as first, pytest.raises(ExplorerError, match="no free port between .*--port"):
        server.bind(first.getsockname()[1])


def test_a_page_that_cannot_be_made_ends_the_start(tmp_path: Path) -> None:
    program = PROGRAM.replace("(tiny_page(), {})", "1 / 0")
    environment = {**os.environ, "PYTHONPATH": str(IMPORT_DIR)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), "0"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode != 0 and "ZeroDivisionError" in done.stderr


def test_assets_are_listed_by_name(site: Site) -> None:
    files = server.asset_files()
    assert files["plotly.min.js"].stat().st_size > 1_000_000
    for name, path in files.items():
        answer = site.ask("GET", f"/assets/{name}")
        assert answer.status == 200 and len(answer.body) == path.stat().st_size
    assert site.ask("GET", "/assets/no-such.js").status == 404
