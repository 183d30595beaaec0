"""The losses of the starter's training: photos against captions, level by level, and what keeps the wheels'
knowledge."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.model.batch import TextBatch
from explorer.model.losses import hierarchical, positives_by_id
from explorer.training.starter.pair import Pair, StarterConfig
from explorer.training.starter.photos import Photos

IMAGES_AT_ONCE = 32  # of a pass with gradients: more no longer fits the cache of a core
TEXT_RUNS = 8  # captions of like length together: little padding


def contrastive(logits: Tensor) -> Tensor:
    """Symmetric InfoNCE: the diagonal is right."""
    labels = torch.arange(len(logits))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def class_pictures(train: Photos, chosen: Tensor, scale: float) -> Tensor:
    """(n, 1280) classifier rows standing for pictures of their classes: the mean photo moved along the row."""
    rows = train.classifier[chosen] / train.classifier.norm(dim=1).mean()
    return train.frozen_images.mean(0) + scale * rows


def frozen_class_loss(
    pair: Pair, train: Photos, classes: Tensor, config: StarterConfig, generator: torch.Generator
) -> Tensor:
    """Class names against pictures of their classes, from frozen text outputs `classes` (templates, 1000, 384)."""
    chosen = torch.randperm(classes.shape[1], generator=generator)[: config.batch]
    template = torch.randint(0, classes.shape[0], (len(chosen),), generator=generator)
    pictures = class_pictures(train, chosen, config.class_scale)
    return contrastive(pair.logits(pair.image(pictures), pair.text(classes[template, chosen])))


def class_loss(pair: Pair, train: Photos, config: StarterConfig, generator: torch.Generator) -> Tensor:
    """The same through the text tower as it is now."""
    chosen = torch.randperm(len(train.classifier), generator=generator)[: config.batch // 2]
    tokens = train.class_tokens(chosen, generator)
    pictures = class_pictures(train, chosen, config.class_scale)
    return contrastive(pair.logits(pair.image(pictures), pair.text(pair.pooled_text(tokens))))


def keep_loss(pooled: Tensor, frozen: Tensor, classifier: Tensor, temperature: float = 2.0) -> Tensor:
    """How far the class shares seen in `pooled` (B, 1280) are from those in the frozen features of the same photos."""
    wanted = F.softmax(frozen @ classifier.T / temperature, dim=1)
    found = F.log_softmax(pooled @ classifier.T / temperature, dim=1)
    return F.kl_div(found, wanted, reduction="batchmean") * temperature**2


def tower_loss(
    pair: Pair, train: Photos, rows: np.ndarray, config: StarterConfig, generator: torch.Generator
) -> Tensor:
    """Photos against whole captions, and what keeps the wheels' knowledge."""
    pooled = _images(pair, train, rows, config, generator)
    captions = train.draw_captions(rows, generator)
    order = np.argsort(train.lengths[captions], kind="stable")
    runs = [pair.pooled_text(train.tokens(captions[part])) for part in np.array_split(order, TEXT_RUNS)]
    texts = torch.cat(runs)[np.argsort(order)]
    return contrastive(pair.logits(pair.image(pooled), pair.text(texts))) + _kept(
        pair, train, rows, pooled, config, generator
    )


def level_loss(
    pair: Pair, train: Photos, rows: np.ndarray, config: StarterConfig, generator: torch.Generator
) -> Tensor:
    """HCMI's hierarchical contrastive loss over photos as stills and as slide-shows of `show`, towers and all."""
    pooled = _images(pair, train, rows, config, generator)
    texts = _texts(pair, train, train.draw_captions(rows, generator))
    images = pair.image(pooled)
    whole = len(rows) // config.show * config.show
    shows = images[:whole].view(-1, config.show, images.shape[1])
    loss = _hierarchical(pair, texts, images[:, None], config)
    loss = loss + config.show_weight * _hierarchical(pair, _first(texts, whole), shows, config)
    return loss + _kept(pair, train, rows, pooled, config, generator)


def _images(pair: Pair, train: Photos, rows: np.ndarray, config: StarterConfig, generator: torch.Generator) -> Tensor:
    maps = train.augmented(rows, config.crop, generator)
    return torch.cat([pair.pooled_image(part) for part in maps.split(IMAGES_AT_ONCE)])


def _texts(pair: Pair, train: Photos, captions: np.ndarray) -> TextBatch:
    order = np.argsort(train.lengths[captions], kind="stable")
    runs = [
        pair.text_batch(train.tokens(captions[part]), *train.shares(captions[part]))
        for part in np.array_split(order, TEXT_RUNS)
    ]
    back = torch.from_numpy(np.argsort(order))

    def joined(name: str) -> Tensor:
        parts = [getattr(run, name) for run in runs]
        longest = max(part.shape[1] for part in parts)
        pads = [(0, 0) * (part.ndim - 2) + (0, longest - part.shape[1]) for part in parts]
        return torch.cat([F.pad(part, pad) for part, pad in zip(parts, pads)])[back]

    return TextBatch(
        *(joined(name) for name in ("sentence", "words", "word_mask", "phrases", "phrase_mask", "phrase_weights"))
    )


def _first(texts: TextBatch, count: int) -> TextBatch:
    return TextBatch(*(getattr(texts, name)[:count] for name in TextBatch.__dataclass_fields__))


def _hierarchical(pair: Pair, texts: TextBatch, frames: Tensor, config: StarterConfig) -> Tensor:
    """Q texts, in order, against V videos (V, F, D): each video is that of Q / V texts."""
    videos = pair.hierarchy.encode_video(frames, torch.ones(frames.shape[:2], dtype=torch.bool))
    owner = torch.arange(len(texts)) // (len(texts) // len(frames))
    levels = pair.hierarchy.similarity(pair.hierarchy.encode_text(texts), videos)
    square = {name: value[:, owner] for name, value in levels.items()}  # a column for each text's own video
    weights = {"clip_phrase": config.token_weight, "frame_word": config.token_weight}
    return hierarchical(
        square, pair.factor(), positives=positives_by_id(owner), margin_weight=0, level_weights=weights
    )["loss"]


def _kept(
    pair: Pair, train: Photos, rows: np.ndarray, pooled: Tensor, config: StarterConfig, generator: torch.Generator
) -> Tensor:
    loss = config.keep_weight * keep_loss(pooled, train.frozen_images[rows], train.classifier)
    return loss + config.class_weight * class_loss(pair, train, config, generator) if config.class_weight else loss
