"""Trains the starter on captioned photos: python -m explorer.training.starter.train --data DIR --out
checkpoints/starter.

Three stages. Heads: two linear maps over the frozen wheels' outputs. Towers: the late half of the image tower and the
upper layers of the text tower learn too, over feature maps kept from the early half, which are cropped and flipped as
pictures would be. Levels: towers and hierarchy together, by HCMI's hierarchical contrastive loss over photos as stills
and as slide-shows. ImageNet's class names keep what the photos do not show: the wheel's classifier rows stand for
pictures of their classes.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from explorer.model.checkpoint import save
from explorer.model.encoder import Encoder
from explorer.model.towers import starter as tower
from explorer.model.towers.tower import digest_of, lay_over
from explorer.records import CaptionPair, FrameFeatures
from explorer.training.dataset import PairData, pair_data
from explorer.training.level_weights import choose_weights, make_held_sets
from explorer.training.starter.losses import contrastive, frozen_class_loss, level_loss, tower_loss
from explorer.training.starter.pair import Pair, StarterConfig
from explorer.training.starter.photos import PHOTOS_AT_ONCE, TOKEN_ROWS, Photos, class_texts
from explorer.training.texts import text_table
from explorer.training.train import validate

log = logging.getLogger(__name__)


def recalls(images: Tensor, texts: Tensor, owner: Tensor) -> dict[str, float]:
    """Text-to-image R@1, 5, 10 in percent: texts (Q, D), images (V, D), owner (Q,) the right image; ties count
    against."""
    scores = texts @ images.T
    right = scores.gather(1, owner[:, None])
    rank = (scores >= right).sum(1)
    return {f"R@{k}": round(100 * (rank <= k).float().mean().item(), 2) for k in (1, 5, 10)}


@torch.inference_mode()
def seen_whole(pair: Pair, photos: Photos) -> dict[str, float]:
    """Recalls between stages: photos uncropped at 224 px and their captions, through the parts as they are."""
    pair.eval()
    images = torch.cat([pair.image(pair.pooled_image(photos.maps(rows))) for rows in photos.batches(32)])
    texts = torch.zeros(len(photos.captions), images.shape[1])
    order = np.argsort(photos.lengths, kind="stable")
    for i in range(0, len(order), TOKEN_ROWS):
        rows = order[i : i + TOKEN_ROWS]
        texts[rows] = pair.text(pair.pooled_text(photos.tokens(rows)))
    return recalls(images, texts, torch.from_numpy(photos.owner))


def fit_heads(pair: Pair, train: Photos, classes: Tensor, config: StarterConfig) -> Iterator[float]:
    """Stage one over frozen outputs, seconds an epoch; yields the loss of each epoch."""
    generator = torch.Generator().manual_seed(config.seed)
    images, texts = train.frozen_images, train.frozen_texts
    parameters = [*pair.heads()]
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(
        [{"params": parameters, "weight_decay": config.weight_decay}, {"params": [pair.scale], "weight_decay": 0.0}],
        lr=config.head_lr,
    )
    steps = len(train) // config.head_batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.head_lr, total_steps=steps * config.head_epochs, pct_start=0.1
    )
    for _ in range(config.head_epochs):
        pair.train()
        losses = []
        order = torch.randperm(len(train), generator=generator).numpy()
        for i in range(steps):
            rows = order[i * config.head_batch : (i + 1) * config.head_batch]
            chosen = train.draw_captions(rows, generator)
            loss = contrastive(pair.logits(pair.image(images[rows]), pair.text(texts[chosen])))
            loss = loss + config.class_weight * frozen_class_loss(pair, train, classes, config, generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        yield float(np.mean(losses))


Loss = Callable[[Pair, Photos, np.ndarray, StarterConfig, torch.Generator], Tensor]


def fit(
    pair: Pair, train: Photos, config: StarterConfig, *, loss_of: Loss, epochs: int, seed: int
) -> Iterator[tuple[int, int, float]]:
    """Stages two and three; yields (step, steps, loss). After the last, the pair holds the running mean of its
    weights."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in pair.learned:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(_groups(pair, config), betas=(0.9, 0.98))
    each = len(train) // config.batch
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _warm_cosine(step, epochs * each))
    learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    mean = [parameter.detach().clone() for parameter in learned]
    for step in range(1, epochs * each + 1):
        if step % each == 1 % each:
            order = torch.randperm(len(train), generator=generator).numpy()
        pair.eval()  # BatchNorm keeps ImageNet's statistics
        pair.training = True  # our own dropout stays on
        first = (step - 1) % each * config.batch
        loss = loss_of(pair, train, order[first : first + config.batch], config, generator)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        schedule.step()
        share = min(config.average, (1 + step) / (10 + step))
        for kept, parameter in zip(mean, learned):
            kept.lerp_(parameter.detach(), 1 - share)
        yield step, epochs * each, loss.item()
    for kept, parameter in zip(mean, learned):
        parameter.data.copy_(kept)


