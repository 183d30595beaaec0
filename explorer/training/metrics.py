"""Turns a similarity matrix and its ground truth into recalls and ranks; refuses NaN, defines ties, drops nothing."""

from __future__ import annotations

import numpy as np

from explorer.records import RetrievalMetrics

DSL_SCALE = 100.0  # the clamp of CLIP's logit scale, at which a trained model ends
QB_BETA = 20.0  # QB-Norm's inverse temperature (Bogolin et al., CVPR 2022)


def ranks(similarity: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """The rank of each query's best correct item, ties counted against it.

    rank = 1 + the number of wrong items that score at least as high as the best correct one. So a model that gives
    every item the same score finds nothing, in both directions alike, and two correct items never hurt each other.

    Args:
        similarity: (Q, V) one row a query, one column an item.
        correct: (Q, V) bool, True where the item answers the query; at least one a row.

    Returns:
        (Q,) int64, from 1.

    Raises:
        ValueError: shapes differ, a value is NaN, or a query has no correct item.

    Example:
        >>> ranks(np.array([[0.9, 0.1, 0.9]]), np.array([[True, False, False]]))
        array([2])
    """
    _check(similarity, correct)
    best = np.where(correct, similarity, -np.inf).max(axis=1, keepdims=True)  # (Q, 1)
    return 1 + ((similarity >= best) & ~correct).sum(axis=1)


def _check(similarity: np.ndarray, correct: np.ndarray) -> None:
    if similarity.ndim != 2 or similarity.shape != correct.shape:
        raise ValueError(f"similarity {similarity.shape} and ground truth {correct.shape} must be one (Q, V) shape")
    if correct.dtype != np.bool_:
        raise ValueError(f"ground truth must be bool, not {correct.dtype}")
    bad = np.argwhere(np.isnan(similarity))
    if len(bad):
        raise ValueError(f"{len(bad)} similarities are NaN, the first for query {bad[0][0]} and item {bad[0][1]}")
    empty = np.flatnonzero(~correct.any(axis=1))
    if len(empty):
        raise ValueError(f"{len(empty)} queries have no correct item, the first is query {empty[0]}")
    if not len(similarity):
        raise ValueError("there is no query to measure")


def summarise(found: np.ndarray) -> RetrievalMetrics:
    """Recalls in percent, median and mean of ranks (Q,)."""
    first, five, ten = (100.0 * float(np.mean(found <= k)) for k in (1, 5, 10))
    return RetrievalMetrics(first, five, ten, float(np.median(found)), float(np.mean(found)))


def retrieval(similarity: np.ndarray, correct: np.ndarray) -> RetrievalMetrics:
    """Recalls and ranks of a (Q, V) similarity; see `ranks` for ties and errors."""
    return summarise(ranks(similarity, correct))


def correct_matrix(owners: np.ndarray, videos: int) -> np.ndarray:
    """(Q,) number of each text's video -> (Q, V) bool ground truth."""
    return np.asarray(owners)[:, None] == np.arange(videos)[None, :]


def both_directions(similarity: np.ndarray, correct: np.ndarray) -> dict[str, RetrievalMetrics]:
    """Text-to-video over the rows, video-to-text over the columns that have a text.

    A video without a text stays in the gallery of text-to-video; it is no query of video-to-text.
    """
    asked = correct.any(axis=0)
    return {
        "text_to_video": retrieval(similarity, correct),
        "video_to_text": retrieval(similarity.T[asked], correct.T[asked]),
    }


def dual_softmax(similarity: np.ndarray, *, scale: float = DSL_SCALE) -> np.ndarray:
    """DSL: each score times its softmax over the queries. It needs the whole set of queries: for evaluation only.

    Args:
        similarity: (Q, V) one row a query; give the transpose for the other direction.
        scale: multiplies the similarity inside the softmax.
    """
    logits = scale * similarity.astype(np.float64)
    prior = np.exp(logits - logits.max(axis=0, keepdims=True))
    return similarity * (prior / prior.sum(axis=0, keepdims=True))


def querybank_norm(similarity: np.ndarray, bank: np.ndarray, *, beta: float = QB_BETA) -> np.ndarray:
    """QB-Norm with the dynamic inverted softmax: hubs of the bank are divided by how often they answer.

    Args:
        similarity: (Q, V) of the queries.
        bank: (B, V) of B other queries against the same items.
        beta: inverse temperature.

    Returns:
        (Q, V): a row whose best item is also some bank query's best becomes exp(beta s) / sum_b exp(beta s_b);
        every other row stays as it was. Rows are to be ranked, not compared with each other.
    """
    if bank.ndim != 2 or bank.shape[1] != similarity.shape[1]:
        raise ValueError(f"the bank {bank.shape} and the similarity {similarity.shape} must share their items")
    if not len(bank):
        return similarity.copy()
    hubs = np.unique(bank.argmax(axis=1))
    logits, others = beta * similarity.astype(np.float64), beta * bank.astype(np.float64)
    peak = others.max(axis=0, keepdims=True)
    popularity = peak + np.log(np.exp(others - peak).sum(axis=0, keepdims=True))  # (1, V) log of the sum
    normalised = np.exp(logits - popularity)
    active = np.isin(similarity.argmax(axis=1), hubs)
    return np.where(active[:, None], normalised, similarity)
