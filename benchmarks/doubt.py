"""Draws the lines between strong, likely and weak (search/calibrate.py: LINES), on libraries apart from every test set.

    python -m benchmarks.doubt --flickr8k DIR --more MORE [--checkpoint starter]

Libraries are random photos, one a window: of the labelled sources in MORE for words and phrases, whose labels are asked for
(present: of a photo in the library; absent: of a label that no photo in it has, and that shares no word with one that it has),
and of Flickr8k's validation photos for sentences, whose captions are asked for. Where a starter was trained on MORE, only the
part that it held out is used. For each form of text `likely` is the line that leaves out PRESENT_DOUBTED percent of what is
there, `strong` the one that ABSENT_STRONG percent of what is not there reach, and at least APART above. Printed last: LINES as
it stands in the code.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.absence import Told, Videos
from benchmarks.features import kept, open_encoder, read_photos, stem_of
from explorer.model.encoder import Encoder
from explorer.records import TextFeatures
from explorer.search import calibrate, score
from explorer.search.calibrate import Form
from explorer.service.bank import BANK
from explorer.training.starter.sources import Photo, flickr_photos, more_photos, split_held

PRESENT_DOUBTED: dict[Form, float] = {"word": 8.0, "phrase": 8.0, "sentence": 5.0}  # percent
ABSENT_STRONG = 10.0  # percent
APART = 0.5  # spreads between likely and strong, at least
SIZES = (40, 120)  # photos a library
LIBRARIES = 2  # of each size
PHOTOS = 10  # of a label, at most
SMALL_WORDS = 3  # letters of a word that two labels may share


@dataclass(frozen=True)
class Case:
    """A library, with queries it answers and queries it does not."""

    frames: tuple[np.ndarray, ...]  # (F, D) of each video
    present: tuple[str, ...]
    absent: tuple[str, ...]


def labelled(folder: Path) -> list[Photo]:
    """The held-out photos that have a label, at most PHOTOS a label."""
    taken: dict[tuple[str, str], list[Photo]] = defaultdict(list)
    for photo in split_held(more_photos(folder))[1]:
        if photo.kind == "labelled":
            taken[photo.source, photo.label].append(photo)
    return [photo for photos in taken.values() for photo in photos[:PHOTOS]]


def words_of(label: str) -> set[str]:
    """The words by which two labels are the same thing."""
    return {word for word in label.split() if len(word) > SMALL_WORDS}


def label_cases(photos: Sequence[Photo], vectors: np.ndarray, size: int, *, seed: int) -> Iterator[Case]:
    """Libraries of `size` photos of a random half of the labels; the other half is asked for in vain."""
    rng = np.random.default_rng([seed, size])
    labels = sorted({photo.label for photo in photos})
    for _ in range(LIBRARIES):
        order = rng.permutation(len(labels))
        inside = {labels[i] for i in order[: len(labels) // 2]}
        rows = rng.permutation([row for row, photo in enumerate(photos) if photo.label in inside])[:size]
        shown = {photos[row].label for row in rows}
        known = set().union(*map(words_of, inside))
        absent = [label for label in labels if label not in inside and not words_of(label) & known]
        yield Case(tuple(vectors[row][None] for row in rows), tuple(sorted(shown)), tuple(absent))


def caption_cases(photos: Sequence[Photo], vectors: np.ndarray, size: int, *, seed: int) -> Iterator[Case]:
    """Libraries of `size` photos; the first caption of each is asked for, and that of as many others."""
    rng = np.random.default_rng([seed, size])
    for _ in range(LIBRARIES):
        order = rng.permutation(len(photos)).tolist()
        inside, outside = order[:size], order[size : 2 * size]
        present, absent = (tuple(photos[row].captions[0] for row in rows) for rows in (inside, outside))
        yield Case(tuple(vectors[row][None] for row in inside), present, absent)


def features(encoder: Encoder, photos: Sequence[Photo], name: str, cache: Path) -> np.ndarray:
    """Features (N, D) of photos, kept under a name."""
    path = cache / f"{stem_of(encoder)}-{name}-{len(photos)}.npz"
    return kept(path, lambda: {"vectors": read_photos(encoder, [photo.path for photo in photos])})["vectors"]


def above_chance(encoder: Encoder, bank: Sequence[TextFeatures], case: Case) -> list[float]:
    """How far the best moment of each query, present ones first, lies above chance in a library, in spreads."""
    library, texts = Videos(case.frames), [*case.present, *case.absent]
    calibration = calibrate.calibrate(encoder, bank, library, generation=0)  # type: ignore[arg-type]
    assert calibration is not None
    batch = library.windows(np.arange(len(case.frames)))
    levels = encoder.levels(batch.features, batch.mask)
    best = score.total(score.compare(encoder, encoder.text_levels(encoder.texts(texts)), levels), calibration.weights)
    chances = [calibrate.chance_of(calibration, calibrate.form_of(text)) for text in texts]
    return [float(chance.above(value)) for chance, value in zip(chances, best.max(1)) if chance is not None]


def told(encoder: Encoder, bank: Sequence[TextFeatures], cases: Sequence[Case]) -> dict[Form, Told]:
    """For each form of text, what present and absent queries reach."""
    values: dict[Form, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for case in cases:
        found = above_chance(encoder, bank, case)
        for number, text in enumerate((*case.present, *case.absent)):
            values[calibrate.form_of(text)][number >= len(case.present)].append(found[number])
    return {form: Told(np.array(there), np.array(absent)) for form, (there, absent) in values.items()}


def lines(form: Form, found: Told) -> tuple[float, float]:
    """The lines of likely and of strong for a form of text."""
    likely = float(np.percentile(found.there, PRESENT_DOUBTED[form]))
    return likely, max(float(np.percentile(found.absent, 100 - ABSENT_STRONG)), likely + APART)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--more", type=Path, required=True)
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--cache", type=Path, default=Path("runs/features"))
    given = parser.parse_args()
    encoder = open_encoder(given.checkpoint)
    photos, captioned = labelled(given.more), flickr_photos(given.flickr8k, "val")
    vectors = features(encoder, photos, "labelled", given.cache)
    scenes = features(encoder, captioned, "val", given.cache)
    bank = encoder.texts(calibrate.read_bank(BANK))
    cases = [case for size in SIZES for case in label_cases(photos, vectors, size, seed=0)]
    cases += [case for size in SIZES for case in caption_cases(captioned, scenes, size, seed=0)]
    with score.one_thread():
        found = told(encoder, bank, cases)
    print("| form | present, absent | AUC | present doubted | absent passed |\n|---|---|---|---|---|")
    for form, values in found.items():
        print(f"| {form} | {len(values.there)}, {len(values.absent)} | {values.row(lines(form, values)[0])} |")
    for form, values in found.items():
        print(f'    "{form}": ({lines(form, values)[0]:.2f}, {lines(form, values)[1]:.2f}),')
    return 0


if __name__ == "__main__":
    sys.exit(main())
