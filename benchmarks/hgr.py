"""Trains HGR on photos as videos of one frame and measures it beside untrained HCMI and the tower alone, several seeds.

Run: python -m benchmarks.hgr --flickr8k DIR [--clips DIR] [--photos 1000] [--seeds 3] [--epochs 5] [--lr 5e-4]
     [--altered 2.0] [--save DIR].
Trained on the first photos of the train split, one caption each; the weights of the levels are chosen on val, test is
measured once a seed. --clips adds the transfer table: nothing of the clips was seen. --save keeps the seed best on val.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.ablation import line
from benchmarks.features import clips_with_times, open_encoder, photo_pairs, stem_of
from benchmarks.tokens import Tokens
from explorer.config import ModelConfig, TrainConfig
from explorer.model.checkpoint import save
from explorer.model.encoder import Encoder
from explorer.model.hcmi import HCMI
from explorer.model.hgr import HGR
from explorer.records import LevelWeights
from explorer.training.altered import AlteredPairs, altered_hinge
from explorer.training.binary_selection import Choice, choices, word_bank
from explorer.training.dataset import PairData
from explorer.training.evaluate import Scores, evaluate, level_scores, measure, rsum
from explorer.training.parsed import kept_graphs, load_graphs, remember, save_graphs
from explorer.training.train import fit

START = LevelWeights(1.0, 0.25, 0.5)          # while training: event, action, entity; the event alone ranks best untrained
SHARES = (0.0, 0.15, 0.3, 0.6, 1.0)           # of action and entity beside an event of 1, tried on val
CHOICES_SEED = 1
HEAD = "| model | t2v R@1 | R@5 | R@10 | v2t R@1 | R@5 | R@10 |\n|---|---|---|---|---|---|---|"


def graphs_of(captions: Sequence[str], path: Path) -> None:
    """Have the role graphs of a data set in memory, parsed once and kept in a file."""
    if path.exists():
        remember(load_graphs(path))
    else:
        save_graphs(path, kept_graphs(list(dict.fromkeys(captions))))


def one_a_photo(data: PairData, asked: Sequence[Choice], *, seed: int = 0) -> tuple[np.ndarray, list[Choice]]:
    """One caption a photo, one with roles to swap where there is any; of it the swap and one other alteration.

    Returns:
        the numbers of the texts, and the questions about them.
    """
    rng, questions, numbers = np.random.default_rng(seed), [], []
    by_text: dict[tuple[int, str], dict[str, Choice]] = {}
    for choice in asked:
        by_text.setdefault((choice.video, choice.true), {})[choice.kind] = choice
    for video in range(len(data.files)):
        own = np.flatnonzero(data.owners == video)
        kinds = [by_text.get((video, data.texts[int(i)].text), {}) for i in own]
        best = [i for i, found in enumerate(kinds) if "roles" in found] or list(range(len(own)))
        picked = best[int(rng.integers(len(best)))]
        numbers.append(own[picked])
        found = kinds[picked]
        others = [kind for kind in found if kind != "roles"]
        questions += [found["roles"]] if "roles" in found else []
        questions += [found[others[int(rng.integers(len(others)))]]] if others else []
    return np.array(numbers), questions


def altered_pairs(data: PairData, questions: Sequence[Choice], tokens: Tokens) -> AlteredPairs:
    """Features of the questions' photos and sentences."""
    return AlteredPairs([data.frames[one.video] for one in questions], tokens([one.true for one in questions]),
                        tokens([one.altered for one in questions]), [one.kind for one in questions])


def choose_weights(scores: Scores, data: PairData) -> tuple[float, LevelWeights]:
    """The best rsum on val over a grid of level weights, and the weights."""
    tried = []
    for action in SHARES:
        for entity in SHARES:
            total = scores["video_sentence"] + action * scores["clip_phrase"] + entity * scores["frame_word"]
            tried.append((rsum(measure({"total": total}, data)), -action, -entity))
    best = max(tried)
    return best[0], LevelWeights(1.0, -best[1], -best[2])


