"""Third step of a search: the model scores the candidates at three levels; the scores are kept, so that level weights
move without it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from explorer.records import LEVELS, LevelWeights, TextFeatures
from explorer.search.retrieve import QueryVectors, WindowBatch

if TYPE_CHECKING:
    from explorer.records import Phrase

SENTENCE_SHARE = 0.5  # of the frame curve; the rest is the phrases', so that a moment is where the phrases are
EXCLUDED_Z = 2.0  # standard deviations above the library's mean from which an excluded phrase is there
PUSHED_DOWN = 0.5  # what an excluded phrase costs a hit below that, in standard deviations of the totals
LEVEL_SHARE = 0.1  # of a shortlist for the best of each level alone: a slider may leave one level in charge


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for the small products of a search: waking more costs twice what they save
    (benchmarks/search_speed.py)."""
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


class Encoder(Protocol):
    """What a search asks of a checkpoint with its tower; levels and texts pass through it unread."""

    name: str  # checkpoint id; the windows of the index must name the same
    model: Any  # HCMI or HGR: similarity(text levels, video levels) -> level -> (Q, V)

    def text(self, text: str, phrases: Sequence[Phrase] = ()) -> TextFeatures:
        """A text through the tower; phrases of the person's, else the parser's."""

    def texts(self, texts: Sequence[str]) -> list[TextFeatures]:
        """Many texts at once, with the parser's phrases."""

    def text_levels(self, texts: Sequence[TextFeatures]) -> Any:
        """The model's TextLevels of Q texts."""

    def levels(self, features: np.ndarray, mask: np.ndarray) -> Any:
        """The model's VideoLevels of V windows, (V, F, D) kept features and (V, F) bool."""

    def encode_frames(self, pixels: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) uint8 of the tower's size -> (N, D) float16."""


@dataclass(frozen=True)
class Grids:
    """The cosines under the level scores of one text and V windows, and where the clips are.

    phrase_clip (V, P, C), phrase_frame (V, P, F) and word_frame (V, W, F), the lowest float where padded; assignment
    (V, F, C) is each frame's share in each clip; P are the phrases that are on, W the words of the text's features.
    """

    phrase_clip: np.ndarray
    phrase_frame: np.ndarray
    word_frame: np.ndarray
    assignment: np.ndarray
    clip_mask: np.ndarray


@dataclass(frozen=True)
class Scored:
    """K candidates of one query with all that orders, bounds and explains them: no weight of a level is in it.

    scores is (K, 3) in the order of LEVELS; curve (K, F) tells where in a window the phrases are, the lowest float
    where padded; penalty (K,) is what excluded phrases cost, infinity where they remove.
    """

    encoded: Any  # the model's TextLevels of the query
    batch: WindowBatch
    levels: Any  # the model's VideoLevels of the batch, kept so that nothing is clustered twice
    scores: np.ndarray
    grids: Grids
    curve: np.ndarray
    penalty: np.ndarray

    def totals(self, weights: LevelWeights) -> np.ndarray:
        """(K,) weighted mean of the levels less the penalty; minus infinity where an excluded phrase removes."""
        return total(self.scores, weights) - self.penalty

    def take(self, rows: np.ndarray) -> Scored:
        """The named candidates alone."""
        return Scored(
            self.encoded,
            take_rows(self.batch, rows),
            take(self.levels, rows),
            self.scores[rows],
            take_rows(self.grids, rows),
            self.curve[rows],
            self.penalty[rows],
        )


def total(scores: np.ndarray, weights: LevelWeights) -> np.ndarray:
    """(..., 3) level scores -> (...) weighted means.

    >>> total(np.array([[1.0, 0.5, 0.0]]), LevelWeights(video=1, clip=1, frame=0)).tolist()
    [0.75]
    """
    return scores @ np.asarray(weights.normalised(), np.float64)


