"""Measures a model on captioned videos: files and captions -> kept features -> the field's numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from explorer.config import SamplingConfig
from explorer.service.library import Library
from explorer.service.material import Material, captioned_material
from explorer.service.models import Models
from explorer.service.requests import EvaluateRequest
from explorer.service.search_caches import SearchCaches
from explorer.training.benchmarks import BENCHMARKS, read_benchmark
from explorer.training.captions import CaptionSet, read_captions

if TYPE_CHECKING:
    from explorer.model.encoder import Encoder
    from explorer.training.binary_selection import Score
    from explorer.training.dataset import PairData

PAIRS_AT_ONCE = 64
FRAMES = 12  # F of a clip; a longer protocol asks for a sampling of its own


@dataclass(frozen=True)
class Evaluated:
    """A measurement: JSON values for a script, and a table for a person."""

    result: Mapping[str, object]
    table: str


class Evaluation:
    """Measures models. What was decoded for one measurement is kept for the next.

    Args:
        library: keeps the features.
        models: gives the encoder of a checkpoint.
        caches: gives the bank of unrelated captions.
    """

    def __init__(self, library: Library, models: Models, caches: SearchCaches) -> None:
        self.library, self.models, self.caches = library, models, caches

    def evaluate(self, request: EvaluateRequest) -> Evaluated:
        """Measure what was asked for: captions, a benchmark, or fine-grained selection on either.

        Raises:
            ExplorerError: captions or videos that cannot be used, or a model that cannot be loaded.
        """
        encoder = self.models.encoder(request.checkpoint or None)
        if request.binary_selection:
            return self._measure_selection(request, encoder)
        if request.benchmark:
            return self._measure_benchmark(request, encoder)
        return self._measure_captions(request, encoder)

    def _measure_captions(self, request: EvaluateRequest, encoder: Encoder) -> Evaluated:
        """Retrieval on a person's own captions."""
        from explorer.training.evaluate import evaluate, table

        material = captioned_material(self.library, encoder, _captions(request), request.videos)
        frames = self.library.settings.sampling.frames
        result = evaluate(encoder.model, material.data(encoder), frames=frames, weights=request.weights)
        return _with_notices(result, table(result), material)

    def _measure_benchmark(self, request: EvaluateRequest, encoder: Encoder) -> Evaluated:
        """One of the field's benchmarks by its protocol, beside the published table."""
        from explorer.training.evaluate import evaluate_benchmark, table

        captions, frames = _captions(request), BENCHMARKS[request.benchmark].frames
        sampling = SamplingConfig(frames=frames, hop=frames) if frames > FRAMES else None
        material = captioned_material(self.library, encoder, captions, request.videos, sampling=sampling)
        data = material.data(encoder)
        missing = len({pair.file for pair in captions.pairs}) - len(set(data.files))
        bank = self.caches.bank(encoder)
        result = evaluate_benchmark(encoder.model, data, request.benchmark, missing=missing, bank=bank)
        return _with_notices(result, table(result), material)

    def _measure_selection(self, request: EvaluateRequest, encoder: Encoder) -> Evaluated:
        """Fine-grained binary selection: the true sentence against altered ones, accuracy a kind, beside the tower
        alone."""
        from explorer.training.binary_selection import binary_selection, choices, word_bank

        material = captioned_material(self.library, encoder, _captions(request), request.videos)
        data = material.data(encoder)
        texts = [data.texts[i].text for i in range(len(data))]
        questions = choices(list(zip(data.owners.tolist(), texts)), bank=word_bank(texts))
        accuracy = {name: binary_selection(scorer, questions) for name, scorer in scorers(encoder, data).items()}
        lines = [
            f"{name:10} "
            + "  ".join(f"{kind} {row['accuracy']:.1f} ({row['pairs']:.0f})" for kind, row in kinds.items())
            for name, kinds in accuracy.items()
        ]
        return _with_notices({"videos": len(data.files), "accuracy": accuracy}, "\n".join(lines), material)


def _captions(request: EvaluateRequest) -> CaptionSet:
    if request.captions is not None:
        return read_captions(request.captions)
    assert request.annotations is not None  # the request has checked it
    return read_benchmark(request.benchmark, request.annotations)


def _with_notices(result: Mapping[str, object], table: str, material: Material) -> Evaluated:
    return Evaluated({**result, "notices": list(material.notices)}, "\n".join([table, *material.notices]))


def scorers(encoder: Encoder, data: PairData) -> dict[str, Score]:
    """Pairwise scores (video numbers, texts) -> (N,): the checkpoint's total, and the tower alone."""
    from explorer.training.dataset import centre_view, pad

    views = [frames[centre_view(len(frames), FRAMES)] for frames in data.frames]
    means = np.stack([frames.astype(np.float32).mean(axis=0) for frames in data.frames])
    means /= np.linalg.norm(means, axis=1, keepdims=True)

    def score_part(videos: Sequence[int], texts: Sequence[str]) -> np.ndarray:
        matrix = encoder.score(encoder.texts(list(texts)), *pad([views[video] for video in videos]))["total"]
        return np.diag(matrix)

    def total(videos: Sequence[int], texts: Sequence[str]) -> np.ndarray:
        starts = range(0, len(texts), PAIRS_AT_ONCE)
        return np.concatenate([score_part(videos[i : i + PAIRS_AT_ONCE], texts[i : i + PAIRS_AT_ONCE]) for i in starts])

    def mean_pool(videos: Sequence[int], texts: Sequence[str]) -> np.ndarray:
        return (encoder.tower.encode_texts(list(texts)) * means[np.asarray(videos)]).sum(axis=1)

    return {encoder.config.model: total, "mean_pool": mean_pool}
