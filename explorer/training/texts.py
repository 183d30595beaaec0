"""Keeps the text features of a data set small: half precision, each distinct word or phrase vector once, in one
file."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explorer.records import ExplorerError, Phrase, TextFeatures


@dataclass(frozen=True)
class TextTable(Sequence):
    """Q texts over U distinct word and phrase vectors; an item is made when asked for.

    sentences (Q, D) and vectors (U, D) are float16, unit length, labels (U,) what each vector stands for; words[q] and
    phrases[q] are rows of vectors, places[q] the character at which each phrase starts.
    """

    texts: tuple[str, ...]
    sentences: np.ndarray
    vectors: np.ndarray
    labels: tuple[str, ...]
    words: tuple[np.ndarray, ...]
    phrases: tuple[np.ndarray, ...]
    places: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> TextFeatures:  # type: ignore[override]
        words, phrases = self.words[index], self.phrases[index]
        spans = tuple(
            Phrase(self.labels[row], int(start), int(start) + len(self.labels[row]))
            for row, start in zip(phrases, self.places[index], strict=True)
        )
        return TextFeatures(
            self.texts[index],
            self.sentences[index].astype(np.float32),
            self.vectors[words].astype(np.float32),
            tuple(self.labels[row] for row in words),
            self.vectors[phrases].astype(np.float32),
            spans,
        )


def text_table(features: Sequence[TextFeatures]) -> TextTable:
    """The features of Q >= 1 texts as a table."""
    rows: dict[tuple[str, bytes], int] = {}

    def numbers(labels: Sequence[str], vectors: np.ndarray) -> np.ndarray:
        halves = vectors.astype(np.float16)
        return np.array(
            [rows.setdefault((label, half.tobytes()), len(rows)) for label, half in zip(labels, halves)], np.int64
        )

    words = tuple(numbers(text.word_texts, text.words) for text in features)
    phrases = tuple(numbers([span.text for span in text.phrase_spans], text.phrases) for text in features)
    places = tuple(np.array([span.start for span in text.phrase_spans], np.int64) for text in features)
    vectors = np.frombuffer(b"".join(half for _, half in rows), np.float16).reshape(len(rows), -1)
    return TextTable(
        tuple(text.text for text in features),
        np.stack([text.sentence for text in features]).astype(np.float16),
        vectors,
        tuple(label for label, _ in rows),
        words,
        phrases,
        places,
    )


def save_table(path: Path, table: TextTable) -> None:
    """One .npz without pickled objects."""
    rows = {name: getattr(table, name) for name in ("words", "phrases", "places")}
    flat = {name: np.concatenate([np.zeros(0, np.int64), *parts]) for name, parts in rows.items()}
    counts = {f"{name}_counts": np.array([len(part) for part in parts], np.int64) for name, parts in rows.items()}
    np.savez(
        path,
        texts=np.array(table.texts),
        sentences=table.sentences,
        vectors=table.vectors,
        labels=np.array(table.labels),
        **flat,
        **counts,
    )


def load_table(path: Path) -> TextTable:
    """The table that `save_table` wrote."""
    try:
        with np.load(path, allow_pickle=False) as data:
            rows = [
                tuple(np.split(data[name], np.cumsum(data[f"{name}_counts"])[:-1]))
                for name in ("words", "phrases", "places")
            ]
            return TextTable(
                tuple(map(str, data["texts"])),
                data["sentences"],
                data["vectors"],
                tuple(map(str, data["labels"])),
                *rows,
            )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ExplorerError(f"cannot read the text features in {path}: {error}; remove it and encode anew") from error
