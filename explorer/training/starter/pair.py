"""The starter in training: both towers and the hierarchy over them as one module, and what can be chosen of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.config import ModelConfig
from explorer.model.batch import TextBatch
from explorer.model.hcmi import HCMI
from explorer.model.hierarchy import unit
from explorer.model.towers import starter as tower
from explorer.model.towers.knowledge import Parts, join_parts
from explorer.training.starter.classes import NameSpace
from explorer.training.starter.photos import EARLY, late

SCALE = 20.0  # logit scale at the start
KNOWLEDGE_SCALE = 12.0  # of the knowledge part alone
SCALE_MAX = 100.0  # CLIP's limit


def _mix() -> dict[str, float]:
    return {"flickr8k": 0.46, "captioned": 0.26, "labelled": 0.22, "classes": 0.06}


@dataclass(frozen=True)
class StarterConfig:
    """What was chosen on the validation photos."""

    joint: int = tower.PARTS.joint
    knowledge: int = tower.PARTS.knowledge
    share: float = tower.PARTS.share  # of the knowledge part in a cosine
    mix: dict[str, float] = field(default_factory=_mix)  # of the kinds of photos in a batch
    head_steps: int = 400
    head_lr: float = 1e-3
    head_batch: int = 512
    dropout: float = 0.3
    steps: int = 140  # of the towers alone
    level_steps: int = 80  # of towers and hierarchy together
    batch: int = 256
    lr: float = 2e-4  # late image layers
    text_lr: float = 1e-4  # upper text layers
    joint_head_lr: float = 2e-4
    knowledge_lr: float = 3e-4  # names of the classes, and the map from texts to names
    level_lr: float = 1e-3  # token weights of the hierarchy
    text_layers: int = 4  # of six, counted from the top
    weight_decay: float = 0.05
    alike: float = 0.6  # cosine of two texts, one of them a label's, above which they are not negatives of each other
    joint_weight: float = 0.5  # of the joint part's own contrastive term, beside that of both parts
    knowledge_weight: float = 0.3  # of the knowledge part's own
    names_weight: float = 0.1  # of the names and their map staying where they started
    anchor_weight: float = 0.3  # of the texts' knowledge part staying what the wheel's text tower says
    show: int = 4  # photos of a slide-show
    show_weight: float = 0.5  # of the losses over slide-shows, beside those over single photos
    token_weight: float = 0.5  # of the clip-phrase and frame-word losses, beside video-sentence
    class_weight: float = 0.3  # of the class-name term
    class_scale: float = 10.0  # length of a classifier row as a picture, in mean row lengths
    keep_weight: float = 0.3  # of the late image layers still telling the classes apart as the wheel's do
    average: float = 0.995  # of the running mean of the weights, a step
    crop: int = 20  # smallest side of a crop, of 28
    seed: int = 0

    @property
    def parts(self) -> Parts:
        return Parts(self.joint, self.knowledge, self.share)


class Pair(nn.Module):
    """The parts that learn, and how they are run on kept inputs."""

    def __init__(self, config: StarterConfig) -> None:
        super().__init__()
        self.model, self.tokenizer = tower.build(config.parts.dim, parts=config.parts)
        self.model.images()
        self.hierarchy = HCMI(ModelConfig(dim=config.parts.dim, text_levels="contextual", token_weights=True))
        self.scale = nn.Parameter(torch.tensor(math.log(SCALE)))
        self.knowledge_scale = nn.Parameter(torch.tensor(math.log(KNOWLEDGE_SCALE)))
        self.dropout, self.share = config.dropout, config.share
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        trunk, layers = self.model.visual.trunk, self.model.text.transformer.encoder.layer
        self.late_image = _parameters(*trunk.blocks[EARLY:], trunk.conv_head, trunk.bn2, depthwise=False)
        self.late_text = _parameters(*layers[-config.text_layers :])
        self.space: NameSpace | None = None

    def start_knowledge(self, space: NameSpace) -> None:
        """Put the knowledge part where training starts."""
        self.space = space
        self.model.visual.knowledge.names.data.copy_(space.names)
        self.model.text.proj.knowledge.weight.data.copy_(space.weight)
        self.model.text.proj.knowledge.bias.data.copy_(space.bias)

    def heads(self) -> list[nn.Parameter]:
        """The two maps to the joint part."""
        return [self.model.visual.head.proj.weight, self.model.text.proj.joint.weight]

    def names(self) -> list[nn.Parameter]:
        """What learns of the knowledge part."""
        text = self.model.text.proj.knowledge
        return [self.model.visual.knowledge.names, text.weight, text.bias]

    def scales(self) -> list[nn.Parameter]:
        return [self.scale, self.knowledge_scale]

    def tower_tensors(self) -> dict[str, Tensor]:
        """What training changed in the towers, as fp16, under the names of the tower's model."""
        learned = {id(p) for p in (*self.late_image, *self.late_text, *self.heads(), *self.names())}
        state = self.model.state_dict()
        names = [name for name, parameter in self.model.named_parameters() if id(parameter) in learned]
        names += [name for name, _ in self.model.named_buffers() if name.endswith("share")]
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

    def image_parts(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1280) -> (B, J) and (B, K) unit."""
        joint = self.model.visual.head.proj(F.dropout(pooled, self.dropout, self.training))
        return unit(joint), unit(self.model.visual.knowledge(pooled))

    def text_parts(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """(..., 384) of sentences or tokens -> (..., J) and (..., K) unit."""
        joint = self.model.text.proj.joint(F.dropout(outputs, self.dropout / 2, self.training))
        return unit(joint), unit(self.model.text.proj.knowledge(outputs))

    def image(self, pooled: Tensor) -> Tensor:
        """(B, 1280) -> (B, D) unit."""
        return join_parts(*self.image_parts(pooled), self.share)

    def text(self, outputs: Tensor) -> Tensor:
        """(..., 384) -> (..., D) unit."""
        return join_parts(*self.text_parts(outputs), self.share)

    def text_batch(self, hidden: Tensor, mask: Tensor, word_shares: Tensor, phrase_shares: Tensor) -> TextBatch:
        """Captions at three levels: token outputs (B, L, 384), mask (B, L) bool, shares (B, W, L) and (B, P, L) of the
        tokens in words and phrases."""
        outputs = self.text(hidden)
        words, phrases = unit(word_shares @ outputs), unit(phrase_shares @ outputs)
        word_mask, phrase_mask = word_shares.sum(-1) > 0, phrase_shares.sum(-1) > 0
        sentence = self.text(pool(hidden, mask))
        return TextBatch(sentence, words, word_mask, phrases, phrase_mask, phrase_mask.float())

    def factor(self) -> Tensor:
        """From cosine to logit."""
        return self.scale.exp().clamp(max=SCALE_MAX)


def pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean of the token outputs (B, L, 384) over the real ones, mask (B, L) bool, as the text tower pools."""
    weights = mask.float() / mask.sum(1, keepdim=True)
    return torch.einsum("bl,bld->bd", weights, hidden)


def _parameters(*modules: nn.Module, depthwise: bool = True) -> list[nn.Parameter]:
    """All parameters of some modules; without depthwise filters half of the time of a step backwards is saved."""
    parts = [part for module in modules for part in module.modules()]
    kept = [part for part in parts if depthwise or not (isinstance(part, nn.Conv2d) and part.groups > 1)]
    return [parameter for part in kept for parameter in part.parameters(recurse=False)]
