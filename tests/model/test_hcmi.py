"""The whole model: untrained it is the tower, its levels are exact by hand, and every switch trains."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from explorer.config import ModelConfig, from_dict, to_dict
from explorer.model.batch import collate_text
from explorer.model.hcmi import HCMI, LOGIT_SCALE_MAX, TextLevels, VideoLevels, parameter_groups
from explorer.model.losses import hierarchical
from explorer.records import LEVELS, LevelWeights, Phrase, TextFeatures
from tests.support.frames import collate_frames

NAMES = ("aggregator", "text_levels", "frame_layers", "token_weights", "learned_merge", "adapter")
CHOICES = (("dpc_knn", "attention"), ("prompted", "learned"), (0, 2), (False, True), (False, True), (0, 4))
SWITCHES = [dict(zip(NAMES, values)) for values in itertools.product(*CHOICES)]


def rows(count: int, dim: int, generator: np.random.Generator) -> np.ndarray:
    values = generator.standard_normal((count, dim))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def library(dim: int = 16, videos: int = 30, texts: int = 20) -> tuple[list[np.ndarray], list[TextFeatures]]:
    """Videos of 1 to 12 frames and texts of 0 to 6 words and phrases."""
    generator = np.random.default_rng(0)
    frames = [rows(1 + i % 12, dim, generator).astype(np.float16) for i in range(videos)]
    features = [
        TextFeatures(
            f"text {i}",
            rows(1, dim, generator)[0],
            rows(i % 7, dim, generator),
            ("w",) * (i % 7),
            rows(i % 4, dim, generator),
        )
        for i in range(texts)
    ]
    return frames, features


def tower_ranking(frames: list[np.ndarray], texts: list[TextFeatures]) -> np.ndarray:
    """Mean pool in float64: cosine of the sentence and the mean of the unit frames."""
    unit_frames = [f.astype(np.float64) / np.linalg.norm(f.astype(np.float64), axis=1, keepdims=True) for f in frames]
    pooled = np.stack([f.mean(0) / np.linalg.norm(f.mean(0)) for f in unit_frames])
    return np.stack([t.sentence for t in texts]).astype(np.float64) @ pooled.T


def encode(model: HCMI, frames: list[np.ndarray], texts: list[TextFeatures]) -> tuple[TextLevels, VideoLevels]:
    return model.encode_text(collate_text(texts, model.config)), model.encode_video(*collate_frames(frames))


@pytest.mark.parametrize("fields", SWITCHES, ids=lambda f: "-".join(str(v) for v in f.values()))
def test_untrained_the_model_ranks_exactly_as_the_tower(fields: dict[str, object]) -> None:
    torch.manual_seed(0)
    frames, texts = library()
    model = HCMI(ModelConfig(dim=16, heads=2, **fields)).eval()  # type: ignore[arg-type]
    with torch.inference_mode():
        similarity = model.similarity(*encode(model, frames, texts))["video_sentence"].numpy()
    tower = tower_ranking(frames, texts)
    assert np.abs(similarity - tower).max() < 1e-6
    assert (np.argsort(-similarity, axis=1, kind="stable") == np.argsort(-tower, axis=1, kind="stable")).all()


def test_levels_by_hand() -> None:
    """A red scene, then a green one; the phrase red is found in clip 0 alone.

    video = (1,1,0)/sqrt 2. Phrases red, blue: red meets clip red 1, blue none 0 -> 1/2; clip red finds 1, green 0
    -> 1/2. Words red, green: both found, every frame finds its word -> 1.
    """
    red, green, blue = np.eye(3, dtype=np.float32)
    frames = [np.stack([red, red, green, green])]
    text = TextFeatures("red", red, np.stack([red, green]), ("red", "green"), np.stack([red, blue]))
    model = HCMI(ModelConfig(dim=3, clips=2))
    text_levels, video_levels = encode(model, frames, [text])
    assert torch.allclose(video_levels.clips[0], torch.eye(3)[:2])
    assert torch.allclose(video_levels.assignment[0], torch.tensor([[0.5, 0], [0.5, 0], [0, 0.5], [0, 0.5]]))
    scores = {name: value.item() for name, value in model.similarity(text_levels, video_levels).items()}
    assert scores == pytest.approx(
        {"video_sentence": 0.5**0.5, "clip_phrase": 0.5, "frame_word": 1.0, "total": (0.5**0.5 + 1.5) / 3}
    )
    moved = model.similarity(text_levels, video_levels, LevelWeights(video=0, clip=1, frame=0))
    assert moved["total"].item() == pytest.approx(0.5)


def test_a_persons_phrase_weights_by_hand() -> None:
    """Phrases red^3 and blue against a red still: red 1, blue 0 -> 3/4; the clip finds red -> 1. Without blue, 1."""
    red, _, blue = np.eye(3, dtype=np.float32)
    model = HCMI(ModelConfig(dim=3))

    def score(weights: tuple[float, float]) -> float:
        spans = tuple(Phrase(name, 0, 1, weight) for name, weight in zip(("red", "blue"), weights))
        text = TextFeatures("red blue", red, red[None], ("red",), np.stack([red, blue]), spans)
        return model.similarity(*encode(model, [red[None]], [text]))["clip_phrase"].item()

    assert score((3.0, 1.0)) == pytest.approx((0.75 + 1) / 2)
    assert score((1.0, 0.0)) == pytest.approx(1.0)
    assert score((0.0, 1.0)) == pytest.approx(0.0)


@pytest.mark.parametrize("fields", SWITCHES[::5] + [SWITCHES[-1]], ids=lambda f: "-".join(str(v) for v in f.values()))
def test_outputs_are_unit_masked_and_shaped(fields: dict[str, object]) -> None:
    torch.manual_seed(1)
    frames, texts = library()
    model = HCMI(ModelConfig(dim=16, heads=2, phrases=5, **fields))  # type: ignore[arg-type]
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # as if trained
    text, video = encode(model, frames, texts)
    for vectors, mask in (
        (video.frames, video.frame_mask),
        (video.clips, video.clip_mask),
        (text.words, text.word_mask),
        (text.phrases, text.phrase_mask),
    ):
        assert torch.allclose(vectors.norm(dim=-1), mask.float(), atol=1e-5)
        assert mask.any(1).all()
    assert torch.allclose(video.video.norm(dim=-1), torch.ones(30))
    assert torch.allclose(text.sentence.norm(dim=-1), torch.ones(20))
    for weights in (video.frame_weights, video.clip_weights, text.word_weights, text.phrase_weights):
        assert torch.allclose(weights.sum(1), torch.ones(len(weights)), atol=1e-5)
    assert video.assignment.shape == (30, 12, 4) and len(video) == 30 and len(text) == 20
    if fields["text_levels"] == "learned":
        assert text.assignment is not None and text.assignment.shape == (20, 6, 5)
        assert torch.allclose(text.assignment.sum(1), text.phrase_mask.float(), atol=1e-5)
    else:
        assert text.assignment is None
    scores = model.similarity(text, video)
    assert all(value.shape == (20, 30) and value.abs().max() <= 1 + 1e-5 for value in scores.values())


def test_scores_do_not_depend_on_the_batch() -> None:
    torch.manual_seed(2)
    frames, texts = library()
    model = HCMI(
        ModelConfig(
            dim=16, heads=2, frame_layers=1, token_weights=True, learned_merge=True, adapter=4, text_levels="learned"
        )
    ).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    with torch.inference_mode():
        together = model.similarity(*encode(model, frames, texts))["total"]
        alone = torch.stack(
            [
                torch.cat([model.similarity(*encode(model, [f], [t]))["total"][0] for f in frames[:13]])
                for t in texts[:7]
            ]
        )
    assert torch.allclose(together[:7, :13], alone, atol=1e-5)


@pytest.mark.parametrize("fields", SWITCHES[::3] + [SWITCHES[-1]], ids=lambda f: "-".join(str(v) for v in f.values()))
def test_every_weight_learns(fields: dict[str, object]) -> None:
    """Some steps on pairs that belong together lower the loss, and no parameter stays without a gradient."""
    torch.manual_seed(3)
    frames, texts = library(videos=20)
    model = HCMI(ModelConfig(dim=16, heads=2, phrases=2, **fields))  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.2), lr=1e-2)
    losses, moved = [], set()
    for _ in range(12):
        terms = hierarchical(
            model.similarity(*encode(model, frames, texts)), model.scale(), positives=torch.eye(20, dtype=torch.bool)
        )
        optimizer.zero_grad()
        terms["loss"].backward()
        moved |= {name for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}
        optimizer.step()
        model.limit_scale()
        losses.append(terms["loss"].item())
    assert losses[-1] < losses[0] and all(np.isfinite(losses))
    silent = {name for name, _ in model.named_parameters()} - moved
    assert not [name for name in silent if not name.endswith(".bias")], silent


def test_the_default_model_has_one_weight_and_config_travels() -> None:
    model = HCMI(ModelConfig())
    assert list(model.state_dict()) == ["logit_scale"]
    config = ModelConfig(dim=32, aggregator="attention", adapter=8, level_weights=LevelWeights(2, 1, 0))
    assert from_dict(ModelConfig, to_dict(config)) == config


def test_the_scale_stops_at_100() -> None:
    model = HCMI(ModelConfig())
    assert model.scale().item() == pytest.approx(1 / 0.07)
    with torch.no_grad():
        model.logit_scale.fill_(9.0)
    assert model.scale().item() == LOGIT_SCALE_MAX
    model.limit_scale()
    assert model.logit_scale.exp().item() == pytest.approx(LOGIT_SCALE_MAX)


def test_mixed_precision_scores_in_full() -> None:
    torch.manual_seed(4)
    frames, texts = library()
    model = HCMI(ModelConfig(dim=16, heads=2, frame_layers=1, token_weights=True, adapter=4, text_levels="learned"))
    exact = model.similarity(*encode(model, frames, texts))
    with torch.autocast("cpu", torch.bfloat16):
        rough = model.similarity(*encode(model, frames, texts))
    for name, value in rough.items():
        assert value.dtype == torch.float32 and (value - exact[name]).abs().max() < 0.02


def test_bias_and_norm_do_not_decay() -> None:
    model = HCMI(ModelConfig(dim=16, heads=2, frame_layers=1))
    decayed, kept = parameter_groups(model, 0.2)
    assert decayed["weight_decay"] == 0.2 and kept["weight_decay"] == 0.0
    names = {id(p): name for name, p in model.named_parameters()}
    free = {names[id(p)] for p in kept["params"]}  # type: ignore[attr-defined]
    assert {"logit_scale", "frame_attention.norm.weight", "frame_attention.out.bias"} <= free
    assert not any(name.endswith("out.weight") for name in free)
    assert len(decayed["params"]) + len(kept["params"]) == len(names)  # type: ignore[arg-type]


def test_wrong_input_is_refused() -> None:
    model = HCMI(ModelConfig(dim=16))
    with pytest.raises(ValueError, match="width 8, the model was made for 16"):
        model.encode_video(torch.randn(1, 2, 8), torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="real position"):
        model.encode_video(torch.randn(1, 2, 16), torch.zeros(1, 2, dtype=torch.bool))
    assert set(LEVELS) < set(model.similarity(*encode(model, *library(videos=1, texts=1))))
