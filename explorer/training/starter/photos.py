"""Photos as the starter's training sees them: maps kept from the early image layers, tokens, outputs of the towers at
the start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from explorer.language import phrases as parser
from explorer.model.contextual import token_shares
from explorer.model.towers import starter as tower
from explorer.records import Phrase
from explorer.training.starter.sources import KINDS, Photo

EARLY = 3  # blocks of EfficientNet-Lite2 whose outputs are kept: most of the time, few of the weights
SIDE = 224  # px of the photos that maps are kept of
MAP = 28  # side of such a map
CHANNELS = 48
TOKEN_ROWS = 128
PHOTOS_AT_ONCE = 16  # more no longer fits the cache of a core: half as quick


def early(trunk: nn.Module, pixels: Tensor) -> Tensor:
    """(B, 3, 224, 224) normalised -> (B, 48, 28, 28)."""
    x = trunk.bn1(trunk.conv_stem(pixels))
    for block in trunk.blocks[:EARLY]:
        x = block(x)
    return x


def late(trunk: nn.Module, maps: Tensor) -> Tensor:
    """(B, 48, h, w) -> (B, 1280) pooled features."""
    x = maps
    for block in trunk.blocks[EARLY:]:
        x = block(x)
    return trunk.forward_head(trunk.bn2(trunk.conv_head(x)), pre_logits=True)


class Photos:
    """P photos with their captions.

    Args:
        photos: of any sources.
        name: of what is kept of them.
        cache: folder for what is computed once: maps are 75 kB a photo.
        model: the towers at the start of training; tokenizer: theirs. start: a name for them.
    """

    def __init__(
        self, photos: Sequence[Photo], name: str, *, cache: Path, model: Any, tokenizer: Any, start: str
    ) -> None:
        self.photos = tuple(photos)
        self.captions = [caption for photo in photos for caption in photo.captions]
        self._count = np.array([len(photo.captions) for photo in photos])
        self._first = np.cumsum(self._count) - self._count
        self.owner = np.repeat(np.arange(len(photos)), self._count)
        self.labels = np.unique([photo.label or str(photo.path) for photo in photos], return_inverse=True)[1]
        self.labelled = np.array([bool(photo.label) for photo in photos])
        self.kinds = {kind: np.flatnonzero([photo.kind == kind for photo in photos]) for kind in KINDS}
        self._tokens, mask, _, self._pieces = tokenizer.subwords(self.captions)
        self._spans: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.lengths = mask.sum(1).numpy()
        self._maps = self._kept_maps(model, cache / f"{name}-maps.npy")
        self._freeze(model, cache / f"{name}-{start}.npz")

    def __len__(self) -> int:
        return len(self.photos)

    def batches(self, size: int) -> Iterator[np.ndarray]:
        """Photo numbers in order, `size` at once."""
        return iter(np.array_split(np.arange(len(self)), max(1, len(self) // size)))

    def mixed(self, shares: Mapping[str, float], size: int, generator: torch.Generator) -> np.ndarray:
        """Photo numbers of about `size` different photos, each kind with its share, in random order."""
        rows = []
        for kind, share in shares.items():
            known = self.kinds[kind]
            rows.append(known[torch.randperm(len(known), generator=generator)[: round(share * size)].numpy()])
        chosen = np.concatenate(rows)
        return chosen[torch.randperm(len(chosen), generator=generator).numpy()]

    def pixels(self, rows: np.ndarray, side: int) -> np.ndarray:
        """(B, side, side, 3) uint8 of photos, the whole of each in a square."""
        return np.stack([read_pixels(self.photos[row].path, side) for row in rows])

    def maps(self, rows: np.ndarray) -> Tensor:
        """(B, 48, 28, 28) kept maps of photos."""
        kept = torch.from_numpy(self._maps[np.sort(rows)][np.argsort(np.argsort(rows))]).float()
        return kept.permute(0, 3, 1, 2)

    def augmented(self, rows: np.ndarray, smallest: int, generator: torch.Generator) -> Tensor:
        """Maps cropped to one random size at random places, half of them flipped."""
        maps = self.maps(rows)
        side = int(torch.randint(smallest, MAP + 1, (1,), generator=generator))
        places = torch.randint(0, MAP - side + 1, (len(rows), 2), generator=generator).tolist()
        flips = (torch.rand(len(rows), generator=generator) < 0.5).tolist()
        crops = [photo[:, y : y + side, x : x + side] for photo, (y, x) in zip(maps, places)]
        crops = [crop.flip(2) if flip else crop for crop, flip in zip(crops, flips)]
        return torch.stack(crops).contiguous(memory_format=torch.channels_last)

    def tokens(self, rows: np.ndarray) -> Tensor:
        """(B, L) token numbers of captions, 0 where padded."""
        return self._tokens[rows, : max(self.lengths[rows])]

    def shares(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Which tokens make up the words (B, W, L) and the phrases (B, P, L) of captions, as `token_shares`; 0 where
        padded."""
        self._parse([int(i) for i in rows if int(i) not in self._spans])
        spans = [self._spans[int(i)] for i in rows]
        longest = max(self.lengths[rows])
        return _stack([words for words, _ in spans], longest), _stack([phrases for _, phrases in spans], longest)

    def _parse(self, captions: list[int]) -> None:
        """Keep the token shares of the words and phrases that the parser finds, for the next epoch."""
        for caption, found in zip(captions, parser.parse([self.captions[caption] for caption in captions])):
            self._spans[caption] = (self._shares(caption, found.words), self._shares(caption, found.phrases))

    def _shares(self, caption: int, spans: Sequence[Phrase]) -> np.ndarray:
        """(n, L), with a column for the mark before the first piece and one for that after the last."""
        return np.pad(token_shares(self._pieces[caption], spans), ((0, 0), (1, 1)))

    def draw_captions(self, rows: np.ndarray, generator: torch.Generator) -> np.ndarray:
        """One random caption a photo, as caption numbers."""
        shares = torch.rand(len(rows), generator=generator).numpy()
        return self._first[rows] + (shares * self._count[rows]).astype(int)

    def _kept_maps(self, model: Any, path: Path) -> np.ndarray:
        if not path.exists():
            kept = np.lib.format.open_memmap(
                path.with_suffix(".tmp"), "w+", np.float16, (len(self), MAP, MAP, CHANNELS)
            )
            trunk = model.visual.trunk.to(memory_format=torch.channels_last)
            for rows in self.batches(PHOTOS_AT_ONCE):
                with torch.inference_mode():
                    kept[rows] = early(trunk, self._normalised(rows, SIDE)).permute(0, 2, 3, 1).half().numpy()
            kept.flush()
            path.with_suffix(".tmp").rename(path)
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def _freeze(self, model: Any, path: Path) -> None:
        """Keep what the towers give at the start: whole photos at the size the app sees, and all captions."""
        if not path.exists():
            with torch.inference_mode():
                side = tower.SIZE.height
                images = [model.visual.trunk(self._normalised(rows, side)) for rows in self.batches(PHOTOS_AT_ONCE)]
                texts = by_length(lambda rows: text_outputs(model, self.tokens(rows)), self.lengths)
            np.savez(path, images=torch.cat(images).numpy(), texts=texts.numpy())
        kept = np.load(path, allow_pickle=False)
        self.frozen_images, self.frozen_texts = torch.from_numpy(kept["images"]), torch.from_numpy(kept["texts"])

    def _normalised(self, rows: np.ndarray, side: int) -> Tensor:
        pixels = torch.from_numpy(self.pixels(rows, side)).permute(0, 3, 1, 2).float()
        return ((pixels / 255 - tower.MEAN[0]) / tower.STD[0]).contiguous(memory_format=torch.channels_last)


def by_length(encode: Any, lengths: np.ndarray, width: int = 384) -> Tensor:
    """(n, width) outputs of n texts, those of like length together; encode: row numbers -> (B, width)."""
    order = np.argsort(lengths, kind="stable")
    out = torch.zeros(len(order), width)
    for i in range(0, len(order), TOKEN_ROWS):
        rows = order[i : i + TOKEN_ROWS]
        out[rows] = encode(rows)
    return out


def text_outputs(model: Any, tokens: Tensor) -> Tensor:
    """(B, L) token numbers -> (B, 384) mean-pooled outputs of the text tower before its head."""
    mask = (tokens != 0).long()
    return model.text.pooler(model.text.transformer(input_ids=tokens, attention_mask=mask), mask)


def _stack(tables: list[np.ndarray], longest: int) -> Tensor:
    """Tables (n_i, L_i) of B captions -> (B, max n, longest), 0 where padded."""
    out = torch.zeros(len(tables), max(len(table) for table in tables), longest)
    for row, table in zip(out, tables):
        row[: len(table), : table.shape[1]] = torch.from_numpy(table)
    return out


def read_pixels(path: Path, side: int) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC))
