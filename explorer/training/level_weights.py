"""Chooses how much each level counts, on held-out photos as stills and as slide-shows: never on what is reported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch import nn

from explorer.records import LEVELS, LevelWeights
from explorer.training.dataset import PairData
from explorer.training.evaluate import level_scores, measure
from explorer.training.slideshow import compose, frame_features

SLIDES = (2, 4)  # photos a composed video
STEP = 0.1  # of the weights tried, and the least of each: the app explains a hit by all three levels
NOISE = 0.3  # length of the random step of each frame of a slide-show


def shows_of(data: PairData, *, slides: int, count: int, seed: int) -> PairData:
    """Composed videos of `slides` photos (videos of one frame), each searched by one caption of each of its photos."""
    photos, rng = np.concatenate(data.frames), np.random.default_rng([seed, slides])
    captions = [np.flatnonzero(data.owners == video) for video in range(len(data.files))]
    made = compose(len(photos), shows=count, slides=slides, seed=seed * 10 + slides)
    numbers = np.array([int(rng.choice(captions[photo])) for show in made for photo in show.photos])
    return PairData(
        tuple(f"{slides} photos, {i}" for i in range(count)),
        np.tile([0.0, np.inf], (count, 1)),
        tuple(frame_features(show, photos, noise=NOISE, seed=i) for i, show in enumerate(made)),
        data.take(numbers).texts,
        np.repeat(np.arange(count), slides),
    )


def make_held_sets(val: PairData, *, seed: int = 100) -> list[PairData]:
    """Held-out photos as stills and as slide-shows of two and of four."""
    return [val, *(shows_of(val, slides=slides, count=len(val.files) // 2, seed=seed) for slides in SLIDES)]


def weightings() -> Iterator[LevelWeights]:
    """Every mix of the three levels in steps of STEP, each level in it."""
    count = round(1 / STEP)
    for video in range(1, count - 1):
        for clip in range(1, count - video):
            yield LevelWeights(video / count, clip / count, (count - video - clip) / count)


def mixed(scores: dict[str, np.ndarray], weights: LevelWeights) -> dict[str, np.ndarray]:
    """Only the total, under other weights."""
    return {"total": np.sum([w * scores[name] for name, w in zip(LEVELS, weights.normalised(), strict=True)], axis=0)}


def recalls(scores: dict[str, np.ndarray], data: PairData) -> np.ndarray:
    """(6,) R@1, R@5, R@10 in percent, text to video and back, of the one score given."""
    found = (one for named in measure(scores, data).values() for one in named.values())
    return np.array([recall for one in found for recall in (one.r1, one.r5, one.r10)])


def choose_weights(model: nn.Module, held: Sequence[PairData]) -> tuple[float, LevelWeights]:
    """The mix that falls least below the mean pool on stills, of equals the best there, then on slide-shows; its sum
    of recalls over all.

    Most windows show one scene, where the levels see the same and no mix should lose what the tower alone finds. A
    sum over the sets would choose for the slide-shows alone, where the finer levels are far ahead of the video level.

    Args:
        model: HCMI or HGR.
        held: pairs of stills, then any number of sets of slide-shows.
    """
    scores = [level_scores(model, data) for data in held]
    pool = recalls({"mean_pool": scores[0]["mean_pool"]}, held[0])

    def rank(weights: LevelWeights) -> tuple[float, ...]:
        found = [recalls(mixed(s, weights), data) for s, data in zip(scores, held, strict=True)]
        short = np.maximum(pool - found[0], 0).sum()
        return tuple(np.round([-short, *map(np.sum, found)], 6))

    best, weights = max(((rank(weights), weights) for weights in weightings()), key=lambda one: one[0])
    return float(sum(best[1:])), weights