def train(data: PairData, val: PairData, pairs: AlteredPairs, chosen: argparse.Namespace, *, seed: int) -> tuple[HGR, float]:
    """One seed: the model with its level weights chosen on val, and its rsum there."""
    torch.manual_seed(seed)
    model = HGR(ModelConfig(model="hgr", dim=data.frames[0].shape[1], text_levels="learned", level_weights=START))
    penalty = altered_hinge(pairs, batch=32, weight=chosen.altered, seed=seed) if chosen.altered else None
    for _ in fit(model, data, TrainConfig(epochs=chosen.epochs, batch_size=64, lr=chosen.lr, seed=seed), penalty=penalty):
        pass
    best, weights = choose_weights(level_scores(model, val), val)
    model.config = replace(model.config, level_weights=weights)
    return model, best


def report(title: str, models: Sequence[HGR], data: PairData, prompted: PairData) -> list[dict[str, Any]]:
    """Print one split's table; returns evaluate's object a seed."""
    base = evaluate(HCMI(ModelConfig(dim=data.frames[0].shape[1])), prompted)
    results = [evaluate(model, data) for model in models]
    print(f"\n{title}\n\n{HEAD}")
    print(line("tower alone, mean pool", [base], "mean_pool"))
    print(line("HCMI untrained, three levels", [base]))
    print(line(f"HGR, {len(models)} seeds", results))
    for level, name in (("video_sentence", "event"), ("clip_phrase", "action"), ("frame_word", "entity")):
        print(line(f"HGR, {name} alone", results, level), flush=True)
    return results


def prepare(encoder: Encoder, chosen: argparse.Namespace) -> tuple[dict[str, PairData], PairData, AlteredPairs, Tokens]:
    """Pairs by split with prompts as words, the training pairs with tokens, and what to tell apart."""
    tokens = Tokens(encoder, chosen.cache / f"{stem_of(encoder)}-tokens.npz")
    limits = {"train": chosen.photos, "val": 0, "test": 0}
    sets = {split: photo_pairs(encoder, chosen.flickr8k, split, cache=chosen.cache, limit=n) for split, n in limits.items()}
    for split, data in sets.items():
        graphs_of([data.texts[i].text for i in range(len(data))], chosen.cache / f"graphs-{split}-{len(data.files)}.jsonl")
    captions = [sets["train"].texts[i].text for i in range(len(sets["train"]))]
    asked = choices(list(zip(sets["train"].owners.tolist(), captions)), bank=word_bank(captions), seed=CHOICES_SEED)
    numbers, questions = one_a_photo(sets["train"], asked)
    return sets, tokens.of(sets["train"].take(numbers)), altered_pairs(sets["train"], questions, tokens), tokens


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--checkpoint", default="starter", help="whose tower")
    parser.add_argument("--cache", type=Path, default=Path("runs/features"))
    parser.add_argument("--photos", type=int, default=1000, help="photos to train on, 0 for all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--altered", type=float, default=2.0, help="weight of altered sentences in the loss, 0 for none")
    parser.add_argument("--save", type=Path)
    chosen = parser.parse_args()
    encoder = open_encoder(chosen.checkpoint)
    sets, data, pairs, tokens = prepare(encoder, chosen)
    trained = [train(data, tokens.of(sets["val"]), pairs, chosen, seed=seed) for seed in range(chosen.seeds)]
    models = [model for model, _ in trained]
    results = report("Flickr8k test", models, tokens.of(sets["test"]), sets["test"])
    if chosen.clips:
        clips = clips_with_times(encoder, chosen.clips, cache=chosen.cache, fps=2.0, most=5)[0]
        report("Transfer: the clips, untouched", models, tokens.of(clips), clips)
    if chosen.save:
        best = int(np.argmax([value for _, value in trained]))
        keep(chosen.save, models[best], encoder, chosen, seed=best, result=results[best])
    return 0


def keep(folder: Path, model: HGR, encoder: Encoder, chosen: argparse.Namespace, *, seed: int, result: dict[str, Any]) -> None:
    """Save one seed's model as a checkpoint on the base's tower."""
    metrics = {"data": "Flickr8k test", **{way: result[way]["total"] for way in ("text_to_video", "video_to_text")}}
    save(folder, model, {"tower": encoder.tower.name, "tower_of": chosen.checkpoint, "seed": seed, "metrics": metrics,
                         "data": f"Flickr8k train, {chosen.photos or 'all'} photos, one caption each"}, half=True)


if __name__ == "__main__":
    sys.exit(main())
