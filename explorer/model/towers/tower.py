"""Pixels and texts -> unit vectors: every tower has the form of an open_clip model, the starter too, so one path
serves all."""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.model.device import batch_size, half_precision
from explorer.model.towers.engine import Engine, Pixels, open_engine
from explorer.model.towers.tokens import Spans, subwords, word_outputs
from explorer.records import ExplorerError, FrameSize

log = logging.getLogger(__name__)

FRAMES_AT_ONCE = 16  # images a forward pass on a CPU: measured quickest, early layers stay in cache
TEXTS_AT_ONCE = 256
TRAINED = re.compile(r"(starter):(\w+)|(.+)#([0-9a-f]{12})")  # names of towers with a checkpoint's own weights


@dataclass(frozen=True)
class TowerOutput:
    """One text: sentence (D,), and token outputs (W, D), float32 unit; spans are W pairs of characters [start, end)."""

    sentence: np.ndarray
    vectors: np.ndarray
    spans: tuple[tuple[int, int], ...]


class Tower:
    """An image and text encoder with one embedding space, frozen as it is made.

    Args:
        model: an open_clip model (CLIP or CustomTextCLIP), or one of that form.
        tokenizer: of that model: list of texts -> (Q, L) int64.
        name: what stored vectors call it; another name is another space.
        mean, std: of the pixels, in units of rgb / 255.
        size: the pixels asked for.
        device: where it runs.
        dtype: of the weights; None takes the device's quickest, training wants float32.

    `engines` is the folder of converted image towers; where it is None, as for a tower in training, torch encodes.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        name: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        size: FrameSize,
        device: torch.device,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.dtype = dtype or half_precision(device)
        self.model: Any = model.eval().requires_grad_(False).to(device=device, dtype=self.dtype)
        self.model = self.model.to(memory_format=torch.channels_last)
        self.tokenizer, self.name, self.frame_size, self.device = tokenizer, name, size, device
        self._mean = torch.tensor(mean, device=device).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(std, device=device).view(1, 3, 1, 1) * 255
        self.engines: Path | None = None
        self._pixels, self._choosing = Pixels(size, mean, std), threading.Lock()
        self._engine: Engine | None = None

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
        self._refuse_others(pixels)
        x = torch.tensor(pixels, device=self.device).permute(0, 3, 1, 2).float()
        return ((x - self._mean) / self._std).to(self.dtype).contiguous(memory_format=torch.channels_last)

    def _refuse_others(self, pixels: np.ndarray) -> None:
        size = self.frame_size
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (size.height, size.width, 3):
            raise ValueError(
                f"frames must be uint8 (N, {size.height}, {size.width}, 3), not {pixels.dtype} {pixels.shape}"
            )

    @torch.inference_mode()
    def encode_frames(self, pixels: np.ndarray) -> np.ndarray:
        """Encode frames.

        Args:
            pixels: (N, H, W, 3) uint8 RGB of `frame_size`.

        Returns:
            (N, D) float16, unit length.
        """
        self._refuse_others(pixels)
        if not len(pixels):
            return np.zeros((0, self.dim), np.float16)
        return F.normalize(torch.from_numpy(self.engine().encode(pixels)), dim=-1).half().numpy()

    def engine(self) -> Engine:
        """What encodes frames, chosen when the first of them comes: a search by words needs none."""
        with self._choosing:
            if self._engine is None:
                quick = self.device.type == "cpu" and self.dtype == torch.float32
                folder = self.engines if quick else None
                self._engine = open_engine(self.model, self._pixels, eager=self._eager, folder=folder)
            return self._engine

    @property
    def engine_name(self) -> str:
        """What encodes frames, and why it is not the quickest; '' where none has come yet."""
        engine = self._engine
        return "" if engine is None else f"{engine.name} ({engine.note})" if engine.note else engine.name

    def make_ready(self) -> Iterator[str]:
        """Choose what encodes frames, if it is not chosen yet; what takes its time is said before it is done."""
        if self._engine is None:
            yield "the image tower is made ready for this processor; the first time with a model takes up to a minute"
            self.engine()

    @torch.inference_mode()
    def _eager(self, pixels: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) uint8 -> (N, D) float32 by torch."""
        step = batch_size(self.device, FRAMES_AT_ONCE)
        runs = [pixels[i : i + step] for i in range(0, len(pixels), step)]
        return torch.cat([self.model.encode_image(self.preprocess(run)).float() for run in runs]).cpu().numpy()

    @torch.inference_mode()
    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Encode whole texts: Q strings -> (Q, D) float32, unit length. Long texts are cut at the tower's length."""
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # like lengths pad little
        runs = [
            self.text_vectors([texts[j] for j in order[i : i + TEXTS_AT_ONCE]])
            for i in range(0, len(order), TEXTS_AT_ONCE)
        ]
        vectors = torch.cat(runs).cpu().numpy()
        out = np.empty_like(vectors)
        out[order] = vectors
        return out

    @torch.inference_mode()
    def encode_tokens(self, texts: list[str]) -> list[TowerOutput]:
        """Each text as a whole and token by token, projected into the embedding space.

        Raises:
            ValueError: this tower does not give token outputs.
        """
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # like lengths pad little
        outputs: dict[int, TowerOutput] = {}
        for i in range(0, len(order), TEXTS_AT_ONCE):
            part = order[i : i + TEXTS_AT_ONCE]
            sentences, tokens, keep, spans = self.sentence_and_tokens([texts[j] for j in part])
            whole, vectors, kept = sentences.cpu().numpy(), tokens.cpu().numpy(), keep.cpu().numpy()
            outputs |= {
                j: TowerOutput(whole[row], vectors[row][kept[row]], tuple(spans[row])) for row, j in enumerate(part)
            }
        return [outputs[j] for j in range(len(texts))]

    def image_vectors(self, pixels: np.ndarray) -> Tensor:
        """(N, H, W, 3) uint8 in one forward pass -> (N, D) float32 unit on the device, with a gradient where one is
        asked for."""
        return F.normalize(self.model.encode_image(self.preprocess(pixels)).float(), dim=-1)

    def text_vectors(self, texts: list[str]) -> Tensor:
        """Q texts in one forward pass -> (Q, D) float32 unit on the device, with a gradient where one is asked for."""
        return F.normalize(self.model.encode_text(self._tokens(texts)).float(), dim=-1)

    def token_vectors(self, texts: list[str]) -> tuple[Tensor, Tensor, list[Spans]]:
        """Token outputs of Q texts alone, as `sentence_and_tokens`."""
        return self.sentence_and_tokens(texts)[1:]

    def sentence_and_tokens(self, texts: list[str]) -> tuple[Tensor, Tensor, Tensor, list[Spans]]:
        """Q texts as wholes and token by token; a Hugging Face tower runs once for both.

        Returns:
            (Q, D) float32 unit, (Q, L, D) float32 unit on the device; (Q, L) bool, True where the token belongs to
            the text's words; for each text the characters [start, end) of each such token.

        Raises:
            ValueError: this tower does not give token outputs.
        """
        text_tower = getattr(self.model, "text", None)
        if hasattr(text_tower, "config"):
            sentences, tokens, keep, spans = self._subwords(texts)
        elif hasattr(self.model, "forward_intermediates") and hasattr(text_tower or self.model, "text_projection"):
            sentences = self.text_vectors(texts)
            tokens, keep, spans = word_outputs(self.model, self.tokenizer, texts, device=self.device)
        else:
            raise ValueError(f"tower {self.name} gives no token outputs with spans; use text_levels 'prompted'")
        return sentences, F.normalize(tokens.float(), dim=-1), keep, spans

    def _tokens(self, texts: list[str]) -> Tensor:
        tokens = self.tokenizer([text or " " for text in texts])
        pad = getattr(getattr(self.model, "text", None), "config", None)
        if pad is not None:  # Hugging Face towers take any length: drop empty columns
            used = int((tokens != pad.pad_token_id).sum(1).max())
            tokens = tokens[:, : max(used, 1)]
        return tokens.to(self.device)

    def _subwords(self, texts: list[str]) -> tuple[Tensor, Tensor, Tensor, list[Spans]]:
        """Outputs of a text tower in Hugging Face's form, whose tokenizer tells the characters of each token."""
        read = getattr(self.tokenizer, "subwords", partial(subwords, self.tokenizer))
        tokens, mask, keep, spans = read([text or " " for text in texts])
        mask = mask.to(self.device)
        hidden = self.model.text.transformer(input_ids=tokens.to(self.device), attention_mask=mask)
        sentences = F.normalize(self.model.text.proj(self.model.text.pooler(hidden, mask)).float(), dim=-1)
        return sentences, self.model.text.proj(hidden.last_hidden_state), keep.to(self.device), spans


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """Twelve hex digits that name trained weights: in a tower's name they keep features of changed towers apart."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]


def split_trained(name: str) -> tuple[str, str]:
    """'ViT-B-16/openai#0123456789ab' -> ('ViT-B-16/openai', '0123456789ab'); the digest is '' for a tower as it came.

    >>> split_trained("starter:0123456789ab"), split_trained("starter")
    (('starter', '0123456789ab'), ('starter', ''))
    """
    found = TRAINED.fullmatch(name)
    return (found[1] or found[3], found[2] or found[4]) if found else (name, "")


def trained_name(name: str, tensors: Mapping[str, Tensor]) -> str:
    """What a tower is called with these trained weights over its own."""
    plain, _ = split_trained(name)
    return f"{plain}{':' if plain == 'starter' else '#'}{digest_of(tensors)}"


def lay_over(model: nn.Module, weights: Mapping[str, Tensor], *, name: str) -> None:
    """Put trained tensors in place of the model's own of the same names.

    Raises:
        ExplorerError: a tensor that the model does not have, or of another shape.
    """
    own = model.state_dict()
    misfits = [key for key, value in weights.items() if key not in own or own[key].shape != value.shape]
    if misfits:
        raise ExplorerError(f"checkpoint tensor {misfits[0]} does not fit the tower {name}; use another checkpoint")
    model.load_state_dict({key: value.float() for key, value in weights.items()}, strict=False)
