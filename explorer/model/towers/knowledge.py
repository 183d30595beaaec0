"""Gives the starter's vectors their second part: what a picture's ImageNet classes are called, beside what it looks
like.

A vector of the starter has two parts, each of unit length and scaled by the square root of its share, so that the
cosine of a text and a frame is a weighted mean of two cosines. The joint part is learned from captions. The
knowledge part of a frame is the mean of the names of its likeliest classes, weighted by how likely they are; that
of a text lies in the same space of names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 1000  # of ImageNet
LIKELIEST = 20  # classes that a frame is said to show; the rest is noise of the classifier
TEMPERATURE = 2.0  # of the classifier's softmax: at 1 a frame with several things shows but one


class Parts(NamedTuple):
    """How a vector is split: widths of its two parts, and the share that the knowledge part has of a cosine."""

    joint: int
    knowledge: int
    share: float = 0.25

    @property
    def dim(self) -> int:
        """D, the width of both together."""
        return self.joint + self.knowledge


def join_parts(joint: Tensor, knowledge: Tensor, share: Tensor | float) -> Tensor:
    """(..., J) and (..., K) of any length -> (..., J + K) unit, of which `share` of the squared length is knowledge.

    Example:
        >>> join_parts(torch.tensor([3.0, 0.0]), torch.tensor([2.0]), 0.36)
        tensor([0.8000, 0.0000, 0.6000])
    """
    parts = F.normalize(joint, dim=-1) * (1 - share) ** 0.5, F.normalize(knowledge, dim=-1) * share**0.5
    return torch.cat(parts, -1)


class ClassKnowledge(nn.Module):
    """Pooled features of pictures (N, W) -> the mean name of their likeliest classes (N, K).

    Args:
        width: W, of the pooled features. dim: K.
    """

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.classes = nn.Linear(width, CLASSES)
        self.names = nn.Parameter(torch.zeros(CLASSES, dim))

    def forward(self, pooled: Tensor) -> Tensor:
        return self.shares(pooled) @ self.names

    def shares(self, pooled: Tensor) -> Tensor:
        """(N, W) -> (N, 1000): how likely each class is among the LIKELIEST, of sum 1; 0 for all others."""
        likely = (self.classes(pooled) / TEMPERATURE).softmax(-1)
        least = likely.topk(LIKELIEST, dim=-1).values[:, -1:]
        kept = likely * (likely >= least).to(likely.dtype)
        return kept / kept.sum(-1, keepdim=True)


class PartedImages(nn.Module):
    """An image tower whose vectors have both parts: (N, 3, H, W) normalised -> (N, J + K) unit.

    Args:
        trunk: (N, 3, H, W) -> (N, W) pooled features.
        head: (N, W) -> (N, J).
        parts: J, K and the share.
        width: W.
    """

    def __init__(self, trunk: nn.Module, head: nn.Module, parts: Parts, *, width: int) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head
        self.knowledge = ClassKnowledge(width, parts.knowledge)
        self.register_buffer("share", torch.tensor(parts.share))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.vectors(self.trunk(pixels))

    def vectors(self, pooled: Tensor) -> Tensor:
        """(N, W) pooled features -> (N, J + K) unit."""
        return join_parts(self.head(pooled), self.knowledge(pooled), self.share)


class PartedText(nn.Module):
    """The text tower's head with both parts: outputs (..., W) of sentences or tokens -> (..., J + K) unit."""

    def __init__(self, width: int, parts: Parts) -> None:
        super().__init__()
        self.joint = nn.Linear(width, parts.joint, bias=False)
        self.knowledge = nn.Linear(width, parts.knowledge)
        self.register_buffer("share", torch.tensor(parts.share))

    def forward(self, outputs: Tensor) -> Tensor:
        return join_parts(self.joint(outputs), self.knowledge(outputs), self.share)


def parts_in(weights: Mapping[str, Tensor] | None) -> Parts | None:
    """The split that a checkpoint's tensors of the starter have; None where their vectors are of one part."""
    if not weights or "text.proj.joint.weight" not in weights:
        return None
    joint, knowledge = weights["text.proj.joint.weight"], weights["text.proj.knowledge.weight"]
    return Parts(len(joint), len(knowledge), float(weights["text.proj.share"]))