def _groups(pair: Pair, config: StarterConfig) -> list[dict[str, Any]]:
    """Parameters by rate, without weight decay on biases, norms and the scale."""
    parts = (
        (pair.late_image, config.lr),
        (pair.late_text, config.text_lr),
        (pair.heads(), config.joint_head_lr),
        (list(pair.hierarchy.token_weights.parameters()), config.level_lr),
        ([pair.scale], config.joint_head_lr),
    )
    return [
        {
            "params": [p for p in part if (p.ndim > 1) == decays],
            "lr": rate,
            "weight_decay": config.weight_decay * decays,
        }
        for part, rate in parts
        for decays in (True, False)
    ]


def _warm_cosine(step: int, steps: int, warmup: float = 0.1) -> float:
    if step < warmup * steps:
        return (step + 1) / (warmup * steps)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup * steps) / ((1 - warmup) * steps)))


def train(data: Path, out: Path, *, cache: Path, config: StarterConfig, towers: Path | None = None) -> dict[str, Any]:
    """All stages; test is reported once; writes the checkpoint folder.

    Args:
        data: Flickr8k. out: the folder. cache: for what is computed once.
        towers: tower.safetensors of an earlier run's first two stages, in the place of training them.

    Returns:
        The metrics written to model.json.
    """
    torch.manual_seed(config.seed)
    cache.mkdir(parents=True, exist_ok=True)
    photos = {split: Photos(data, split, cache=cache) for split in ("val", "train")}
    pair = Pair(config)
    started = time.perf_counter()
    if towers is not None:
        lay_over(pair.model, load_file(towers), name=str(towers))
    else:
        for epoch, loss in enumerate(fit_heads(pair, photos["train"], class_texts(pair.model, pair.tokenizer), config)):
            log.info("heads, epoch %d: loss %.3f", epoch + 1, loss)
    metrics: dict[str, Any] = {"start": seen_whole(pair, photos["val"])}
    stages = [] if towers else [("towers", tower_loss, config.epochs)]
    for number, (name, loss_of, epochs) in enumerate([*stages, ("levels", level_loss, config.level_epochs)], start=1):
        for step, steps, value in fit(
            pair, photos["train"], config, loss_of=loss_of, epochs=epochs, seed=config.seed + number
        ):
            if step % 10 == 0 or step == steps:
                log.info(
                    "%s, step %d of %d: loss %.3f, %.0f s", name, step, steps, value, time.perf_counter() - started
                )
        metrics[name] = seen_whole(pair, photos["val"])
        log.info("%s: %s", name, metrics[name])
    encoder = Encoder(tower.finished(pair.model, pair.tokenizer), pair.hierarchy, name="starter")
    seen = {
        split: as_videos(encoder, found)
        for split, found in (*photos.items(), ("test", Photos(data, "test", cache=cache)))
        if split != "train"
    }
    score, weights = choose_weights(encoder.model, make_held_sets(seen["val"]))
    encoder.model.config = replace(encoder.model.config, level_weights=weights)
    metrics |= {split: validate(encoder.model, found) for split, found in seen.items()}
    metrics["seconds"] = round(time.perf_counter() - started)
    log.info("level weights %s (%.1f on val); test %s", weights, score, metrics["test"])
    tensors = pair.tower_tensors()
    pair.hierarchy.logit_scale.data.copy_(pair.scale.data)
    save(
        out,
        pair.hierarchy,
        {
            "tower": f"starter:{digest_of(tensors)}",
            "data": "Flickr8k train (6,591 photos), chosen on val, test reported once",
            "seed": config.seed,
            "training": asdict(config),
            "metrics": {"flickr8k": metrics},
        },
        files={"tower.safetensors": tensors},
    )
    return metrics


def as_videos(encoder: Encoder, photos: Photos) -> PairData:
    """Photos as videos of one frame, seen as the finished tower sees them, with their captions."""
    size = encoder.frame_size
    frames = [encoder.encode_frames(photos.pixels(rows, size.height)) for rows in photos.batches(PHOTOS_AT_ONCE)]
    pairs = [CaptionPair(photos.files[owner], caption) for caption, owner in zip(photos.captions, photos.owner)]
    features = {
        file: FrameFeatures(np.zeros(1), vector[None]) for file, vector in zip(photos.files, np.concatenate(frames))
    }
    return pair_data(pairs, features, lambda texts: text_table(encoder.texts(texts)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with images/, captions.csv and split lists")
    parser.add_argument("--out", type=Path, default=Path("checkpoints/starter"))
    parser.add_argument("--cache", type=Path, default=Path("runs/starter"))
    parser.add_argument(
        "--towers", type=Path, help="tower.safetensors to go on from in the place of the first two stages"
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="fields of StarterConfig")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    fields = {name: json.loads(value) for name, value in (pair.split("=") for pair in arguments.set)}
    train(arguments.data, arguments.out, cache=arguments.cache, config=StarterConfig(**fields), towers=arguments.towers)
