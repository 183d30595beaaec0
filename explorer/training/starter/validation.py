"""Measures the starter in training on held-out photos of every source: captions of each, and labels as keywords."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.training.starter.photos import Photos

DISTRACTORS = 250  # captioned photos of Flickr8k that stand between the labelled ones


@dataclass(frozen=True)
class Question:
    """One held-out set: numbers of its photos, of its texts (captions), and which photos are right, (Q, V) bool."""

    photos: np.ndarray
    texts: np.ndarray
    right: Tensor


def questions(held: Photos) -> dict[str, Question]:
    """Captions of Flickr8k, of all other captioned photos, and labels as keywords over all photos that are labelled."""
    keyword = np.concatenate([held.kinds[k] for k in ("labelled", "classes", "captioned")])
    keyword = np.concatenate([keyword, held.kinds["flickr8k"][:DISTRACTORS]])
    found = {kind: _captions(held, held.kinds[kind]) for kind in ("flickr8k", "captioned") if len(held.kinds[kind])}
    if len(held.kinds["labelled"]):
        found["keywords"] = _keywords(held, keyword)
    return found


def _captions(held: Photos, photos: np.ndarray) -> Question:
    texts = np.flatnonzero(np.isin(held.owner, photos))
    return Question(photos, texts, torch.from_numpy(held.owner[texts][:, None] == photos[None, :]))


def _keywords(held: Photos, photos: np.ndarray) -> Question:
    """One query a label, the label alone: the last caption of any of its photos."""
    last = {held.labels[row]: np.flatnonzero(held.owner == row)[-1] for row in held.kinds["labelled"]}
    labels = np.array(list(last))
    return Question(
        photos, np.array(list(last.values())), torch.from_numpy(labels[:, None] == held.labels[photos][None, :])
    )


def recalls(scores: Tensor, right: Tensor) -> dict[str, float]:
    """R@1, 5, 10 in percent of (Q, V) scores, a query found where any right one is; ties count against."""
    lowest = torch.finfo(scores.dtype).min
    best = scores.masked_fill(~right, lowest).amax(1, keepdim=True)
    rank = ((scores >= best) & ~right).sum(1)
    return {f"R@{k}": round(100 * (rank < k).float().mean().item(), 2) for k in (1, 5, 10)}


def measure(images: Tensor, texts: Tensor, asked: dict[str, Question]) -> dict[str, dict[str, float]]:
    """Recalls of every question: images (P, D) and texts (C, D) of all held-out photos and captions."""
    found = {}
    for name, question in asked.items():
        scores = texts[question.texts] @ images[question.photos].T
        found[name] = recalls(scores, question.right)
        if name == "flickr8k":
            found["flickr8k, image to text"] = recalls(scores.T, question.right.T)
    return found


def score(found: dict[str, dict[str, float]]) -> float:
    """What choices are made by: the mean over the sets of R@1 and R@5."""
    return round(float(np.mean([row[k] for row in found.values() for k in ("R@1", "R@5")])), 3)


def told(found: dict[str, dict[str, float]]) -> str:
    """One line for the log."""
    rows: Sequence[str] = [f"{name} " + " / ".join(f"{v:.1f}" for v in row.values()) for name, row in found.items()]
    return f"score {score(found):.2f}: " + "; ".join(rows)
