"""Videos of different lengths as one padded batch, for tests of the models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from explorer.model.batch import pad


def collate_frames(videos: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Frame features of V videos, each (F_i, D), as (V, F, D) float32 and their mask (V, F) bool."""
    return pad(videos)
