"""What a person teaches: captions and judgements as JSON lines they own, and the fine-tune that learns from them."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.disk.json_lines import Notes
from explorer.records import CaptionPair, ExplorerError, FrameFeatures, Progress, TrainStep
from explorer.service.judgements import Judgements
from explorer.store.store import Store
from explorer.training.captions import read_captions

if TYPE_CHECKING:
    from explorer.model.encoder import Encoder
    from explorer.service.models import Shelf
    from explorer.training.finetune import Outcome

CAPTION_CHARACTERS = 2000
KEPT_MODELS = 8
CURVE_POINTS = 300  # of the live loss curve
SURROUNDING = 400  # videos of the library that must go on being found as before


class Teaching:
    """captions.jsonl and feedback.jsonl of a data folder. They are plain text: a person may edit or remove them."""

    def __init__(self, folder: Path) -> None:
        self.notes, self.judgements = Notes(folder / "captions.jsonl"), Judgements(folder / "feedback.jsonl")
        self.runs = folder / "training"

    def add_caption(
        self,
        path: str,
        caption: str,
        *,
        start: float | None = None,
        end: float | None = None,
        duration: float | None = None,
    ) -> None:
        """Keep a caption of a file, or of its span [start, end) seconds.

        Raises:
            ExplorerError: no words, or a span that is none of this file.
        """
        text = " ".join(caption.split())[:CAPTION_CHARACTERS]
        if not text:
            raise ExplorerError("the caption has no words; describe what can be seen")
        line: dict[str, Any] = {"file": path, "caption": text}
        if start is not None or end is not None:
            first, last = start or 0.0, duration if end is None and duration else end
            if last is None or not (math.isfinite(first) and math.isfinite(last) and 0 <= first < last):
                raise ExplorerError(f"the span from {start} to {end} seconds is not one; give a start before an end")
            line |= {"start": first, "end": last}
        self.notes.append(line)

    def add_feedback(
        self,
        kind: str,
        text: str,
        path: str,
        *,
        time: float | None = None,
        phrase: str | None = None,
        word: str | None = None,
        good: bool = True,
    ) -> None:
        """Keep a judgement of a hit: of the video, of a clip for a phrase, or of a frame for a word."""
        self.judgements.add(kind, text, path, time=time, phrase=phrase, word=word, good=good)

    def lines(self) -> list[dict[str, Any]]:
        """Everything taught, oldest first: captions as kind "caption", then the judgements that stand."""
        captions = [{"kind": "caption", **line} for line in self.notes.lines()]
        return captions + [
            {**line, "kind": f"{line['kind']}, {'right' if line['good'] else 'wrong'}"}
            for line in self.judgements.standing()
        ]

    def pairs(self) -> list[CaptionPair]:
        """What can be learned: captions, and searches whose hit was judged right as a whole or at a clip or frame."""
        pairs = list(read_captions(self.notes.path).pairs) if self.notes.lines() else []
        for line in self.judgements.standing():
            caption = {"video": line.get("text"), "clip": line.get("phrase"), "frame": line.get("word")}[line["kind"]]
            if line["good"] and caption:
                pairs.append(CaptionPair(line["file"], caption, *_around(line)))
        return list(dict.fromkeys(pairs))

    def train(
        self, encoder: Encoder, store: Store, shelf: Shelf, *, base: str, arguments: dict[str, Any], bank: Any
    ) -> Iterator[Progress]:
        """Fine-tune a checkpoint on what was taught; the last record's summary holds the outcome.

        Args:
            encoder: the checkpoint to start from.
            store: keeps the features.
            shelf: where the new checkpoint goes.
            base: the checkpoint's name.
            arguments: epochs, lr, seed of TrainConfig.
            bank: features of unrelated captions.

        Raises:
            ExplorerError: nothing to learn from, or a model that cannot be fine-tuned here.
        """
        from dataclasses import replace

        from explorer.training.dataset import pair_data
        from explorer.training.finetune import DEFAULT, Surroundings, finetune

        if encoder.config.model != "hcmi":
            raise ExplorerError(
                f"{base} is an HGR model, and fine-tuning here is HCMI's; choose an HCMI model on the Models tab"
            )
        pairs, features, others = self._material(store)
        data = pair_data(pairs, features, lambda texts: encoder.texts(texts))
        config = replace(DEFAULT, **{k: v for k, v in arguments.items() if k in ("epochs", "lr", "seed", "batch_size")})
        around = Surroundings(library=tuple(f.vectors.astype(np.float32) for f in others), bank=bank)
        steps = finetune(encoder.model, data, config, around=around, frames=12)
        curve: list[list[float]] = []
        outcome = yield from follow(
            steps, f"{len(data)} captions of {len({pair.file for pair in pairs})} videos", curve=curve
        )
        name = self.keep(outcome, encoder, shelf, base, data=len(data))
        yield Progress("done", summary={**outcome.as_json(), "checkpoint": name, "curve": curve})

    def _material(self, store: Store) -> tuple[list[CaptionPair], dict[str, FrameFeatures], list[FrameFeatures]]:
        pairs = self.pairs()
        if not pairs:
            raise ExplorerError("nothing has been taught yet; write captions of your videos first")
        known = {video.path: video for video in store.videos() if video.set_id is not None}
        wanted = {pair.file for pair in pairs}
        features = {path: store.features(known[path].id) for path in sorted(wanted & known.keys())}
        if not features:
            raise ExplorerError("none of the captioned files is in the index; add their folder and index it first")
        others = [known[path] for path in sorted(known.keys() - wanted)]
        step = max(1, len(others) // SURROUNDING)
        return (
            [pair for pair in pairs if pair.file in features],
            features,
            [store.features(v.id) for v in others[::step]],
        )

    def keep(
        self, outcome: Outcome, encoder: Encoder, shelf: Shelf, base: str, *, data: int, name: str | None = None
    ) -> str:
        """Save what was learned; the base's name where nothing was kept."""
        if not outcome.kept:
            return base
        return self.save(
            outcome.model,
            encoder,
            shelf,
            base,
            data=f"{data} captions",
            name=name,
            metrics={"before": outcome.before, "after": outcome.after},
        )

    def save(
        self,
        model: Any,
        encoder: Encoder,
        shelf: Shelf,
        base: str,
        *,
        data: str,
        metrics: dict[str, Any],
        name: str | None = None,
    ) -> str:
        """A trained model as a checkpoint of the person's own, on the base's tower; its name."""
        from explorer.model.checkpoint import describe, prune, save

        parent = shelf.settings.data_dir / "checkpoints"
        name = name or time.strftime("tuned-%Y%m%d-%H%M%S")
        about = describe(shelf.folder(base))
        tower_of = base if "tower.safetensors" in about["files"] else about.get("tower_of")
        save(
            parent / name,
            model,
            {"tower": encoder.tower_name, "tower_of": tower_of, "base": base, "data": data, "metrics": metrics},
        )
        prune(parent, keep=KEPT_MODELS)
        shelf.forget(name)
        return name


def follow(
    steps: Iterator[TrainStep], what: str, *, curve: list[list[float]] | None = None
) -> Generator[Progress, None, Any]:
    """Training steps as progress with a live curve [[step, loss, lr], ...], written into `curve`; the value is the
    generator's own."""
    curve = [] if curve is None else curve
    count = 0
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value
        count += 1
        if "loss" in step.losses:
            curve.append([count, round(step.losses["loss"], 5), step.lr])
        if len(curve) > CURVE_POINTS:
            curve[:] = curve[::2]
        yield Progress(
            "train",
            step.step,
            step.steps,
            f"{what}, epoch {step.epoch + 1}",
            eta=step.eta,
            summary={"curve": list(curve)},
        )


def _around(line: dict[str, Any]) -> tuple[float | None, float | None]:
    """A clip or frame judgement teaches its surroundings, not the whole file."""
    at, reach = line.get("time"), {"clip": 2.0, "frame": 0.5}.get(line.get("kind", ""))
    return (None, None) if at is None or reach is None else (max(0.0, at - reach), at + reach)
