"""Measures retrieval both ways by the field's protocols: each level, the total, the tower alone; raw, DSL, QB-Norm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from explorer.records import LEVELS, LevelWeights, RetrievalMetrics, TextFeatures
from explorer.training.benchmarks import BENCHMARKS, published_rows
from explorer.training.dataset import PairData, centre_view, pad
from explorer.training.metrics import both_directions, dual_softmax, querybank_norm, retrieval
from explorer.training.objective import collate_text, device_of

SCORES = ("total", *LEVELS, "mean_pool")
TEXTS_AT_ONCE = 256
VIDEOS_AT_ONCE = 256
DIRECTIONS = ("text_to_video", "video_to_text")

Scores = dict[str, np.ndarray]


def runs_of(count: int, frames: int, hop: int) -> list[np.ndarray]:
    """The frame runs a video of `count` kept frames is seen as: one centre view, or overlapping windows with a hop.

    >>> [run.tolist() for run in runs_of(5, 4, 2)]
    [[0, 1, 2, 3], [1, 2, 3, 4]]
    """
    if not hop or count <= frames:
        return [centre_view(count, frames)]
    starts = sorted({*range(0, count - frames, hop), count - frames})
    return [np.arange(start, start + frames) for start in starts]


def mean_pool(frames: Sequence[np.ndarray], texts: Sequence[TextFeatures]) -> np.ndarray:
    """(Q, V) cosine of each sentence and the mean of a video's frame features: the tower alone."""
    means = np.stack([vectors.astype(np.float32).mean(axis=0) for vectors in frames])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return np.stack([texts[q].sentence for q in range(len(texts))]).astype(np.float32) @ means.T


