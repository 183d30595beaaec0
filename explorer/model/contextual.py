"""Words and phrases in the context of their sentence: each is the mean of the token outputs under its characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from explorer.model.towers.tower import TowerOutput
from explorer.records import Phrase

Spans = Sequence[tuple[int, int]]


def token_shares(tokens: Spans, spans: Sequence[Phrase]) -> np.ndarray:
    """Which tokens make up each span, as shares of a mean.

    Args:
        tokens: characters [start, end) of L tokens.
        spans: n words or phrases of the same text.

    Returns:
        (n, L) float32, each row of sum 1; all 0 for a span without a token (the text was cut before it).

    Example:
        >>> token_shares([(0, 2), (2, 5), (6, 9)], [Phrase("whole", 0, 5), Phrase("dog", 6, 9)]).tolist()
        [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    """
    starts, ends = np.array(tokens, np.int64).reshape(-1, 2).T
    under = [(starts < span.end) & (ends > span.start) & (ends > starts) for span in spans]
    table = np.array(under, np.float32).reshape(len(spans), len(starts))
    return table / np.maximum(table.sum(1, keepdims=True), 1)


def span_vectors(tokens: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Token outputs (L, D) and shares (n, L) -> (n, D) unit vectors; 0 for a span without a token."""
    means = shares @ tokens
    return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)


def join_sentences(whole: TowerOutput, sentences: Sequence[TowerOutput], starts: Sequence[int]) -> TowerOutput:
    """A text as a whole with the tokens of its sentences, each read by itself; starts: their first characters in the
    text."""
    spans = [(a + start, b + start) for output, start in zip(sentences, starts, strict=True) for a, b in output.spans]
    return replace(whole, vectors=np.concatenate([output.vectors for output in sentences]), spans=tuple(spans))
