"""Fine-tunes on a person's 5 to 500 captions with guard-rails: it starts as the base, is held to the base where nothing
was taught, goes only as far as held-out captions allow, and says what changed."""

from __future__ import annotations

import copy
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explorer.config import FINE_TUNE_EPOCHS, TrainConfig
from explorer.model.hcmi import HCMI
from explorer.records import ExplorerError, TextFeatures, TrainStep
from explorer.training.anchor import anchor
from explorer.training.dataset import WHOLE, PairData, merge
from explorer.training.evaluate import as_json, level_scores, measure
from explorer.training.metrics import ranks
from explorer.training.objective import device_of
from explorer.training.train import fit

FEWEST = 5  # captions; fewer cannot be held out from
HELD = 0.2  # share of captions, and of videos, held out
RATIOS = (0.0, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)  # of the way from base to trained weights (WiSE-FT, arXiv 2109.01903)
ADAPTER = 128  # hidden width of the residuals that learn
ALLOWED_DROP = 1.0  # points of R@1 that captions of untaught videos may lose
ALLOWED_DRIFT = 0.125  # of the taught videos' share of all: bank captions whose first video may change to a taught one
# (1 % where 20 of 250 were taught, set on validation photos)

DEFAULT = TrainConfig(
    epochs=FINE_TUNE_EPOCHS, batch_size=64, lr=1e-3, weight_decay=0.1, denoise=False, margin_weight=0.5
)


@dataclass(frozen=True)
class Surroundings:
    """What the model must go on doing as before: videos of the library and unrelated captions, neither paired.

    library: V arrays (N, D) of videos nobody captioned; bank: captions of none of them; replay: pairs of the base's
    training, where they are kept.
    """

    library: tuple[np.ndarray, ...] = ()
    bank: Sequence[TextFeatures] = ()
    replay: PairData | None = None


@dataclass(frozen=True)
class Outcome:
    """The end of a fine-tune. The model is the base itself where nothing better was found (kept is False)."""

    model: nn.Module
    kept: bool
    ratio: float
    before: dict[str, Any]  # of held-out captions, as evaluate gives them, and "untaught"
    after: dict[str, Any]
    notices: tuple[str, ...] = ()
    seconds: float = 0.0
    tried: dict[str, float] = field(default_factory=dict)  # ratio -> score on held-out captions

    def as_json(self) -> dict[str, Any]:
        return {
            "kept": self.kept,
            "ratio": self.ratio,
            "before": self.before,
            "after": self.after,
            "notices": list(self.notices),
            "tried": self.tried,
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True)
class Split:
    """Numbers of the captions: learned from; of taught videos, held out; of videos held out whole."""

    train: np.ndarray
    captions: np.ndarray
    videos: np.ndarray


def split(data: PairData, *, seed: int = 0, share: float = HELD) -> Split:
    """Hold out whole videos, and of the others one caption each where a video has several, up to `share` of each."""
    rng = np.random.default_rng(seed)
    videos = rng.permutation(np.unique(data.owners))
    away = videos[: int(len(videos) * share)] if len(videos) >= FEWEST else videos[:0]
    by_video = np.flatnonzero(np.isin(data.owners, away))
    spare = [rng.choice(np.flatnonzero(data.owners == v)) for v in videos[len(away) :] if (data.owners == v).sum() > 1]
    by_caption = np.sort(np.array(spare[: max(1, round(len(data) * share))], dtype=np.int64))
    rest = np.setdiff1d(np.arange(len(data)), np.concatenate([by_video, by_caption]))
    return Split(rest, by_caption, by_video)


