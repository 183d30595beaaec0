"""Trains HGR on photos as videos of one frame and measures it beside untrained HCMI and the tower alone, several seeds.

Run: python -m benchmarks.hgr --flickr8k DIR [--clips DIR] [--photos 3000] [--seeds 3] [--epochs 3] [--lr 5e-4]
     [--altered 4.0] [--save DIR].
The event is held at the tower's mean pool; the graph, its roles, actions and entities learn from the captions of train photos
and from altered sentences of them. How much of what was learned is kept and what each level weighs is chosen on val alone, where
no kind of altered sentence may be told worse than by the tower; test is only reported. --clips adds the transfer table: nothing
of the clips was seen. --save keeps the seed best on val.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.ablation import line
from benchmarks.binary_selection import altered_pairs, draw, graphs_of, one_a_photo, train_bank
from benchmarks.features import clip_pairs, open_encoder, photo_pairs
from explorer.config import ModelConfig, TrainConfig
from explorer.model.checkpoint import describe, save
from explorer.model.encoder import Encoder
from explorer.model.hcmi import HCMI
from explorer.model.hgr import HGR
from explorer.records import LevelWeights
from explorer.training.altered import AlteredPairs, accuracies, altered_hinge, margins
from explorer.training.binary_selection import choices
from explorer.training.dataset import PairData
from explorer.training.evaluate import Scores, evaluate, level_scores, measure, rsum
from explorer.training.finetune import interpolate
from explorer.training.train import fit

START = LevelWeights(1.0, 0.25, 0.5)  # while training: event, action, entity
SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)  # of action and entity beside an event of 1, tried on val
RATIOS = (0.5, 1.0)  # of the way from the start that is kept, tried on val
ROLES_GAIN = 5.0  # points above the tower that swapped roles are to reach
HEAD = "| model | t2v R@1 | R@5 | R@10 | v2t R@1 | R@5 | R@10 |\n|---|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Chosen:
    """One seed's model as chosen on val: how far it falls short there on altered sentences, its rsum, its accuracy a kind."""

    model: HGR
    ratio: float
    missing: float
    score: float
    accuracy: dict[str, float]

    @property
    def rank(self) -> tuple[float, float]:
        return rank(self.missing, self.score, self.accuracy)


def rank(missing: float, score: float, accuracy: dict[str, float]) -> tuple[float, float]:
    """Higher is better, of weights and of seeds: nothing missing first, then the rsum and the mean accuracy together, both in points."""
    return -missing, score + sum(accuracy.values()) / len(accuracy)


def missing(found: dict[str, float], tower: dict[str, float]) -> float:
    """Points by which kinds are told worse than by the tower alone, swapped roles less than ROLES_GAIN better."""
    return sum(
        max(0.0, tower[kind] + (ROLES_GAIN if kind == "roles" else 0.0) - value) for kind, value in found.items()
    )


def choose(start: HGR, end: HGR, val: PairData, asked: AlteredPairs) -> Chosen:
    """The share of the learned that is kept, and the weights of the levels, best on val."""
    tower = accuracies(margins(start, asked), asked.kinds, LevelWeights(1.0, 0.0, 0.0))
    found = [_best_weights(_between(start, end, ratio), ratio, val, asked, tower) for ratio in RATIOS]
    return max(found, key=lambda one: one.rank)


def _between(start: HGR, end: HGR, ratio: float) -> HGR:
    model = copy.deepcopy(end)
    model.load_state_dict(interpolate(start.state_dict(), end.state_dict(), ratio))
    return model.eval()


def _best_weights(model: HGR, ratio: float, val: PairData, asked: AlteredPairs, tower: dict[str, float]) -> Chosen:
    scores, gaps = level_scores(model, val), margins(model, asked)
    found = []
    for weights in (LevelWeights(1.0, action, entity) for action in SHARES for entity in SHARES):
        accuracy = accuracies(gaps, asked.kinds, weights)
        found.append((missing(accuracy, tower), _rsum(scores, weights, val), accuracy, weights))
    *best, weights = max(found, key=lambda one: rank(*one[:3]))
    model.config = replace(model.config, level_weights=weights)
    return Chosen(model, ratio, *best)


def _rsum(scores: Scores, weights: LevelWeights, data: PairData) -> float:
    total = scores["video_sentence"] + weights.clip * scores["clip_phrase"] + weights.frame * scores["frame_word"]
    return rsum(measure({"total": total}, data))


