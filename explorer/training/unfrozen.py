"""Trains the towers with the hierarchy: pixels and captions -> changed tower tensors and model, kept where they are better."""
from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explorer.config import ModelConfig, TrainConfig
from explorer.model import phrases as parser
from explorer.model.batch import TextBatch
from explorer.model.contextual import token_shares
from explorer.model.encoder import Encoder
from explorer.model.hierarchy import unit
from explorer.model.towers import Tower, load_tower
from explorer.records import CaptionPair, ExplorerError, Phrase, TextFeatures, TrainStep
from explorer.training.dataset import WHOLE, PairData, batches, positives, random_view
from explorer.training.objective import from_levels
from explorer.training.train import BETAS, NAMED, groups, learning_rate, validate

RATIO = 1e-3                   # tower rate to module rate, as the paper's 1e-7 to 1e-4
IMAGES_AT_ONCE = {"cuda": 128}     # of a pass with gradients; elsewhere 16, so that early layers stay in cache
TEXTS_AT_ONCE = {"cuda": 256}      # elsewhere 64
BLOCK = re.compile(r"(.*?\b(?:resblocks|blocks|layers?|stages))\.(\d+)\.")      # also ModifiedResNet's layer1..4 by LAYER
LAYER = re.compile(r"(.*?\blayer)(\d)\.")
TAIL = re.compile(r"(visual\.|text\.)?(trunk\.)?(proj|ln_post|ln_final|text_projection|head|attn_?pool|norm|fc_norm|conv_head|bn2)\b")
NEVER = ("logit_scale", "logit_bias")      # of the tower: the hierarchy has its own

Entry = tuple[str, float | None, float | None]        # file, start, end: None is the whole file


@dataclass(frozen=True)
class PixelData:
    """V videos or spans as pixels (V, F, H, W, 3) uint8, counts (V,) real frames each, and their captions.

    pairs holds the captions with their words and phrases; its vectors are empty, as the towers that make them change.
    """

    pairs: PairData
    pixels: np.ndarray
    counts: np.ndarray

    def frames(self, video: int) -> np.ndarray:
        """(N, H, W, 3) of one video."""
        return self.pixels[video, :self.counts[video]]


@dataclass(frozen=True)
class Unfrozen:
    """The end of a run: retrieval on held-out videos before and after, and what to store where it was better."""

    kept: bool
    before: dict[str, Any]
    after: dict[str, Any]
    model: nn.Module
    tensors: dict[str, Tensor]             # trained tower tensors as stored, float16


class Joint(nn.Module):
    """A tower's network and a hierarchy as one, so that they share an optimiser; the config is the hierarchy's."""

    def __init__(self, tower: Tower, model: nn.Module, part: str) -> None:
        super().__init__()
        self.tower, self.hierarchy, self.config = tower.model, model.requires_grad_(True), model.config
        thaw(self.tower, part)

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that learn, by name."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}


class Cached:
    """One chunk of tower outputs: `leaf` takes the loss's gradient, `push` runs the tower again and hands it on.

    The batch is scored whole while only one chunk's activations are ever held (gradient caching, arXiv 2101.06983).
    """

    def __init__(self, make: Callable[[], Tensor]) -> None:
        self.make = make
        with torch.no_grad():
            self.leaf = make()
        self.leaf.requires_grad_()

    def push(self) -> None:
        if self.leaf.grad is not None:
            self.make().backward(self.leaf.grad)


def own_tower(name: str, *, device: str, weights: Mapping[str, Tensor]) -> Tower:
    """A tower of its own, in single precision, that may be changed without anyone else seeing it."""
    return load_tower(name, device=device, weights=weights, dtype=torch.float32)


def pixel_data(pairs: Sequence[CaptionPair], counts: Mapping[Entry, int], pixels: np.ndarray) -> PixelData:
    """Join captions with decoded entries, numbered in the order of `counts`; other captions are left out."""
    number = {entry: index for index, entry in enumerate(counts)}
    kept = [pair for pair in pairs if (pair.file, pair.start, pair.end) in number]
    parsed = parser.parse([pair.caption for pair in kept])
    none = np.zeros((0, 1), np.float32)
    texts = [TextFeatures(pair.caption, none, none, tuple(word.text for word in found.words), none, found.phrases)
             for pair, found in zip(kept, parsed, strict=True)]
    spans = np.array([WHOLE if start is None else (start, end) for _, start, end in counts], np.float64).reshape(-1, 2)
    frames = tuple(np.zeros((count, 1), np.float16) for count in counts.values())
    owners = np.array([number[pair.file, pair.start, pair.end] for pair in kept], np.int64)
    return PixelData(PairData(tuple(file for file, _, _ in counts), spans, frames, texts, owners), pixels,
                     np.array(list(counts.values()), np.int64))


