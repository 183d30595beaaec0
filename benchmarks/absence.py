"""How well the app knows that a library does not show what was asked, and that a moment does not show a phrase.

Run: python -m benchmarks.absence --flickr8k DIR [--clips CLIPS] [--checkpoint starter].
Queries: a library is a random half of some videos; captions of that half are present, captions of the other half are absent.
What is measured is what a search does: its best moment against what unrelated descriptions of the same form find by chance in
that library (search/calibrate.py).
Phrases: a caption with its action, person or scene replaced (training/alterations.py); the phrase that was there is shown by the
video, the one in its place is not, all else being equal.
The lines are drawn so that a person is seldom told wrongly that something is missing (benchmarks/doubt.py draws that of the
moments on several libraries; the standing that leaves SHOWN_UNMARKED of shown phrases without a mark), and reported on test
and the clips.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.binary_selection import draw, train_bank
from benchmarks.features import clip_pairs, open_encoder, photo_pairs
from explorer.model.encoder import Encoder
from explorer.records import TextFeatures
from explorer.search import calibrate, score
from explorer.search.calibrate import Calibration
from explorer.search.retrieve import WindowBatch
from explorer.service.bank import BANK
from explorer.training.alterations import WordBank
from explorer.training.binary_selection import choices
from explorer.training.dataset import PairData

FRAMES = 12  # a window, as the app makes them
PRESENT_DOUBTED = 5.0  # percent, on val
SHOWN_UNMARKED = 15.0  # percent, on val
SIZES = (50, 250)  # photos a library
HALVINGS = 2
QUERIES = 100  # of each kind a library, at most


@dataclass(frozen=True)
class Videos:
    """Videos in memory as a library of one window each; the part of retrieve.Library that a calibration asks for."""

    frames: tuple[np.ndarray, ...]

    def sample(self, count: int) -> np.ndarray:
        """Ids of windows spread over the library."""
        return np.unique(np.linspace(0, len(self.frames) - 1, min(count, len(self.frames))).round().astype(np.int64))

    def windows(self, ids: np.ndarray) -> WindowBatch:
        """The named windows: at most FRAMES frames spread over each video."""
        rows = [
            self.frames[i][
                np.linspace(0, len(self.frames[i]) - 1, min(FRAMES, len(self.frames[i]))).round().astype(int)
            ]
            for i in ids
        ]
        mask = np.arange(FRAMES)[None] < np.array([[len(row)] for row in rows])
        features = np.zeros((len(rows), FRAMES, rows[0].shape[1]), np.float16)
        for i, row in enumerate(rows):
            features[i, : len(row)] = row
        zeros = np.zeros(len(rows), np.int64)
        return WindowBatch(ids, ids, zeros, zeros.astype(float), zeros + 1.0, features, mask)


@dataclass(frozen=True)
class Told:
    """Values of what is there and of what is not."""

    there: np.ndarray
    absent: np.ndarray

    def row(self, line: float) -> str:
        """Cells: the chance that one that is there lies above one that is not; doubted of the first, passed of the second."""
        above, equal = self.there[:, None] > self.absent[None], self.there[:, None] == self.absent[None]
        shares = above.mean() + equal.mean() / 2, np.mean(self.there < line), np.mean(self.absent >= line)
        return " | ".join(f"{100 * share:.1f}" for share in shares)


def halves(data: PairData, size: int, *, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of disjoint sets of `size` videos: the library, and those whose captions ask for what is not there."""
    rng = np.random.default_rng([seed, size])
    for _ in range(HALVINGS):
        order = rng.permutation(len(data.files))
        yield order[:size], order[size : 2 * size]


def opened(
    encoder: Encoder, bank: Sequence[TextFeatures], data: PairData, inside: np.ndarray
) -> tuple[Calibration, Any]:
    """A library of the videos `inside`: its calibration and the model's levels of its windows."""
    library = Videos(tuple(data.frames[i] for i in inside))
    calibration = calibrate.calibrate(encoder, bank, library, generation=0)  # type: ignore[arg-type]
    assert calibration is not None
    batch = library.windows(np.arange(len(inside)))
    return calibration, encoder.levels(batch.features, batch.mask)


