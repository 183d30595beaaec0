"""What the operating system does for the app: shows a file in its manager, opens it with its own program."""

from __future__ import annotations

import os
import subprocess
import sys

from explorer.records import ExplorerError


def reveal(path: str) -> None:
    """Show a file in the file manager, selected where the system can do that."""
    if sys.platform == "darwin":
        _run(["open", "-R", path])
    elif sys.platform == "win32":
        _run(["explorer", f"/select,{path}"])
    else:
        _run(["xdg-open", os.path.dirname(path)])


def open_path(path: str) -> None:
    """Open a file with the program the system has for it.

    Raises:
        ExplorerError: the file is gone, or the program cannot be started.
    """
    if not os.path.exists(path):
        raise ExplorerError(f"{path} is not there any more; look whether its drive is connected, then index again")
    if sys.platform == "win32":
        os.startfile(path)
    else:
        _run(["open" if sys.platform == "darwin" else "xdg-open", path])


def _run(command: list[str]) -> None:
    try:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise ExplorerError(f"{command[0]} cannot be started: {error.strerror}; open {command[-1]} by hand") from error
