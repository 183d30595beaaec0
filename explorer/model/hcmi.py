"""The HCMI model: frames -> clips -> video, words -> phrases -> sentence, and their similarity level by level.

It knows nothing of files or towers. Untrained, it ranks as the tower does: the video is the mean of its frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from explorer.config import ModelConfig
from explorer.model.batch import TextBatch
from explorer.model.hierarchy import (
    Adapter,
    Aggregate,
    AttentionAggregator,
    FrameAttention,
    ZeroLinear,
    make_aggregator,
    masked_mean,
    unit,
)
from explorer.model.interaction import (
    clip_phrase_similarity,
    frame_word_similarity,
    reweight,
    softmax_weights,
    total_similarity,
    uniform_weights,
    video_sentence_similarity,
)
from explorer.records import LevelWeights

LOGIT_SCALE = 1 / 0.07  # CLIP's start
LOGIT_SCALE_MAX = 100.0  # CLIP's limit
TOKEN_NAMES = ("frame", "clip", "word", "phrase")
LEVEL_NAMES = (*TOKEN_NAMES, "video", "sentence")
COARSE = (
    "frame_attention.",
    "video_pool.",
    "sentence_pool.",
    "adapters.video.",
    "adapters.sentence.",
)  # what the coarse level is made by


@dataclass(frozen=True)
class VideoLevels:
    """V videos at three levels, unit vectors, 0 on padding.

    frames (V, F, D), frame_mask (V, F), clips (V, C, D), clip_mask (V, C), video (V, D); assignment (V, F, C): each
    clip's column is the share of every frame in it, of sum 1; frame_weights (V, F), clip_weights (V, C): b_j, sum 1.
    """

    frames: Tensor
    frame_mask: Tensor
    clips: Tensor
    clip_mask: Tensor
    video: Tensor
    assignment: Tensor
    frame_weights: Tensor
    clip_weights: Tensor

    def __len__(self) -> int:
        return len(self.video)


@dataclass(frozen=True)
class TextLevels:
    """Q texts at three levels, unit vectors, 0 on padding.

    words (Q, W, D), word_mask (Q, W), phrases (Q, P, D), phrase_mask (Q, P), sentence (Q, D); assignment (Q, W, P):
    the share of every word in each learned phrase, None where phrases came as prompts; word_weights (Q, W) and
    phrase_weights (Q, P): a_i, sum 1, a person's phrase weights worked in.
    """

    words: Tensor
    word_mask: Tensor
    phrases: Tensor
    phrase_mask: Tensor
    sentence: Tensor
    assignment: Tensor | None
    word_weights: Tensor
    phrase_weights: Tensor

    def __len__(self) -> int:
        return len(self.sentence)


class TokenWeight(nn.Sequential):
    """softmax over tokens of MLP(token): the a_i and b_j of weighted token interaction; uniform at the start."""

    def __init__(self, dim: int) -> None:
        super().__init__(nn.LayerNorm(dim), nn.Linear(dim, dim // 2 or 1), nn.GELU(), ZeroLinear(dim // 2 or 1, 1))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """tokens (N, T, D), mask (N, T) bool -> (N, T)."""
        return softmax_weights(super().forward(tokens).squeeze(-1), mask)


class Pool(nn.Module):
    """The coarse vector's residual: the aggregation layer from N tokens to one, silent at the start [derived]."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.aggregator = AttentionAggregator(config, 1)
        self.norm = nn.LayerNorm(config.dim)
        self.out = ZeroLinear(config.dim, config.dim)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """tokens (B, N, D), mask (B, N) bool -> (B, D)."""
        return self.out(self.norm(self.aggregator(tokens, mask).tokens[:, 0]))


