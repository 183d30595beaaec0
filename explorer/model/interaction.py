"""Scores texts against videos at three levels: pure functions over unit vectors, every mask True where real."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from explorer.records import LEVELS, LevelWeights

BUDGET = 1 << 24  # elements of one (Q, W, V, F) table: 64 MB in fp32


def uniform_weights(mask: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The weights of a plain mean: (N, T) bool -> (N, T), each row 1/count where real and 0 where padded.

    Raises:
        ValueError: a row without a real position.
    """
    counts = mask.sum(-1, keepdim=True)
    if not bool(counts.all()):
        raise ValueError("every text and every video needs at least one real position; a mask has an empty row")
    return mask.to(dtype) / counts


def softmax_weights(logits: Tensor, mask: Tensor) -> Tensor:
    """Learned token weights: softmax of (N, T) logits over the real positions of each row; padding gets exactly 0."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # half precision sums to 1 too roughly
    lowest = torch.finfo(logits.dtype).min
    return logits.masked_fill(~mask, lowest).softmax(-1) * mask


def reweight(weights: Tensor, factors: Tensor) -> Tensor:
    """Multiply token weights (N, T) by a person's factors (N, T), 0 being off, and scale each row to sum 1 again.

    Raises:
        ValueError: a row whose every token is off.

    Example:
        >>> reweight(torch.tensor([[0.5, 0.5]]), torch.tensor([[3.0, 1.0]]))
        tensor([[0.7500, 0.2500]])
    """
    product = weights * factors
    sums = product.sum(-1, keepdim=True)
    if not bool((sums > 0).all()):
        raise ValueError("every phrase of a text is off; keep at least one")
    return product / sums


def late_interaction(
    rows: Tensor,
    columns: Tensor,
    row_mask: Tensor,
    column_mask: Tensor,
    *,
    row_weights: Tensor | None = None,
    column_weights: Tensor | None = None,
    budget: int = BUDGET,
) -> Tensor:
    """Weighted token interaction: s = 1/2 [ sum_i a_i max_j c_ij + sum_j b_j max_i c_ij ], c_ij = row_i . column_j.

    Form of DRL (arXiv 2203.07111), which HCMI cites; with uniform weights it is the plain max-mean of ColBERT, both
    ways. Work goes in pieces, so that no table of cosines holds more than `budget` elements (one pair at least).

    Args:
        rows: (Q, W, D) unit vectors of Q texts, padded to W.
        columns: (V, F, D) unit vectors of V videos, padded to F.
        row_mask: (Q, W) bool, True where the row is real.
        column_mask: (V, F) bool, True where the column is real.
        row_weights: a (Q, W), of sum 1 a text, 0 on padding; None is uniform.
        column_weights: b (V, F), of sum 1 a video, 0 on padding; None is uniform.
        budget: cosines held at once, at most.

    Returns:
        (Q, V) similarity in [-1, 1].
    """
    a = uniform_weights(row_mask, rows.dtype) if row_weights is None else row_weights
    b = uniform_weights(column_mask, columns.dtype) if column_weights is None else column_weights
    table = rows.shape[1] * columns.shape[1]
    v_step = max(1, min(columns.shape[0], budget // table))
    q_step = max(1, budget // (table * v_step))
    pieces = [
        torch.cat(
            [
                _piece(
                    rows[q : q + q_step],
                    columns[v : v + v_step],
                    row_mask[q : q + q_step],
                    column_mask[v : v + v_step],
                    a[q : q + q_step],
                    b[v : v + v_step],
                )
                for v in range(0, columns.shape[0], v_step)
            ],
            dim=1,
        )
        for q in range(0, rows.shape[0], q_step)
    ]
    return torch.cat(pieces)


def _piece(rows: Tensor, columns: Tensor, row_mask: Tensor, column_mask: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """late_interaction of texts and videos that fit the budget."""
    (q, w, _), (v, f, _) = rows.shape, columns.shape
    cosines = (rows.flatten(0, 1) @ columns.flatten(0, 1).T).view(q, w, v, f)  # (Q, W, V, F)
    lowest = torch.finfo(cosines.dtype).min
    for padded in (~column_mask, ~row_mask[:, :, None, None]):  # in place: the table is the big thing
        if bool(padded.any()):
            cosines = cosines.masked_fill_(padded, lowest)
    # The maximum of a padded position is the lowest value. Its weight of 0 removes it from the score; as the gradient
    # of a learned weight it would overflow, so it becomes 0.
    best_column = cosines.amax(3).masked_fill(~row_mask[:, :, None], 0.0)  # (Q, W, V)
    best_row = cosines.amax(1).masked_fill(~column_mask, 0.0)  # (Q, V, F)
    wide = torch.promote_types(cosines.dtype, a.dtype)
    towards = torch.einsum("qw,qwv->qv", a.to(wide), best_column.to(wide))
    back = torch.einsum("vf,qvf->qv", b.to(wide), best_row.to(wide))
    return (towards + back) / 2


def video_sentence_similarity(video: Tensor, sentence: Tensor) -> Tensor:
    """Cosine of every text and every video at the coarsest level.

    Args:
        video: (V, D) unit vectors.
        sentence: (Q, D) unit vectors.

    Returns:
        (Q, V): one row a text, one column a video.
    """
    return sentence @ video.T


def clip_phrase_similarity(
    clips: Tensor,
    phrases: Tensor,
    clip_mask: Tensor,
    phrase_mask: Tensor,
    *,
    clip_weights: Tensor | None = None,
    phrase_weights: Tensor | None = None,
) -> Tensor:
    """Score every text against every video at the middle level, clip against phrase; else as frame_word_similarity.

    Args:
        clips: (V, C, D) unit clip vectors.
        phrases: (Q, P, D) unit phrase vectors.
        clip_mask: (V, C) bool, True where the clip is real.
        phrase_mask: (Q, P) bool; a phrase turned off is not real.
        clip_weights: (V, C) of sum 1; None is the plain mean.
        phrase_weights: (Q, P) of sum 1; None is the plain mean.

    Returns:
        (Q, V) similarity in [-1, 1].
    """
    return late_interaction(
        phrases, clips, phrase_mask, clip_mask, row_weights=phrase_weights, column_weights=clip_weights
    )


def frame_word_similarity(
    frames: Tensor,
    words: Tensor,
    frame_mask: Tensor,
    word_mask: Tensor,
    *,
    frame_weights: Tensor | None = None,
    word_weights: Tensor | None = None,
) -> Tensor:
    """Score every text against every video at the finest level, frame against word.

    Each word keeps its best frame and each frame its best word; each direction is averaged over the
    real positions (or by token weights), then the two directions with each other (HCMI, arXiv 2204.03382).

    Args:
        frames: (V, F, D) unit frame vectors of V videos, padded to F.
        words: (Q, W, D) unit word vectors of Q texts, padded to W.
        frame_mask: (V, F) bool, True where the frame is real.
        word_mask: (Q, W) bool, True where the word is real.
        frame_weights: (V, F) of sum 1; None is the plain mean.
        word_weights: (Q, W) of sum 1; None is the plain mean.

    Returns:
        (Q, V) similarity in [-1, 1]: one row a text, one column a video.

    Raises:
        ValueError: a video without a real frame, or a text without a real word.

    Example:
        Words x and y; the video shows x twice: word x finds 1, word y finds 0 (mean 0.5); each frame finds x (mean 1).

        >>> words = torch.eye(2)[None]
        >>> frames = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
        >>> real = torch.ones(1, 2, dtype=torch.bool)
        >>> frame_word_similarity(frames, words, real, real)
        tensor([[0.7500]])
    """
    return late_interaction(
        words, frames, word_mask, frame_mask, row_weights=word_weights, column_weights=frame_weights
    )


def total_similarity(levels: Mapping[str, Tensor], weights: LevelWeights) -> Tensor:
    """Weighted mean of the three levels of LEVELS, each (Q, V); the weights are scaled to sum 1.

    Example:
        >>> one = torch.ones(1, 1)
        >>> levels = {"video_sentence": one, "clip_phrase": 0 * one, "frame_word": 0 * one}
        >>> total_similarity(levels, LevelWeights(video=2, clip=1, frame=1))
        tensor([[0.5000]])
    """
    return sum(levels[name] * share for name, share in zip(LEVELS, weights.normalised()))  # type: ignore[return-value]
