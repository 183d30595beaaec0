"""Does a model tell a video's true sentence from one altered in one respect? Accuracy a kind, as a Markdown table.

Run: python -m benchmarks.binary_selection --flickr8k DIR [--clips DIR] [--checkpoints hgr starter] [--questions 200].
Asked of Flickr8k's test photos (other words from its train captions) and of the clips. Beside each checkpoint: the tower
alone (mean pool), and the checkpoint shown the next question's photo, which says how much the sentences alone give away.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.features import clips_with_times, open_encoder, photo_pairs
from explorer.model.encoder import Encoder
from explorer.service.measure import scorers
from explorer.training.benchmarks import read_flickr8k
from explorer.training.binary_selection import KINDS, Choice, Score, WordBank, binary_selection, choices, word_bank
from explorer.training.dataset import PairData


def draw(asked: Sequence[Choice], most: int, *, seed: int = 0) -> list[Choice]:
    """At most `most` questions a kind, one a video and kind, in a drawn order."""
    drawn: list[Choice] = []
    met: set[tuple[int, str]] = set()
    for number in np.random.default_rng(seed).permutation(len(asked)):
        choice = asked[int(number)]
        full = sum(one.kind == choice.kind for one in drawn) >= most
        if not full and (choice.video, choice.kind) not in met:
            met.add((choice.video, choice.kind))
            drawn.append(choice)
    return drawn


def blind(score: Score, count: int) -> Score:
    """The same score of another video than the question's."""
    return lambda videos, texts: score([(video + 1) % count for video in videos], texts)


def table(encoders: Sequence[Encoder], data: PairData, questions: Sequence[Choice]) -> str:
    """Markdown: a row a model."""
    rows, pairs = [], {}
    for encoder in encoders:
        for name, score in scorers(encoder, data).items():
            rows.append((name, score))
            if name != "mean_pool":
                rows.append((f"{name}, shown another video", blind(score, len(data.files))))
    lines = []
    for name, score in dict(rows).items():
        found = binary_selection(score, questions)
        pairs = {kind: int(found[kind]["pairs"]) for kind in KINDS if kind in found}
        lines.append(f"| {name} | " + " | ".join(f"{found[kind]['accuracy']:.1f}" for kind in (*pairs, "mean")) + " |")
    head = "| model | " + " | ".join(f"{kind} ({count})" for kind, count in pairs.items()) + " | mean |"
    return "\n".join([head, "|---" * (len(pairs) + 2) + "|", *lines])


def ask(encoders: Sequence[Encoder], data: PairData, bank: WordBank, most: int, title: str) -> None:
    texts = [data.texts[i].text for i in range(len(data))]
    questions = draw(choices(list(zip(data.owners.tolist(), texts)), bank=bank), most)
    print(f"{title}\n\n{table(encoders, data, questions)}\n", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--checkpoints", nargs="+", default=["hgr", "starter"])
    parser.add_argument("--cache", type=Path, default=Path("runs/features"))
    parser.add_argument("--questions", type=int, default=200, help="of a kind at most")
    chosen = parser.parse_args()
    encoders = [open_encoder(name) for name in chosen.checkpoints]
    bank = word_bank([pair.caption for pair in read_flickr8k(chosen.flickr8k, "train").pairs])
    photos = photo_pairs(encoders[0], chosen.flickr8k, "test", cache=chosen.cache)
    ask(encoders, photos, bank, chosen.questions, "Flickr8k test")
    if chosen.clips:
        clips = clips_with_times(encoders[0], chosen.clips, cache=chosen.cache, fps=2.0, most=5)[0]
        ask(encoders, clips, bank, chosen.questions, "The clips")
    return 0


if __name__ == "__main__":
    sys.exit(main())