class HCMI(nn.Module):
    """Hierarchical Cross-Modal Interaction (Jiang et al., arXiv 2204.03382) over the features of a tower.

    With the default config it has no weight but logit_scale: dpc_knn clips as plain means, levels as the tower gave
    them. Each other choice of ModelConfig adds modules that change nothing until they are trained.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        learned_text = config.text_levels == "learned"
        pooled = config.learned_merge or config.aggregator == "attention"
        self.config = config
        self.logit_scale = nn.Parameter(torch.tensor(math.log(LOGIT_SCALE)))
        self.frame_attention = FrameAttention(config) if config.frame_layers else None
        self.clip_aggregator = make_aggregator(config, config.clips)
        self.phrase_aggregator = make_aggregator(config, config.phrases) if learned_text else None
        self.video_pool = Pool(config) if pooled else None
        self.sentence_pool = Pool(config) if pooled and learned_text else None
        self.adapters = nn.ModuleDict(
            {name: Adapter(config.dim, config.adapter) for name in LEVEL_NAMES if config.adapter}
        )
        self.token_weights = nn.ModuleDict(
            {name: TokenWeight(config.dim) for name in TOKEN_NAMES if config.token_weights}
        )

    def hold_coarse(self) -> None:
        """Let the clip-phrase and frame-word levels learn alone: the video-sentence level stays what it is [ours]."""
        for name, parameter in self.named_parameters():
            if name.startswith(COARSE):
                parameter.requires_grad_(False)

    def encode_video(self, frames: Tensor, mask: Tensor) -> VideoLevels:
        """Frame features of V videos to their three levels.

        Args:
            frames: (V, F, D) tower features, padded to F; scaled to unit length here.
            mask: (V, F) bool, True where the frame is real.

        Raises:
            ValueError: another width than the config's, or a video without a real frame.
        """
        self._check_width(frames, "frame features")
        x = unit(frames.to(self.logit_scale.dtype)) * mask[:, :, None]
        if self.frame_attention is not None:
            x = unit(self.frame_attention(x, mask)) * mask[:, :, None]
        clips = self.clip_aggregator(x, mask)
        video = masked_mean(x, mask)
        if self.video_pool is not None:
            video = video + self.video_pool(clips.tokens, clips.mask)
        frames = self._finish("frame", x, mask)
        clip_tokens = self._finish("clip", clips.tokens, clips.mask)
        return VideoLevels(
            frames,
            mask,
            clip_tokens,
            clips.mask,
            self._finish("video", video),
            clips.assignment,
            self._weights("frame", frames, mask),
            self._weights("clip", clip_tokens, clips.mask),
        )

    def encode_text(self, batch: TextBatch) -> TextLevels:
        """Tower outputs of Q texts to their three levels; phrases as given, or made of words where text is learned.

        Raises:
            ValueError: another width than the config's, or a text without a real word or phrase.
        """
        self._check_width(batch.words, "word features")
        dtype = self.logit_scale.dtype
        words = unit(batch.words.to(dtype)) * batch.word_mask[:, :, None]
        sentence = unit(batch.sentence.to(dtype))
        phrases = self._phrases(words, batch)
        if self.sentence_pool is not None:
            sentence = sentence + self.sentence_pool(phrases.tokens, phrases.mask)
        words = self._finish("word", words, batch.word_mask)
        phrase_tokens = self._finish("phrase", phrases.tokens, phrases.mask)
        weights = self._weights("phrase", phrase_tokens, phrases.mask)
        if self.phrase_aggregator is None:
            weights = reweight(weights, batch.phrase_weights)
        return TextLevels(
            words,
            batch.word_mask,
            phrase_tokens,
            phrases.mask,
            self._finish("sentence", sentence),
            None if self.phrase_aggregator is None else phrases.assignment,
            self._weights("word", words, batch.word_mask),
            weights,
        )

    def similarity(
        self, text: TextLevels, video: VideoLevels, weights: LevelWeights | None = None
    ) -> dict[str, Tensor]:
        """Every text against every video: level name -> (Q, V) for each of LEVELS, and their weighted mean as "total".

        Args:
            text: Q encoded texts.
            video: V encoded videos.
            weights: None takes those of the config; moving them needs no new encoding.
        """
        with torch.autocast(text.sentence.device.type, enabled=False):  # at a scale of 100 half precision is too rough
            levels = {
                "video_sentence": video_sentence_similarity(video.video, text.sentence),
                "clip_phrase": clip_phrase_similarity(
                    video.clips,
                    text.phrases,
                    video.clip_mask,
                    text.phrase_mask,
                    clip_weights=video.clip_weights,
                    phrase_weights=text.phrase_weights,
                ),
                "frame_word": frame_word_similarity(
                    video.frames,
                    text.words,
                    video.frame_mask,
                    text.word_mask,
                    frame_weights=video.frame_weights,
                    word_weights=text.word_weights,
                ),
            }
        return {**levels, "total": total_similarity(levels, weights or self.config.level_weights)}

    def scale(self) -> Tensor:
        """The learned factor from cosine to logit, at most 100."""
        return self.logit_scale.exp().clamp(max=LOGIT_SCALE_MAX)

    @torch.no_grad()
    def limit_scale(self) -> None:
        """Bring logit_scale back to its limit after each optimiser step; beyond it no gradient would bring it back."""
        self.logit_scale.clamp_(max=math.log(LOGIT_SCALE_MAX))

    def _phrases(self, words: Tensor, batch: TextBatch) -> Aggregate:
        if self.phrase_aggregator is not None:
            return self.phrase_aggregator(words, batch.word_mask)
        phrases = unit(batch.phrases.to(words.dtype)) * batch.phrase_mask[:, :, None]
        return Aggregate(phrases, words.new_zeros(*words.shape[:2], phrases.shape[1]), batch.phrase_mask)

    def _finish(self, name: str, vectors: Tensor, mask: Tensor | None = None) -> Tensor:
        """The level's adapter where there is one, then unit length in the model's own precision, 0 on padding."""
        if name not in self.adapters:
            return unit(vectors.to(self.logit_scale.dtype))
        vectors = unit(self.adapters[name](vectors).to(self.logit_scale.dtype))
        return vectors if mask is None else vectors * mask[..., None]

    def _weights(self, name: str, tokens: Tensor, mask: Tensor) -> Tensor:
        uniform = uniform_weights(mask, tokens.dtype)  # refuses an empty text or video
        return self.token_weights[name](tokens, mask) if name in self.token_weights else uniform

    def _check_width(self, vectors: Tensor, name: str) -> None:
        if vectors.shape[-1] != self.config.dim:
            raise ValueError(f"{name} have width {vectors.shape[-1]}, the model was made for {self.config.dim}")


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Two groups for AdamW: matrices with weight decay; biases, norms and the logit scale without."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
