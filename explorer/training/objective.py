"""One batch through a model to its named losses, for HCMI and for HGR, on one rank or on several."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explorer.config import TrainConfig
from explorer.model import batch as batching
from explorer.model.losses import denoised_positives, hierarchical, hinge
from explorer.records import TextFeatures
from explorer.training.dataset import Batch
from explorer.training.parallel import gather_levels, share

MARGIN = 0.2  # of the hinge over the total: HGR's, arXiv 2003.00392


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights are; the CPU for a model without any."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def collate_text(texts: list[TextFeatures], model: nn.Module) -> Any:
    """Texts as the padded tensors that this model takes, on its device."""
    if model.config.model == "hgr":
        from explorer.model.hgr_text import collate_graphs  # only HGR needs a parser
        from explorer.training.parsed import read_graphs

        return collate_graphs(texts, model.config, graphs=read_graphs([text.text for text in texts])).to(
            device_of(model)
        )
    return batching.collate_text(texts, model.config).to(device_of(model))


def losses(model: nn.Module, batch: Batch, config: TrainConfig) -> dict[str, Tensor]:
    """The named losses of one global batch, "loss" their weighted sum; every rank encodes its share and scores all.

    Args:
        model: HCMI or HGR.
        batch: the same on every rank.
        config: margins and switches; a batch of two views turns denoising on.
    """
    mine, count, device = share(len(batch.numbers)), len(batch.numbers), device_of(model)
    videos = [gather_levels(_encode(model, view, mine, device), count=count) for view in batch.views]
    texts = gather_levels(model.encode_text(collate_text([batch.texts[i] for i in mine], model)), count=count)
    positives = torch.from_numpy(batch.positives).to(device)
    return from_levels(model, texts, videos, positives, config)


def from_levels(
    model: nn.Module, texts: Any, videos: list[Any], positives: Tensor, config: TrainConfig
) -> dict[str, Tensor]:
    """The named losses of encoded texts and one or two views of their videos; positives (B, B) bool."""
    similarity = model.similarity(texts, videos[0])
    if len(videos) == 2 and model.config.model == "hcmi":
        alone = torch.arange(len(positives), device=positives.device)
        positives = positives | denoised_positives(videos[0].video, videos[1].video, alone)
    if model.config.model == "hgr" or config.objective == "total":
        value = hinge(similarity["total"], positives, MARGIN)
        return {"hinge": value, "loss": value}
    levels = {name: value.float() for name, value in similarity.items()}
    return hierarchical(
        levels, model.scale(), positives=positives, margin=config.margin, margin_weight=config.margin_weight
    )


def _encode(model: nn.Module, view: tuple[np.ndarray, np.ndarray], mine: np.ndarray, device: torch.device) -> Any:
    vectors, mask = (torch.from_numpy(array[mine]).to(device) for array in view)
    return model.encode_video(vectors, mask)
