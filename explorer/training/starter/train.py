"""Trains the starter on captioned and labelled photos.

Run: python -m explorer.training.starter --data FLICKR8K --more SOURCES --out checkpoints/starter.
Stages: heads (linear maps and class names over the towers' outputs at the start), towers (late image and upper text
layers too, over kept feature maps, cropped and flipped as pictures would be), levels (towers and hierarchy together, by
HCMI's hierarchical contrastive loss over photos as stills and as slide-shows).
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from explorer.model.checkpoint import save
from explorer.model.encoder import Encoder
from explorer.model.towers import starter as tower
from explorer.model.towers.tower import digest_of, lay_over
from explorer.records import CaptionPair, FrameFeatures
from explorer.training.dataset import PairData, pair_data
from explorer.training.level_weights import choose_weights, make_held_sets
from explorer.training.starter.classes import class_texts, name_space, wheel_outputs
from explorer.training.starter.fit import fit
from explorer.training.starter.losses import Material, frozen_level_loss, head_loss, level_loss, tower_loss
from explorer.training.starter.pair import Pair, StarterConfig
from explorer.training.starter.photos import PHOTOS_AT_ONCE, Photos, by_length, read_pixels
from explorer.training.starter.sources import Photo, flickr_photos, more_photos, split_held, without_labels
from explorer.training.starter.validation import measure, questions, told
from explorer.training.texts import text_table
from explorer.training.train import validate

log = logging.getLogger(__name__)

LAYERS = r"visual\.trunk\.|text\.transformer\."  # names of what is trained below the heads


@torch.inference_mode()
def check(pair: Pair, held: Photos, *, frozen: bool) -> dict[str, dict[str, float]]:
    """Recalls on the held-out photos between stages; frozen: over the towers' outputs at the start."""
    pair.eval()
    if frozen:
        pooled, outputs = held.frozen_images, held.frozen_texts
    else:
        pooled = torch.cat([pair.pooled_image(held.maps(rows)) for rows in held.batches(32)])
        outputs = by_length(lambda rows: pair.pooled_text(held.tokens(rows)), held.lengths)
    found = measure(pair.image(pooled), pair.text(outputs), questions(held))
    log.info(told(found))
    return found


def gather(data: Path, more: Path | None, *, every_label: bool = True) -> tuple[list[Photo], list[Photo]]:
    """Photos to train on and held-out ones: Flickr8k's own split, and a fifth of every other source."""
    known, held = split_held(more_photos(more)) if more else ([], [])
    known = known if every_label else without_labels(known)
    return flickr_photos(data, "train") + known, flickr_photos(data, "val") + held


def start(pair: Pair, towers: Path | None) -> str:
    """Put an earlier run's layers and joint heads in the towers; what to call the layers."""
    if towers is None:
        return "wheels"
    tensors = load_file(towers)
    layers = {key: tensor for key, tensor in tensors.items() if re.match(LAYERS, key)}
    lay_over(pair.model, layers, name=str(towers))
    heads = (tensors["visual.head.proj.weight"].float(), tensors[joint_head(tensors)].float())
    for head, weight in zip(pair.heads(), compress(*heads, pair.model.parts.joint), strict=True):
        head.data.copy_(weight)
    return digest_of(layers)


def joint_head(tensors: Mapping[str, Tensor]) -> str:
    """What the text head of the joint part is called, in a starter of two parts or of one."""
    return "text.proj.joint.weight" if "text.proj.joint.weight" in tensors else "text.proj.weight"


