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
from explorer.training.level_weights import shows_of
from explorer.training.train import fit

VIDEO, CLIP, FRAME = LevelWeights(1, 0, 0), LevelWeights(1, 1, 0), LevelWeights(1, 1, 1)
PLAIN: dict[str, Any] = {"denoise": False, "margin_weight": 0.0}


@dataclass(frozen=True)
class Row:
    """One line of the table: what the model has, what the losses have."""

    name: str
    model: dict[str, Any]
    train: dict[str, Any]

    @property
    def text_levels(self) -> str:
        return self.model.get("text_levels", "contextual")


FULL: dict[str, Any] = {
    "text_levels": "contextual",
    "adapter": 256,
    "frame_layers": 1,
    "learned_merge": True,
    "token_weights": True,
    "level_weights": FRAME,
}
VIDEO_ONLY = {**FULL, "token_weights": False, "learned_merge": False, "level_weights": VIDEO}
ROWS = (
    Row("mean pool, adapted", {**VIDEO_ONLY, "frame_layers": 0}, PLAIN),
    Row("+ frame self-attention", VIDEO_ONLY, PLAIN),
    Row("+ clip-phrase level", {**FULL, "token_weights": False, "level_weights": CLIP}, PLAIN),
    Row("+ frame-word level", {**FULL, "token_weights": False}, PLAIN),
    Row("+ learned token weights", FULL, PLAIN),
    Row("+ label denoising", FULL, {"denoise": True, "margin_weight": 0.0}),
    Row("+ marginal samples (all)", FULL, {}),
    Row("all, aggregator attention", {**FULL, "aggregator": "attention"}, {}),
    Row("all, text levels prompted", {**FULL, "text_levels": "prompted"}, {}),
    Row("all, text levels learned", {**FULL, "text_levels": "learned"}, {}),
)


def read_by(encoder: Encoder, text_levels: str) -> Encoder:
    """The same tower with words and phrases made in another way."""
    return Encoder(
        encoder.tower,
        HCMI(ModelConfig(dim=encoder.dim, prompt=encoder.config.prompt, text_levels=text_levels, heads=8)),
        name=text_levels,
    )


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
    config = TrainConfig(epochs=chosen.epochs, batch_size=128, lr=chosen.lr)
    return report(encoder, chosen, config, until=started + 60 * chosen.minutes)


def sets_of(encoder: Encoder, chosen: argparse.Namespace) -> dict[str, PairData]:
    """Train, val and test pairs as the encoder reads them."""
    limits = {"train": chosen.train, "val": 250, "test": chosen.test}
    sets = {
        split: photo_pairs(encoder, chosen.flickr8k, split, cache=chosen.cache, limit=n) for split, n in limits.items()
    }
    if not chosen.shows:
        return sets
    return {
        split: shows_of(data, slides=4, count=max(100, len(data.files) // 2), seed=1) for split, data in sets.items()
    }


def report(encoder: Encoder, chosen: argparse.Namespace, config: TrainConfig, *, until: float) -> int:
    """Print the table row by row."""
    print("| model | t2v R@1 | R@5 | R@10 | v2t R@1 | R@5 | R@10 |\n|---|---|---|---|---|---|---|")
    sets = {
        levels: sets_of(read_by(encoder, levels), chosen) for levels in dict.fromkeys(row.text_levels for row in ROWS)
    }
    base = HCMI(ModelConfig(dim=encoder.dim, text_levels="contextual", level_weights=FRAME))
    untrained = [evaluate(base, sets["contextual"]["test"])]
    print(line("tower alone, mean pool", untrained, "mean_pool"))
    print(line("untrained, three levels", untrained), flush=True)
    skipped = []
    for row in ROWS:
        if time.monotonic() > until:
            skipped.append(row.name)
            continue
        results = [
            train_row(row, encoder.dim, sets[row.text_levels], config, seed=seed) for seed in range(chosen.seeds)
        ]
        print(line(row.name, results), flush=True)
    if skipped:
        print(f"\nleft out, the time was up: {', '.join(skipped)}")
    return int(bool(skipped))


if __name__ == "__main__":
    sys.exit(main())
