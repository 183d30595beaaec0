"""Trains the hierarchy on slide-shows over a frozen tower, several seeds, and compares it with the same tower untrained.

Run: python -m benchmarks.hierarchy --flickr8k DIR --clips DIR [--checkpoint starter] [--train 1500] [--seeds 3]
     [--epochs 3] [--save checkpoints/hcmi].
Learned from part of Flickr8k train as stills and as slide-shows of two and four photos. How much of the trained coarse
level is kept and what each level weighs is chosen on val alone; test stills, test slide-shows and the clips are only
reported. --save writes the seed that is best on val, where its total beats the untrained hierarchy's there.
Goal: the total above the tower's mean pool by more than the spread, both ways, on test and on the clips. Exit 1 below.
"""
from __future__ import annotations

import argparse
import copy
import sys
import time
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.features import clip_pairs, open_encoder, photo_pairs
from explorer.config import ModelConfig, TrainConfig
from explorer.model.checkpoint import describe, save
from explorer.model.hcmi import HCMI
from explorer.training.dataset import PairData, merge
from explorer.training.evaluate import DIRECTIONS, SCORES, as_json, level_scores, measure, rsum
from explorer.training.finetune import interpolate
from explorer.training.level_weights import SLIDES, choose_weights, held_sets, shows_of
from explorer.training.train import fit

COARSE = ("adapters.video", "adapters.sentence")
RATIOS = (0.0, 0.3, 1.0)                   # of the trained coarse residuals that is kept
CHOICES: dict[str, Any] = {"adapter": 256, "token_weights": True}


@dataclass(frozen=True)
class Chosen:
    """One seed's model as chosen on val, with its val score (rsum over stills and slide-shows)."""

    model: HCMI
    ratio: float
    score: float
    seed: int


def training_set(data: PairData, *, seed: int) -> PairData:
    """Stills and slide-shows as one set, with about as many captions of each kind."""
    return reduce(merge, [shows_of(data, slides=n, count=int(len(data.files) * 2.5) // n, seed=seed)
                          for n in (1, *SLIDES)])


def choose(start: HCMI, end: HCMI, held: list[PairData], *, seed: int) -> Chosen:
    """The share of the coarse residuals and the level weights with the best total on the held-out sets."""
    found = [(*choose_weights(with_ratio(start, end, ratio), held), ratio) for ratio in RATIOS]
    score, weights, ratio = max(found, key=lambda one: one[0])
    model = with_ratio(start, end, ratio)
    model.config = replace(model.config, level_weights=weights)
    return Chosen(model, ratio, score, seed)


def with_ratio(start: HCMI, end: HCMI, ratio: float) -> HCMI:
    """The trained model with only part of its coarse level's way from the start."""
    model, part = copy.deepcopy(end), interpolate(start.state_dict(), end.state_dict(), ratio)
    coarse = {name: value for name, value in part.items() if name.startswith(COARSE)}
    model.load_state_dict({**end.state_dict(), **coarse})
    return model.eval()


def train(base: ModelConfig, data: PairData, held: list[PairData], config: TrainConfig) -> Chosen:
    torch.manual_seed(config.seed)
    start = HCMI(replace(base, **CHOICES))
    end = copy.deepcopy(start)
    for _ in fit(end, training_set(data, seed=config.seed), config):
        pass
    return choose(start, end, held, seed=config.seed)


def row(name: str, level: str, results: list[dict[str, Any]]) -> str:
    cells = [np.array([found[direction][level][metric] for found in results])
             for direction in DIRECTIONS for metric in ("R@1", "R@5", "R@10")]
    shown = [f"{c.mean():.1f}" + (f" ± {c.std():.1f}" if len(c) > 1 else "") for c in cells]
    return f"| {name} | " + " | ".join(shown) + " |"


def beats(results: list[dict[str, Any]]) -> bool:
    """Both ways, R@1 of the total is above the mean pool by more than its spread over the seeds."""
    gains = [[found[d]["total"]["R@1"] - found[d]["mean_pool"]["R@1"] for found in results] for d in DIRECTIONS]
    return all(np.mean(gain) > np.std(gain) for gain in gains)


def report(name: str, data: PairData, untrained: HCMI, chosen: list[Chosen]) -> bool:
    """Print one set's table; True where the goal is met."""
    before = as_json(measure(level_scores(untrained, data), data))
    after = [as_json(measure(level_scores(one.model, data), data)) for one in chosen]
    print(f"\n{name}: {len(data)} captions, {len(data.files)} videos\n"
          "| score | t2v R@1 | R@5 | R@10 | v2t R@1 | R@5 | R@10 |\n|---|---|---|---|---|---|---|")
    print(row("mean pool of the tower", "mean_pool", [before]) + "\n" + row("untrained total", "total", [before]))
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
    parser.add_argument("--train", type=int, default=1500, help="photos to train on, 0 for all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    encoder, started = open_encoder(given.checkpoint), time.monotonic()
    data = {split: photo_pairs(encoder, given.flickr8k, split, cache=given.cache, limit=limit)
            for split, limit in (("train", given.train), ("val", 0), ("test", 0))}
    held = held_sets(data["val"])
    config = TrainConfig(epochs=given.epochs, batch_size=128, lr=given.lr, denoise=False, margin_weight=0.0)
    base = ModelConfig(dim=encoder.dim, prompt=encoder.config.prompt, text_levels=encoder.config.text_levels)
    untrained = HCMI(base)
    chosen = []
    for seed in range(given.seeds):
        chosen.append(train(base, data["train"], held, replace(config, seed=seed)))
        one = chosen[-1]
        print(f"seed {seed}: val {one.score:.1f}, coarse ratio {one.ratio:g}, levels {one.model.config.level_weights}, "
              f"{time.monotonic() - started:.0f} s", flush=True)
    clips = clip_pairs(encoder, given.clips, cache=given.cache, most=5)
    sets = {"Flickr8k test, stills": data["test"], "the clips": clips,
            **{f"Flickr8k test, slide-shows of {n}": shows_of(data["test"], slides=n, count=500, seed=200)
               for n in SLIDES}}
    reached = [report(name, part, untrained, chosen) for name, part in sets.items()]
    before = sum(rsum(measure(level_scores(untrained, part), part)) for part in held)
    best = max(chosen, key=lambda one: one.score)
    print(f"\non val: untrained total {before:.1f}, trained {best.score:.1f} (seed {best.seed})")
    if given.save and best.score > before:
        keep(given, best, encoder, sets)
    return int(not all(reached[:2]))


def keep(given: argparse.Namespace, best: Chosen, encoder: Any, sets: dict[str, PairData]) -> None:
    """Write the checkpoint, with what it scored on the reported sets."""
    metrics = {name: {"text_to_video": as_json(measure(level_scores(best.model, part), part))["text_to_video"]}
               for name, part in sets.items()}
    data = f"Flickr8k train ({given.train or 'all'} photos) as stills and slide-shows of 2 and 4, chosen on val"
    about = save(given.save, best.model, {"tower": encoder.tower_name, "tower_of": given.checkpoint, "data": data,
                                          "seed": best.seed, "coarse_ratio": best.ratio, "metrics": metrics}, half=True)
    print(f"saved {describe(given.save)['id']}, {about['bytes'] / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
