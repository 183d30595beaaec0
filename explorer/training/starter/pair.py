"""The starter in training: both towers and the hierarchy over them as one module, and what can be chosen of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.config import ModelConfig
from explorer.model.batch import TextBatch
from explorer.model.hcmi import HCMI
from explorer.model.hierarchy import unit
from explorer.model.towers import starter as tower
from explorer.training.starter.photos import EARLY, late

SCALE = 20.0  # logit scale at the start
SCALE_MAX = 100.0  # CLIP's limit


@dataclass(frozen=True)
class StarterConfig:
    """What was chosen on the validation photos."""

    dim: int = 512
    head_epochs: int = 20
    head_lr: float = 1e-3
    head_batch: int = 512
    dropout: float = 0.3
    epochs: int = 6  # of the towers alone
    level_epochs: int = 4  # of towers and hierarchy together
    batch: int = 256
    lr: float = 2e-4  # late image layers
    text_lr: float = 1e-4  # upper text layers
    joint_head_lr: float = 2e-4
    level_lr: float = 1e-3  # token weights of the hierarchy
    text_layers: int = 4  # of six, counted from the top
    weight_decay: float = 0.05
    show: int = 4  # photos of a slide-show
    show_weight: float = 0.5  # of the losses over slide-shows, beside those over single photos
    token_weight: float = 0.5  # of the clip-phrase and frame-word losses, beside video-sentence
    class_weight: float = 0.3  # of the class-name term
    class_scale: float = 10.0  # length of a classifier row as a picture, in mean row lengths
    keep_weight: float = 0.3  # of the late image layers still telling the classes apart as the wheel's do
    average: float = 0.995  # of the running mean of the weights, a step
    crop: int = 22  # smallest side of a crop, of 28
    seed: int = 0


class Pair(nn.Module):
    """The parts that learn, and how they are run on kept inputs."""

    def __init__(self, config: StarterConfig) -> None:
        super().__init__()
        self.model, self.tokenizer = tower.build(config.dim)
        self.model.images()
        self.hierarchy = HCMI(ModelConfig(dim=config.dim, text_levels="contextual", token_weights=True))
        self.scale = nn.Parameter(torch.tensor(math.log(SCALE)))
        self.dropout = config.dropout
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        trunk, layers = self.model.visual.trunk, self.model.text.transformer.encoder.layer
        self.late_image = _parameters(*trunk.blocks[EARLY:], trunk.conv_head, trunk.bn2)
        self.late_text = _parameters(*layers[-config.text_layers :])
        self.learned = self.late_image + self.late_text

    def heads(self) -> list[nn.Parameter]:
        return [self.model.visual.head.proj.weight, self.model.text.proj.weight]

    def tower_tensors(self) -> dict[str, Tensor]:
        """What training changed in the towers, as fp16, under the names of the tower's model."""
        state, learned = self.model.state_dict(), {id(p) for p in [*self.learned, *self.heads()]}
        names = [name for name, parameter in self.model.named_parameters() if id(parameter) in learned]
        return {name: state[name].detach().half().contiguous() for name in names}

    def pooled_image(self, maps: Tensor) -> Tensor:
        """(B, 48, h, w) kept maps -> (B, 1280)."""
        return late(self.model.visual.trunk, maps)

    def hidden(self, tokens: Tensor) -> Tensor:
        """(B, L) token numbers, 0 where padded -> (B, L, 384)."""
        return self.model.text.transformer(input_ids=tokens, attention_mask=(tokens != 0).long()).last_hidden_state

    def pooled_text(self, tokens: Tensor) -> Tensor:
        """(B, L) token numbers, 0 where padded -> (B, 384)."""
        return pool(self.hidden(tokens), tokens != 0)

    def image(self, pooled: Tensor) -> Tensor:
        """(B, 1280) -> (B, D) unit."""
        return F.normalize(self.model.visual.head.proj(F.dropout(pooled, self.dropout, self.training)), dim=-1)

    def text(self, pooled: Tensor) -> Tensor:
        """(B, 384) -> (B, D) unit; also of token outputs (B, L, 384)."""
        return F.normalize(self.model.text.proj(F.dropout(pooled, self.dropout / 2, self.training)), dim=-1)

    def text_batch(self, tokens: Tensor, word_shares: Tensor, phrase_shares: Tensor) -> TextBatch:
        """Captions at three levels: tokens (B, L), shares (B, W, L) and (B, P, L) of the tokens in words and
        phrases."""
        hidden = self.hidden(tokens)
        outputs = self.text(hidden)
        words, phrases = unit(word_shares @ outputs), unit(phrase_shares @ outputs)
        word_mask, phrase_mask = word_shares.sum(-1) > 0, phrase_shares.sum(-1) > 0
        return TextBatch(
            self.text(pool(hidden, tokens != 0)), words, word_mask, phrases, phrase_mask, phrase_mask.float()
        )

    def factor(self) -> Tensor:
        """From cosine to logit."""
        return self.scale.exp().clamp(max=SCALE_MAX)

    def logits(self, images: Tensor, texts: Tensor) -> Tensor:
        """(B, B): rows texts, columns images."""
        return self.factor() * texts @ images.T


def pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean of the token outputs (B, L, 384) over the real ones, mask (B, L) bool, as the text tower pools."""
    weights = mask.float() / mask.sum(1, keepdim=True)
    return torch.einsum("bl,bld->bd", weights, hidden)


def _parameters(*modules: nn.Module) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters()]
