"""Padding of tower outputs into tensors: texts without words or phrases, weights, and everything refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from explorer.config import ModelConfig
from explorer.model.batch import collate_text
from explorer.records import Phrase, TextFeatures
from tests.support.frames import collate_frames

CONFIG = ModelConfig(dim=4, heads=2, words=3)
AXES = np.eye(4, dtype=np.float32)


def text(words: int = 2, phrases: int = 2, weights: tuple[float, ...] = ()) -> TextFeatures:
    spans = tuple(Phrase("p", 0, 1, weight) for weight in weights)
    return TextFeatures("a text", AXES[3], AXES[:words], ("w",) * words, AXES[:phrases], spans)


def test_texts_are_padded_and_cut() -> None:
    batch = collate_text([text(1, 1), text(4, 2)], CONFIG)
    assert len(batch) == 2 and batch.words.shape == (2, 3, 4) and batch.phrases.shape == (2, 2, 4)
    assert batch.word_mask.tolist() == [[True, False, False], [True, True, True]]
    assert batch.phrase_mask.tolist() == [[True, False], [True, True]]
    assert batch.phrase_weights.tolist() == [[1.0, 0.0], [1.0, 1.0]]
    assert torch.equal(batch.words[0, 0], torch.eye(4)[0]) and not batch.words[0, 1:].any()
    assert batch.to("cpu").sentence.dtype == torch.float32


def test_a_text_without_words_or_phrases_has_its_sentence() -> None:
    for features in (text(0, 0), text(0, 2, (0.0, 0.0))):
        batch = collate_text([features], CONFIG)
        assert torch.equal(batch.words[0], torch.eye(4)[3:]) and torch.equal(batch.phrases[0], torch.eye(4)[3:])
        assert batch.phrase_weights.tolist() == [[1.0]] and batch.phrase_mask.tolist() == [[True]]


def test_a_phrase_that_is_off_is_not_real() -> None:
    batch = collate_text([text(2, 3, (2.0, 0.0, 0.5))], CONFIG)
    assert batch.phrase_weights.tolist() == [[2.0, 0.0, 0.5]] and batch.phrase_mask.tolist() == [[True, False, True]]


def test_learned_texts_bring_no_phrases() -> None:
    batch = collate_text([text(2, 2)], dataclasses.replace(CONFIG, text_levels="learned"))
    assert batch.phrases.shape == (1, 0, 4) and batch.phrase_mask.shape == (1, 0)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (dataclasses.replace(text(), sentence=np.zeros(5, np.float32)), "not \\(4,\\)"),
        (dataclasses.replace(text(), words=np.full((1, 4), np.nan, np.float32)), "not finite"),
        (dataclasses.replace(text(), phrases=np.zeros((2, 3), np.float32)), "phrases of 'a text'"),
        (text(2, 2, (1.0,)), "1 phrase spans for 2 phrases"),
        (text(2, 1, (float("nan"),)), "finite"),
        (text(2, 1, (-1.0,)), "not negative"),
    ],
)
def test_wrong_texts_are_refused(broken: TextFeatures, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collate_text([text(), broken], CONFIG)


def test_frames_are_padded_and_no_text_is_refused() -> None:
    frames, mask = collate_frames([AXES[:1].astype(np.float16), AXES[:3]])
    assert frames.shape == (2, 3, 4) and frames.dtype == torch.float32
    assert mask.tolist() == [[True, False, False], [True, True, True]]
    with pytest.raises(ValueError, match="no text"):
        collate_text([], CONFIG)