def array(tensor: Any) -> np.ndarray:
    """A tensor on any device, or an array, as a numpy array of float32 or of its own whole or bool type."""
    if not hasattr(tensor, "detach"):
        return np.asarray(tensor)
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def take(levels: Any, rows: np.ndarray) -> Any:
    """The named rows of a model's TextLevels or VideoLevels."""
    import torch

    parts = {field.name: getattr(levels, field.name) for field in fields(levels)}
    device = next(part.device for part in parts.values() if isinstance(part, torch.Tensor))
    chosen = torch.as_tensor(np.asarray(rows, np.int64), device=device)
    return type(levels)(
        **{name: part[chosen] if isinstance(part, torch.Tensor) else part for name, part in parts.items()}
    )


def take_rows(record: Any, rows: np.ndarray) -> Any:
    """The named rows of every array of a record."""
    return type(record)(**{field.name: getattr(record, field.name)[rows] for field in fields(record)})


def compare(encoder: Encoder, text: Any, levels: Any) -> np.ndarray:
    """Level scores (Q, V, 3) of Q texts (TextLevels) and V windows (VideoLevels), by the model's own similarity."""
    import torch

    with torch.inference_mode():
        found = encoder.model.similarity(text, levels)
        return np.stack([array(found[level]) for level in LEVELS], axis=-1)


def frame_curve(encoded: Any, levels: Any) -> tuple[Grids, np.ndarray]:
    """The cosines of one text's phrases and words with each window's clips and frames, and its frame curve (V, F)."""
    import torch

    with torch.inference_mode():
        lowest = torch.finfo(torch.float32).min
        phrases, words = encoded.phrases[0][encoded.phrase_mask[0]], encoded.words[0][encoded.word_mask[0]]
        no_frame, no_clip = ~levels.frame_mask[:, None], ~levels.clip_mask[:, None]
        table = torch.einsum("nd,vfd->vnf", torch.cat([encoded.sentence, phrases, words]), levels.frames)  # (V, N, F)
        table = table.masked_fill(no_frame, lowest)
        phrase_frame, word_frame = table[:, 1 : 1 + len(phrases)], table[:, 1 + len(phrases) :]
        phrase_clip = torch.einsum("pd,vcd->vpc", phrases, levels.clips).masked_fill(no_clip, lowest)
        shares = encoded.phrase_weights[0][encoded.phrase_mask[0]].float()
        of_phrases = torch.einsum("p,vpf->vf", shares, phrase_frame) if len(phrases) else table[:, 0]
        curve = SENTENCE_SHARE * table[:, 0] + (1 - SENTENCE_SHARE) * of_phrases
        return Grids(
            array(phrase_clip),
            array(phrase_frame),
            array(word_frame),
            array(levels.assignment),
            array(levels.clip_mask),
        ), array(curve)


def average_frame(encoded: Any, levels: Any) -> float:
    """The frame curve's mean over windows sampled from the library: what an average frame is worth to this text."""
    _, curve = frame_curve(encoded, levels)
    return float(curve[array(levels.frame_mask)].mean())


def score(encoder: Encoder, encoded: Any, batch: WindowBatch) -> Scored:
    """Score candidates at all levels.

    Args:
        encoder: the checkpoint that made the index.
        encoded: the model's TextLevels of one query; phrase weights count.
        batch: K candidates with their kept features.
    """
    levels = encoder.levels(batch.features, batch.mask)
    grids, curve = frame_curve(encoded, levels)
    scores = compare(encoder, encoded, levels)[0]
    return Scored(encoded, batch, levels, scores, grids, curve, penalty=np.zeros(len(batch)))


def query_vectors(encoded: Any) -> QueryVectors:
    """One text's TextLevels without their padding, as arrays."""

    def real(name: str) -> tuple[np.ndarray, np.ndarray]:
        mask = array(getattr(encoded, f"{name}_mask"))[0]
        return array(getattr(encoded, f"{name}s"))[0][mask], array(getattr(encoded, f"{name}_weights"))[0][mask]

    return QueryVectors(array(encoded.sentence)[0], *real("phrase"), *real("word"))