def thaw(network: nn.Module, part: str) -> None:
    """Let a part of both towers learn: "last" is the last block of each with all behind it, "all" is everything.

    Raises:
        ValueError: no such part, or a network whose last blocks are not known by name.
    """
    if part not in ("last", "all"):
        raise ValueError(f"part must be last or all, not {part!r}")
    names = [name for name, _ in network.named_parameters() if name not in NEVER]
    chosen = set(names) if part == "all" else {name for name in names if name in _last_blocks(names) or TAIL.match(name)}
    sides = {name.startswith("visual.") for name in chosen}
    if sides != {True, False}:
        raise ValueError("the last blocks of this tower are not known; train all of it")
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in chosen)


def _last_blocks(names: Sequence[str]) -> set[str]:
    """Names of the parameters in the last block of each outermost row of numbered blocks."""
    last: dict[str, int] = {}
    found = {name: match for name in names if (match := BLOCK.match(name) or LAYER.match(name))}
    for match in found.values():
        last[match[1]] = max(last.get(match[1], 0), int(match[2]))
    return {name for name, match in found.items() if int(match[2]) == last[match[1]]}


def encode(tower: Tower, model: nn.Module, data: PixelData, part: PairData) -> PairData:
    """A part of the captions, and all videos, as the features that the tower gives now."""
    encoder = Encoder(tower, copy.deepcopy(model), name="unfrozen")
    with _precision(tower):
        frames = tuple(tower.encode_frames(data.frames(video)) for video in range(len(data.counts)))
        texts = encoder.texts([part.texts[i].text for i in range(len(part))])
    return PairData(part.files, part.spans, frames, texts, part.owners)


def fit_unfrozen(tower: Tower, model: nn.Module, data: PixelData, train: PairData, held: PairData,
                 config: TrainConfig) -> Generator[TrainStep, None, Unfrozen]:
    """Train tower and hierarchy in place; use as `outcome = yield from fit_unfrozen(...)`.

    The tower's rate is the modules' times 1e-3, the paper's 1e-7 at its 1e-4. BatchNorm and dropout stay as at test.
    The best epoch by rsum on the held-out captions is taken, and measured again as stored, in half precision.

    Args:
        tower: from `own_tower`. model: HCMI on its device.
        data: pixels of all videos. train, held: parts of data.pairs.
        config: unfreeze says which part of the tower learns.

    Yields:
        TrainStep, its metrics filled after each epoch.

    Returns:
        Unfrozen (the generator's value).

    Raises:
        ExplorerError: too few captions, or a loss or gradient that is not finite; the batch is named.
    """
    if len(train) < 2:
        raise ExplorerError(f"{len(train)} caption is too few to train on; write at least two, of different videos")
    torch.manual_seed(config.seed)
    joint = Joint(tower, model, config.unfreeze)
    optimizer = torch.optim.AdamW(_groups(joint, config), lr=config.lr, betas=BETAS)
    order = [batches(train, config.batch_size, np.random.default_rng([config.seed, number])) for number in range(config.epochs)]
    steps, done, started = sum(map(len, order)), 0, time.monotonic()
    before = _measure(tower, model, data, held)
    best, score = _weights(joint), before["rsum"]
    for number, epoch in enumerate(order):
        for index, numbers in enumerate(epoch):
            rate = _set_rates(optimizer, done, steps, config)
            rng = np.random.default_rng([config.seed, number, index])
            named = _step(joint, tower, data, train, numbers, config, optimizer, rng=rng, where=(number, index))
            done += 1
            metrics: dict[str, Any] = {}
            if index == len(epoch) - 1:
                metrics = _measure(tower, model, data, held)
                if metrics["rsum"] > score:
                    best, score = _weights(joint), metrics["rsum"]
            left = (time.monotonic() - started) / done * (steps - done)
            yield TrainStep(number, done, steps, named, rate, left, metrics)
    tensors = _lay(joint, best)
    after = _measure(tower, model, data, held)
    return Unfrozen(after["rsum"] > before["rsum"], before, after, model, tensors)


def _measure(tower: Tower, model: nn.Module, data: PixelData, held: PairData) -> dict[str, Any]:
    try:
        return validate(model, encode(tower, model, data, held))
    except ValueError as error:                # features or scores that are no numbers, before any batch could show it
        raise ExplorerError(f"the towers give values that are not finite ({error}); nothing was changed, lower --lr") from error


def _groups(joint: Joint, config: TrainConfig) -> list[dict[str, Any]]:
    return groups(joint, replace(config, tower_lr=config.lr * RATIO))


def _weights(joint: Joint) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in joint.trained().items()}


