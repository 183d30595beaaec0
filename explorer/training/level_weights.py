"""Chooses how much each level counts, on held-out photos as stills and as slide-shows: never on what is reported."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch import nn

from explorer.records import LEVELS, LevelWeights
from explorer.training.dataset import PairData
from explorer.training.evaluate import level_scores, measure, rsum
from explorer.training.slideshow import compose, frame_features

SLIDES = (2, 4)            # photos a composed video
STEP = 0.1                 # of the weights tried
NOISE = 0.3                # length of the random step of each frame of a slide-show


def shows_of(data: PairData, *, slides: int, count: int, seed: int) -> PairData:
    """Composed videos of `slides` photos (videos of one frame), each searched by one caption of each of its photos."""
    photos, rng = np.concatenate(data.frames), np.random.default_rng([seed, slides])
    captions = [np.flatnonzero(data.owners == video) for video in range(len(data.files))]
    made = compose(len(photos), shows=count, slides=slides, seed=seed * 10 + slides)
    numbers = np.array([int(rng.choice(captions[photo])) for show in made for photo in show.photos])
    return PairData(tuple(f"{slides} photos, {i}" for i in range(count)), np.tile([0.0, np.inf], (count, 1)),
                    tuple(frame_features(show, photos, noise=NOISE, seed=i) for i, show in enumerate(made)),
                    data.take(numbers).texts, np.repeat(np.arange(count), slides))


def held_sets(val: PairData, *, seed: int = 100) -> list[PairData]:
    """Held-out photos as stills (every second caption) and as slide-shows of two and of four."""
    return [val.take(np.arange(0, len(val), 2)),
            *(shows_of(val, slides=slides, count=len(val.files) // 2, seed=seed) for slides in SLIDES)]


def weightings() -> Iterator[LevelWeights]:
    """Every mix of the three levels in steps of STEP."""
    count = round(1 / STEP)
    for video in range(count + 1):
        for clip in range(count + 1 - video):
            yield LevelWeights(video / count, clip / count, (count - video - clip) / count)


def mixed(scores: dict[str, np.ndarray], weights: LevelWeights) -> dict[str, np.ndarray]:
    """Only the total, under other weights."""
    return {"total": sum(w * scores[name] for name, w in zip(LEVELS, weights.normalised(), strict=True))}


def choose_weights(model: nn.Module, held: Sequence[PairData]) -> tuple[float, LevelWeights]:
    """The weights whose total has the best sum of recalls over all held-out sets, and that sum."""
    scores = [level_scores(model, data) for data in held]
    found = [(sum(rsum(measure(mixed(s, weights), data)) for s, data in zip(scores, held, strict=True)), weights)
             for weights in weightings()]
    return max(found, key=lambda one: one[0])
