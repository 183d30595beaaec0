"""The secret of the link outlives a restart, and is kept where nobody else can read it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from explorer.web import secret


def test_the_secret_is_the_same_after_a_restart_and_another_in_another_folder(tmp_path: Path) -> None:
    first = secret.link_token(tmp_path / "a")
    assert secret.link_token(tmp_path / "a") == first and len(first) == 32
    assert secret.link_token(tmp_path / "b") != first


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_only_its_owner_can_read_the_file_whatever_the_mask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        secret.link_token(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / secret.NAME).stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_that_others_could_read_or_write_is_not_trusted(tmp_path: Path, mode: int) -> None:
    first = secret.link_token(tmp_path)
    (tmp_path / secret.NAME).chmod(mode)
    second = secret.link_token(tmp_path)
    assert second != first and secret.link_token(tmp_path) == second
    assert stat.S_IMODE((tmp_path / secret.NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "short", "x" * 33, "a b" * 11, "é" * 32])
def test_nonsense_in_the_file_is_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / secret.NAME).write_text(text, "utf-8")
    (tmp_path / secret.NAME).chmod(0o600)
    made = secret.link_token(tmp_path)
    assert made != text and secret.link_token(tmp_path) == made


@pytest.mark.skipif(os.name != "posix", reason="links need POSIX")
def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("k" * 32)
    elsewhere.chmod(0o600)
    (tmp_path / secret.NAME).symlink_to(elsewhere)
    assert secret.link_token(tmp_path) != "k" * 32 and elsewhere.read_text() == "k" * 32


def test_a_disk_that_takes_no_file_gives_a_secret_of_this_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert len(secret.link_token(tmp_path / "file")) == 32