def _lay(joint: Joint, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put weights back, the tower's rounded as they are stored; returns those."""
    stored = {name: value.half() for name, value in weights.items() if name.startswith("tower.")}
    with torch.no_grad():
        for name, parameter in joint.trained().items():
            parameter.copy_(stored.get(name, weights[name]))
    joint.eval()
    return {name.removeprefix("tower."): value.cpu() for name, value in stored.items()}


def _set_rates(optimizer: torch.optim.Optimizer, step: int, steps: int, config: TrainConfig) -> float:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, steps, peak=group["peak"], warmup=config.warmup)
    return learning_rate(step, steps, peak=config.lr, warmup=config.warmup)


def _step(joint: Joint, tower: Tower, data: PixelData, train: PairData, numbers: np.ndarray, config: TrainConfig,
          optimizer: torch.optim.Optimizer, *, rng: np.random.Generator, where: tuple[int, int]) -> dict[str, float]:
    """One optimiser step on the captions `numbers`. Nothing is changed unless loss and gradient are finite."""
    joint.eval()
    joint.hierarchy.train()
    optimizer.zero_grad(set_to_none=True)
    named = gradients(joint, tower, data, train, numbers, config, rng=rng)
    for what, value in (("loss", named["loss"]), ("gradient", nn.utils.clip_grad_norm_(joint.parameters(), config.clip_grad))):
        if not torch.isfinite(value):
            shown = ", ".join(repr(train.texts[int(n)].text[:60]) for n in numbers[:NAMED])
            raise ExplorerError(f"training stopped at epoch {where[0] + 1}, batch {where[1] + 1}: the {what} is not a finite "
                                f"number (captions {shown}); nothing was changed, check these videos or lower --lr")
    optimizer.step()
    joint.hierarchy.limit_scale()
    return {name: float(value.detach()) for name, value in named.items()}


def gradients(joint: Joint, tower: Tower, data: PixelData, train: PairData, numbers: np.ndarray, config: TrainConfig, *,
              rng: np.random.Generator) -> dict[str, Tensor]:
    """The named losses of one batch; their gradient is left in the parameters."""
    texts = [train.texts[int(n)] for n in numbers]
    with _precision(tower):
        videos, frame_chunks = _videos(joint, tower, data, train.owners[numbers], rng=rng, views=1 + config.denoise)
        batch, text_chunks = _texts(tower, texts, joint.config)
        encoded = joint.hierarchy.encode_text(batch)
        named = from_levels(joint.hierarchy, encoded, videos, torch.from_numpy(positives(train, numbers)).to(tower.device), config)
    if torch.isfinite(named["loss"]):
        named["loss"].backward()
        for chunk in (*frame_chunks, *text_chunks):
            with _precision(tower):
                chunk.push()
    return named


def _videos(joint: Joint, tower: Tower, data: PixelData, owners: np.ndarray, *, rng: np.random.Generator,
            views: int) -> tuple[list[Any], list[Cached]]:
    """Levels of each caption's video: over all its frames, then (for denoising) over some of them. Each frame is encoded once."""
    distinct, place = np.unique(owners, return_inverse=True)
    first = np.cumsum([0, *data.counts[distinct]])
    size = IMAGES_AT_ONCE.get(tower.device.type, 16)
    pixels = np.concatenate([data.frames(video) for video in distinct])
    chunks = [Cached(lambda part=pixels[i:i + size]: tower.image_vectors(part)) for i in range(0, len(pixels), size)]  # type: ignore[misc]
    vectors = torch.cat([chunk.leaf for chunk in chunks])
    rows = [np.arange(first[video], first[video + 1]) for video in place]
    drawn = [rows] + [[row[random_view(len(row), data.pixels.shape[1], rng)] for row in rows] for _ in range(views - 1)]
    return [joint.hierarchy.encode_video(*_gather(vectors, view)) for view in drawn], chunks


