"""Reads a typed query in the light of the library and the model: which words are names of files, and which the model
cannot read."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from explorer.language.reading import emoji, foreign
from explorer.language.spelling import folded
from explorer.records import Query
from explorer.search import query
from explorer.store.store import Store

NAMES_SECONDS = 5.0  # names are read again at most so often while indexing changes the library with every file
MULTILINGUAL = ("xlm-roberta", "nllb", "siglip2", "i18n", "multilingual", "m-clip", "mt5")  # in names of towers
READS_MANY = "xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k"  # an open_clip name, as the Models tab takes it


class Reading:
    """Parses queries over a store. Any thread may call it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._names: dict[str, list[str]] = {}
        self._state: tuple[int, float] = (-1, 0.0)  # generation of the library, and when it was read
        self._guard = threading.Lock()

    def parse(self, typed: str, *, tower: str = "") -> Query:
        """A typed text as a Query, its notes with what the model cannot read.

        Args:
            typed: the text of the search box.
            tower: name of the tower that is to read it.

        Raises:
            ExplorerError: it cannot be read; see search.query.
        """
        parsed = query.parse(typed, names=self.names)
        return replace(parsed, notes=(*parsed.notes, *language_notes(parsed.text, tower)))

    def names(self, words: str) -> Sequence[str]:
        """Names of files of the library that are these words, with or without their ending."""
        with self._guard:
            generation, now = self.store.generation(), time.monotonic()
            known, read = self._state
            if generation != known and now - read > NAMES_SECONDS:
                self._names = _table(self.store.paths())
                self._state = (generation, now)
            return self._names.get(folded(words), ())


def allow(typed: str, chip: str) -> str:
    """What was typed with an exclusion or a choice undone; see search.query.allow."""
    return query.allow(typed, chip)


def _table(paths: Sequence[str]) -> dict[str, list[str]]:
    """Folded name, and folded name without its ending -> the names."""
    table: dict[str, list[str]] = {}
    for path in paths:
        name = PurePath(path).name
        for key in {folded(name), folded(PurePath(name).stem)}:
            known = table.setdefault(key, [])
            if name not in known:
                known.append(name)
    return table


def reads_many(tower: str) -> bool:
    """Whether a tower was trained on many languages, by its name."""
    return any(part in tower.lower() for part in MULTILINGUAL)


def language_notes(text: str, tower: str) -> tuple[str, ...]:
    """A sentence where a text is in what an English tower cannot read; the search runs all the same."""
    if reads_many(tower):
        return ()
    language, sign = foreign(text), emoji(text)
    notes: tuple[str, ...] = ()
    if language:
        notes = (
            f"these words are in {language}, and this model reads English only, so what it finds may be chance; "
            f"write them in English, or add {READS_MANY} on the Models tab, which reads it",
        )
    if sign:
        notes += (f'this model does not read the emoji; write it in words, such as "{sign}"',)
    return notes
