"""The person's own small things, kept as JSON in the data folder: current model, history, saved searches."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from explorer.disk.sealed import read_sealed, write_sealed
from explorer.records import ExplorerError

log = logging.getLogger(__name__)

HISTORY = 50  # searches remembered
SAVED = 500


class Desk:
    """desk.json of a data folder: {"current", "previous", "history", "saved"} and their checksum.

    A file that does not fit its checksum is set aside, not trusted; `notice` then says so.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.notice = folder / "desk.json", ""
        self._lock = threading.Lock()
        try:
            self._data = read_sealed(self.path)
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
        """Remember a checkpoint as the one chosen last."""
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

    def clear_history(self) -> None:
        """Forget the recent searches."""
        if self.history():
            self._change(history=[])

    def saved(self) -> list[str]:
        """Searches the person saved, oldest first."""
        return self._texts("saved")

    def save(self, text: str) -> None:
        """Keep a search among the saved ones."""
        if text.strip() and text not in self.saved():
            self._change(saved=[*self.saved(), text][-SAVED:])

    def drop(self, text: str) -> None:
        """Take a search out of the saved ones."""
        if text in self.saved():
            self._change(saved=[old for old in self.saved() if old != text])

    def _text(self, key: str) -> str | None:
        value = self._data.get(key)
        return value if isinstance(value, str) and value else None

    def _texts(self, key: str) -> list[str]:
        value = self._data.get(key)
        return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []

    def _change(self, **values: str | list[str] | None) -> None:
        with self._lock:
            self._data = {**self._data, **values}
            write_sealed(self.path, self._data)
