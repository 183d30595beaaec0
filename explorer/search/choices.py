"""The best of several answers: "a dog or a cat" is searched as a dog and as a cat, and each moment keeps its better
score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from explorer.records import Hit, LevelWeights, Phrase, Query, SearchResult, TextFeatures
from explorer.search import score
from explorer.search.explain import moment_batch
from explorer.search.retrieve import Library
from explorer.search.score import Encoder

OVERLAP = 0.5  # of the shorter of two moments, from which they are one


def best_of(results: Sequence[SearchResult], *, k: int, per_file: int | None) -> tuple[Hit, ...]:
    """The hits of several searches as those of one: of moments that overlap the one of the highest total stays.

    Args:
        results: of the choices of a query, over one library.
        k: hits wanted.
        per_file: hits of one file at most; None has no limit.
    """
    kept: list[Hit] = []
    files: Counter[int] = Counter()
    everything = [hit for result in results for hit in result.hits]
    for hit in sorted(everything, key=lambda hit: (-hit.scores.total, hit.path, hit.start)):
        full = per_file is not None and files[hit.video_id] >= per_file
        if len(kept) < k and not full and not any(_same(hit, other) for other in kept):
            kept.append(hit)
            files[hit.video_id] += 1
    return tuple(kept)


def _same(hit: Hit, other: Hit) -> bool:
    """Whether two moments are of one stretch of a file."""
    if hit.video_id != other.video_id:
        return False
    shared = min(hit.end, other.end) - max(hit.start, other.start)
    return hit.window == other.window or shared > OVERLAP * min(hit.end - hit.start, other.end - other.start)


def phrases_of(query: Query, results: Sequence[SearchResult]) -> tuple[Phrase, ...]:
    """The phrases of all choices, each once, at their characters of the whole text."""
    found: dict[str, Phrase] = {}
    for phrase in (phrase for result in results for phrase in result.phrases):
        start = max(query.text.find(phrase.text), 0)
        found.setdefault(phrase.text, replace(phrase, start=start, end=start + len(phrase.text)))
    return tuple(sorted(found.values(), key=lambda phrase: phrase.start))


def nearest(
    texts: Sequence[TextFeatures],
    video_id: int,
    start: float,
    end: float,
    *,
    library: Library,
    encoder: Encoder,
    weights: LevelWeights,
) -> int:
    """Which of several texts a moment meets best: the one to explain it by.

    Args:
        texts: features of the choices.
        video_id: the file.
        start: seconds, of the moment.
        end: seconds, where it ends.
        library: the index.
        encoder: the checkpoint that made it.
        weights: of the levels, as in the search.
    """
    if len(texts) == 1:
        return 0
    batch, _ = moment_batch(library, video_id, start, end)
    levels = encoder.levels(batch.features, batch.mask)
    scores = [score.compare(encoder, encoder.text_levels([text]), levels)[0, 0] for text in texts]
    return int(np.argmax(score.total(np.stack(scores), weights)))
