"""Measures alignment where the truth is known: phrases against slide-shows, captions against clips put end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from explorer.records import TextFeatures
from explorer.training.dataset import PairData, pad
from explorer.training.evaluate import level_scores
from explorer.training.objective import collate_text, device_of
from explorer.training.slideshow import Slideshow

CUT_QUANTILE_GAP = 0.75  # a cut: neighbours less alike than this share of the median likeness
LONGEST_RUN = 3  # consecutive shots that may be one moment
SAME_MOMENT = 0.5  # IoU from which a lower-ranked proposal is the same moment as a higher one
GOOD_IOU = 0.5  # of the moment metrics


# ---- phrases in slide-shows


@torch.inference_mode()
def phrase_alignment(
    model: nn.Module,
    shows: Sequence[Slideshow],
    features: Sequence[np.ndarray],
    captions: Sequence[Sequence[TextFeatures]],
) -> dict[str, float]:
    """Does each phrase of a photo's caption choose the clip that shows this photo?

    A phrase points to its best clip by cosine. It is right when most of that clip, by the frames assigned to it, lies
    where the photo is shown (so that a clip smeared over the whole video proves nothing); its IoU is that of the
    clip's frames and the photo's.

    Args:
        model: HCMI.
        shows: with different photos each.
        features: (F, D) of each show.
        captions: for each show, the caption of each of its slides.

    Returns:
        {"phrases": how many, "pointing": percent right, "chance": percent by time alone, "iou": mean IoU in percent}
    """
    model.eval()
    vectors, mask = pad(features)
    device = device_of(model)
    videos = model.encode_video(torch.from_numpy(vectors).to(device), torch.from_numpy(mask).to(device))
    clips, clip_mask = videos.clips.float().cpu().numpy(), videos.clip_mask.cpu().numpy()
    assignment = videos.assignment.float().cpu().numpy()
    found = [
        row
        for number, show in enumerate(shows)
        for row in _point(
            model, show, clips[number][clip_mask[number]], assignment[number][:, clip_mask[number]], captions[number]
        )
    ]
    right, iou, chance = np.array(found).T
    return {
        "phrases": len(found),
        "pointing": 100 * float(right.mean()),
        "chance": 100 * float(chance.mean()),
        "iou": 100 * float(iou.mean()),
    }


def _point(
    model: nn.Module, show: Slideshow, clips: np.ndarray, assignment: np.ndarray, captions: Sequence[TextFeatures]
) -> list[tuple[float, float, float]]:
    texts = model.encode_text(collate_text(list(captions), model))
    phrases, phrase_mask = texts.phrases.float().cpu().numpy(), texts.phrase_mask.cpu().numpy()
    rows = []
    for place in range(len(captions)):
        truth = show.frames_of(place)
        for phrase in phrases[place][phrase_mask[place]]:
            rows.append(_judge(assignment[: len(truth), int((clips @ phrase).argmax())], truth))
    return rows


def _judge(share: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """(right, IoU, chance) of one phrase: the clip's share of each frame (F,) against the true frames (F,)."""
    share = share / share.sum()
    covered = share >= 0.5 / max(1, (share > 0).sum())  # frames that count: at least half an even share
    iou = (covered & truth).sum() / (covered | truth).sum()
    return float(share[truth].sum() > 0.5), float(iou), float(truth.mean())


# ---- moments in clips put end to end


@dataclass(frozen=True)
class Timeline:
    """Clips end to end: times (N,) and vectors (N, D) of every kept frame, spans (V, 2) seconds of each clip."""

    times: np.ndarray
    vectors: np.ndarray
    spans: np.ndarray


def concatenate(times: Sequence[np.ndarray], vectors: Sequence[np.ndarray], durations: Sequence[float]) -> Timeline:
    """Put clips end to end; each clip's times start at 0 and end before its duration."""
    starts = np.concatenate([[0.0], np.cumsum(durations)])
    shifted = [t + s for t, s in zip(times, starts[:-1], strict=True)]
    return Timeline(np.concatenate(shifted), np.concatenate(list(vectors)), np.stack([starts[:-1], starts[1:]], axis=1))


