"""Turns similarities of a batch into named losses: contrastive at three levels, denoising, marginal samples, hinge.

Every function sees one whole batch of B pairs: similarity[i, j] is text i against video j, pair i belongs together, and
positives[i, j] says that j counts as right for anchor i. Over several GPUs the features are gathered first.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from explorer.records import LEVELS


def positives_by_id(video_ids: Tensor) -> Tensor:
    """Pairs of one video are positives of each other, always: (B,) int -> (B, B) bool.

    Example:
        >>> positives_by_id(torch.tensor([7, 8, 7])).int().tolist()
        [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    """
    return video_ids[:, None] == video_ids[None, :]


@torch.no_grad()
def denoised_positives(first: Tensor, second: Tensor, video_ids: Tensor) -> Tensor:
    """Adaptive label denoising: which videos of the batch look like the anchor's own other view (arXiv 2204.03382).

    Video j is a positive of anchor i when 1/4 sum over k, l of cos(V_i^vk, V_j^vl) >= cos(V_i^v1, V_i^v2).
    The test is per anchor, so the answer need not be symmetric. Pairs of one video are positives before it.

    Args:
        first: (B, D) unit video vectors of one segment-random view.
        second: (B, D) those of the other view.
        video_ids: (B,) whole numbers, equal where the video is the same.

    Returns:
        (B, B) bool, row i the positives of anchor i, its diagonal True.
    """
    both = first + second  # the four cosines of a pair sum to one product
    across = both @ both.T / 4  # (B, B)
    threshold = (first * second).sum(-1, keepdim=True)  # (B, 1)
    return (across >= threshold) | positives_by_id(video_ids)


def contrastive(similarity: Tensor, logit_scale: Tensor | float, positives: Tensor) -> Tensor:
    """Symmetric multi-positive InfoNCE: L_i = -1/|P_i| sum over j in P_i of log softmax_j(scale S_ij), both ways.

    Args:
        similarity: (B, B) cosines, one row a text, one column a video.
        logit_scale: factor from cosine to logit, at most 100 (CLIP).
        positives: (B, B) bool, row i the positives of anchor i, its diagonal True.

    Returns:
        Scalar: the mean of text-to-video and video-to-text.
    """
    logits = similarity * logit_scale
    # Anchor i is text i one way and video i the other; P_i is its row of positives both times.
    return (_towards_positives(logits, positives) + _towards_positives(logits.T, positives)) / 2


def _towards_positives(logits: Tensor, positives: Tensor) -> Tensor:
    likelihood = logits.log_softmax(-1).masked_fill(~positives, 0.0).sum(-1)  # (B,)
    return -(likelihood / positives.sum(-1)).mean()


def hinge(similarity: Tensor, positives: Tensor, margin: float) -> Tensor:
    """Bidirectional hinge with the hardest negative, mean over the batch (VSE++, arXiv 1707.05612; HGR's loss).

    max(S_i,k - S_ii + margin, 0) + max(S_j,i - S_ii + margin, 0), with video k hardest for text i, text j for video i.
    A positive is never the hardest negative; an anchor without a negative costs nothing.

    Args:
        similarity: (B, B), one row a text, one column a video.
        positives: (B, B) bool, row i the positives of anchor i, its diagonal True.
        margin: in the unit of the similarity.

    Returns:
        Scalar.
    """
    own = similarity.diagonal()
    lowest = torch.finfo(similarity.dtype).min / 2  # halved: adding to it must not overflow
    hardest_video = similarity.masked_fill(positives, lowest).amax(1)
    hardest_text = similarity.T.masked_fill(positives, lowest).amax(1)
    return ((hardest_video - own + margin).clamp(min=0) + (hardest_text - own + margin).clamp(min=0)).mean()


def marginal_samples(similarity: Tensor, positives: Tensor, margin: float) -> Tensor:
    """Marginal sample enhancement at the video-sentence level: half the hinge, denoised positives excluded [paper]."""
    return hinge(similarity, positives, margin) / 2


def hierarchical(
    levels: Mapping[str, Tensor],
    logit_scale: Tensor | float,
    *,
    positives: Tensor,
    margin: float = 0.1,
    margin_weight: float = 1.0,
    level_weights: Mapping[str, float] | None = None,
) -> dict[str, Tensor]:
    """HCMI's whole loss as named terms: contrastive at every level given, and marginal samples.

    Args:
        levels: level name -> (B, B) similarity; names outside LEVELS, such as "total", take no part.
        logit_scale: factor of similarities in the softmax.
        positives: (B, B) bool from positives_by_id or denoised_positives.
        margin: theta of the marginal samples, on similarities.
        margin_weight: of the marginal samples' term; 0 leaves it out.
        level_weights: weight of each level's contrastive term, 1 where not named; 0 leaves it out.

    Returns:
        "contrastive_<level>" and "marginal", unweighted, and their weighted sum under "loss".

    Raises:
        ValueError: no term is left.
    """
    wanted = {name: (level_weights or {}).get(name, 1.0) for name in LEVELS if name in levels}
    terms = {
        f"contrastive_{name}": (contrastive(levels[name], logit_scale, positives), weight)
        for name, weight in wanted.items()
        if weight
    }
    if margin_weight:
        terms["marginal"] = (marginal_samples(levels["video_sentence"], positives, margin), margin_weight)
    if not terms:
        raise ValueError("no loss term is left: every weight is 0")
    named = {name: value for name, (value, _) in terms.items()}
    return {**named, "loss": torch.stack([value * weight for value, weight in terms.values()]).sum()}