def estimate(query: QueryVectors, batch: WindowBatch) -> np.ndarray:
    """The level scores (K, 3) without the model's video side: frames as the tower gave them, in the place of clips too.

    Clustering is nine tenths of the cost of a full score; this one is a product of matrices, and near enough to say
    which windows deserve it (how near: benchmarks/search_speed.py).
    """
    rows = np.concatenate([query.sentence[None], query.phrases, query.words])
    frames = batch.features.astype(np.float32)
    table = (frames.reshape(-1, frames.shape[2]) @ rows.T).reshape(*frames.shape[:2], -1)  # (K, F, 1 + P + W)
    last, count = 1 + len(query.phrases), batch.mask.sum(1)
    mean = (batch.mask[:, None].astype(np.float32) @ frames)[:, 0]
    video = (table[:, :, 0] * batch.mask).sum(1) / np.maximum(np.linalg.norm(mean, axis=1), 1e-6)
    levels = [
        video,
        _max_mean(table[:, :, 1:last], batch.mask, count, query.phrase_weights),
        _max_mean(table[:, :, last:], batch.mask, count, query.word_weights),
    ]
    return np.stack(levels, axis=1)


def _max_mean(table: np.ndarray, mask: np.ndarray, count: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Late interaction (K,) of cosines (K, F, N): tokens by shares (N,), frames equal; 0 without a token."""
    if not len(shares):
        return np.zeros(len(table), table.dtype)
    best_frame = np.where(mask[:, :, None], table, -np.inf).max(1)  # (K, N)
    best_token = np.where(mask, table.max(2), 0).sum(1) / np.maximum(count, 1)  # (K,)
    return (best_frame @ shares + best_token) / 2


def shortlist(query: QueryVectors, batch: WindowBatch, *, weights: LevelWeights, count: int) -> WindowBatch:
    """The `count` most promising candidates in their old order: by estimated total, and some by each level alone."""
    if len(batch) <= count:
        return batch
    levels = estimate(query, batch)
    alone = max(int(LEVEL_SHARE * count), 1)
    chosen = [np.argpartition(-levels[:, level], alone)[:alone] for level in range(levels.shape[1])]
    by_total = np.argsort(-total(levels, weights), kind="stable")
    rows = np.concatenate([by_total[: count - 3 * alone], *chosen, by_total])
    _, first_named = np.unique(rows, return_index=True)
    return take_rows(batch, np.sort(rows[np.sort(first_named)][:count]))


def presence(sentences: np.ndarray, levels: Any) -> np.ndarray:
    """How much of each text is anywhere in each window: the best clip's cosine, (N, D) and V windows -> (N, V)."""
    clips, mask = array(levels.clips), array(levels.clip_mask)
    cosines = np.einsum("nd,vcd->nvc", sentences, clips, optimize=True)
    return np.where(mask[None], cosines, -np.inf).max(-1)


def exclude(scored: Scored, excluded: Sequence[np.ndarray], *, weights: LevelWeights, reference: Any = None) -> Scored:
    """Let excluded phrases cost: a window where one stands out goes, one where it is likelier than usual falls.

    z is a window's presence of the phrase in standard deviations above its mean over the reference windows;
    z >= EXCLUDED_Z removes, 0 < z < EXCLUDED_Z costs PUSHED_DOWN * z standard deviations of the candidates' totals.

    Args:
        scored: the candidates.
        excluded: (D,) unit sentence vectors of the excluded phrases.
        weights: of the totals whose spread is the unit of the cost.
        reference: VideoLevels of windows sampled over the library; None takes the candidates themselves.
    """
    if not len(excluded) or not len(scored.batch):
        return scored
    sentences = np.stack(list(excluded)).astype(np.float32)
    here = presence(sentences, scored.levels)
    usual = here if reference is None else presence(sentences, reference)
    z = (here - usual.mean(1, keepdims=True)) / np.maximum(usual.std(1, keepdims=True), 1e-6)
    worst = z.max(0)
    spread = float(total(scored.scores, weights).std())
    cost = np.where(worst >= EXCLUDED_Z, np.inf, PUSHED_DOWN * spread * np.maximum(worst, 0))
    return replace(scored, penalty=scored.penalty + cost)
