"""Composes slide-show videos from photos, so that which phrase is visible when is known exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

ZOOM = 0.12  # share of the picture that a slow pan and zoom crosses while a photo is shown


@dataclass(frozen=True)
class Slideshow:
    """One composed video: photos in order, and the frames [first, last) at which each is shown.

    photos (S,) numbers of the photos; borders (S + 1,) frame numbers from 0 to F.
    """

    photos: np.ndarray
    borders: np.ndarray

    def frames_of(self, place: int) -> np.ndarray:
        """(F,) bool: the frames that show the photo at `place`."""
        index = np.arange(self.borders[-1])
        return (index >= self.borders[place]) & (index < self.borders[place + 1])

    def photo_at(self) -> np.ndarray:
        """(F,) the photo of each frame."""
        return np.repeat(self.photos, np.diff(self.borders))


def compose(
    photos: int, *, shows: int, slides: int = 4, frames: int = 12, seed: int = 0, uneven: bool = True
) -> list[Slideshow]:
    """Draw slide-shows of different photos.

    Args:
        photos: how many there are to choose from.
        shows: how many videos.
        slides: photos a video.
        frames: F, frames a video.
        seed: of the choice.
        uneven: slides last differently long (at least one frame each); False gives equal parts.
    """
    if not 1 <= slides <= min(photos, frames):
        raise ValueError(f"{slides} slides need as many photos ({photos}) and frames ({frames})")
    rng = np.random.default_rng(seed)
    return [
        Slideshow(rng.choice(photos, slides, replace=False), _borders(rng, slides, frames, uneven))
        for _ in range(shows)
    ]


def _borders(rng: np.random.Generator, slides: int, frames: int, uneven: bool) -> np.ndarray:
    if not uneven:
        return np.round(np.linspace(0, frames, slides + 1)).astype(np.int64)
    shortest = max(1, frames // (2 * slides))
    extra = rng.multinomial(frames - slides * shortest, np.full(slides, 1 / slides))
    return np.concatenate([[0], np.cumsum(extra + shortest)])


def frame_features(show: Slideshow, photos: np.ndarray, *, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """The show in feature space: each frame is its photo's vector, moved a little.

    Args:
        show: which photo stands when.
        photos: (N, D) unit vectors of the photos.
        noise: length of a random step added to each frame, in parts of a unit vector.
        seed: of the steps.

    Returns:
        (F, D) float16, unit length.
    """
    vectors = photos[show.photo_at()].astype(np.float32)
    if noise:
        step = np.random.default_rng(seed).normal(size=vectors.shape).astype(np.float32)
        vectors = vectors + noise * step / np.linalg.norm(step, axis=1, keepdims=True)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def frame_pixels(show: Slideshow, pictures: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """The show in pixels: a slow zoom over each photo, frame by frame.

    Args:
        show: which photo stands when.
        pictures: (H, W, 3) uint8 of every photo, all of one size.

    Yields:
        (H, W, 3) uint8, F times.
    """
    for place, photo in enumerate(show.photos):
        length = int(show.borders[place + 1] - show.borders[place])
        for step in range(length):
            yield _zoom(pictures[photo], step / max(1, length - 1), into=place % 2 == 0)


def _zoom(picture: np.ndarray, progress: float, *, into: bool) -> np.ndarray:
    """Crop towards the centre and scale back to the same size by nearest pixels."""
    margin = ZOOM / 2 * (progress if into else 1 - progress)
    height, width = picture.shape[:2]
    rows = np.linspace(margin * (height - 1), (1 - margin) * (height - 1), height).round().astype(np.int64)
    columns = np.linspace(margin * (width - 1), (1 - margin) * (width - 1), width).round().astype(np.int64)
    return picture[rows][:, columns]
