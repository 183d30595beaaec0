"""Fine-grained binary selection: does a model tell the true sentence of a video from one altered in one respect
[ours]?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.training.alterations import KINDS, SMALL_BANK, WordBank, alter, alter_graph, word_bank
from explorer.training.parsed import read_graphs

__all__ = ["KINDS", "SMALL_BANK", "Choice", "WordBank", "alter", "binary_selection", "choices", "word_bank"]

Score = Callable[[Sequence[int], Sequence[str]], np.ndarray]  # N videos, N texts -> (N,) similarity, pair by pair


@dataclass(frozen=True)
class Choice:
    """One question: which of two sentences is the video's?"""

    video: int
    kind: str
    true: str
    altered: str


def choices(
    captions: Sequence[tuple[int, str]], *, kinds: Sequence[str] = KINDS, seed: int = 0, bank: WordBank = SMALL_BANK
) -> list[Choice]:
    """Every question that the captions allow, at most one a caption and kind, the same for the same seed.

    Args:
        captions: (video, sentence) pairs.
        kinds: which of KINDS to ask.
        seed: of the replacements.
        bank: words to replace with; `word_bank(train captions)` takes them from the data set.
    """
    made = []
    found = read_graphs([text for _, text in captions])
    for number, ((video, text), one) in enumerate(zip(captions, found)):
        for kind in kinds:
            altered = alter_graph(one, kind, np.random.default_rng([seed, number, KINDS.index(kind)]), bank=bank)
            if altered is not None:
                made.append(Choice(video, kind, text, altered))
    return made


def binary_selection(score: Score, questions: Sequence[Choice]) -> dict[str, dict[str, float]]:
    """Accuracy per kind: how often the true sentence scores above the altered one; a tie counts half.

    Args:
        score: pairwise: (N videos, N texts) -> (N,).
        questions: from `choices`.

    Returns:
        {kind: {"accuracy": percent, "pairs": count}} for the kinds asked, and "mean" over those kinds.

    Raises:
        ValueError: no question, or a score that is not finite.

    Example:
        >>> asked = [Choice(0, "roles", "dog bites man", "man bites dog")]
        >>> def starts_with_dog(videos, texts):
        ...     return np.array([float(text.startswith("dog")) for text in texts])
        >>> binary_selection(starts_with_dog, asked)["roles"]
        {'accuracy': 100.0, 'pairs': 1}
    """
    if not questions:
        raise ValueError("no sentence could be altered: captions need a verb, a person or a place")
    videos = [question.video for question in questions]
    true = _finite(score(videos, [question.true for question in questions]))
    altered = _finite(score(videos, [question.altered for question in questions]))
    won = np.where(true > altered, 1.0, np.where(true == altered, 0.5, 0.0))
    asked = [kind for kind in KINDS if any(question.kind == kind for question in questions)]
    result = {}
    for kind in asked:
        rows = np.array([question.kind == kind for question in questions])
        result[kind] = {"accuracy": float(100 * won[rows].mean()), "pairs": int(rows.sum())}
    mean = float(np.mean([row["accuracy"] for row in result.values()]))
    return {**result, "mean": {"accuracy": mean, "pairs": len(questions)}}


def _finite(scores: np.ndarray) -> np.ndarray:
    values = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a score is not finite")
    return values