def _texts(tower: Tower, texts: Sequence[TextFeatures], config: ModelConfig) -> tuple[TextBatch, list[Cached]]:
    """What `collate_text` makes of a batch, with gradients into the tower; each distinct text is encoded once."""
    spans = [[phrase.text for phrase in text.phrase_spans] for text in texts]
    words = [list(text.word_texts[:config.words]) for text in texts]
    if config.text_levels == "prompted":
        row_of, vectors, chunks = _encoded(tower, [text.text for text in texts],
                                           [config.prompt.format(one) for row in words + spans for one in row])
        alone = [[row_of[text.text]] for text in texts]
        prompts = [[[row_of[config.prompt.format(one)] for one in row] or only for row, only in zip(rows, alone, strict=True)]
                   for rows in (words, spans)]
        (word_vectors, word_mask), (span_vectors, span_mask) = (_gather(vectors, rows) for rows in prompts)
        return TextBatch(_gather(vectors, alone)[0][:, 0], word_vectors, word_mask, span_vectors, span_mask, span_mask.float()), chunks
    row_of, vectors, chunks = _encoded(tower, [text.text for text in texts], [])
    sentence = vectors[[row_of[text.text] for text in texts]]
    outputs, mask, found, more = _tokens(tower, texts)
    if config.text_levels == "learned":
        real = mask & (mask.cumsum(dim=1) <= config.words)
        word_vectors, word_mask = _or_sentence(outputs * real[:, :, None], real, sentence)
        none = sentence.new_zeros(len(texts), 0)
        return TextBatch(sentence, word_vectors, word_mask, sentence[:, None][:, :0], none.bool(), none), [*chunks, *more]
    own = [parser.words(text.text)[:config.words] for text in texts]
    levels = [_or_sentence(*_spanned(outputs, mask, found, rows), sentence) for rows in (own, [text.phrase_spans for text in texts])]
    (word_vectors, word_mask), (span_vectors, span_mask) = levels
    return TextBatch(sentence, word_vectors, word_mask, span_vectors, span_mask, span_mask.float()), [*chunks, *more]


def _encoded(tower: Tower, texts: Sequence[str], prompts: Sequence[str]) -> tuple[dict[str, int], Tensor, list[Cached]]:
    """Each distinct text once: its row, the vectors (U, D), and the chunks they came in."""
    order = sorted(dict.fromkeys([*texts, *prompts]), key=len)              # like lengths pad little
    size = TEXTS_AT_ONCE.get(tower.device.type, 64)
    chunks = [Cached(lambda part=order[i:i + size]: tower.text_vectors(part)) for i in range(0, len(order), size)]  # type: ignore[misc]
    return {text: row for row, text in enumerate(order)}, torch.cat([chunk.leaf for chunk in chunks]), chunks


def _tokens(tower: Tower, texts: Sequence[TextFeatures]) -> tuple[Tensor, Tensor, list[Any], list[Cached]]:
    """Token outputs (Q, L, D) of a batch, their mask (Q, L) and the characters of each real one."""
    size = TEXTS_AT_ONCE.get(tower.device.type, 64)
    parts = [[text.text for text in texts[i:i + size]] for i in range(0, len(texts), size)]
    with torch.no_grad():
        known = [tower.token_vectors(part)[1:] for part in parts]
    chunks = [Cached(lambda part=part: tower.token_vectors(part)[0]) for part in parts]      # type: ignore[misc]
    longest = max(mask.shape[1] for mask, _ in known)
    tokens = torch.cat([nn.functional.pad(c.leaf, (0, 0, 0, longest - c.leaf.shape[1])) for c in chunks])
    masks = torch.cat([nn.functional.pad(mask, (0, longest - mask.shape[1])) for mask, _ in known])
    return tokens, masks, [row for _, rows in known for row in rows], chunks


def _spanned(tokens: Tensor, mask: Tensor, places: Sequence[Any], spans: Sequence[Sequence[Phrase]]) -> tuple[Tensor, Tensor]:
    """Means of token outputs (Q, L, D) under the spans of each text: (Q, N, D) unit and their mask (Q, N)."""
    shares = tokens.new_zeros(len(tokens), max(1, *map(len, spans)), tokens.shape[1])
    for row, (real, at, wanted) in enumerate(zip(mask, places, spans, strict=True)):
        if wanted:
            table = torch.from_numpy(token_shares(at, wanted)).to(tokens)
            shares[row, :len(wanted), real.nonzero().squeeze(1)] = table
    return unit(shares @ tokens), shares.sum(-1) > 0


def _or_sentence(tokens: Tensor, mask: Tensor, sentence: Tensor) -> tuple[Tensor, Tensor]:
    """The sentence (Q, D) stands in where a text has no word or phrase of its own: one column more, in front."""
    empty = ~mask.any(dim=1)
    return torch.cat([sentence[:, None] * empty[:, None, None], tokens], dim=1), torch.cat([empty[:, None], mask], dim=1)


def _gather(vectors: Tensor, rows: Sequence[Sequence[int] | np.ndarray]) -> tuple[Tensor, Tensor]:
    """Rows (n_i,) of vectors (U, D) for B items -> ((B, max n, D) padded with 0, (B, max n) bool)."""
    longest = max(len(row) for row in rows)
    mask = torch.tensor([[k < len(row) for k in range(longest)] for row in rows], device=vectors.device)
    index = torch.tensor([[*map(int, row), *[0] * (longest - len(row))] for row in rows], device=vectors.device)
    return vectors[index] * mask[:, :, None], mask


def _precision(tower: Tower) -> torch.autocast:
    """bf16 on a GPU that has it; a CPU computes in full."""
    able = tower.device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast(tower.device.type, dtype=torch.bfloat16, enabled=able)
