"""Trains the finer levels of a checkpoint's hierarchy further, over its frozen tower, several seeds, and compares before and after.

Run: python -m benchmarks.hierarchy --flickr8k DIR --clips DIR [--checkpoint starter] [--train 3000] [--seeds 3]
     [--epochs 2] [--save FOLDER].
The video-sentence level is held at the tower's mean pool; residuals and token weights of the others learn from Flickr8k train as
stills, by a hinge over the mean of the levels, so that they learn what the tower alone confuses. What each level weighs is chosen on
val alone; test stills, test slide-shows and the clips are only reported. --save writes the seed that is best on val.
Goal: the total above the tower's mean pool by more than the spread, both ways, on test and on the clips. Exit 1 below.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.features import clip_pairs, open_encoder, photo_pairs
from explorer.config import TrainConfig
from explorer.model.checkpoint import describe, save
from explorer.model.encoder import Encoder
from explorer.model.hcmi import HCMI
from explorer.records import LevelWeights
from explorer.training.dataset import PairData
from explorer.training.evaluate import DIRECTIONS, SCORES, as_json, level_scores, measure
from explorer.training.level_weights import SLIDES, choose_weights, make_held_sets, shows_of
from explorer.training.train import fit

HIDDEN = 256  # width of a level's residual
START = LevelWeights(1.0, 0.25, 0.5)  # while training


@dataclass(frozen=True)
class Chosen:
    """One seed's model with the level weights chosen on val, and its sum of recalls there over stills and slide-shows."""

    model: HCMI
    score: float
    seed: int


def further(encoder: Encoder, *, seed: int) -> HCMI:
    """A checkpoint's hierarchy with silent residuals that may learn, the coarse level held."""
    torch.manual_seed(seed)
    model = HCMI(replace(encoder.config, adapter=HIDDEN, token_weights=True, level_weights=START))
    model.load_state_dict(encoder.model.state_dict(), strict=False)
    model.hold_coarse()
    return model


def choose(model: HCMI, held: Sequence[PairData], *, seed: int) -> Chosen:
    """The level weights with the best total on the held-out sets."""
    score, weights = choose_weights(model.eval(), held)
    model.config = replace(model.config, level_weights=weights)
    return Chosen(model, score, seed)


def train(encoder: Encoder, data: PairData, held: Sequence[PairData], config: TrainConfig) -> Chosen:
    model = further(encoder, seed=config.seed)
    for _ in fit(model, data, config):
        pass
    return choose(model, held, seed=config.seed)


def row(name: str, level: str, results: list[dict[str, Any]]) -> str:
    cells = [
        np.array([found[direction][level][metric] for found in results])
        for direction in DIRECTIONS
        for metric in ("R@1", "R@5", "R@10")
    ]
    shown = [f"{c.mean():.1f}" + (f" ± {c.std():.1f}" if len(c) > 1 else "") for c in cells]
    return f"| {name} | " + " | ".join(shown) + " |"


def beats(results: list[dict[str, Any]]) -> bool:
    """Both ways, R@1 of the total is above the mean pool by more than its spread over the seeds."""
    gains = [[found[d]["total"]["R@1"] - found[d]["mean_pool"]["R@1"] for found in results] for d in DIRECTIONS]
    return all(np.mean(gain) > np.std(gain) for gain in gains)


def report(name: str, data: PairData, start: HCMI, chosen: list[Chosen]) -> bool:
    """Print one set's table; True where the goal is met."""
    before = as_json(measure(level_scores(start, data), data))
    after = [as_json(measure(level_scores(one.model, data), data)) for one in chosen]
    print(
        f"\n{name}: {len(data)} captions, {len(data.files)} videos\n"
        "| score | t2v R@1 | R@5 | R@10 | v2t R@1 | R@5 | R@10 |\n|---|---|---|---|---|---|---|"
    )
    print(row("mean pool of the tower", "mean_pool", [before]) + "\n" + row("total before", "total", [before]))
    for level in SCORES[:-1]:
        print(row(f"trained {level.replace('_', '-')}", level, after), flush=True)
    good = beats(after)
    print("goal reached" if good else "FALLS SHORT of the goal")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--cache", type=Path, default=Path("runs/features"))
    parser.add_argument("--train", type=int, default=3000, help="photos to train on, 0 for all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    encoder, started = open_encoder(given.checkpoint), time.monotonic()
    data = {
        split: photo_pairs(encoder, given.flickr8k, split, cache=given.cache, limit=limit)
        for split, limit in (("train", given.train), ("val", 0), ("test", 0))
    }
    held = make_held_sets(data["val"])
    config = TrainConfig(
        epochs=given.epochs, batch_size=128, lr=given.lr, weight_decay=0.0, denoise=False, objective="total"
    )
    chosen = []
    for seed in range(given.seeds):
        chosen.append(train(encoder, data["train"], held, replace(config, seed=seed)))
        one = chosen[-1]
        print(
            f"seed {seed}: val {one.score:.1f}, levels {one.model.config.level_weights}, {time.monotonic() - started:.0f} s",
            flush=True,
        )
    clips = clip_pairs(encoder, given.clips, cache=given.cache, most=5)
    sets = {
        "Flickr8k val, stills": data["val"],
        "Flickr8k test, stills": data["test"],
        "the clips": clips,
        **{f"Flickr8k test, slide-shows of {n}": shows_of(data["test"], slides=n, count=500, seed=200) for n in SLIDES},
    }
    reached = {name: report(name, part, encoder.model, chosen) for name, part in sets.items()}
    if given.save:
        keep(given, max(chosen, key=lambda one: one.score), encoder, sets)
    return int(not (reached["Flickr8k test, stills"] and reached["the clips"]))


def keep(given: argparse.Namespace, best: Chosen, encoder: Any, sets: dict[str, PairData]) -> None:
    """Write the checkpoint, with what it scored on the reported sets."""
    metrics = {
        name: {"text_to_video": as_json(measure(level_scores(best.model, part), part))["text_to_video"]}
        for name, part in sets.items()
    }
    data = f"Flickr8k train, {given.train or 'all'} photos, chosen on val"
    about = save(
        given.save,
        best.model,
        {
            "tower": encoder.tower_name,
            "tower_of": given.checkpoint,
            "data": data,
            "seed": best.seed,
            "metrics": metrics,
        },
        half=True,
    )
    print(f"saved {describe(given.save)['id']}, {about['bytes'] / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
