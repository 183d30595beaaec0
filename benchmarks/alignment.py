"""Alignment where the truth is known: phrases in slide-shows of four photos, captions in clips put end to end.

Run: python -m benchmarks.alignment --flickr8k DIR --clips DIR [--checkpoints starter NAME ...] [--shows 300].
Goal: pointing at least 70 % (chance 25 %) for the last checkpoint named. Exit 1 below.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks.features import clips_with_times, open_encoder, photo_pairs
from explorer.training.alignment import alignment_table, concatenate, moments, phrase_alignment
from explorer.training.dataset import PairData
from explorer.training.slideshow import compose, frame_features

GOAL = 70.0


def first_captions(data: PairData) -> np.ndarray:
    """(V,) the number of each photo's first caption."""
    return np.array([int(np.argmax(data.owners == video)) for video in range(len(data.files))])


def slideshows(encoder, data: PairData, *, shows: int, seed: int = 0) -> dict[str, float]:
    """Phrase alignment on composed videos of four different photos each."""
    photos, caption = np.concatenate(data.frames), first_captions(data)
    made = compose(len(photos), shows=shows, seed=seed)
    return phrase_alignment(encoder.model, made, [frame_features(show, photos, noise=0.1, seed=i) for i, show in enumerate(made)],
                            [[data.texts[int(caption[p])] for p in show.photos] for show in made])


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
        pointed[name] = slideshows(encoder, photo_pairs(encoder, chosen.flickr8k, "test", cache=chosen.cache, limit=chosen.photos),
                                   shows=chosen.shows)
        data, times, durations = clips_with_times(encoder, chosen.clips, cache=chosen.cache, fps=2.0, most=5)
        found[name] = moments(encoder.model, concatenate(times, data.frames, durations), data.texts, data.owners)
    print("Phrases in slide-shows of four photos\n\n" + alignment_table(pointed))
    print("Captions in clips put end to end (IoU 0.5)\n\n" + alignment_table(found))
    best = list(pointed.values())[-1]["pointing"]
    print(f"pointing {best:.1f} % (goal {GOAL:g})")
    return int(best < GOAL)


if __name__ == "__main__":
    sys.exit(main())
