"""The other usual pipeline: seek to each second, decode up to it, and encode sixteen frames at a time."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from explorer.model.towers.tower import Tower

BATCH = 16


def embed_film(path: Path, tower: Tower) -> np.ndarray:
    """(N, D) unit vectors of one frame a second of a film."""
    pictures = read_film(path, (tower.frame_size.width, tower.frame_size.height))
    found = np.concatenate([tower._eager(pictures[i : i + BATCH]) for i in range(0, len(pictures), BATCH)])
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def read_film(path: Path, size: tuple[int, int]) -> np.ndarray:
    """(N, H, W, 3) uint8: the frame at the middle of each second."""
    pictures = []
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        seconds = float(stream.duration * stream.time_base) if stream.duration else film.duration / av.time_base
        for moment in np.arange(0.5, seconds, 1.0):
            film.seek(int(moment / stream.time_base), stream=stream)
            for frame in film.decode(stream):
                if frame.time is not None and frame.time >= moment:
                    pictures.append(np.asarray(frame.to_image().resize(size, 3)))  # 3: bicubic
                    break
    return np.stack(pictures)
