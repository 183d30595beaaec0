"""Does a model tell a video's true sentence from one altered in one respect? Accuracy a kind, as a Markdown table.

Run: python -m benchmarks.binary_selection --flickr8k DIR [--clips DIR] [--checkpoints hgr starter] [--questions N].
Asked of Flickr8k's test photos (other words from its train captions) and of the clips. Beside each checkpoint: the tower
alone (mean pool), and the checkpoint shown the next question's photo, which says how much the sentences alone give away.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.features import clip_pairs, open_encoder, photo_pairs, reading_of, stem_of, texts
from explorer.model.encoder import Encoder
from explorer.service.evaluation import scorers
from explorer.training.altered import AlteredPairs
from explorer.training.benchmarks import read_flickr8k
from explorer.training.binary_selection import KINDS, Choice, Score, WordBank, binary_selection, choices, word_bank
from explorer.training.dataset import PairData, Picked
from explorer.training.parsed import load_graphs, read_graphs, remember, save_graphs


def draw(asked: Sequence[Choice], most: int = 0, *, seed: int = 0) -> list[Choice]:
    """At most `most` questions a kind (0: all), one a video and kind, in a drawn order."""
    drawn: list[Choice] = []
    met: set[tuple[int, str]] = set()
    for number in np.random.default_rng(seed).permutation(len(asked)):
        choice = asked[int(number)]
        full = most and sum(one.kind == choice.kind for one in drawn) >= most
        if not full and (choice.video, choice.kind) not in met:
            met.add((choice.video, choice.kind))
            drawn.append(choice)
    return drawn


def one_a_photo(asked: Sequence[Choice], *, seed: int = 0) -> list[Choice]:
    """To learn from: of each photo one swap of roles and one question of another kind, where there are any."""
    rng = np.random.default_rng(seed)
    own: dict[int, dict[str, list[Choice]]] = {}
    for choice in asked:
        own.setdefault(choice.video, {}).setdefault(choice.kind, []).append(choice)
    picked = []
    for kinds in own.values():
        others = [kind for kind in KINDS if kind in kinds and kind != "roles"]
        wanted = ["roles"] * ("roles" in kinds) + ([others[int(rng.integers(len(others)))]] if others else [])
        picked += [kinds[kind][int(rng.integers(len(kinds[kind])))] for kind in wanted]
    return picked


def altered_pairs(
    encoder: Encoder, data: PairData, questions: Sequence[Choice], *, cache: Path, split: str
) -> AlteredPairs:
    """Features of the questions' photos and sentences, the altered ones kept in the cache folder."""
    altered = [one.altered for one in questions]
    digest = hashlib.sha256("\n".join(altered).encode()).hexdigest()[:12]
    stem = f"altered-{split}-{digest}"
    graphs_of(altered, cache / f"graphs-{stem}.jsonl")
    number = {data.texts[i].text: i for i in range(len(data))}
    return AlteredPairs(
        [data.frames[one.video] for one in questions],
        Picked(data.texts, np.array([number[one.true] for one in questions])),
        texts(encoder, altered, cache / f"{stem_of(encoder)}-{stem}-{reading_of(encoder)}.npz"),
        [one.kind for one in questions],
    )


def train_bank(flickr8k: Path, *, cache: Path) -> WordBank:
    """Words of the train captions, all of whose graphs are kept."""
    captions = [pair.caption for pair in read_flickr8k(flickr8k, "train").pairs]
    graphs_of(captions, cache / "graphs-train.jsonl")
    return word_bank(captions)


def graphs_of(captions: Sequence[str], path: Path) -> None:
    """Have the role graphs of captions in memory, parsed once and kept in a file."""
    if path.exists():
        remember(load_graphs(path))
    else:
        save_graphs(path, read_graphs(list(dict.fromkeys(captions))))


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
    captions = [data.texts[i].text for i in range(len(data))]
    questions = draw(choices(list(zip(data.owners.tolist(), captions)), bank=bank), most)
    print(f"{title}\n\n{table(encoders, data, questions)}\n", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--checkpoints", nargs="+", default=["hgr", "starter"])
    parser.add_argument("--cache", type=Path, default=Path("runs/features"))
    parser.add_argument("--questions", type=int, default=0, help="of a kind at most, 0 for one of every photo")
    chosen = parser.parse_args()
    encoders = [open_encoder(name) for name in chosen.checkpoints]
    bank = train_bank(chosen.flickr8k, cache=chosen.cache)
    photos = photo_pairs(encoders[0], chosen.flickr8k, "test", cache=chosen.cache)
    graphs_of([photos.texts[i].text for i in range(len(photos))], chosen.cache / "graphs-test.jsonl")
    ask(encoders, photos, bank, chosen.questions, "Flickr8k test")
    if chosen.clips:
        clips = clip_pairs(encoders[0], chosen.clips, cache=chosen.cache, most=5)
        ask(encoders, clips, bank, chosen.questions, "The clips")
    return 0


if __name__ == "__main__":
    sys.exit(main())
