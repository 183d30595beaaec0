"""Local fine-tuning over five random splits: 40 captions of 20 videos, tested on their other captions and on the rest.

Run: python -m benchmarks.finetune --flickr8k DIR [--clips DIR] [--checkpoint starter] [--splits 5] [--gallery 250].
Goal: text-to-video R@1 of the other captions up by 10 points, R@1 of untouched videos not down by more than 1.
The gallery is photos (five captions each), so that 20 videos have captions to spare; with --clips the clips that have
several captions are taught too (the rest of the clips is untouched). Exit 1 where the mean falls short.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.features import clip_pairs, open_encoder, photo_pairs
from explorer.model.hcmi import HCMI
from explorer.records import TextFeatures
from explorer.training.dataset import PairData
from explorer.training.evaluate import level_scores
from explorer.training.finetune import DEFAULT, Surroundings, run
from explorer.training.metrics import ranks

TAUGHT, EACH = 20, 2
GAIN, DROP = 10.0, 1.0


@dataclass(frozen=True)
class Case:
    """One split: what is taught, its other captions within the whole gallery, the captions of untouched videos."""

    taught: PairData
    other: PairData
    untouched: PairData
    library: tuple[np.ndarray, ...]


def cut(data: PairData, *, seed: int, videos: int = TAUGHT, captions: int = TAUGHT * EACH) -> Case:
    """Choose videos with captions to spare, and the same number of captions of each (as near as it goes)."""
    rng = np.random.default_rng(seed)
    able = [v for v in rng.permutation(len(data.files)) if (data.owners == v).sum() > 1][:videos]
    order = {v: rng.permutation(np.flatnonzero(data.owners == v)) for v in able}
    learned: list[int] = []
    for turn in range(max(len(found) for found in order.values())):
        learned += [int(found[turn]) for found in order.values() if turn < len(found) - 1 and len(learned) < captions]
        learned = learned[:captions]
    of_taught = np.isin(data.owners, able)
    other = np.setdiff1d(np.flatnonzero(of_taught), learned)
    place = {v: i for i, v in enumerate(able)}
    taught = PairData(
        tuple(data.files[v] for v in able),
        data.spans[able],
        tuple(data.frames[v] for v in able),
        data.take(np.array(learned)).texts,
        np.array([place[data.owners[i]] for i in learned]),
    )
    library = tuple(vectors for v, vectors in enumerate(data.frames) if v not in place)
    return Case(taught, data.take(other), data.take(np.flatnonzero(~of_taught)), library)


def recall(model: HCMI, data: PairData) -> float:
    return 100 * float((ranks(level_scores(model, data)["total"], data.correct()) == 1).mean())


def try_split(base: HCMI, data: PairData, bank: list[TextFeatures], *, seed: int, name: str) -> tuple[float, float]:
    """Print one row; returns (gain on the other captions, change of the untouched), points of R@1."""
    case, started = cut(data, seed=seed), time.monotonic()
    outcome = run(base, case.taught, DEFAULT, around=Surroundings(case.library, bank))
    seconds = time.monotonic() - started
    other, rest = [(recall(base, d), recall(outcome.model, d)) for d in (case.other, case.untouched)]
    print(
        f"| {name} | {seed} | {len(case.taught)} of {len(case.taught.files)} | {other[0]:.1f} -> {other[1]:.1f} | "
        f"{rest[0]:.1f} -> {rest[1]:.1f} | {outcome.ratio:g} | {seconds:.0f} |",
        flush=True,
    )
    return other[1] - other[0], rest[1] - rest[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--cache", type=Path, default=Path("runs/features"))
    parser.add_argument("--bank", type=Path, default=Path("assets/caption_bank.txt"))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--gallery", type=int, default=250)
    chosen = parser.parse_args()
    encoder = open_encoder(chosen.checkpoint)
    bank = encoder.texts(chosen.bank.read_text("utf-8").splitlines())
    sets = {"photos": photo_pairs(encoder, chosen.flickr8k, "test", cache=chosen.cache, limit=chosen.gallery)}
    if chosen.clips:
        sets["clips"] = clip_pairs(encoder, chosen.clips, cache=chosen.cache)
    print(
        "| gallery | split | captions of videos | other captions R@1 | untouched R@1 | ratio | s |\n|---|---|---|---|---|---|---|"
    )
    short = 0
    for name, data in sets.items():
        gains, changes = zip(
            *(try_split(encoder.model, data, bank, seed=s, name=name) for s in range(chosen.splits)), strict=True
        )
        good = np.mean(gains) >= GAIN and np.mean(changes) >= -DROP
        short += not good
        print(
            f"{name}: gain {np.mean(gains):.1f} points (goal {GAIN:g}), untouched {np.mean(changes):+.1f} (goal -{DROP:g}): "
            f"{'reached' if good else 'FALLS SHORT'}"
        )
    return int(short > 0)


if __name__ == "__main__":
    sys.exit(main())
