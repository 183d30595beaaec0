"""Keeps the secret of the page's link in the data folder, so that a page left open goes on after a restart."""

from __future__ import annotations

import logging
import os
import re
import secrets
import stat
from pathlib import Path

from explorer.disk.atomic import write_bytes
from explorer.records import ExplorerError

log = logging.getLogger(__name__)

NAME = "link.token"  # file of the data folder, readable by its owner alone
BYTES = 24  # of chance, 32 letters when written
WRITTEN = re.compile(r"[\w-]{32}", re.ASCII)


def link_token(folder: Path) -> str:
    """The secret of the link of a data folder: the one of the last start, or a new one.

    A file that another user could have read or written is not trusted: its secret is replaced. Where the disk takes
    no file the secret lasts as long as this start. To make every old link worthless a person deletes the file.
    """
    known = _read(folder / NAME)
    if known:
        return known
    made = secrets.token_urlsafe(BYTES)
    try:
        write_bytes(folder / NAME, made.encode("ascii"), private=True)
    except ExplorerError as error:
        log.warning("the secret of the link is not kept: %s", error)
    return made


def _read(path: Path) -> str:
    """The secret kept in a file; empty where there is none, or where it is not ours alone."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return ""
    with open(handle, encoding="ascii", errors="replace") as file:
        if not _private(os.fstat(handle)):
            return ""
        text = file.read(BYTES * 4)
    return text if WRITTEN.fullmatch(text) else ""


def _private(found: os.stat_result) -> bool:
    """Whether a file is a plain one which its owner, this user, alone can read and write."""
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        return False
    return os.name != "posix" or (found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077)