def _chunks(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield [items[i] for i in range(start, min(start + size, len(items)))]


@torch.inference_mode()
def level_scores(
    model: nn.Module, data: PairData, *, frames: int = 12, hop: int = 0, weights: LevelWeights | None = None
) -> Scores:
    """Score every text against every video.

    Args:
        model: HCMI or HGR, with a config.
        data: Q texts and V videos.
        frames: F, frames a video or window.
        hop: 0 sees a video as F frames over its whole length (the field's protocol); else as windows of F frames
            that start every `hop`, its score being its best window's (the app's way with long files).
        weights: of the levels in the total; None takes the model's own.

    Returns:
        name -> (Q, V) float32 for the names of SCORES.

    Raises:
        ValueError: a score is NaN.
    """
    was_training = model.training
    model.eval()
    runs = [runs_of(len(vectors), frames, hop) for vectors in data.frames]
    windows = [vectors[run] for vectors, found in zip(data.frames, runs, strict=True) for run in found]
    first = np.cumsum([0, *(len(found) for found in runs)])[:-1]
    videos = [_encode_videos(model, part) for part in _chunks(windows, VIDEOS_AT_ONCE)]
    rows = [_score_texts(model, texts, videos, weights) for texts in _chunks(data.texts, TEXTS_AT_ONCE)]
    model.train(was_training)
    scores = {
        name: np.maximum.reduceat(np.concatenate([row[name] for row in rows]), first, axis=1)
        for name in ("total", *LEVELS)
    }
    return {**scores, "mean_pool": mean_pool(data.frames, data.texts)}


def _encode_videos(model: nn.Module, windows: list[np.ndarray]) -> Any:
    vectors, mask = pad(windows)
    device = device_of(model)
    return model.encode_video(torch.from_numpy(vectors).to(device), torch.from_numpy(mask).to(device))


def _score_texts(
    model: nn.Module, texts: list[TextFeatures], videos: list[Any], weights: LevelWeights | None
) -> Scores:
    encoded = model.encode_text(collate_text(texts, model))
    parts = [model.similarity(encoded, part, weights) for part in videos]
    return {name: torch.cat([part[name] for part in parts], dim=1).float().cpu().numpy() for name in ("total", *LEVELS)}


def measure(scores: Scores, data: PairData) -> dict[str, dict[str, RetrievalMetrics]]:
    """direction -> score name -> metrics."""
    correct = data.correct()
    found = {name: both_directions(matrix, correct) for name, matrix in scores.items()}
    return {direction: {name: found[name][direction] for name in scores} for direction in DIRECTIONS}


def rsum(metrics: dict[str, dict[str, RetrievalMetrics]], name: str = "total") -> float:
    """R@1 + R@5 + R@10 both ways: what a checkpoint is chosen by."""
    return sum(m.r1 + m.r5 + m.r10 for m in (metrics[direction][name] for direction in DIRECTIONS))


def as_json(metrics: dict[str, dict[str, RetrievalMetrics]]) -> dict[str, dict[str, dict[str, float]]]:
    return {direction: {name: found.as_json() for name, found in names.items()} for direction, names in metrics.items()}


def evaluate(
    model: nn.Module, data: PairData, *, frames: int = 12, hop: int = 0, weights: LevelWeights | None = None
) -> dict[str, Any]:
    """What `python -m explorer evaluate --captions` prints.

    Returns:
        {"videos", "queries", "text_to_video": {"total": {"R@1", ...}, "video_sentence", "clip_phrase", "frame_word",
        "mean_pool"}, "video_to_text": the same}; recalls in percent.
    """
    scores = level_scores(model, data, frames=frames, hop=hop, weights=weights)
    return {"videos": len(data.files), "queries": len(data), **as_json(measure(scores, data))}


def after_scoring(
    model: nn.Module, data: PairData, total: np.ndarray, *, frames: int = 12, bank: Sequence[TextFeatures] = ()
) -> dict[str, dict[str, dict[str, float]]]:
    """The total re-ranked by what needs more than one query: DSL both ways, QB-Norm text-to-video over a caption bank.

    Args:
        model: HCMI or HGR; its logit scale sharpens DSL.
        data: the pairs that were scored.
        total: (Q, V) from `level_scores`.
        frames: F, frames a video.
        bank: captions of no video of the gallery; without them QB-Norm is left out. (Video-to-text would need a bank
            of videos, which a caption bank is not.)

    Returns:
        {"dsl": {direction: metrics}, "qb_norm": {"text_to_video": metrics}}
    """
    correct = data.correct()
    asked = correct.any(axis=0)
    found = {
        "dsl": {
            "text_to_video": retrieval(dual_softmax(total), correct).as_json(),
            "video_to_text": retrieval(dual_softmax(total.T[asked]), correct.T[asked]).as_json(),
        }
    }
    if len(bank):
        against = PairData(data.files, data.spans, data.frames, bank, np.zeros(len(bank), np.int64))
        hubs = level_scores(model, against, frames=frames)["total"]
        found["qb_norm"] = {"text_to_video": retrieval(querybank_norm(total, hubs), correct).as_json()}
    return found


def evaluate_benchmark(
    model: nn.Module, data: PairData, name: str, *, missing: int = 0, bank: Sequence[TextFeatures] = ()
) -> dict[str, Any]:
    """A benchmark by its protocol, with the published rows to print beside it.

    Args:
        model: HCMI or HGR.
        data: the split's videos that are there, as kept features of the protocol's sampling.
        name: of the benchmark.
        missing: videos of the split that are not there; counted, and said in the result.
        bank: captions of no video of the gallery, for QB-Norm.

    Returns:
        evaluate's object with "benchmark", "missing_videos", "comparable", "after_scoring" and "published".
    """
    frames = BENCHMARKS[name].frames
    scores = level_scores(model, data, frames=frames)
    return {
        "benchmark": name,
        "videos": len(data.files),
        "missing_videos": missing,
        "comparable": missing == 0,
        "queries": len(data),
        **as_json(measure(scores, data)),
        "after_scoring": after_scoring(model, data, scores["total"], frames=frames, bank=bank),
        "published": published_rows(name),
    }


def table(result: dict[str, Any]) -> str:
    """The result of `evaluate` or `evaluate_benchmark` as Markdown, ours above the published rows."""
    lines = []
    for direction in DIRECTIONS:
        lines += [
            f"| {direction.replace('_', '-')} | R@1 | R@5 | R@10 | median rank | mean rank |",
            "|---|---|---|---|---|---|",
        ]
        for name, found in result[direction].items():
            lines.append(_row(name.replace("_", "-"), found))
        for name, ways in result.get("after_scoring", {}).items():
            if direction in ways:
                lines.append(_row(f"total, {name.upper().replace('_', '-')}", ways[direction]))
        lines += [*_list_published(result.get("published", []), direction), ""]
    if result.get("missing_videos"):
        lines.append(f"{result['missing_videos']} videos of the split are missing: not comparable with the published.")
    return "\n".join(lines).rstrip() + "\n"


def _row(name: str, found: dict[str, float]) -> str:
    return f"| {name} | " + " | ".join(f"{value:.1f}" for value in found.values()) + " |"


def _list_published(rows: list[dict[str, Any]], direction: str) -> list[str]:
    columns = ("R@1", "R@5", "R@10", "Median Rank", "Mean Rank")
    wanted = [row for row in rows if row["direction"] == direction.replace("_", "-")]
    lines = []
    for model in dict.fromkeys(row["model"] for row in wanted):
        cells = {row["metric"]: f"{row['value']:.1f}" for row in wanted if row["model"] == model}
        lines.append(f"| published: {model} | " + " | ".join(cells.get(column, "-") for column in columns) + " |")
    return lines
