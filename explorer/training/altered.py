"""Teaches a model to prefer the true sentence of a video to one altered in one respect: a term added to HGR's loss
[ours]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from explorer.records import LEVELS, LevelWeights, TextFeatures
from explorer.training.dataset import centre_view, pad
from explorer.training.objective import collate_text, device_of
from explorer.training.train import Penalty

FRAMES = 12  # F, frames a video


@dataclass(frozen=True)
class AlteredPairs:
    """N questions: row i says that `true[i]` belongs to `frames[i]` and `altered[i]` does not.

    frames: N arrays (F_i, D) of kept features; kinds: which of alterations.KINDS each is.
    """

    frames: Sequence[np.ndarray]
    true: Sequence[TextFeatures]
    altered: Sequence[TextFeatures]
    kinds: Sequence[str]

    def __post_init__(self) -> None:
        if not len(self.frames) == len(self.true) == len(self.altered) == len(self.kinds):
            raise ValueError(
                f"{len(self.frames)} videos, {len(self.true)} true and {len(self.altered)} altered texts, "
                f"{len(self.kinds)} kinds"
            )

    def __len__(self) -> int:
        return len(self.true)


def pair_scores(
    model: nn.Module, pairs: AlteredPairs, rows: Sequence[int], *, level: str = "total"
) -> tuple[Tensor, Tensor]:
    """A score of each row's video with its true text and with its altered text: two tensors (N,)."""
    true, altered = _similarities(model, pairs, rows)
    return true[level], altered[level]


def _similarities(
    model: nn.Module, pairs: AlteredPairs, rows: Sequence[int]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    vectors, mask = pad([pairs.frames[i][centre_view(len(pairs.frames[i]), FRAMES)] for i in rows])
    device = device_of(model)
    video = model.encode_video(torch.from_numpy(vectors).to(device), torch.from_numpy(mask).to(device))
    texts = [pairs.true[i] for i in rows] + [pairs.altered[i] for i in rows]
    found = model.similarity(model.encode_text(collate_text(texts, model)), video)  # each (2N, N)
    count = len(rows)
    return (
        {name: value[:count].diagonal() for name, value in found.items()},
        {name: value[count:].diagonal() for name, value in found.items()},
    )


@torch.inference_mode()
def margins(model: nn.Module, pairs: AlteredPairs, *, rows: int = 64) -> np.ndarray:
    """How far the true text is above the altered one at each level: (3, N) in the order of LEVELS."""
    model.eval()
    found = [_similarities(model, pairs, range(i, min(i + rows, len(pairs)))) for i in range(0, len(pairs), rows)]
    return np.concatenate(
        [np.stack([(true[name] - altered[name]).cpu().numpy() for name in LEVELS]) for true, altered in found], 1
    )


def accuracies(gaps: np.ndarray, kinds: Sequence[str], weights: LevelWeights) -> dict[str, float]:
    """Percent of the questions of each kind answered right under these weights; gaps (3, N) from `margins`; a tie
    counts half."""
    total = np.array(weights.normalised()) @ gaps
    won, kind = np.where(total > 0, 100.0, np.where(total == 0, 50.0, 0.0)), np.array(kinds)
    return {name: float(won[kind == name].mean()) for name in dict.fromkeys(kinds)}


def altered_hinge(
    pairs: AlteredPairs, *, batch: int = 64, margin: float = 0.05, weight: float = 1.0, seed: int = 0
) -> Penalty:
    """A penalty for `fit`: mean of max(altered - true + margin, 0) over `batch` rows, every kind drawn equally often.

    Args:
        pairs: what to tell apart.
        batch: rows a step, drawn by (seed, step) alone, so that a run that starts again sees the same.
        margin: on the total, a mean of cosines.
        weight: factor of the term in the loss.
        seed: of the draws.
    """
    by_kind = [np.flatnonzero(np.array(pairs.kinds) == kind) for kind in dict.fromkeys(pairs.kinds)]

    def penalty(model: nn.Module, step: int) -> Tensor:
        rng = np.random.default_rng([seed, step])
        rows = [int(rng.choice(by_kind[i % len(by_kind)])) for i in range(batch)]
        true, altered = pair_scores(model, pairs, rows)
        return weight * (altered - true + margin).clamp(min=0).mean()

    return penalty