def shot_borders(timeline: Timeline) -> np.ndarray:
    """Frame numbers at which a new shot begins, 0 and N included: where neighbours are much less alike than usual."""
    vectors = timeline.vectors.astype(np.float32)
    alike = (vectors[1:] * vectors[:-1]).sum(axis=1)
    cuts = np.flatnonzero(alike < CUT_QUANTILE_GAP * np.median(alike)) + 1
    return np.concatenate([[0], cuts, [len(vectors)]])


def proposals(timeline: Timeline) -> tuple[np.ndarray, list[np.ndarray]]:
    """Candidate moments: every run of one to three shots as (M, 2) seconds, and the frames of each."""
    borders = shot_borders(timeline)
    end = timeline.spans[-1, 1]
    edges = np.concatenate([[0.0], (timeline.times[borders[1:-1] - 1] + timeline.times[borders[1:-1]]) / 2, [end]])
    runs = [(i, j) for i in range(len(borders) - 1) for j in range(i + 1, min(i + LONGEST_RUN, len(borders) - 1) + 1)]
    return (
        np.array([(edges[i], edges[j]) for i, j in runs]),
        [timeline.vectors[borders[i] : borders[j]] for i, j in runs],
    )


def span_iou(spans: np.ndarray, span: np.ndarray) -> np.ndarray:
    """(M, 2) against (2,) -> (M,) intersection over union in time.

    >>> span_iou(np.array([[0.0, 2.0]]), np.array([1.0, 3.0])).round(3).tolist()
    [0.333]
    """
    shared = np.minimum(spans[:, 1], span[1]) - np.maximum(spans[:, 0], span[0])
    shared = shared.clip(min=0)
    return shared / (spans[:, 1] - spans[:, 0] + span[1] - span[0] - shared)


def moments(
    model: nn.Module, timeline: Timeline, texts: Sequence[TextFeatures], owners: np.ndarray, *, frames: int = 12
) -> dict[str, float]:
    """Find the clip of every caption within the concatenation, its borders unknown to the search.

    Args:
        model: HCMI.
        timeline: the clips end to end.
        texts: Q captions.
        owners: (Q,) the clip of each.
        frames: F, frames a window.

    Returns:
        {"queries", "R@1", "R@5" in percent at IoU 0.5, "mIoU" in percent: the first proposal's}
    """
    spans, vectors = proposals(timeline)
    data = PairData(
        tuple(map(str, range(len(vectors)))),
        np.tile([0.0, np.inf], (len(vectors), 1)),
        tuple(vectors),
        texts,
        np.zeros(len(texts), np.int64),
    )
    total = level_scores(model, data, frames=frames)["total"]
    overlaps = [
        span_iou(spans[_distinct(row, spans, 5)], timeline.spans[owner])
        for row, owner in zip(total, owners, strict=True)
    ]
    return {
        "queries": len(texts),
        "R@1": 100 * float(np.mean([o[0] >= GOOD_IOU for o in overlaps])),
        "R@5": 100 * float(np.mean([o.max() >= GOOD_IOU for o in overlaps])),
        "mIoU": 100 * float(np.mean([o[0] for o in overlaps])),
    }


def _distinct(scores: np.ndarray, spans: np.ndarray, count: int) -> np.ndarray:
    """The best proposals, none the same moment as a better one; ties by time."""
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if not kept or span_iou(spans[kept], spans[index]).max() < SAME_MOMENT:
            kept.append(int(index))
        if len(kept) == count:
            break
    return np.array(kept)


def alignment_table(rows: dict[str, dict[str, Any]]) -> str:
    """name -> result of `phrase_alignment` or `moments`, as Markdown."""
    columns = list(next(iter(rows.values())))
    lines = ["| model | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        cells = [f"{row[c]:.1f}" if isinstance(row[c], float) else str(row[c]) for c in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
