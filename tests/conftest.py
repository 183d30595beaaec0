"""Markers that skip what a machine lacks, and fail instead where EXPLORER_REQUIRE names them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

PROJECT = Path(__file__).resolve().parent.parent
SHARED = PROJECT.parent / "shared" / "data"


def _missing(marker: str) -> str:
    """Why this machine cannot run tests of a marker; empty where it can."""
    if marker == "shared_data":
        return "" if SHARED.is_dir() else "the real photos and clips are not beside the project"
    if marker == "browser":
        return "" if chromium_path() else "Chromium is not installed"
    if marker == "gpu":
        import torch

        return "" if torch.cuda.is_available() or torch.backends.mps.is_available() else "no GPU"
    if marker == "download":
        return "downloads are only tried by hand"
    return ""


def chromium_path() -> str | None:
    """The system's Chromium, where there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    required = set(filter(None, os.environ.get("EXPLORER_REQUIRE", "").split(",")))
    for marker in ("shared_data", "browser", "gpu", "download"):
        if item.get_closest_marker(marker) is None:
            continue
        reason = _missing(marker)
        if reason and marker in required:
            pytest.fail(f"EXPLORER_REQUIRE asks for {marker}: {reason}")
        if reason:
            pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photos, clips, captions and odd files kept beside the project."""
    if not SHARED.is_dir():
        pytest.skip("the real photos and clips are not beside the project")
    return SHARED


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the system's Chromium."""
    return chromium_path() or pytest.skip("Chromium is not installed")