def evidence(encoder: Encoder, calibration: Calibration, text: TextFeatures, levels: Any) -> float:
    """How far a query's best moment lies above what it needs to be likely, in spreads of chance."""
    form = calibrate.form_of(text.text)
    scores = score.compare(encoder, encoder.text_levels([text]), levels)[0]
    chance = calibrate.chance_of(calibration, form)
    assert chance is not None
    return float(chance.above(score.total(scores, calibration.weights)).max()) - calibrate.LINES[form][0]


def queries(encoder: Encoder, bank: Sequence[TextFeatures], data: PairData, size: int, *, seed: int) -> Told:
    """Evidence of one caption of each of some videos that are in a library, and of some that are not."""
    firsts = {owner: number for number, owner in reversed(list(enumerate(data.owners.tolist())))}
    found: tuple[list[float], list[float]] = [], []
    for half in halves(data, size, seed=seed):
        calibration, levels = opened(encoder, bank, data, half[0])
        for values, videos in zip(found, half, strict=True):
            values += [
                evidence(encoder, calibration, data.texts[firsts[video]], levels) for video in videos[:QUERIES].tolist()
            ]
    return Told(*map(np.array, found))


def between(text: str, other: str) -> tuple[int, int]:
    """Characters [start, end) in which a text differs from another."""
    shortest = min(len(text), len(other))
    start = next((i for i in range(shortest) if text[i] != other[i]), shortest)
    tail = next((i for i in range(shortest - start) if text[-1 - i] != other[-1 - i]), shortest - start)
    return start, len(text) - tail


def phrases(
    encoder: Encoder, bank: Sequence[TextFeatures], data: PairData, words: WordBank, size: int, *, seed: int
) -> Told:
    """Standing of the phrases that were replaced and of those in their place, each in the caption's own video."""
    inside = next(halves(data, size, seed=seed))[0]
    calibration, levels = opened(encoder, bank, data, inside)
    place = {video: row for row, video in enumerate(inside.tolist())}
    captions = [(place[owner], data.texts[i].text) for i, owner in enumerate(data.owners.tolist()) if owner in place]
    asked = draw(choices(captions, kinds=("action", "person", "scene"), bank=words, seed=seed), QUERIES, seed=seed)
    found: tuple[list[float], list[float]] = [], []
    for question in asked:
        shown = score.take(levels, np.array([question.video]))
        for values, text, other in zip(
            found, (question.true, question.altered), (question.altered, question.true), strict=True
        ):
            start, end = between(text, other)
            encoded = encoder.text(text)
            rows = [i for i, span in enumerate(encoded.phrase_spans) if span.start < end and span.end > start]
            if rows:
                values += calibrate.phrase_standing(calibration, encoded.phrases[rows], shown)[:, 0].tolist()
    return Told(*map(np.array, found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--cache", type=Path, default=Path("runs/features"))
    given = parser.parse_args()
    encoder = open_encoder(given.checkpoint)
    bank, words = encoder.texts(calibrate.read_bank(BANK)), train_bank(given.flickr8k, cache=given.cache)
    sets = {
        (split, size): photo_pairs(encoder, given.flickr8k, split, cache=given.cache)
        for split in ("val", "test")
        for size in SIZES
    }
    if given.clips:
        clips = clip_pairs(encoder, given.clips, cache=given.cache, most=5)
        sets["clips", len(clips.files) // 2] = clips
    with score.one_thread():
        asked = {key: queries(encoder, bank, data, key[1], seed=0) for key, data in sets.items()}
        marked = {key: phrases(encoder, bank, data, words, key[1], seed=0) for key, data in sets.items()}
    doubt = float(np.mean([np.percentile(asked["val", size].there, PRESENT_DOUBTED) for size in SIZES]))
    shown = float(np.mean([np.percentile(marked["val", size].there, SHOWN_UNMARKED) for size in SIZES]))
    print(
        f"drawn on val: {doubt:+.2f} from the line of sentences in use ({calibrate.LINES['sentence'][0]:g}), standing {shown:.2f} (in use: {calibrate.FOUND_Z[encoder.config.text_levels]:g})\n"
    )
    print(
        "| library | queries: AUC | present doubted | absent passed | phrases: AUC | shown not marked | replaced marked |\n"
        + "|---" * 7
        + "|"
    )
    for key in sets:
        print(
            f"| {key[0]}, {key[1]} videos | {asked[key].row(0.0)} | {marked[key].row(calibrate.FOUND_Z[encoder.config.text_levels])} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
