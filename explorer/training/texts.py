"""Keeps the text features of a data set small: each distinct word and phrase prompt is encoded and stored once."""
from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explorer.records import ExplorerError, Phrase, TextFeatures

Spans = Sequence[Phrase]


@dataclass(frozen=True)
class TextTable(Sequence):
    """Q texts over U distinct prompts; an item is made when asked for.

    sentences (Q, D) and prompts (U, D) are float16, unit length; words[q] and phrases[q] are rows of prompts.
    """

    texts: tuple[str, ...]
    sentences: np.ndarray
    prompts: np.ndarray
    prompt_texts: tuple[str, ...]
    words: tuple[np.ndarray, ...]
    phrases: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> TextFeatures:
        words, phrases = self.words[index], self.phrases[index]
        return TextFeatures(
            self.texts[index], self.sentences[index].astype(np.float32),
            self.prompts[words].astype(np.float32), tuple(self.prompt_texts[row] for row in words),
            self.prompts[phrases].astype(np.float32),
            _spans(self.texts[index], [self.prompt_texts[row] for row in phrases]))


def _spans(text: str, phrases: list[str]) -> tuple[Phrase, ...]:
    places = [max(0, text.find(phrase)) for phrase in phrases]
    return tuple(Phrase(phrase, start, start + len(phrase)) for phrase, start in zip(phrases, places, strict=True))


def text_table(texts: Sequence[str], *, parse: Callable[[list[str]], Sequence[tuple[Spans, Spans]]],
               encode: Callable[[list[str]], np.ndarray], prompt: Callable[[str], str] = str) -> TextTable:
    """Parse and encode a data set's texts.

    Args:
        texts: Q captions.
        parse: texts -> (words, phrases) of each.
        encode: N texts -> (N, D) unit vectors.
        prompt: word or phrase -> the sentence that is encoded in its place.
    """
    parsed = parse(list(texts))
    rows: dict[str, int] = {}
    words = tuple(_rows(rows, [w.text for w in found]) for found, _ in parsed)
    phrases = tuple(_rows(rows, [p.text for p in found]) for _, found in parsed)
    return TextTable(tuple(texts), encode(list(texts)).astype(np.float16),
                     encode([prompt(text) for text in rows]).astype(np.float16), tuple(rows), words, phrases)


def _rows(table: dict[str, int], found: list[str]) -> np.ndarray:
    return np.array([table.setdefault(text, len(table)) for text in found], dtype=np.int64)


def save_table(path: Path, table: TextTable) -> None:
    """One .npz without pickled objects."""
    counts = {name: np.array([len(rows) for rows in getattr(table, name)]) for name in ("words", "phrases")}
    flat = {name: np.concatenate([np.zeros(0, np.int64), *getattr(table, name)]) for name in ("words", "phrases")}
    np.savez(path, texts=np.array(table.texts), sentences=table.sentences, prompts=table.prompts,
             prompt_texts=np.array(table.prompt_texts), words=flat["words"], word_counts=counts["words"],
             phrases=flat["phrases"], phrase_counts=counts["phrases"])


def load_table(path: Path) -> TextTable:
    """The table that `save_table` wrote."""
    try:
        with np.load(path, allow_pickle=False) as data:
            words = np.split(data["words"], np.cumsum(data["word_counts"])[:-1])
            phrases = np.split(data["phrases"], np.cumsum(data["phrase_counts"])[:-1])
            return TextTable(tuple(map(str, data["texts"])), data["sentences"], data["prompts"],
                             tuple(map(str, data["prompt_texts"])), tuple(words), tuple(phrases))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ExplorerError(f"cannot read the text features in {path}: {error}; remove it and encode anew") from error
