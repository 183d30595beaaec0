"""Pads what a tower gave, text by text and video by video, into the tensors a model takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.config import ModelConfig
from explorer.records import TextFeatures


@dataclass(frozen=True)
class TextBatch:
    """Q texts, padded. Masks are True where real; a phrase with weight 0 is not real.

    sentence (Q, D), words (Q, W, D), word_mask (Q, W), phrases (Q, P, D), phrase_mask (Q, P), phrase_weights (Q, P):
    a person's factors, 1 where nothing was said. Where the model makes the phrases itself, P is 0.
    """

    sentence: Tensor
    words: Tensor
    word_mask: Tensor
    phrases: Tensor
    phrase_mask: Tensor
    phrase_weights: Tensor

    def __len__(self) -> int:
        return len(self.sentence)

    def to(self, device: str | torch.device) -> TextBatch:
        """The same batch on another device."""
        moved = {f.name: getattr(self, f.name).to(device) for f in dataclasses.fields(self)}
        return TextBatch(**moved)


def pad(rows: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Stack arrays of (n_i, D) to (N, max n_i, D) float32 and their mask (N, max n_i) bool; padding is 0."""
    longest = max(len(row) for row in rows)
    padded = np.zeros((len(rows), longest, rows[0].shape[1]), dtype=np.float32)
    mask = np.zeros((len(rows), longest), dtype=bool)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
        mask[i, : len(row)] = True
    return torch.from_numpy(padded), torch.from_numpy(mask)


def collate_text(features: Sequence[TextFeatures], config: ModelConfig) -> TextBatch:
    """Tower outputs of Q texts as one padded batch.

    Words past config.words are cut. A text without words, or without a phrase that is on, has its sentence as the
    one word or phrase. A person's phrase weights come from phrase_spans, one a phrase; without spans all are 1.

    Raises:
        ValueError: no text, a width other than config.dim, values that are not finite, or spans that do not match.
    """
    if not features:
        raise ValueError("no text to collate")
    for text in features:
        _check_text(text, config.dim)
    sentence = torch.from_numpy(np.stack([text.sentence for text in features]).astype(np.float32))
    words, word_mask = pad(
        [text.words[: config.words] if len(text.words) else text.sentence[None] for text in features]
    )
    if config.text_levels == "learned":
        none = torch.zeros(len(features), 0)
        return TextBatch(sentence, words, word_mask, torch.zeros(len(features), 0, config.dim), none.bool(), none)
    phrases, weights = zip(*map(_phrases, features))
    padded, phrase_mask = pad(phrases)
    factors = pad([row[:, None] for row in weights])[0][:, :, 0]  # (Q, P)
    return TextBatch(sentence, words, word_mask, padded, phrase_mask & (factors > 0), factors)


def _phrases(text: TextFeatures) -> tuple[np.ndarray, np.ndarray]:
    """Phrase vectors (P, D) and a person's weights (P,) of one text; its sentence where no phrase is on."""
    weights = np.array([span.weight for span in text.phrase_spans] or [1.0] * len(text.phrases), dtype=np.float32)
    if not (weights > 0).any():
        return text.sentence[None], np.ones(1, dtype=np.float32)
    return text.phrases, weights


def _check_text(text: TextFeatures, dim: int) -> None:
    if text.sentence.shape != (dim,):
        raise ValueError(f"the sentence vector of {text.text[:60]!r} has shape {text.sentence.shape}, not ({dim},)")
    _check_rows(text.sentence[None], dim, f"the sentence of {text.text[:60]!r}")
    _check_rows(text.words, dim, f"words of {text.text[:60]!r}")
    _check_rows(text.phrases, dim, f"phrases of {text.text[:60]!r}")
    if text.phrase_spans and len(text.phrase_spans) != len(text.phrases):
        raise ValueError(f"{len(text.phrase_spans)} phrase spans for {len(text.phrases)} phrases of {text.text[:60]!r}")
    for span in text.phrase_spans:
        if not (np.isfinite(span.weight) and span.weight >= 0):
            raise ValueError(f"the weight of phrase {span.text!r} must be finite and not negative, not {span.weight}")


def _check_rows(rows: np.ndarray, dim: int, name: str) -> None:
    if rows.ndim != 2 or rows.shape[1] != dim:
        raise ValueError(f"{name} have shape {rows.shape}, not (n, {dim})")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} hold values that are not finite")
