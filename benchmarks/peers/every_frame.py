"""The usual pipeline: decode every frame, keep one a second, encode each alone as soon as it is there."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from explorer.model.towers.tower import Tower


def embed_film(path: Path, tower: Tower) -> np.ndarray:
    """(N, D) unit vectors of one frame a second of a film."""
    vectors, wanted, size = [], 0.5, tower.frame_size
    with av.open(str(path)) as film:
        for frame in film.decode(video=0):
            if frame.time is None or frame.time < wanted:
                continue
            picture = frame.to_image().resize((size.width, size.height), 3)  # 3: bicubic
            vectors.append(tower._eager(np.asarray(picture)[None]))
            wanted += 1.0
    found = np.concatenate(vectors)
    return found / np.linalg.norm(found, axis=1, keepdims=True)
