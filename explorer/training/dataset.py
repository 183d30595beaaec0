"""Pairs over kept frame features: random segment views, and batches in which no true pair hides as a negative."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from explorer.records import CaptionPair, FrameFeatures, TextFeatures

WHOLE = (0.0, np.inf)  # span of a caption that is about the whole file


@dataclass(frozen=True)
class PairData:
    """Videos (or spans of them) as kept features, and their texts.

    files names V entries; spans (V, 2) seconds; frames holds V arrays (N, D) float16, unit length;
    texts is a sequence of Q TextFeatures; owners (Q,) is the number of each text's entry.
    """

    files: tuple[str, ...]
    spans: np.ndarray
    frames: tuple[np.ndarray, ...]
    texts: Sequence[TextFeatures]
    owners: np.ndarray

    def __post_init__(self) -> None:
        if not len(self.files) == len(self.spans) == len(self.frames):
            raise ValueError(f"{len(self.files)} files, {len(self.spans)} spans, {len(self.frames)} feature arrays")
        if len(self.texts) != len(self.owners):
            raise ValueError(f"{len(self.texts)} texts for {len(self.owners)} owners")
        if len(self.owners) and not 0 <= self.owners.min() <= self.owners.max() < len(self.files):
            raise ValueError("an owner is not the number of a video")
        empty = [name for name, vectors in zip(self.files, self.frames, strict=True) if not len(vectors)]
        if empty:
            raise ValueError(f"{empty[0]} has no frame features")

    def __len__(self) -> int:
        return len(self.texts)

    def correct(self) -> np.ndarray:
        """(Q, V) bool: a text is right for its own entry and for every entry that overlaps it in the same file."""
        return _overlap(self, np.arange(len(self.files)))[self.owners]

    def take(self, texts: np.ndarray) -> PairData:
        """The same gallery with only some of the texts."""
        texts = np.asarray(texts, np.int64)
        return replace(self, texts=Picked(self.texts, texts), owners=self.owners[texts])


class Picked(Sequence):
    """Some items of a sequence, by number, made only when asked for."""

    def __init__(self, items: Sequence, numbers: np.ndarray) -> None:
        self.items, self.numbers = items, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> TextFeatures:  # type: ignore[override]
        return self.items[int(self.numbers[index])]


class Joined(Sequence):
    """Two sequences, one after the other."""

    def __init__(self, first: Sequence, second: Sequence) -> None:
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, index: int) -> TextFeatures:  # type: ignore[override]
        return self.first[index] if index < len(self.first) else self.second[index - len(self.first)]


def merge(first: PairData, second: PairData) -> PairData:
    """Both sets as one: the second's entries and texts come after the first's. One file in both is one video."""
    return PairData(
        first.files + second.files,
        np.concatenate([first.spans, second.spans]),
        first.frames + second.frames,
        Joined(first.texts, second.texts),
        np.concatenate([first.owners, second.owners + len(first.files)]),
    )


@dataclass(frozen=True)
class Batch:
    """One step's pairs: row i of each array belongs to text i.

    views holds one or two draws of the same videos: (frames (B, F, D) float32, mask (B, F) bool);
    positives (B, B) bool: text i is right for video j; numbers (B,) are the texts' places in the data.
    """

    numbers: np.ndarray
    texts: list[TextFeatures]
    views: tuple[tuple[np.ndarray, np.ndarray], ...]
    positives: np.ndarray


def pair_data(
    pairs: Iterable[CaptionPair],
    features: Mapping[str, FrameFeatures],
    encode: Callable[[list[str]], Sequence[TextFeatures]],
) -> PairData:
    """Join captions with kept features; pairs whose file has no features are left out.

    Args:
        pairs: captions of files or spans.
        features: file -> kept frame features.
        encode: list of texts -> their features, in order.
    """
    kept = [pair for pair in pairs if pair.file in features]
    if not kept:
        raise ValueError("no caption belongs to a video with features")
    entries = list(dict.fromkeys((pair.file, pair.start, pair.end) for pair in kept))
    number = {entry: index for index, entry in enumerate(entries)}
    spans = np.array([WHOLE if start is None else (start, end) for _, start, end in entries], dtype=np.float64)
    frames = tuple(_cut_segments(features[file], span) for (file, _, _), span in zip(entries, spans, strict=True))
    owners = np.array([number[pair.file, pair.start, pair.end] for pair in kept], dtype=np.int64)
    texts = encode([pair.caption for pair in kept])
    return PairData(tuple(file for file, _, _ in entries), spans, frames, texts, owners)


def _cut_segments(features: FrameFeatures, span: np.ndarray) -> np.ndarray:
    inside = (features.times >= span[0]) & (features.times <= span[1])
    if not inside.any():  # a span between two kept frames: the nearest one stands for it
        inside[np.abs(features.times - span.mean()).argmin()] = True
    return features.vectors[inside]


def _overlap(data: PairData, entries: np.ndarray) -> np.ndarray:
    files = np.array(_file_numbers(data))[entries]
    start, end = data.spans[entries].T
    return (files[:, None] == files) & (start[:, None] < end) & (start < end[:, None])


def _file_numbers(data: PairData) -> list[int]:
    table: dict[str, int] = {}
    return [table.setdefault(file, len(table)) for file in data.files]


def positives(data: PairData, numbers: np.ndarray) -> np.ndarray:
    """(B, B) bool: text i is right for the video of text j.

    True where both are of one video or of overlapping spans of it, and where the two captions are the same words.
    """
    owners = data.owners[numbers]
    unique, place = np.unique(owners, return_inverse=True)
    same_video = _overlap(data, unique)[place][:, place]
    _, words = np.unique([" ".join(data.texts[n].text.lower().split()) for n in numbers], return_inverse=True)
    return same_video | (words[:, None] == words)


def batches(data: PairData, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """One epoch's order: every text once, in batches of `size`.

    Two spans of one file that do not overlap are neither positive nor safely negative, so they never share a batch.
    The last batch may be smaller; a single text left over joins the batch before it.
    """
    order = rng.permutation(len(data))
    if np.isinf(data.spans[:, 1]).all():
        found = [order[i : i + size] for i in range(0, len(order), size)]
    else:
        found = _apart(data, order, size)
    if len(found) > 1 and len(found[-1]) == 1 and np.isinf(data.spans[:, 1]).all():
        found[-2:] = [np.concatenate(found[-2:])]
    return found


def _apart(data: PairData, order: np.ndarray, size: int) -> list[np.ndarray]:
    file = np.array(_file_numbers(data))
    together = _overlap(data, np.arange(len(data.files)))
    open_batches: list[list[int]] = []
    for number in order:
        owner = data.owners[number]
        for batch in open_batches:
            others = data.owners[batch]
            if len(batch) < size and not ((file[others] == file[owner]) & ~together[owner, others]).any():
                batch.append(int(number))
                break
        else:
            open_batches.append([int(number)])
    return [np.array(batch) for batch in open_batches]


def centre_view(count: int, frames: int) -> np.ndarray:
    """The middle of each of min(count, frames) equal segments of `count` kept frames, as at test.

    >>> centre_view(6, 3)
    array([1, 3, 5])
    """
    segments = min(count, frames)
    return ((np.arange(segments) + 0.5) * count / segments).astype(np.int64)


def random_view(count: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """One kept frame at random from each segment (TSN), ascending.

    A video with fewer than twice `frames` kept frames is cut into count // 2 segments, so that two draws differ.
    """
    segments = min(frames, max(1, count // 2))
    edges = np.arange(segments + 1) * count / segments
    return np.minimum((edges[:-1] + rng.random(segments) * (count / segments)).astype(np.int64), count - 1)


def pad(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """V arrays (N, D) -> ((V, F, D) float32, (V, F) bool), F the longest."""
    longest = max(len(array) for array in arrays)
    out = np.zeros((len(arrays), longest, arrays[0].shape[1]), np.float32)
    mask = np.zeros(out.shape[:2], bool)
    for row, array in enumerate(arrays):
        out[row, : len(array)], mask[row, : len(array)] = array, True
    return out, mask


def draw(data: PairData, numbers: np.ndarray, *, frames: int, views: int, rng: np.random.Generator) -> Batch:
    """Make one batch: `views` random views of each text's video."""
    videos = [data.frames[owner] for owner in data.owners[numbers]]
    drawn = tuple(pad([v[random_view(len(v), frames, rng)] for v in videos]) for _ in range(views))
    return Batch(numbers, [data.texts[int(n)] for n in numbers], drawn, positives(data, numbers))


def epoch(
    data: PairData, *, batch_size: int, frames: int, views: int, seed: int, number: int, first: int = 0
) -> Iterator[Batch]:
    """The batches of epoch `number` from batch `first` on. Each draws from (seed, epoch, batch) alone, so a run that
    starts again in the middle sees exactly what an unbroken one sees."""
    order = batches(data, batch_size, np.random.default_rng([seed, number]))
    for index in range(first, len(order)):
        yield draw(data, order[index], frames=frames, views=views, rng=np.random.default_rng([seed, number, index]))
