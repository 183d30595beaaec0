"""Lifts tokens to the next level, frames to clips and words to phrases, and says which token went where.

Everything learned here speaks through a projection that starts at zero, so an untrained model is the tower itself.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.config import ModelConfig
from explorer.model.interaction import softmax_weights, uniform_weights

NEIGHBOURS = 3  # k of the density [known from TCFormer, HBI]
DECIMALS = 5  # squared distances closer than this are ties: fp16 features and matmuls are no finer
MLP_RATIO = 4  # hidden width of a feed-forward layer over D, as in CLIP


class Aggregate(NamedTuple):
    """Tokens of the next level. tokens (B, C, D), assignment (B, N, C), mask (B, C) bool.

    A column of the assignment holds the share of each token in that output: it sums to 1, or is 0 where masked.
    """

    tokens: Tensor
    assignment: Tensor
    mask: Tensor


def unit(vectors: Tensor) -> Tensor:
    """Scale to unit length over the last axis; padding (all 0) stays 0."""
    return F.normalize(vectors, dim=-1)


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """(B, N, D), (B, N) bool -> (B, D), the mean over the real positions."""
    return torch.einsum("bn,bnd->bd", uniform_weights(mask, tokens.dtype), tokens)


class ZeroLinear(nn.Linear):
    """A projection that starts at zero and speaks at the scale of unit vectors.

    Its inputs come from a LayerNorm (entries near 1) and its output is added to unit vectors (entries near
    1/sqrt(D)): without the factor one step of Adam would turn a vector by as much as its own length.
    """

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.out_features**-0.5


class Attention(nn.Module):
    """Multi-head attention of x over a context; `out` makes the last projection."""

    def __init__(self, dim: int, heads: int, *, out: type[nn.Linear] = nn.Linear) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"heads must divide the width: {heads} heads, width {dim}")
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = out(dim, dim)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """x (B, N, D), context (B, M, D), mask (B, M) bool -> (B, N, D)."""
        query = self._split(self.query(x))  # (B, H, N, D/H)
        key, value = map(self._split, self.key_value(context).chunk(2, dim=-1))
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def feed_forward(dim: int, *, out: type[nn.Linear] = nn.Linear) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, MLP_RATIO * dim), nn.GELU(), out(MLP_RATIO * dim, dim))


class Block(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.feed_forward = feed_forward(dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        normed = self.norm(x)
        x = x + self.attention(normed, normed, mask)
        return x + self.feed_forward(x)


class FrameAttention(nn.Module):
    """Self-attention over the frames of a video [paper]; frames + transformer(frames), equal to frames at the start."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.positions = nn.Parameter(0.02 * torch.randn(config.positions, config.dim))
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.frame_layers))
        self.norm = nn.LayerNorm(config.dim)
        self.out = ZeroLinear(config.dim, config.dim)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """frames (V, F, D), mask (V, F) bool -> (V, F, D)."""
        # By index alone, so that a video's vectors do not depend on how far its batch is padded.
        index = torch.arange(frames.shape[1], device=frames.device).clamp(max=len(self.positions) - 1)
        x = frames + self.positions[index]
        for block in self.blocks:
            x = block(x, mask)
        return frames + self.out(self.norm(x))


