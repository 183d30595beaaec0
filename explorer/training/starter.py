"""Trains the starter tower on captioned photos: python -m explorer.training.starter --data DIR --out checkpoints/starter.

Two stages. Heads: two linear maps over the frozen wheels' outputs. Joint: the late half of the image tower and the
upper layers of the text tower learn too, over feature maps kept from the early half, which are cropped and flipped as
pictures would be. ImageNet's class names keep what the photos do not show: the wheel's classifier rows stand for
pictures of their classes.
"""
from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.model import starter as tower
from explorer.model.towers import digest_of
from explorer.training.photos import EARLY, TOKEN_ROWS, Photos, late

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StarterConfig:
    """What was chosen on the validation photos."""

    dim: int = 512
    head_epochs: int = 20
    head_lr: float = 1e-3
    head_batch: int = 512
    dropout: float = 0.3
    epochs: int = 6
    batch: int = 256
    lr: float = 2e-4              # late image layers
    text_lr: float = 1e-4         # upper text layers
    joint_head_lr: float = 2e-4
    text_layers: int = 4          # of six, counted from the top
    weight_decay: float = 0.05
    class_weight: float = 0.3     # of the class-name term
    class_scale: float = 10.0     # length of a classifier row as a picture, in mean row lengths
    keep_weight: float = 0.3      # of the late image layers still telling the classes apart as the wheel's do
    average: float = 0.995        # of the running mean of the weights, a step
    crop: int = 22                # smallest side of a crop, of 28
    seed: int = 0


class Pair(nn.Module):
    """The parts of the tower that learn, and how they are run on kept inputs."""

    def __init__(self, config: StarterConfig) -> None:
        super().__init__()
        self.model, self.tokenizer = tower.build(config.dim)
        self.scale = nn.Parameter(torch.tensor(math.log(20.0)))
        self.dropout = config.dropout
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        trunk, layers = self.model.visual.trunk, self.model.text.transformer.encoder.layer
        self.late_image = _parameters(*trunk.blocks[EARLY:], trunk.conv_head, trunk.bn2)
        self.late_text = _parameters(*layers[-config.text_layers:])
        self.learned = self.late_image + self.late_text

    def heads(self) -> list[nn.Parameter]:
        return [self.model.visual.head.proj.weight, self.model.text.proj.weight]

    def pooled_image(self, maps: Tensor) -> Tensor:
        """(B, 48, h, w) kept maps -> (B, 1280)."""
        return late(self.model.visual.trunk, maps)

    def pooled_text(self, tokens: Tensor) -> Tensor:
        """(B, L) token numbers, 0 where padded -> (B, 384)."""
        mask = (tokens != 0).long()
        return self.model.text.pooler(self.model.text.transformer(input_ids=tokens, attention_mask=mask), mask)

    def image(self, pooled: Tensor) -> Tensor:
        return F.normalize(self.model.visual.head.proj(F.dropout(pooled, self.dropout, self.training)), dim=-1)

    def text(self, pooled: Tensor) -> Tensor:
        return F.normalize(self.model.text.proj(F.dropout(pooled, self.dropout / 2, self.training)), dim=-1)

    def logits(self, images: Tensor, texts: Tensor) -> Tensor:
        """(B, B): rows texts, columns images."""
        return self.scale.exp().clamp(max=100) * texts @ images.T


def _parameters(*modules: nn.Module) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters()]


def contrastive(logits: Tensor) -> Tensor:
    """Symmetric InfoNCE: the diagonal is right."""
    labels = torch.arange(len(logits))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def recalls(images: Tensor, texts: Tensor, owner: Tensor) -> dict[str, float]:
    """Text-to-image R@1, 5, 10 in percent: texts (Q, D), images (V, D), owner (Q,) the right image; ties count against."""
    scores = texts @ images.T
    right = scores.gather(1, owner[:, None])
    rank = (scores >= right).sum(1)
    return {f"R@{k}": round(100 * (rank <= k).float().mean().item(), 2) for k in (1, 5, 10)}


@torch.inference_mode()
def validate(pair: Pair, photos: Photos) -> dict[str, float]:
    """Recalls on photos seen whole, through the parts as trained."""
    pair.eval()
    images = torch.cat([pair.image(pair.pooled_image(photos.maps(rows))) for rows in photos.batches(32)])
    texts = torch.zeros(len(photos.captions), images.shape[1])
    order = np.argsort(photos.lengths, kind="stable")
    for i in range(0, len(order), TOKEN_ROWS):
        rows = order[i:i + TOKEN_ROWS]
        texts[rows] = pair.text(pair.pooled_text(photos.tokens(rows)))
    return recalls(images, texts, torch.from_numpy(photos.owner))


