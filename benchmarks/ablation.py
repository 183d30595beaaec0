"""What each part of HCMI adds: trained on kept features, three seeds, mean and spread, as a Markdown table.

Run: python -m benchmarks.ablation --flickr8k DIR [--checkpoint starter] [--seeds 3] [--epochs 5] [--train 2000]
     [--minutes 30] [--shows].
Trained on part of the train split, the epoch chosen on val, measured on test, all of one tower. With --shows every
video is a slide-show of four photos, searched by one of its captions, so that frames differ and clips matter; without,
a video is one photo. A row that the time does not allow is left out and said.
"""
from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.features import open_encoder, photo_pairs
from explorer.config import ModelConfig, TrainConfig
from explorer.model.encoder import Encoder
from explorer.model.hcmi import HCMI
from explorer.records import LevelWeights
from explorer.training.dataset import PairData
from explorer.training.evaluate import DIRECTIONS, evaluate
from explorer.training.slideshow import compose, frame_features
from explorer.training.train import fit

VIDEO, CLIP, FRAME = LevelWeights(1, 0, 0), LevelWeights(1, 1, 0), LevelWeights(1, 1, 1)
PLAIN: dict[str, Any] = {"denoise": False, "margin_weight": 0.0}


@dataclass(frozen=True)
class Row:
    """One line of the table: what the model has, what the losses have; `learned` takes words as token outputs."""

    name: str
    model: dict[str, Any]
    train: dict[str, Any]
    learned: bool = False


FULL: dict[str, Any] = {"adapter": 256, "frame_layers": 1, "learned_merge": True, "token_weights": True, "level_weights": FRAME}
ROWS = (
    Row("mean pool, adapted", {"adapter": 256, "level_weights": VIDEO}, PLAIN),
    Row("+ frame self-attention", {"adapter": 256, "frame_layers": 1, "level_weights": VIDEO}, PLAIN),
    Row("+ clip-phrase level", {**FULL, "token_weights": False, "level_weights": CLIP}, PLAIN),
    Row("+ frame-word level", {**FULL, "token_weights": False}, PLAIN),
    Row("+ learned token weights", FULL, PLAIN),
    Row("+ label denoising", FULL, {"denoise": True, "margin_weight": 0.0}),
    Row("+ marginal samples (all)", FULL, {}),
    Row("all, aggregator attention", {**FULL, "aggregator": "attention"}, {}),
    Row("all, learned text levels", {**FULL, "text_levels": "learned"}, {}, learned=True),
)


def shows_of(data: PairData, *, count: int, seed: int) -> PairData:
    """Slide-shows of four photos; each show's texts are the first captions of its photos."""
    photos = np.concatenate(data.frames)
    first = [int(np.argmax(data.owners == video)) for video in range(len(data.files))]
    made = compose(len(photos), shows=count, seed=seed)
    numbers = np.array([first[photo] for show in made for photo in show.photos])
    picked = data.take(numbers).texts
    return PairData(tuple(f"show {i}" for i in range(count)), np.tile([0.0, np.inf], (count, 1)),
                    tuple(frame_features(show, photos, noise=0.2, seed=i) for i, show in enumerate(made)), picked,
                    np.repeat(np.arange(count), 4))


def with_tokens(encoder: Encoder, data: PairData) -> PairData:
    """The same pairs with the text tower's token outputs as words, for learned text levels."""
    texts = [data.texts[i] for i in range(len(data))]
    tokens = encoder.tower.encode_tokens([text.text for text in texts])
    words = [replace(text, words=t.vectors.astype(np.float16), word_texts=tuple(text.text[a:b] for a, b in t.spans))
             for text, t in zip(texts, tokens, strict=True)]
    return replace(data, texts=words)


def train_row(row: Row, dim: int, sets: dict[str, PairData], config: TrainConfig, *, seed: int) -> dict[str, Any]:
    """Train one row with one seed; evaluate's object on the test set."""
    torch.manual_seed(seed)
    model = HCMI(ModelConfig(**{"dim": dim, **row.model}))
    for _ in fit(model, sets["train"], replace(config, seed=seed, **row.train), validation=sets["val"]):
        pass
    return evaluate(model, sets["test"])


def line(name: str, results: list[dict[str, Any]], level: str = "total") -> str:
    cells = []
    for direction in DIRECTIONS:
        for metric in ("R@1", "R@5", "R@10"):
            values = [result[direction][level][metric] for result in results]
            cells.append(f"{np.mean(values):.1f}" + (f" ± {np.std(values):.1f}" if len(values) > 1 else ""))
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--cache", type=Path, default=Path("runs/features"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--train", type=int, default=2000, help="photos to train on, 0 for all")
    parser.add_argument("--test", type=int, default=0, help="photos to test on, 0 for all")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--shows", action="store_true")
    chosen = parser.parse_args()
    encoder, started = open_encoder(chosen.checkpoint), time.monotonic()
    limits = {"train": chosen.train, "val": 250, "test": chosen.test}
    sets = {split: photo_pairs(encoder, chosen.flickr8k, split, cache=chosen.cache, limit=n) for split, n in limits.items()}
    if chosen.shows:
        sets = {split: shows_of(data, count=max(100, len(data.files) // 2), seed=1) for split, data in sets.items()}
    config = TrainConfig(epochs=chosen.epochs, batch_size=128, lr=chosen.lr)
    return report(encoder, sets, config, seeds=chosen.seeds, until=started + 60 * chosen.minutes)


def report(encoder: Encoder, sets: dict[str, PairData], config: TrainConfig, *, seeds: int, until: float) -> int:
    """Print the table row by row."""
    print("| model | t2v R@1 | R@5 | R@10 | v2t R@1 | R@5 | R@10 |\n|---|---|---|---|---|---|---|")
    untrained = [evaluate(HCMI(ModelConfig(dim=encoder.dim, level_weights=FRAME)), sets["test"])]
    print(line("tower alone, mean pool", untrained, "mean_pool"))
    print(line("untrained, three levels", untrained), flush=True)
    skipped = []
    for row in ROWS:
        if time.monotonic() > until:
            skipped.append(row.name)
            continue
        own = {split: with_tokens(encoder, data) for split, data in sets.items()} if row.learned else sets
        results = [train_row(row, encoder.dim, own, config, seed=seed) for seed in range(seeds)]
        print(line(row.name, results), flush=True)
    if skipped:
        print(f"\nleft out, the time was up: {', '.join(skipped)}")
    return int(bool(skipped))


if __name__ == "__main__":
    sys.exit(main())
