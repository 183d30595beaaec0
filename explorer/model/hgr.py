"""The HGR model: a sentence's event, actions and entities against a video's frames (arXiv 2003.00392).

The second matcher beside HCMI, with the same three methods and the same records: event, action and entity stand
where HCMI has video-sentence, clip-phrase and frame-word. With `residual` [ours] it starts as the tower itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from explorer.config import ModelConfig
from explorer.language.roles import ROLES
from explorer.model.hcmi import TextLevels, TokenWeight, VideoLevels
from explorer.model.hgr_text import ACTIONS, ENTITIES, SLOTS, GraphBatch
from explorer.model.hierarchy import ZeroLinear, unit
from explorer.model.interaction import BUDGET, total_similarity, uniform_weights, video_sentence_similarity
from explorer.records import LEVELS, LevelWeights

HGR_LEVELS = ("event", "action", "entity")  # in the order of LEVELS
SHARPNESS = 4.0  # of the attention of a node over frames [code]
DROPOUT = 0.1  # on a graph layer's message [derived]
FEATURE_DROPOUT = 0.3  # on what a residual reads: the towers half remember their own photos [ours]
TINY = 1e-12  # keeps the gradient of a square root finite at 0


class Residual(nn.Module):
    """x + W dropout(LN(x)), W zero at the start: a linear map that begins as the identity [ours]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(FEATURE_DROPOUT)
        self.out = ZeroLinear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(self.dropout(self.norm(x)))


class GraphLayer(nn.Module):
    """One attention graph layer: each node hears its neighbours.

    beta_ij = softmax over neighbours j of (W_q g_i) . (W_k g_j) / sqrt(D); g_i = LN(g_i + dropout(W_t sum_j beta_ij
    g_j)).
    With `residual`, W_t starts at zero and unit length takes the place of the norm, so that cosines stay as they were.
    """

    def __init__(self, dim: int, *, residual: bool) -> None:
        super().__init__()
        self.before = nn.LayerNorm(dim) if residual else nn.Identity()
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.out = ZeroLinear(dim, dim, bias=False) if residual else nn.Linear(dim, dim, bias=False)
        self.dropout = nn.Dropout(DROPOUT)
        self.after = nn.Identity() if residual else nn.LayerNorm(dim)

    def forward(self, nodes: Tensor, hears: Tensor) -> Tensor:
        """nodes (Q, N, D), hears (Q, N, N) bool, row receives from column -> (Q, N, D)."""
        seen = self.before(nodes)
        logits = self.query(seen) @ self.key(seen).transpose(1, 2) * nodes.shape[-1] ** -0.5
        shares = logits.masked_fill(~hears, torch.finfo(logits.dtype).min).softmax(-1) * hears  # no neighbour: 0
        return self.after(nodes + self.dropout(self.out(shares @ seen)))


class TextGraph(nn.Module):
    """Words and graphs to node vectors (Q, N, D): pool the event, max the spans, multiply the role in, reason."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim = config.dim
        self.recurrent = nn.GRU(dim, dim, batch_first=True, bidirectional=True) if config.recurrent_text else None
        self.recurrent_out = (
            nn.Sequential(nn.LayerNorm(dim), ZeroLinear(dim, dim))
            if config.recurrent_text and config.residual
            else None
        )
        self.event_weights = TokenWeight(dim)
        self.event_out = nn.Sequential(nn.LayerNorm(dim), ZeroLinear(dim, dim)) if config.residual else None
        self.roles = nn.Parameter(torch.ones(len(ROLES), dim))
        self.layers = nn.ModuleList(GraphLayer(dim, residual=config.residual) for _ in range(config.graph_layers))

    def forward(self, batch: GraphBatch) -> Tensor:
        words = self._words(batch)
        event = self._event(words, batch)
        nodes = span_max(words, batch.holds[:, 1:]) * self.roles[batch.roles[:, 1:]]
        nodes = torch.cat([event[:, None], unit(nodes)], dim=1) * batch.node_mask[:, :, None]  # (Q, N, D)
        for layer in self.layers:
            nodes = layer(nodes, batch.hears)
        return unit(nodes) * batch.node_mask[:, :, None]

    def _words(self, batch: GraphBatch) -> Tensor:
        words = unit(batch.text.words.to(self.roles.dtype)) * batch.text.word_mask[:, :, None]
        if self.recurrent is None:
            return words
        lengths = batch.text.word_mask.sum(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            words * words.shape[-1] ** 0.5, lengths, batch_first=True, enforce_sorted=False
        )
        padded, _ = nn.utils.rnn.pad_packed_sequence(
            self.recurrent(packed)[0], batch_first=True, total_length=words.shape[1]
        )
        read = padded.unflatten(-1, (2, -1)).mean(2)  # both directions: (Q, W, D)
        return read if self.recurrent_out is None else words + self.recurrent_out(read)

    def _event(self, words: Tensor, batch: GraphBatch) -> Tensor:
        pooled = torch.einsum("qw,qwd->qd", self.event_weights(words, batch.text.word_mask), words)
        if self.event_out is None:
            return pooled
        return unit(unit(batch.text.sentence.to(words.dtype)) + self.event_out(pooled))


def span_max(words: Tensor, holds: Tensor) -> Tensor:
    """Element-wise largest value of each node's words: (Q, W, D), (Q, N, W) bool -> (Q, N, D), 0 without a word."""
    lowest = torch.finfo(words.dtype).min
    best = words[:, None].masked_fill(~holds[..., None], lowest).amax(2)  # (Q, N, W, D) -> (Q, N, D)
    return best * holds.any(-1, keepdim=True)


