"""The person's own small things, kept as JSON in the data folder: current model, history, saved searches; and their
files."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from explorer.config import read_json
from explorer.disk.atomic import write_bytes
from explorer.records import ExplorerError, FrameSize

log = logging.getLogger(__name__)

HISTORY = 50  # searches remembered
SAVED = 500


class Desk:
    """desk.json of a data folder: {"current", "previous", "history", "saved", "seal"}.

    The seal is a checksum of the rest. A file that does not fit its seal is set aside, not trusted; `notice` then
    says so.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.notice = folder / "desk.json", ""
        self._lock = threading.Lock()
        try:
            self._data: dict[str, Any] = _unsealed(read_json(self.path), self.path)
        except ExplorerError as error:
            aside = self.path.with_suffix(".damaged")
            self.path.replace(aside)
            self._data = {}
            log.info("%s", error)
            self.notice = (
                f"{self.path} was damaged and is set aside as {aside.name}; choose the model again, "
                "searches kept in it begin anew"
            )

    def current(self) -> str | None:
        """The checkpoint chosen last."""
        return self._text("current")

    def previous(self) -> str | None:
        """The one before it."""
        return self._text("previous")

    def set_current(self, name: str) -> None:
        if name != self.current():
            self._change(previous=self.current(), current=name)

    def history(self) -> list[str]:
        """Recent searches, newest first, each once."""
        return self._texts("history")

    def remember(self, text: str) -> None:
        """Keep a search in the history; a disk that refuses it must not keep the search from its answer."""
        if not text.strip() or self.history()[:1] == [text]:
            return
        try:
            self._change(history=[text, *(old for old in self.history() if old != text)][:HISTORY])
        except ExplorerError as error:
            log.warning("the history is not kept: %s", error)

    def saved(self) -> list[str]:
        """Searches the person saved, oldest first."""
        return self._texts("saved")

    def save_search(self, text: str) -> None:
        if text.strip() and text not in self.saved():
            self._change(saved=[*self.saved(), text][-SAVED:])

    def drop_search(self, text: str) -> None:
        """Take a search out of the saved ones."""
        if text in self.saved():
            self._change(saved=[old for old in self.saved() if old != text])

    def clear_history(self) -> None:
        """Forget the recent searches."""
        if self.history():
            self._change(history=[])

    def _text(self, key: str) -> str | None:
        value = self._data.get(key)
        return value if isinstance(value, str) and value else None

    def _texts(self, key: str) -> list[str]:
        value = self._data.get(key)
        return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []

    def _change(self, **values: Any) -> None:
        with self._lock:
            self._data = {**self._data, **values}
            sealed = {**self._data, "seal": _seal(self._data)}
            write_bytes(self.path, json.dumps(sealed, ensure_ascii=True, indent=1).encode("ascii"))


def _seal(data: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(data, sort_keys=True, ensure_ascii=True).encode("ascii"))


def _unsealed(data: dict[str, Any], path: Path) -> dict[str, Any]:
    """The data without its seal, which must fit it; a missing file is an empty desk."""
    rest = {name: value for name, value in data.items() if name != "seal"}
    if data and data.get("seal") != _seal(rest):
        raise ExplorerError(f"{path} is damaged, its checksum does not fit")
    return rest


def checked_folder(path: str, data_dir: Path) -> str:
    """The absolute path of a folder a person named.

    Raises:
        ExplorerError: nothing there, no folder, not readable, or the data folder itself.
    """
    name = os.path.abspath(os.path.expanduser(path.strip()))
    if not path.strip():
        raise ExplorerError("no folder was named; type the path of a folder with videos")
    if not os.path.exists(name):
        raise ExplorerError(f"there is no folder {path.strip()!r}; check the path")
    if not os.path.isdir(name):
        raise ExplorerError(f"{path.strip()!r} is a file; name the folder it lies in")
    if not os.access(name, os.R_OK | os.X_OK):
        raise ExplorerError(f"{path.strip()!r} cannot be read; change its permissions or choose another folder")
    if Path(name) in (data_dir, *data_dir.parents):
        raise ExplorerError(f"{path.strip()!r} holds this app's own data; choose a folder with your videos")
    return name


def fit_image(image: np.ndarray, size: FrameSize) -> np.ndarray:
    """A picture (H, W, 3) uint8 at the size a tower asks for, squashed or cut as it wants.

    Raises:
        ExplorerError: it is no RGB picture.
    """
    from PIL import Image

    if image.ndim != 3 or image.shape[2] < 3 or image.dtype != np.uint8 or not image.size:
        raise ExplorerError("this picture cannot be read; choose a JPEG or PNG")
    picture = Image.fromarray(np.ascontiguousarray(image[:, :, :3]))
    if size.fit == "crop":
        scale = max(size.width / picture.width, size.height / picture.height)
        wide, high = size.width / scale, size.height / scale
        left, top = (picture.width - wide) / 2, (picture.height - high) / 2
        box = (left, top, left + wide, top + high)
        return np.asarray(picture.resize((size.width, size.height), Image.Resampling.BICUBIC, box=box))
    return np.asarray(picture.resize((size.width, size.height), Image.Resampling.BICUBIC))


def new_folder(parent: Path) -> Path:
    """A folder named by the time."""
    folder = parent / time.strftime("%Y-%m-%d %H.%M.%S")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def reveal(path: str) -> None:
    """Show a file in the file manager, selected where the system can do that."""
    if sys.platform == "darwin":
        _run(["open", "-R", path])
    elif sys.platform == "win32":
        _run(["explorer", f"/select,{path}"])
    else:
        _run(["xdg-open", os.path.dirname(path)])


def open_path(path: str) -> None:
    """Open a file with the program the system has for it."""
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