def grow(base: HCMI, *, adapter: int = ADAPTER, seed: int = 0) -> HCMI:
    """The base with residuals at every level, silent so far: it scores exactly as the base does."""
    if base.config.adapter:
        return copy.deepcopy(base).requires_grad_(True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        grown = HCMI(replace(base.config, adapter=adapter)).to(device_of(base))
    missing = grown.load_state_dict(base.state_dict(), strict=False)
    if missing.unexpected_keys or any(not name.startswith("adapters.") for name in missing.missing_keys):
        raise ValueError(f"the base does not fit its own config: {missing}")
    return grown.requires_grad_(True)


def interpolate(start: dict[str, Tensor], end: dict[str, Tensor], ratio: float) -> dict[str, Tensor]:
    """start + ratio (end - start), weight by weight; 0 gives the start bit by bit."""
    return {
        name: value.clone() if ratio == 0 or not value.is_floating_point() else value + ratio * (end[name] - value)
        for name, value in start.items()
    }


def gallery_of(data: PairData, around: Surroundings) -> PairData:
    """The taught videos, then the library: what a query is searched in."""
    count = len(around.library)
    return replace(
        data,
        files=data.files + tuple(f"library {i}" for i in range(count)),
        spans=np.concatenate([data.spans, np.tile(WHOLE, (count, 1))]),
        frames=data.frames + tuple(around.library),
    )


def finetune(
    base: HCMI,
    data: PairData,
    config: TrainConfig = DEFAULT,
    *,
    around: Surroundings = Surroundings(),
    frames: int = 12,
    folder: Path | None = None,
) -> Generator[TrainStep, None, Outcome]:
    """Teach a copy of the base; the base stays as it is. Use as `outcome = yield from finetune(...)` or `run(...)`.

    Held-out captions choose how far to go from the base (0 is not at all); then all captions are learned, as far.

    Args:
        base: the checkpoint to start from, HCMI.
        data: captions of the person's videos over kept features.
        config: how long and how fast.
        around: what must stay as it was.
        frames: F, frames a video.
        folder: keeps the run's state, so that it goes on after a kill.

    Yields:
        TrainStep; the last one's metrics are the outcome as JSON.

    Returns:
        Outcome (the generator's value).

    Raises:
        ExplorerError: too few captions or videos to learn from, or a run that is not finite.
    """
    started = time.monotonic()
    notices = _check(data, around)
    parts, gallery = split(data, seed=config.seed), gallery_of(data, around)
    start = grow(base, seed=config.seed)
    first = copy.deepcopy(start)
    yield from _teach(first, base, gallery.take(parts.train), config, around, frames, folder and folder / "held-out")
    trial = {ratio: _at(start, first, ratio) for ratio in RATIOS}
    scores = {ratio: level_scores(model, gallery, frames=frames)["total"] for ratio, model in trial.items()}
    tried = {ratio: _score(matrix, gallery, parts) for ratio, matrix in scores.items()}
    ratio = max((r for r in RATIOS if _harmless(scores[0.0], scores[r], gallery, parts)), key=lambda r: (tried[r], -r))
    kept, model = ratio > 0, base
    if kept:
        final = copy.deepcopy(start)
        yield from _teach(final, base, gallery, config, around, frames, folder and folder / "all")
        ratio, drift = _calmest(base, start, final, gallery, around.bank, frames, most=ratio, taught=len(data.files))
        kept, model = ratio > 0, _at(start, final, ratio) if ratio else base
        if not kept:
            notices += (
                f"{drift:.0f} % of unrelated captions would find a taught video first, so nothing was changed; "
                "add captions that differ more between videos",
            )
    else:
        notices += (
            "nothing learned was better than the base on the captions held out, so nothing was changed; "
            "add captions, above all of videos that are mixed up with each other",
        )
    before, after = (_report(trial[r], gallery, parts, frames) for r in (0.0, ratio))
    outcome = Outcome(
        model,
        kept,
        ratio,
        before,
        after,
        notices,
        time.monotonic() - started,
        {f"{r:g}": round(value, 4) for r, value in tried.items()},
    )
    yield TrainStep(config.epochs, 0, 0, {}, 0.0, 0.0, outcome.as_json())
    return outcome


def _check(data: PairData, around: Surroundings) -> tuple[str, ...]:
    if len(data) < FEWEST:
        count = "1 caption is" if len(data) == 1 else f"{len(data)} captions are"
        raise ExplorerError(f"{count} too few to learn from and to check on; write at least {FEWEST}")
    if len(np.unique(data.owners)) < 2:
        raise ExplorerError(
            "all captions are of one video, which leaves no difference to learn; caption another one too"
        )
    if not len(around.library) and around.replay is None:
        return (
            "no other video and no replay pair was given, so harm to other searches can be seen on the held-out "
            "captions alone",
        )
    return ()


def _teach(
    model: HCMI,
    base: HCMI,
    gallery: PairData,
    config: TrainConfig,
    around: Surroundings,
    frames: int,
    folder: Path | None,
) -> Iterator[TrainStep]:
    pairs = gallery if around.replay is None else merge(gallery, around.replay)
    yield from fit(
        model,
        pairs,
        config,
        folder=folder,
        frames=frames,
        penalty=anchor(base, gallery, around.bank, frames=frames, seed=config.seed),
    )


def _at(start: HCMI, end: HCMI, ratio: float) -> HCMI:
    model = copy.deepcopy(start)
    model.load_state_dict(interpolate(start.state_dict(), end.state_dict(), ratio))
    return model.eval()


def _score(total: np.ndarray, gallery: PairData, parts: Split) -> float:
    """Mean reciprocal rank of the held-out captions of taught videos: finer than R@1 where captions are few."""
    held = parts.captions if len(parts.captions) else parts.videos
    return float(np.mean(1 / ranks(total[held], gallery.correct()[held])))


def _harmless(base: np.ndarray, total: np.ndarray, gallery: PairData, parts: Split) -> bool:
    """Captions of videos held out whole do not lose more than ALLOWED_DROP points of R@1, nor more than chance: one
    caption."""
    if not len(parts.videos):
        return True
    correct = gallery.correct()[parts.videos]
    old, new = ((ranks(matrix[parts.videos], correct) == 1).mean() * 100 for matrix in (base, total))
    return bool(new >= old - max(ALLOWED_DROP, 100.0 / len(parts.videos)))


def _report(model: HCMI, gallery: PairData, parts: Split, frames: int) -> dict[str, Any]:
    """Per level, both ways: held-out captions of taught videos, and under "untaught" those of videos held out whole."""
    report: dict[str, Any] = {}
    for name, numbers in (("taught", parts.captions), ("untaught", parts.videos)):
        if len(numbers):
            part = gallery.take(numbers)
            report[name] = as_json(measure(level_scores(model, part, frames=frames), part))
    return report


def _calmest(
    base: HCMI,
    start: HCMI,
    end: HCMI,
    gallery: PairData,
    bank: Sequence[TextFeatures],
    frames: int,
    *,
    most: float,
    taught: int,
) -> tuple[float, float]:
    """The largest ratio up to `most` whose drift is allowed (0 where none is), and the drift of the last one tried."""
    drift, allowed = 0.0, 100 * ALLOWED_DRIFT * taught / len(gallery.files)
    for ratio in sorted((r for r in RATIOS if 0 < r <= most), reverse=True):
        drift = _drift(base, _at(start, end, ratio), gallery, taught, bank, frames)
        if drift <= allowed:
            return ratio, drift
    return 0.0, drift


def _drift(base: HCMI, model: HCMI, gallery: PairData, taught: int, bank: Sequence[TextFeatures], frames: int) -> float:
    """Percent of bank captions whose first video is a taught one now and was another before."""
    if not len(bank):
        return 0.0
    asked = replace(gallery, texts=bank, owners=np.zeros(len(bank), np.int64))
    old, new = (level_scores(m, asked, frames=frames)["total"].argmax(axis=1) for m in (base, model))
    return 100 * float(np.mean((new != old) & (new < taught)))


def run(base: HCMI, data: PairData, config: TrainConfig = DEFAULT, **choices: Any) -> Outcome:
    """`finetune` to its end, for callers that want no steps."""
    steps = finetune(base, data, config, **choices)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
