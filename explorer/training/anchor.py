"""Holds a fine-tuned model to its base: taught captions find their video among all, unrelated ones rank as before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from explorer.records import LEVELS, TextFeatures
from explorer.training.dataset import PairData, centre_view, pad
from explorer.training.evaluate import level_scores
from explorer.training.objective import collate_text, device_of
from explorer.training.train import Penalty

TEXTS = 48  # bank captions, and taught captions, a step sees against the gallery
VIDEOS = 192  # videos of the gallery a step sees
SCALE = 50.0  # cosine to logit in these terms


def anchor(base: nn.Module, gallery: PairData, bank: Sequence[TextFeatures], *, frames: int, seed: int) -> Penalty:
    """Two terms over the gallery: a taught caption finds its video among all of them; a bank caption ranks as before.

    The first is cross-entropy, the second the Kullback-Leibler divergence from the base's ranking [ours]. Both draw
    from (seed, step), so that a run that goes on after a kill is the same.
    """
    views = [vectors[centre_view(len(vectors), frames)] for vectors in gallery.frames]
    correct = gallery.correct()
    asked_of = replace(gallery, texts=bank, owners=np.zeros(len(bank), np.int64))
    known = level_scores(base, asked_of, frames=frames) if len(bank) else {}

    def penalty(model: nn.Module, step: int) -> Tensor:
        rng, device = np.random.default_rng([seed, step]), device_of(model)
        taught = _some(rng, len(gallery), TEXTS)
        must = np.unique(gallery.owners[taught])
        chosen = np.union1d(must, _some(rng, len(views), VIDEOS))
        vectors, mask = pad([views[v] for v in chosen])
        videos = model.encode_video(torch.from_numpy(vectors).to(device), torch.from_numpy(mask).to(device))
        right = torch.from_numpy(correct[taught][:, chosen]).to(device)
        total = _count_finds(model, gallery.texts, taught, videos, right)
        if not len(bank):
            return total
        asked = _some(rng, len(bank), TEXTS)
        scores = model.similarity(model.encode_text(collate_text([bank[int(i)] for i in asked], model)), videos)
        return total + sum(_as_before(scores[name], known[name][asked][:, chosen]) for name in LEVELS) / len(LEVELS)

    return penalty


def _some(rng: np.random.Generator, count: int, most: int) -> np.ndarray:
    return np.sort(rng.choice(count, min(count, most), replace=False))


def _count_finds(
    model: nn.Module, texts: Sequence[TextFeatures], numbers: np.ndarray, videos: Any, right: Tensor
) -> Tensor:
    scores = model.similarity(model.encode_text(collate_text([texts[int(i)] for i in numbers], model)), videos)
    terms = []
    for name in LEVELS:
        likelihood = (SCALE * scores[name]).log_softmax(1).masked_fill(~right, float("-inf"))
        terms.append(-likelihood.logsumexp(1).mean())
    return torch.stack(terms).mean()


def _as_before(scores: Tensor, base: np.ndarray) -> Tensor:
    wanted = torch.from_numpy(np.ascontiguousarray(base)).to(scores.device)
    rows = functional.kl_div(
        (SCALE * scores).log_softmax(1), (SCALE * wanted).log_softmax(1), log_target=True, reduction="batchmean"
    )
    # The height too: a video that rises for every text alike becomes a hub, which a softmax over texts would show.
    columns = functional.kl_div(
        (SCALE * scores).T.log_softmax(1), (SCALE * wanted).T.log_softmax(1), log_target=True, reduction="batchmean"
    )
    return rows + columns + SCALE * (scores - wanted).square().mean()