def compress(image: Tensor, text: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Two heads (D, 1280) and (D, 384) -> (dim, 1280) and (dim, 384) with the same inner products, for dim >= 384.

    Texts lie in the D x 384 head's column space, so what an image has outside of it never met a text.
    """
    if len(text) == dim:
        return image, text
    basis, rest = torch.linalg.qr(text)
    return basis[:, :dim].T @ image, rest[:dim]


def prepare(pair: Pair, photos: Photos, *, cache: Path, known: str) -> Material:
    """What the losses draw from; the pair's knowledge part is put where it starts."""
    wheels, _ = tower.build()
    classes = class_texts(wheels, pair.model, pair.tokenizer)
    wheel = wheel_outputs(wheels, photos, cache / f"{known}-wheel-texts.npy")
    knowledge = pair.model.visual.knowledge
    with torch.inference_mode():
        shares = knowledge.shares(photos.frozen_images)
    pair.start_knowledge(name_space(classes, wheel, photos.frozen_texts, shares, pair.model.parts.knowledge))
    classifier = knowledge.classes.weight.detach().clone()
    return Material(photos, wheel, classes, classifier, photos.frozen_images.mean(0))


def train(
    data: Path,
    out: Path,
    *,
    more: Path | None = None,
    cache: Path,
    config: StarterConfig,
    towers: Path | None = None,
    every_label: bool = True,
) -> dict[str, Any]:
    """All stages; test is reported once; writes the checkpoint folder.

    Args:
        data: Flickr8k.
        more: folder of further sources.
        out: the checkpoint's folder.
        cache: for what is computed once.
        config: what can be chosen.
        towers: tower.safetensors of an earlier run whose late layers are gone on from.
        every_label: False leaves every fourth label out of training, to try a choice on words never seen.

    Returns:
        The metrics written to model.json.
    """
    torch.manual_seed(config.seed)
    cache.mkdir(parents=True, exist_ok=True)
    pair = Pair(config)
    begun = start(pair, towers)
    known, held = gather(data, more, every_label=every_label)
    name = f"train-{len(known)}"
    make = {"cache": cache, "model": pair.model, "tokenizer": pair.tokenizer, "start": begun}
    material = prepare(pair, Photos(known, name, **make), cache=cache, known=name)
    seen = Photos(held, f"held-{len(held)}", **make)
    metrics: dict[str, Any] = {"start": check(pair, seen, frozen=True)}
    started = time.perf_counter()
    frozen = not config.steps
    stages = [("heads", head_loss, config.head_steps, config.head_lr)]
    stages += [("towers", tower_loss, config.steps, config.joint_head_lr)] if config.steps else []
    stages.append(("levels", frozen_level_loss if frozen else level_loss, config.level_steps, config.joint_head_lr))
    for number, (stage, loss_of, steps, rate) in enumerate(stages):
        alone = stage == "heads" or frozen
        for step, value in fit(
            pair, material, config, loss_of=loss_of, steps=steps, rate=rate, alone=alone, seed=config.seed + number
        ):
            if step % 10 == 0 or step == steps:
                log.info(
                    "%s, step %d of %d: loss %.3f, %.0f s", stage, step, steps, value, time.perf_counter() - started
                )
        metrics[stage] = check(pair, seen, frozen=alone)
        save_file(pair.tower_tensors(), cache / f"{stage}-{config.seed}.safetensors")
    metrics["seconds"] = round(time.perf_counter() - started)
    return finish(pair, data, out, config=config, metrics=metrics, sources=describe(known))


def finish(
    pair: Pair, data: Path, out: Path, *, config: StarterConfig, metrics: dict[str, Any], sources: str
) -> dict[str, Any]:
    """Choose the level weights on Flickr8k's validation photos, measure test once, write the folder."""
    tensors = pair.tower_tensors()
    lay_over(pair.model, tensors, name="starter")  # as rounded for the file: what is measured is what is shipped
    encoder = Encoder(tower.finished(pair.model, pair.tokenizer), pair.hierarchy, name="starter")
    seen = {split: as_videos(encoder, flickr_photos(data, split)) for split in ("val", "test")}
    total, weights = choose_weights(encoder.model, make_held_sets(seen["val"]))
    encoder.model.config = replace(encoder.model.config, level_weights=weights)
    metrics |= {split: validate(encoder.model, found) for split, found in seen.items()}
    log.info("level weights %s (%.1f on val); test %s", weights, total, metrics["test"])
    pair.hierarchy.logit_scale.data.copy_(pair.scale.data)
    about = {
        "tower": f"starter:{digest_of(tensors)}",
        "parts": pair.model.parts._asdict(),
        "data": sources,
        "seed": config.seed,
        "training": asdict(config),
        "metrics": {"flickr8k": metrics},
    }
    save(out, pair.hierarchy, about, files={"tower.safetensors": tensors}, half=True)
    return metrics


def describe(photos: Sequence[Photo]) -> str:
    """How many photos of which sources."""
    names, counts = np.unique([photo.source for photo in photos], return_counts=True)
    return ", ".join(f"{name} ({count})" for name, count in zip(names, counts))


def as_videos(encoder: Encoder, photos: Sequence[Photo]) -> PairData:
    """Photos as videos of one frame, seen as the finished tower sees them, with their captions."""
    side, files = encoder.frame_size.height, [photo.path.name for photo in photos]
    vectors = [
        encoder.encode_frames(np.stack([read_pixels(photo.path, side) for photo in photos[i : i + PHOTOS_AT_ONCE]]))
        for i in range(0, len(photos), PHOTOS_AT_ONCE)
    ]
    pairs = [CaptionPair(file, caption) for file, photo in zip(files, photos) for caption in photo.captions]
    features = {file: FrameFeatures(np.zeros(1), row[None]) for file, row in zip(files, np.concatenate(vectors))}
    return pair_data(pairs, features, lambda texts: text_table(encoder.texts(texts)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with images/, captions.csv and split lists")
    parser.add_argument("--more", type=Path, help="folder of further sources, each with images/ and captions.jsonl")
    parser.add_argument("--out", type=Path, default=Path("checkpoints/starter"))
    parser.add_argument("--cache", type=Path, default=Path("runs/starter"))
    parser.add_argument("--towers", type=Path, help="tower.safetensors whose late layers are gone on from")
    parser.add_argument("--unseen", action="store_true", help="leave every fourth label out, to choose by words unseen")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="fields of StarterConfig")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    fields = {name: json.loads(value) for name, value in (pair.split("=") for pair in given.set)}
    train(
        given.data,
        given.out,
        more=given.more,
        cache=given.cache,
        config=StarterConfig(**fields),
        towers=given.towers,
        every_label=not given.unseen,
    )