class Adapter(nn.Module):
    """A small residual on unit vectors, nothing at the start [ours]: what a local fine-tune moves."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), ZeroLinear(hidden, dim))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


@torch.no_grad()
def dpc_knn(tokens: Tensor, mask: Tensor, n_out: int) -> Tensor:
    """Density-peaks clustering of every row at once [known from TCFormer and HBI; a substitution for HCMI's layer].

    dist_ij = |x_i - x_j| / sqrt(D); density rho_i = exp(-mean of the k = 3 smallest dist^2, its own 0 among them);
    delta_i = distance to the nearest denser token, the largest distance of the row if none; centres are the top
    n_out of rho * delta in order of time; each token goes to its nearest centre. Ties go to the lower index.
    A centre equal to an earlier one keeps no token, so a still scene is one cluster.

    Args:
        tokens: (B, N, D) tokens of B rows, padded to N.
        mask: (B, N) bool, True where the token is real.
        n_out: C, clusters wanted of each row.

    Returns:
        (B, N, C) bool, one True in the row of each real token.
    """
    host = torch.device("cpu") if tokens.device.type == "mps" else tokens.device  # MPS has no float64
    real = mask.to(host)
    squared = _squared_distances(tokens, real)  # (B, N, N) float64, inf at padding
    density = _density(squared, real)  # (B, N)
    score = density * _distance_to_denser(squared, density, real)
    score = score.masked_fill(~real, -1.0)  # real scores are never below 0
    order = score.argsort(dim=1, descending=True, stable=True)
    centres = order[:, :n_out].sort(dim=1).values  # (B, C) ascending in time
    columns = centres[:, None, :].expand(-1, tokens.shape[1], -1)
    owner = squared.gather(2, columns).argmin(2)  # first of equals
    members = F.one_hot(owner, n_out).bool()  # (B, N, C)
    return (members & real[:, :, None]).to(tokens.device)


def _squared_distances(tokens: Tensor, mask: Tensor) -> Tensor:
    with torch.autocast(tokens.device.type, enabled=False):  # fp16 would make everything a tie
        tokens = tokens.float()
        products = (tokens @ tokens.transpose(1, 2)).to(mask.device).double()  # (B, N, N)
    lengths = products.diagonal(dim1=1, dim2=2)
    squared = (lengths[:, :, None] + lengths[:, None, :] - 2 * products).clamp(min=0)
    squared = squared.round(decimals=DECIMALS) / tokens.shape[2]
    squared.diagonal(dim1=1, dim2=2).zero_()
    return squared.masked_fill_(~(mask[:, :, None] & mask[:, None, :]), torch.inf)


def _density(squared: Tensor, mask: Tensor) -> Tensor:
    nearest = squared.topk(min(NEIGHBOURS, squared.shape[2]), dim=2, largest=False, sorted=True).values
    count = mask.sum(1, keepdim=True).clamp(min=1, max=NEIGHBOURS)  # a short video has fewer
    return torch.exp(-nearest.masked_fill(nearest.isinf(), 0.0).sum(2) / count)


def _distance_to_denser(squared: Tensor, density: Tensor, mask: Tensor) -> Tensor:
    order = density.masked_fill(~mask, -1.0).argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1)  # 0 is densest; equals by index
    denser = rank[:, None, :] < rank[:, :, None]  # j denser than i
    nearest = squared.masked_fill(~denser, torch.inf).amin(2)  # (B, N)
    largest = squared.masked_fill(squared.isinf(), 0.0).amax((1, 2))  # (B,)
    return torch.where(nearest.isinf(), largest[:, None], nearest).sqrt()


class DensityAggregator(nn.Module):
    """Clusters by dpc_knn and merges each: plain means, or learned scores and cross-attention that start as means."""

    def __init__(self, config: ModelConfig, n_out: int) -> None:
        super().__init__()
        self.n_out = n_out
        self.learned = config.learned_merge
        if self.learned:
            self.score = ZeroLinear(config.dim, 1)
            self.norm = nn.LayerNorm(config.dim)
            self.cross = Attention(config.dim, config.heads, out=ZeroLinear)

    def forward(self, tokens: Tensor, mask: Tensor) -> Aggregate:
        """tokens (B, N, D), mask (B, N) bool -> Aggregate of n_out tokens a row."""
        members = dpc_knn(tokens, mask, self.n_out)  # (B, N, C) bool
        real = members.any(1)  # (B, C)
        if not self.learned:
            share = (members / members.sum(1, keepdim=True).clamp(min=1)).to(tokens.dtype)
            return Aggregate(share.transpose(1, 2) @ tokens, share, real)
        logits = self.score(self.norm(tokens)).expand(-1, -1, self.n_out)  # (B, N, C)
        share = softmax_weights(logits.transpose(1, 2), members.transpose(1, 2)).to(tokens.dtype)  # (B, C, N)
        merged = share @ tokens
        merged = merged + self.cross(self.norm(merged), self.norm(tokens), mask)
        return Aggregate(merged * real[:, :, None], share.transpose(1, 2), real)


class AttentionAggregator(nn.Module):
    """x' = x + MHA(LN x); A = softmax over tokens of MLP(x'); y = A^T x'; y + FFN(LN y) [derived]."""

    def __init__(self, config: ModelConfig, n_out: int) -> None:
        super().__init__()
        dim = config.dim
        self.n_out = n_out
        self.norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, config.heads, out=ZeroLinear)
        self.assign = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, n_out))
        self.feed_forward = feed_forward(dim, out=ZeroLinear)

    def forward(self, tokens: Tensor, mask: Tensor) -> Aggregate:
        """tokens (B, N, D), mask (B, N) bool -> Aggregate of n_out tokens a row, no more than its real tokens."""
        normed = self.norm(tokens)
        x = tokens + self.attention(normed, normed, mask)
        real = torch.arange(self.n_out, device=mask.device) < mask.sum(1, keepdim=True)  # (B, C)
        share = softmax_weights(self.assign(x).transpose(1, 2), mask[:, None, :]).to(x.dtype)  # (B, C, N)
        share = share * real[:, :, None]
        merged = share @ x
        merged = merged + self.feed_forward(merged)
        return Aggregate(merged * real[:, :, None], share.transpose(1, 2), real)


def make_aggregator(config: ModelConfig, n_out: int) -> DensityAggregator | AttentionAggregator:
    """The aggregation layer that the config names, giving at most n_out tokens."""
    return DensityAggregator(config, n_out) if config.aggregator == "dpc_knn" else AttentionAggregator(config, n_out)