def attended_similarity(nodes: Tensor, frames: Tensor, frame_mask: Tensor, *, budget: int = BUDGET) -> Tensor:
    """Each node against the frames it looks at.

    c_ij = node_i . frame_j; phi_ij = softmax_j(4 relu(c_ij) / sqrt(sum_j relu(c_ij)^2));
    the score is cos(sum_j phi_ij frame_j, node_i). No (Q, N, V, D) tensor is made: the length of the mix comes from
    the frames' own cosines.

    Args:
        nodes: (Q, N, D) unit vectors, 0 where there is no node.
        frames: (V, F, D) unit vectors.
        frame_mask: (V, F) bool.
        budget: elements of the largest table of cosines; one text at least.

    Returns:
        (Q, N, V) in [-1, 1]; 0 for a node that is not there.
    """
    gram = frames @ frames.transpose(1, 2)  # (V, F, F)
    step = max(1, budget // max(1, nodes.shape[1] * frame_mask.numel()))
    pieces = [_attend(part, frames, frame_mask, gram) for part in nodes.split(step)]
    return torch.cat(pieces)


def _attend(nodes: Tensor, frames: Tensor, mask: Tensor, gram: Tensor) -> Tensor:
    cosines = torch.einsum("qnd,vfd->qnvf", nodes, frames)
    positive = cosines.clamp(min=0) * mask
    length = positive.square().sum(-1, keepdim=True).clamp(min=TINY).sqrt()
    logits = (SHARPNESS * positive / length).masked_fill(~mask, torch.finfo(cosines.dtype).min)
    shares = logits.softmax(-1)  # (Q, N, V, F)
    squared = (torch.einsum("qnvf,vfg->qnvg", shares, gram) * shares).sum(-1)
    return (shares * cosines).sum(-1) / squared.clamp(min=TINY).sqrt()


class HGR(nn.Module):
    """Hierarchical Graph Reasoning (Chen et al., CVPR 2020) over the features of a tower.

    Width is the tower's, not the authors' 1024 [ours], so that vectors fit the same store.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.text = TextGraph(config)
        self.frame_weights = TokenWeight(config.dim)
        self.video = nn.ModuleDict(
            {
                level: Residual(config.dim) if config.residual else nn.Linear(config.dim, config.dim)
                for level in HGR_LEVELS
            }
        )

    def hold_event(self) -> None:
        """Let the action and entity levels learn alone: the event stays what it is, at the start the tower's mean
        pool [ours]."""
        for part in (self.text.event_weights, self.text.event_out, self.frame_weights, self.video["event"]):
            if part is not None:
                part.requires_grad_(False)

    def encode_video(self, frames: Tensor, mask: Tensor) -> VideoLevels:
        """Frame features of V videos to their three levels: `video` the event, `clips` the action, `frames` the entity.

        Actions are sought in every frame, so clips are the frames one by one and the assignment is the identity.

        Args:
            frames: (V, F, D) tower features, padded to F.
            mask: (V, F) bool, True where the frame is real.

        Raises:
            ValueError: another width than the config's, or a video without a real frame.
        """
        weights = uniform_weights(mask)  # refuses an empty video
        x = self._unit(frames, "frame features") * mask[:, :, None]
        mapped = {level: unit(self.video[level](x)) * mask[:, :, None] for level in HGR_LEVELS[1:]}
        pooled = torch.einsum("vf,vfd->vd", self.frame_weights(x, mask), self.video["event"](x))
        own = torch.diag_embed(mask.to(x.dtype))  # (V, F, F)
        return VideoLevels(mapped["entity"], mask, mapped["action"], mask, unit(pooled), own, weights, weights)

    def encode_text(self, batch: GraphBatch) -> TextLevels:
        """Q texts to their three levels: `sentence` the event, `phrases` the actions, `words` the entities.

        A text may have no action or no entity: then that mask is all False, and the level scores 0 everywhere.

        Raises:
            ValueError: another width than the config's.
        """
        self._unit(batch.text.words, "word features")
        nodes = self.text(batch)
        mask, weights = batch.node_mask, batch.node_weights * batch.node_mask
        return TextLevels(
            nodes[:, ENTITIES],
            mask[:, ENTITIES],
            nodes[:, ACTIONS],
            mask[:, ACTIONS],
            nodes[:, 0],
            None,
            _shares(weights[:, ENTITIES]),
            _shares(weights[:, ACTIONS]),
        )

    def similarity(
        self, text: TextLevels, video: VideoLevels, weights: LevelWeights | None = None
    ) -> dict[str, Tensor]:
        """Every text against every video: (Q, V) for each of HGR_LEVELS, the same under LEVELS, and "total".

        Args:
            text: Q encoded texts.
            video: V encoded videos.
            weights: of event, action and entity, as video, clip and frame; None takes those of the config.
        """
        nodes = self.node_scores(text, video)
        levels = {
            "event": nodes[:, 0],
            "action": torch.einsum("qn,qnv->qv", text.phrase_weights, nodes[:, ACTIONS]),
            "entity": torch.einsum("qn,qnv->qv", text.word_weights, nodes[:, ENTITIES]),
        }
        named = {name: levels[own] for name, own in zip(LEVELS, HGR_LEVELS)}
        return {**levels, **named, "total": total_similarity(named, weights or self.config.level_weights)}

    def node_scores(self, text: TextLevels, video: VideoLevels) -> Tensor:
        """(Q, N, V): each node of each text against each video, in slot order; 0 for a node that is not there."""
        event = video_sentence_similarity(video.video, text.sentence)[:, None]
        action = attended_similarity(text.phrases, video.clips, video.clip_mask)
        entity = attended_similarity(text.words, video.frames, video.frame_mask)
        return torch.cat([event, action, entity], dim=1)

    def explain(self, text: TextLevels, frames: Tensor, mask: Tensor) -> Tensor:
        """Which frame met which node.

        Args:
            text: one encoded text.
            frames: (1, F, D) tower features of one video.
            mask: (1, F) bool, True where the frame is real.

        Returns:
            (N, F) cosines in slot order (see hgr_text.slots), NaN for a node or frame that is not there.
        """
        video = self.encode_video(frames, mask)
        event = unit(self.video["event"](self._unit(frames, "frame features")))
        rows = [text.sentence[:1] @ event[0].T, text.phrases[0] @ video.clips[0].T, text.words[0] @ video.frames[0].T]
        real = torch.cat([mask.new_ones(1), text.phrase_mask[0], text.word_mask[0]])
        assert len(real) == SLOTS
        return torch.cat(rows).masked_fill(~(real[:, None] & mask[0][None]), float("nan"))

    def _unit(self, vectors: Tensor, name: str) -> Tensor:
        if vectors.shape[-1] != self.config.dim:
            raise ValueError(f"{name} have width {vectors.shape[-1]}, the model was made for {self.config.dim}")
        return unit(vectors.to(self.text.roles.dtype))


def _shares(weights: Tensor) -> Tensor:
    """Scale each row to sum 1; a row of zeros stays so."""
    return weights / weights.sum(-1, keepdim=True).clamp(min=TINY)
