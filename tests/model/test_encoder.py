"""The encoder joins tower, parser and model: each level's vectors are the tower's own, whatever the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from explorer.config import ModelConfig
from explorer.model.encoder import Encoder
from explorer.model.hcmi import HCMI
from explorer.model.towers.load import load_tower
from explorer.model.towers.tower import Tower
from explorer.records import LEVELS, LevelWeights, Phrase
from tests.support.tiny_clip import DIM, SIZE, make

PROMPT = "a video of {}"
TEXT = "a brown dog jumps over the low wall"


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Tower:
    return load_tower(make(tmp_path_factory.mktemp("towers")), device="cpu")


@pytest.fixture(scope="module")
def encoder(tower: Tower) -> Encoder:
    return Encoder(tower, HCMI(ModelConfig(dim=DIM, prompt=PROMPT)), name="tiny-1")


def features(encoder: Encoder, videos: int = 3, frames: int = 12) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.random.default_rng(1).integers(0, 256, (videos * frames, SIZE, SIZE, 3), dtype=np.uint8)
    return encoder.encode_frames(pixels).reshape(videos, frames, DIM), np.ones((videos, frames), bool)


def test_words_and_phrases_are_prompts_of_their_own(encoder: Encoder, tower: Tower) -> None:
    found = encoder.text(TEXT)
    np.testing.assert_allclose(found.sentence, tower.encode_texts([TEXT])[0], atol=1e-5)
    np.testing.assert_allclose(
        found.words, tower.encode_texts([PROMPT.format(word) for word in found.word_texts]), atol=1e-5
    )
    spans = [span.text for span in found.phrase_spans]
    np.testing.assert_allclose(found.phrases, tower.encode_texts([PROMPT.format(span) for span in spans]), atol=1e-5)
    assert "dog" in found.word_texts and any("dog" in span for span in spans) and len(spans) < len(found.word_texts)
    assert all(TEXT[span.start : span.end] == span.text for span in found.phrase_spans)


def test_a_person_chooses_the_phrases(encoder: Encoder, tower: Tower) -> None:
    chosen = (Phrase("brown dog", 2, 11), Phrase("low wall", 27, 35, weight=0.5))
    found = encoder.text(TEXT, chosen)
    assert found.phrase_spans == chosen
    np.testing.assert_allclose(found.phrases[1], tower.encode_texts(["a video of low wall"])[0], atol=1e-5)


def test_many_texts_are_as_one_by_one(encoder: Encoder) -> None:
    texts = [TEXT, "snow", "", TEXT, "two people and a dog, no snow"]
    for together, text in zip(encoder.texts(texts), texts, strict=True):
        alone = encoder.text(text)
        assert (
            together.text == text
            and together.word_texts == alone.word_texts
            and together.phrase_spans == alone.phrase_spans
        )
        for name in ("sentence", "words", "phrases"):
            np.testing.assert_allclose(getattr(together, name), getattr(alone, name), atol=1e-5)


def test_learned_words_are_the_towers_token_outputs(tower: Tower) -> None:
    encoder = Encoder(tower, HCMI(ModelConfig(dim=DIM, heads=2, text_levels="learned")), name="tiny-2")
    found, tokens = encoder.text(TEXT), tower.encode_tokens([TEXT])[0]
    assert " ".join(found.word_texts) == TEXT
    np.testing.assert_allclose(found.words, tokens.vectors, atol=1e-5)
    scores = encoder.score([found, encoder.text("")], *features(encoder))  # a text without a word is no error
    assert scores["total"].shape == (2, 3) and np.isfinite(scores["total"]).all()


def test_words_and_phrases_in_context_are_means_of_the_token_outputs_under_them(tower: Tower) -> None:
    encoder = Encoder(tower, HCMI(ModelConfig(dim=DIM, text_levels="contextual")), name="tiny-3")
    found, tokens = encoder.text(TEXT), tower.encode_tokens([TEXT])[0]
    for rows, spans in (
        (found.phrases, found.phrase_spans),
        (found.words, [Phrase(w, TEXT.index(w), TEXT.index(w) + len(w)) for w in found.word_texts]),
    ):
        for row, span in zip(rows, spans, strict=True):
            under = [vector for vector, (a, b) in zip(tokens.vectors, tokens.spans) if a < span.end and b > span.start]
            mean = np.mean(under, axis=0)
            np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(found.sentence, tower.encode_texts([TEXT])[0], atol=1e-5)


def test_each_sentence_is_read_by_itself_and_the_whole_as_one(tower: Tower) -> None:
    encoder = Encoder(tower, HCMI(ModelConfig(dim=DIM, text_levels="contextual")), name="tiny-3")
    first, second = "a man in a red hat waves.", "Two dogs sleep on a St. Bernard!"
    found, alone = encoder.text(f"{first} {second}"), encoder.texts([first, second])
    assert found.word_texts == alone[0].word_texts + alone[1].word_texts
    assert [p.text for p in found.phrase_spans] == [p.text for text in alone for p in text.phrase_spans]
    for level in ("words", "phrases"):
        np.testing.assert_allclose(
            getattr(found, level), np.concatenate([getattr(text, level) for text in alone]), atol=1e-5
        )
    np.testing.assert_allclose(found.sentence, tower.encode_texts([f"{first} {second}"])[0], atol=1e-5)


def test_what_lies_past_the_towers_length_is_a_text_of_its_own(tower: Tower) -> None:
    encoder = Encoder(tower, HCMI(ModelConfig(dim=DIM, text_levels="contextual")), name="tiny-4")
    text = "a dog and " * 40 + "an umbrella"
    chosen = (Phrase("umbrella", text.index("umbrella"), len(text)),)
    np.testing.assert_allclose(encoder.text(text, chosen).phrases, tower.encode_texts(["umbrella"]), atol=1e-5)


def test_the_untrained_model_ranks_as_the_tower(encoder: Encoder, tower: Tower) -> None:
    frames, mask = features(encoder)
    coarse = encoder.windows(frames, mask)
    means = frames.astype(np.float32).mean(axis=1)
    np.testing.assert_allclose(coarse, means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-3)
    texts = encoder.texts([TEXT, "snow"])
    scores = encoder.score(texts, frames, mask)
    np.testing.assert_allclose(
        scores["video_sentence"], np.stack([text.sentence for text in texts]) @ coarse.T, atol=1e-4
    )
    only = encoder.score(texts, frames, mask, LevelWeights(0, 0, 1))
    np.testing.assert_allclose(only["total"], scores["frame_word"], atol=1e-6)
    assert set(scores) == {*LEVELS, "total"} and all(value.dtype == np.float32 for value in scores.values())


def test_padding_changes_no_score(encoder: Encoder) -> None:
    frames, mask = features(encoder)
    padded = np.concatenate([frames, np.full((3, 5, DIM), 9, np.float16)], axis=1)
    longer = np.concatenate([mask, np.zeros((3, 5), bool)], axis=1)
    texts = [encoder.text(TEXT)]
    for name, value in encoder.score(texts, frames, mask).items():
        np.testing.assert_allclose(encoder.score(texts, padded, longer)[name], value, atol=1e-5, err_msg=name)


def test_nothing_learns_and_the_width_must_fit(encoder: Encoder, tower: Tower) -> None:
    assert not any(p.requires_grad for p in (*encoder.model.parameters(), *encoder.tower.model.parameters()))
    assert encoder.tower_name == tower.name and encoder.dim == DIM and encoder.frame_size == tower.frame_size
    assert encoder.windows(np.zeros((0, 12, DIM), np.float16), np.zeros((0, 12), bool)).shape == (0, DIM)
    with pytest.raises(ValueError, match="gives width 32, the model takes 64"):
        Encoder(tower, HCMI(ModelConfig(dim=64)), name="wide")


def test_a_tower_of_its_own_file_may_have_a_hash_in_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "towers #1"
    folder.mkdir()
    name = make(folder)
    assert load_tower(name, device="cpu").name == name
    assert torch.get_default_dtype() == torch.float32