def train(sets: dict[str, PairData], asked: dict[str, AlteredPairs], given: argparse.Namespace, *, seed: int) -> Chosen:
    """One seed, chosen on val."""
    torch.manual_seed(seed)
    start = HGR(
        ModelConfig(model="hgr", dim=sets["train"].frames[0].shape[1], text_levels="contextual", level_weights=START)
    )
    end = copy.deepcopy(start)
    end.hold_event()
    penalty = altered_hinge(asked["train"], batch=32, weight=given.altered, seed=seed) if given.altered else None
    config = TrainConfig(epochs=given.epochs, batch_size=128, lr=given.lr, seed=seed)
    for _ in fit(end, sets["train"], config, penalty=penalty):
        pass
    return choose(start.eval(), end, sets["val"], asked["val"])


def report(title: str, chosen: Sequence[Chosen], data: PairData) -> list[dict[str, Any]]:
    """Print one split's table; returns evaluate's object a seed."""
    base = evaluate(HCMI(ModelConfig(dim=data.frames[0].shape[1], text_levels="contextual")), data)
    results = [evaluate(one.model, data) for one in chosen]
    print(f"\n{title}\n\n{HEAD}")
    print(line("tower alone, mean pool", [base], "mean_pool"))
    print(line("HCMI untrained, three levels", [base]))
    print(line(f"HGR, {len(chosen)} seeds", results))
    for level, name in (("video_sentence", "event"), ("clip_phrase", "action"), ("frame_word", "entity")):
        print(line(f"HGR, {name} alone", results, level), flush=True)
    return results


def reader(encoder: Encoder) -> Encoder:
    """HGR over the same tower, untrained: words are the parser's, in the context of their sentence."""
    return Encoder(encoder.tower, HGR(ModelConfig(model="hgr", dim=encoder.dim, text_levels="contextual")), name="hgr")


def prepare(encoder: Encoder, given: argparse.Namespace) -> tuple[dict[str, PairData], dict[str, AlteredPairs]]:
    """Pairs by split, and what to tell apart on train and val."""
    sets = {
        split: photo_pairs(
            encoder, given.flickr8k, split, cache=given.cache, limit=given.photos if split == "train" else 0
        )
        for split in ("train", "val", "test")
    }
    bank = train_bank(given.flickr8k, cache=given.cache)
    asked = {}
    for split in ("train", "val"):
        data = sets[split]
        graphs_of([data.texts[i].text for i in range(len(data))], given.cache / f"graphs-{split}.jsonl")
        captions = [(int(owner), data.texts[i].text) for i, owner in enumerate(data.owners)]
        found = choices(captions, bank=bank, seed=int(split == "train"))
        questions = one_a_photo(found) if split == "train" else draw(found)
        asked[split] = altered_pairs(encoder, data, questions, cache=given.cache, split=split)
    return sets, asked


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--checkpoint", default="starter", help="whose tower")
    parser.add_argument("--cache", type=Path, default=Path("runs/features"))
    parser.add_argument("--photos", type=int, default=3000, help="photos to train on, 0 for all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument(
        "--altered", type=float, default=4.0, help="weight of altered sentences in the loss, 0 for none"
    )
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    encoder, started = reader(open_encoder(given.checkpoint)), time.monotonic()
    sets, asked = prepare(encoder, given)
    chosen = []
    for seed in range(given.seeds):
        one = train(sets, asked, given, seed=seed)
        chosen.append(one)
        print(
            f"seed {seed}: val {one.score:.1f}, kept {one.ratio:g}, {one.model.config.level_weights}, {one.accuracy}, "
            f"{one.missing:.1f} points missing, {time.monotonic() - started:.0f} s",
            flush=True,
        )
    results = report("Flickr8k test", chosen, sets["test"])
    if given.clips:
        report("Transfer: the clips, untouched", chosen, clip_pairs(encoder, given.clips, cache=given.cache, most=5))
    if given.save:
        best = max(range(len(chosen)), key=lambda seed: chosen[seed].rank)
        keep(given, chosen[best], encoder, seed=best, result=results[best])
    return 0


def keep(given: argparse.Namespace, one: Chosen, encoder: Encoder, *, seed: int, result: dict[str, Any]) -> None:
    """Save one seed's model as a checkpoint on the base's tower."""
    metrics = {"data": "Flickr8k test", **{way: result[way] for way in ("text_to_video", "video_to_text")}}
    save(
        given.save,
        one.model,
        {
            "tower": encoder.tower.name,
            "tower_of": given.checkpoint,
            "seed": seed,
            "kept": one.ratio,
            "metrics": metrics,
            "data": f"Flickr8k train, {given.photos or 'all'} photos and altered sentences of them, chosen on val",
        },
        half=True,
    )
    print(f"saved {describe(given.save)['id']}")


if __name__ == "__main__":
    sys.exit(main())
