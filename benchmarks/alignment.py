"""Alignment where the truth is known: phrases in slide-shows of four photos, captions in clips put end to end.

Run: python -m benchmarks.alignment --flickr8k DIR --clips DIR [--checkpoints starter NAME ...] [--shows 300].
Goal: pointing at least 70 % (chance 25 %) for the last checkpoint named, each caption a query of its own. Exit 1 below.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.features import clips_with_times, open_encoder, photo_pairs
from explorer.model.encoder import Encoder
from explorer.records import TextFeatures
from explorer.training.alignment import alignment_table, concatenate, moments, phrase_alignment
from explorer.training.dataset import PairData
from explorer.training.slideshow import compose, frame_features

GOAL = 70.0


def first_captions(data: PairData) -> np.ndarray:
    """(V,) the number of each photo's first caption."""
    return np.array([int(np.argmax(data.owners == video)) for video in range(len(data.files))])


def in_one_text(encoder: Encoder, captions: Sequence[TextFeatures]) -> list[TextFeatures]:
    """The captions with their phrases as they are read in one text of all of them: each in the company of the others."""
    whole = " ".join(text.text for text in captions)
    starts = np.cumsum([0, *(len(text.text) + 1 for text in captions)])
    spans = [
        replace(span, start=span.start + int(start), end=span.end + int(start))
        for start, text in zip(starts, captions)
        for span in text.phrase_spans
    ]
    rows = np.split(encoder.text(whole, spans).phrases, np.cumsum([len(text.phrase_spans) for text in captions])[:-1])
    return [replace(text, phrases=vectors) for text, vectors in zip(captions, rows, strict=True)]


def slideshows(encoder: Encoder, data: PairData, *, shows: int, together: bool, seed: int = 0) -> dict[str, float]:
    """Phrase alignment on composed videos of four different photos each; `together` reads the four captions as one text."""
    photos, caption = np.concatenate(data.frames), first_captions(data)
    made = compose(len(photos), shows=shows, seed=seed)
    captions = [[data.texts[int(caption[p])] for p in show.photos] for show in made]
    return phrase_alignment(
        encoder.model,
        made,
        [frame_features(show, photos, noise=0.1, seed=i) for i, show in enumerate(made)],
        [in_one_text(encoder, four) for four in captions] if together else captions,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--checkpoints", nargs="+", default=["starter"])
    parser.add_argument("--cache", type=Path, default=Path("runs/features"))
    parser.add_argument("--shows", type=int, default=300)
    parser.add_argument("--photos", type=int, default=500)
    chosen = parser.parse_args()
    pointed, found = {}, {}
    for name in chosen.checkpoints:
        encoder = open_encoder(name)
        photos = photo_pairs(encoder, chosen.flickr8k, "test", cache=chosen.cache, limit=chosen.photos)
        pointed |= {
            f"{name}{how}": slideshows(encoder, photos, shows=chosen.shows, together=bool(how))
            for how in (", the four captions as one text", "")
        }
        data, times, durations = clips_with_times(encoder, chosen.clips, cache=chosen.cache, fps=2.0, most=5)
        found[name] = moments(encoder.model, concatenate(times, data.frames, durations), data.texts, data.owners)
    print("Phrases in slide-shows of four photos\n\n" + alignment_table(pointed))
    print("Captions in clips put end to end (IoU 0.5)\n\n" + alignment_table(found))
    best = list(pointed.values())[-1]["pointing"]
    print(f"pointing {best:.1f} % (goal {GOAL:g})")
    return int(best < GOAL)


if __name__ == "__main__":
    sys.exit(main())