def fit_heads(pair: Pair, train: Photos, classes: Tensor, config: StarterConfig) -> Iterator[float]:
    """Stage one over frozen outputs, seconds an epoch; yields the loss of each epoch."""
    generator = torch.Generator().manual_seed(config.seed)
    images, texts = train.frozen_images, train.frozen_texts
    parameters = [*pair.heads()]
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW([{"params": parameters, "weight_decay": config.weight_decay},
                                   {"params": [pair.scale], "weight_decay": 0.0}], lr=config.head_lr)
    steps = len(train) // config.head_batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.head_lr, total_steps=steps * config.head_epochs, pct_start=0.1)
    for _ in range(config.head_epochs):
        pair.train()
        losses = []
        order = torch.randperm(len(train), generator=generator).numpy()
        for i in range(steps):
            rows = order[i * config.head_batch:(i + 1) * config.head_batch]
            chosen = train.draw_captions(rows, generator)
            loss = contrastive(pair.logits(pair.image(images[rows]), pair.text(texts[chosen])))
            loss = loss + config.class_weight * frozen_class_loss(pair, train, classes, config, generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        yield float(np.mean(losses))


def class_pictures(train: Photos, chosen: Tensor, scale: float) -> Tensor:
    """(n, 1280) classifier rows standing for pictures of their classes: the mean photo moved along the row."""
    rows = train.classifier[chosen] / train.classifier.norm(dim=1).mean()
    return train.frozen_images.mean(0) + scale * rows


def frozen_class_loss(pair: Pair, train: Photos, classes: Tensor, config: StarterConfig, generator: torch.Generator) -> Tensor:
    """Class names against pictures of their classes, from frozen text outputs `classes` (templates, 1000, 384)."""
    chosen = torch.randperm(classes.shape[1], generator=generator)[:config.batch]
    template = torch.randint(0, classes.shape[0], (len(chosen),), generator=generator)
    pictures = class_pictures(train, chosen, config.class_scale)
    return contrastive(pair.logits(pair.image(pictures), pair.text(classes[template, chosen])))


def class_loss(pair: Pair, train: Photos, config: StarterConfig, generator: torch.Generator) -> Tensor:
    """The same through the text tower as it is now."""
    chosen = torch.randperm(len(train.classifier), generator=generator)[:config.batch // 2]
    tokens = train.class_tokens(chosen, generator)
    pictures = class_pictures(train, chosen, config.class_scale)
    return contrastive(pair.logits(pair.image(pictures), pair.text(pair.pooled_text(tokens))))


def keep_loss(pooled: Tensor, frozen: Tensor, classifier: Tensor, temperature: float = 2.0) -> Tensor:
    """How far the class shares seen in `pooled` (B, 1280) are from those in the frozen features of the same photos."""
    wanted = F.softmax(frozen @ classifier.T / temperature, dim=1)
    found = F.log_softmax(pooled @ classifier.T / temperature, dim=1)
    return F.kl_div(found, wanted, reduction="batchmean") * temperature ** 2


def fit_joint(pair: Pair, train: Photos, config: StarterConfig) -> Iterator[tuple[int, int, float]]:
    """Stage two; yields (step, steps, loss). After the last, the pair holds the running mean of its weights."""
    generator = torch.Generator().manual_seed(config.seed + 1)
    for parameter in pair.learned:
        parameter.requires_grad_(True)
    groups = [{"params": [p for p in part if (p.ndim > 1) == decays], "lr": lr, "weight_decay": config.weight_decay * decays}
              for part, lr in ((pair.late_image, config.lr), (pair.late_text, config.text_lr)) for decays in (True, False)]
    groups += [
              {"params": pair.heads(), "lr": config.joint_head_lr, "weight_decay": config.weight_decay},
              {"params": [pair.scale], "lr": config.joint_head_lr, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    steps = config.epochs * (len(train) // config.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _warm_cosine(step, steps))
    learned = [*pair.learned, *pair.heads(), pair.scale]
    mean = [p.detach().clone() for p in learned]
    step = 0
    for _ in range(config.epochs):
        order = torch.randperm(len(train), generator=generator).numpy()
        for i in range(len(train) // config.batch):
            pair.eval()                                     # BatchNorm keeps ImageNet's statistics
            pair.training = True                            # our own dropout stays on
            rows = order[i * config.batch:(i + 1) * config.batch]
            loss = _joint_loss(pair, train, rows, config, generator)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learned, 1.0)
            optimizer.step()
            schedule.step()
            step += 1
            share = min(config.average, (1 + step) / (10 + step))
            for kept, parameter in zip(mean, learned):
                kept.lerp_(parameter.detach(), 1 - share)
            yield step, steps, loss.item()
    for kept, parameter in zip(mean, learned):
        parameter.data.copy_(kept)


def _joint_loss(pair: Pair, train: Photos, rows: np.ndarray, config: StarterConfig,
                generator: torch.Generator) -> Tensor:
    maps = train.augmented(rows, config.crop, generator)
    pooled = torch.cat([pair.pooled_image(part) for part in maps.split(32)])
    captions = train.draw_captions(rows, generator)
    order = np.argsort(train.lengths[captions], kind="stable")
    runs = [pair.pooled_text(train.tokens(captions[part])) for part in np.array_split(order, 8)]
    texts = torch.cat(runs)[np.argsort(order)]
    loss = contrastive(pair.logits(pair.image(pooled), pair.text(texts)))
    if config.keep_weight:
        loss = loss + config.keep_weight * keep_loss(pooled, train.frozen_images[rows], train.classifier)
    if config.class_weight:
        loss = loss + config.class_weight * class_loss(pair, train, config, generator)
    return loss


def _warm_cosine(step: int, steps: int, warmup: float = 0.1) -> float:
    if step < warmup * steps:
        return (step + 1) / (warmup * steps)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup * steps) / ((1 - warmup) * steps)))


def learned_tensors(pair: Pair) -> dict[str, Tensor]:
    """What training changed, as fp16, under the names of the open_clip model: this is all the project ships."""
    state = pair.model.state_dict()
    learned = {id(p) for p in [*pair.learned, *pair.heads()]}
    names = [name for name, parameter in pair.model.named_parameters() if id(parameter) in learned]
    return {name: state[name].detach().half().contiguous() for name in names}


def train(data: Path, out: Path, *, cache: Path, config: StarterConfig) -> dict[str, Any]:
    """Both stages, the better by validation kept, test reported once; writes the checkpoint folder.

    Returns:
        The metrics written to model.json.
    """
    from explorer.config import ModelConfig
    from explorer.model.checkpoint import save
    from explorer.model.hcmi import HCMI
    from explorer.training.photos import Photos, class_texts
    torch.manual_seed(config.seed)
    cache.mkdir(parents=True, exist_ok=True)
    photos = {split: Photos(data, split, cache=cache) for split in ("val", "train")}
    pair = Pair(config)
    classes = class_texts(pair.model, pair.tokenizer)
    started = time.perf_counter()
    for epoch, loss in enumerate(fit_heads(pair, photos["train"], classes, config)):
        log.info("heads, epoch %d: loss %.3f", epoch + 1, loss)
    metrics: dict[str, Any] = {"heads": {"val": validate(pair, photos["val"])}}
    log.info("heads: %s, %.0f s", metrics["heads"]["val"], time.perf_counter() - started)
    for step, steps, loss in fit_joint(pair, photos["train"], config) if config.epochs else ():
        if step % 10 == 0 or step == steps:
            left = (time.perf_counter() - started) / step * (steps - step)
            log.info("joint, step %d of %d: loss %.3f, %.0f s left", step, steps, loss, left)
    metrics["val"] = validate(pair, photos["val"])
    metrics["test"] = validate(pair, Photos(data, "test", cache=cache))
    metrics["seconds"] = round(time.perf_counter() - started)
    log.info("val %s, test %s", metrics["val"], metrics["test"])
    tensors = learned_tensors(pair)
    digest = digest_of(tensors)
    save(out, HCMI(ModelConfig(dim=config.dim)), {
        "tower": f"starter:{digest}", "data": "Flickr8k train (6,591 photos), chosen on val, test reported once",
        "seed": config.seed, "training": asdict(config), "metrics": {"flickr8k text-to-image": metrics}},
        files={"tower.safetensors": tensors})
    return metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with images/, captions.csv and split lists")
    parser.add_argument("--out", type=Path, default=Path("checkpoints/starter"))
    parser.add_argument("--cache", type=Path, default=Path("runs/starter"))
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="fields of StarterConfig")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    fields = {name: json.loads(value) for name, value in (pair.split("=") for pair in arguments.set)}
    train(arguments.data, arguments.out, cache=arguments.cache, config=StarterConfig(**fields))


if __name__ == "__main__":
    main()
