"""Gives the phrases of an encoded query new weights: above or below 1, off or negated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from explorer.records import ExplorerError, Phrase, TextFeatures

SENTENCE_STEP = 0.5  # of a phrase's vector, by which the sentence moves; chosen on Flickr8k validation

Encode = Callable[[str, Sequence[Phrase]], TextFeatures]


def weigh(
    text: TextFeatures, weights: Mapping[str, float], *, encode: Encode
) -> tuple[TextFeatures, tuple[np.ndarray, ...]]:
    """Give phrases of a query new weights.

    With phrases off the text is encoded as if they had never been written, some milliseconds: in their context the
    other
    words and phrases carry something of them. The clip-phrase level takes the weights of the others as they are; a
    weight w above or below 1 moves the sentence by SENTENCE_STEP * (w - 1) / P of its phrase.

    Args:
        text: the encoded query.
        weights: phrase text -> weight; 0 is off, below 0 negates, phrases not named keep theirs.
        encode: a text and its phrases -> features, with the encoder that made `text`; asked only where a phrase is off.

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
    negated = tuple(v for v, weight in zip(text.phrases, wanted) if weight < 0)
    on = np.array(wanted) > 0
    if not on.all():
        text = _without(text, on, encode)
    spans = tuple(replace(span, weight=max(weight, 0.0)) for span, weight in zip(text.phrase_spans, wanted))
    return replace(text, phrase_spans=spans, sentence=_moved(text, np.array(wanted, np.float32) * on)), negated


def cut_out(text: str, spans: Sequence[Phrase], off: Sequence[Phrase]) -> tuple[str, tuple[Phrase, ...]]:
    """A text without some of its phrases, and `spans` at their new places.

    >>> cut_out("red car at night", [Phrase("night", 11, 16)], [Phrase("red car", 0, 7)])
    (' at night', (Phrase(text='night', start=4, end=9, weight=1.0),))
    """
    gone = [any(phrase.start <= place < phrase.end for phrase in off) for place in range(len(text))]
    moved = [place - sum(gone[:place]) for place in range(len(text) + 1)]
    kept = "".join(sign for sign, cut in zip(text, gone) if not cut)
    return kept, tuple(replace(span, start=moved[span.start], end=moved[span.end]) for span in spans)


def _without(text: TextFeatures, on: np.ndarray, encode: Encode) -> TextFeatures:
    """The features of the text written without the phrases that are off, which stay in their places, of weight 0."""
    kept = [span for span, wanted in zip(text.phrase_spans, on) if wanted]
    rest = encode(*cut_out(text.text, kept, [span for span, wanted in zip(text.phrase_spans, on) if not wanted]))
    phrases = text.phrases.copy()
    phrases[on] = rest.phrases
    return replace(rest, text=text.text, phrases=phrases, phrase_spans=text.phrase_spans)


def _moved(text: TextFeatures, weights: np.ndarray) -> np.ndarray:
    """The unit sentence (D,) moved along its phrases of weights (P,), 0 being off."""
    on = weights > 0
    if not on.any():
        return text.sentence
    moved = text.sentence + SENTENCE_STEP * ((weights - 1) * on) @ text.phrases / on.sum()
    length = float(np.linalg.norm(moved))
    return (moved / length).astype(np.float32) if length > 1e-3 else text.sentence
