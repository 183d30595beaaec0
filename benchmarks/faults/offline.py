"""Goal R23: a whole use with no network at all, index, search, page, with the shipped model; then the test-suite, or a part of it.

Run: python -m benchmarks.faults.offline [--suite none|part|all]. The work runs in a network of its own in which only loopback is up,
which the tests of page and browser need; without the right to make one the goal is skipped. `part`, the default, is the tests that
run the app, its page, its models or a child: whatever could reach for a network. The last line is the figure; exit 1 if it falls short.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.faults.common import PROJECT, finish, in_namespace, skip
from tests.support.videos import Recipe, coloured

LINK = re.compile(r"http://(127\.0\.0\.1):(\d+)(/\?token=\S+)")
OPENS_WITHIN = 240.0
SUITES = {
    "none": (),
    "all": ("tests",),
    "part": (
        "tests/cli",
        "tests/service",
        "tests/test_browser.py",
        "tests/web",
        "tests/search",
        "tests/model/towers/test_tower.py",
        "tests/model/towers/test_minilm.py",
        "tests/model/test_encoder.py",
        "tests/model/test_checkpoint.py",
        "tests/media/test_proxies.py",
        "tests/media/test_samples.py",
    ),
}
HOSTS = ("1.1.1.1", "2606:4700:4700::1111")


def reachable() -> bool:
    """Whether anything outside can be reached: then there is a network and the goal was not tried."""
    for host in HOSTS:
        try:
            socket.create_connection((host, 443), timeout=2).close()
            return True
        except OSError:
            continue
    return False


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "explorer", *arguments], cwd=PROJECT, capture_output=True, text=True, timeout=600
    )


def page(data: Path) -> str:
    """What is wrong with the page that the app opens on loopback; '' where it comes, with its cookie and its settings."""
    process = subprocess.Popen(
        [sys.executable, "-u", "app.py", "--data-dir", str(data), "--no-browser", "--port", "7950"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = next((match for line in process.stdout if (match := LINK.search(line))), None)
        if found is None:
            return "the app printed no link"
        return wait_for_page(int(found[2]), found[3])
    finally:
        process.terminate()
        process.wait(30)


def wait_for_page(port: int, link: str) -> str:
    status, headers, _ = ask(port, link)
    cookie = headers.get("set-cookie", "").split(";")[0]
    until, body = time.monotonic() + OPENS_WITHIN, b""
    while time.monotonic() < until:
        answer, _, body = ask(port, "/config", Cookie=cookie)
        if answer == 200 and b"components" in body:
            return "" if status == 303 else f"the link answered {status}"
        time.sleep(0.5)
    return f"the page did not come: {body[:80]!r}"


def ask(port: int, target: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", target, headers=headers)
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def tests(suite: str) -> tuple[str, bool]:
    """(pytest's last line, whether all passed) of tests named in SUITES; nothing is skipped for want of a browser that is there."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb=short", *SUITES[suite]]
    done = subprocess.run(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    lines = done.stdout.strip().splitlines() or ["pytest said nothing"]
    if done.returncode:
        print(*lines[-60:], sep="\n")
    return lines[-1].strip("= "), done.returncode == 0


def run(folder: Path) -> list[str]:
    """What went wrong in a use from the first start to the page, with no network."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=False)
    if reachable():
        return ["there is a network here"]
    library, data = folder / "library", folder / "data"
    library.mkdir()
    for colour in ("red", "green", "blue"):
        coloured(library / f"{colour}.mp4", [(colour, 4.0)], Recipe(fps=5, width=64, height=48))
    wrong = []
    done = command("index", str(library), "--data-dir", str(data), "--json")
    indexed = json.loads(done.stdout.splitlines()[-1])["indexed"] if done.returncode == 0 else 0
    wrong += [] if indexed == 3 else [f"index: {done.returncode}, {done.stderr[-300:]}"]
    done = command("search", "a red wall", "--data-dir", str(data), "--json")
    hits = json.loads(done.stdout)["hits"] if done.returncode == 0 else []
    wrong += [] if len(hits) >= 3 else [f"search: {done.returncode}, {len(hits)} hits, {done.stderr[-300:]}"]
    for name in ("check", "models"):
        done = command(name, "--data-dir", str(data), "--json")
        wrong += (
            [] if done.returncode == 0 else [f"{name}: {done.returncode}, {done.stdout[-200:]}{done.stderr[-200:]}"]
        )
    problem = page(data)
    wrong += [problem] if problem else []
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", choices=tuple(SUITES), default="part", help="which of the tests run there too")
    parser.add_argument("--inside", type=Path)
    chosen = parser.parse_args()
    if chosen.inside:
        wrong = run(chosen.inside)
        print(*wrong, sep="\n")
        said, passed = (
            tests(chosen.suite) if SUITES[chosen.suite] and not wrong else ("not run", chosen.suite == "none")
        )
        return finish(
            "R23",
            f"index, search, check, models and the page with no network: {len(wrong)} things wrong; "
            f"tests there ({chosen.suite}): {said}",
            good=not wrong and passed,
        )
    with tempfile.TemporaryDirectory() as folder:
        code = in_namespace("-n", "benchmarks.faults.offline", "--inside", folder, "--suite", chosen.suite)
    return skip("R23", "this machine lets nobody take the network away (unshare -n)") if code is None else code


if __name__ == "__main__":
    sys.exit(main())
