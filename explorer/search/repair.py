"""Mends an encoded query without encoding again: phrases weighed, switched off or negated."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from explorer.records import ExplorerError, TextFeatures

SENTENCE_STEP = 0.5             # of a phrase's vector, by which the sentence moves when its weight moves by one


def weigh(text: TextFeatures, weights: Mapping[str, float]) -> tuple[TextFeatures, tuple[np.ndarray, ...]]:
    """Give phrases of a query new weights.

    The clip-phrase level takes the weights as they are. Words that stand in no other phrase leave with one that is off.
    The sentence moves along its phrases, s + SENTENCE_STEP * sum_p (w_p - 1) p / P: in one space of texts and pictures,
    a text less a phrase lies near the text written without it.

    Args:
        text: the encoded query.
        weights: phrase text -> weight; 0 is off, below 0 negates, phrases not named keep theirs.

    Returns:
        The mended features, and the (D,) vectors of the negated phrases, to be excluded.

    Raises:
        ExplorerError: no phrase would be left on.
    """
    wanted = [float(weights.get(span.text, span.weight)) for span in text.phrase_spans]
    if not all(np.isfinite(wanted)):
        raise ExplorerError("a phrase weight is not a number; set it from 0 to 10")
    if wanted and max(wanted) <= 0:
        raise ExplorerError("every phrase of the query is off; leave at least one switched on")
    spans = tuple(replace(span, weight=max(weight, 0.0)) for span, weight in zip(text.phrase_spans, wanted))
    keep = _kept_words(text, [span.text for span in spans if span.weight == 0], [s.text for s in spans if s.weight > 0])
    moved = text.sentence + SENTENCE_STEP * sum(
        (span.weight - 1) * vector for span, vector in zip(spans, text.phrases)) / max(len(spans), 1)
    length = float(np.linalg.norm(moved))
    mended = replace(text, phrase_spans=spans, words=text.words[keep],
                     word_texts=tuple(text.word_texts[i] for i in keep),
                     sentence=(moved / length).astype(np.float32) if length > 1e-3 else text.sentence)
    return mended, tuple(v for v, weight in zip(text.phrases, wanted) if weight < 0)


def _kept_words(text: TextFeatures, off: list[str], on: list[str]) -> list[int]:
    """Positions of the words that still count: all but those of phrases that are off and of no other."""
    gone = {word.casefold() for phrase in off for word in phrase.split()}
    gone -= {word.casefold() for phrase in on for word in phrase.split()}
    keep = [i for i, word in enumerate(text.word_texts) if word.casefold() not in gone]
    return keep or list(range(len(text.word_texts)))
