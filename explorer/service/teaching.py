"""What a person teaches: captions and judgements as JSON lines they own, and the training that learns from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from explorer.disk.json_lines import JsonLines, Line
from explorer.records import CaptionPair, ExplorerError, Progress
from explorer.service.answers import Lesson
from explorer.service.judgements import Judgement, Judgements
from explorer.service.library import Library
from explorer.service.models import Models
from explorer.service.recalls import as_number
from explorer.service.requests import FineTuneRequest, Request, TrainRequest
from explorer.service.search_caches import SearchCaches

CAPTION_CHARACTERS = 2000
REACH = {"clip": 2.0, "frame": 0.5}  # seconds around a judged moment that its words are taught for


class Teaching:
    """captions.jsonl and the judgements of a data folder; they are plain text, which a person may edit or remove.

    Args:
        folder: the data folder.
        judgements: of searches.
        library: knows the files, and keeps their features.
        models: the base, and what is made of it.
        caches: give the bank of unrelated captions.
        start: puts a job in line; its number.
    """

    def __init__(
        self,
        folder: Path,
        judgements: Judgements,
        *,
        library: Library,
        models: Models,
        caches: SearchCaches,
        start: Callable[[Request], int],
    ) -> None:
        self.file, self.judgements = JsonLines(folder / "captions.jsonl"), judgements
        self.library, self.models, self.caches, self._start = library, models, caches, start

    def add_caption(
        self, public_id: str, caption: str, *, start: float | None = None, end: float | None = None
    ) -> None:
        """Keep a caption of a video, or of its span [start, end) seconds.

        Raises:
            ExplorerError: no words, or a span that is none of this file.
        """
        video, text = self.library.store.by_public_id(public_id), " ".join(caption.split())[:CAPTION_CHARACTERS]
        if not text:
            raise ExplorerError("the caption has no words; describe what can be seen")
        line: dict[str, object] = {"file": video.path, "caption": text}
        if start is not None or end is not None:
            first, last = start or 0.0, video.info.duration if end is None and video.info else end
            if last is None or not (math.isfinite(first) and math.isfinite(last) and 0 <= first < last):
                raise ExplorerError(f"the span from {start} to {end} seconds is not one; give a start before an end")
            line |= {"start": first, "end": last}
        self.file.append(line)

    def add_judgement(
        self,
        kind: str,
        text: str,
        public_id: str,
        *,
        time: float | None = None,
        phrase: str | None = None,
        word: str | None = None,
        good: bool = True,
    ) -> None:
        """Keep a judgement of a hit: kind video, clip (of a phrase) or frame (of a word)."""
        path = self.library.store.by_public_id(public_id).path
        self.judgements.add(Judgement(kind, text, path, time, phrase, word, good))

    def withdraw_judgement(self, text: str, public_id: str, start: float, end: float) -> None:
        """Take back the judgement that stands for a moment of a search."""
        self.judgements.withdraw(text, self.library.store.by_public_id(public_id).path, start, end)

    def lessons(self) -> tuple[Lesson, ...]:
        """Everything taught, oldest first: captions, then the judgements that stand."""
        captions = [_caption(line) for line in self.file.lines()]
        judgements = [
            Lesson(f"{judgement.kind}, {'right' if judgement.good else 'wrong'}", judgement.file, judgement.text)
            for judgement in self.judgements.standing()
        ]
        return (*captions, *judgements)

    def pairs(self) -> list[CaptionPair]:
        """What can be learned: captions, and searches whose hit was judged right as a whole or at a clip or frame."""
        from explorer.training.captions import read_captions

        pairs = list(read_captions(self.file.path).pairs) if self.file.lines() else []
        for judgement in self.judgements.standing():
            caption = {"video": judgement.text, "clip": judgement.phrase, "frame": judgement.word}[judgement.kind]
            if judgement.good and caption:
                pairs.append(CaptionPair(judgement.file, caption, *_around(judgement)))
        return list(dict.fromkeys(pairs))

    def start_training(self, choices: FineTuneRequest = FineTuneRequest()) -> int:
        """Fine-tune on what was taught; the job's number."""
        return self._start(self._on_base(choices))

    def train_taught(self, choices: FineTuneRequest) -> Iterator[Progress]:
        """Fine-tune on what was taught, in this thread; the last record's summary is that of `fine_tune`.

        Raises:
            ExplorerError: nothing to learn from, or a model that cannot be fine-tuned.
        """
        from explorer.service.fine_tune import fine_tune
        from explorer.service.material import taught_material

        choices = self._on_base(choices)
        encoder = self.models.encoder(choices.base)
        material = taught_material(self.library.store, self.pairs())
        yield from fine_tune(self.models.encoders, material, choices, bank=self.caches.bank(encoder))

    def train_file(self, request: TrainRequest) -> Iterator[Progress]:
        """Fine-tune on a captions file, in this thread; the last record's summary is that of `fine_tune`.

        Raises:
            ExplorerError: captions or videos that cannot be used, or a base that cannot be trained.
        """
        from explorer.service.fine_tune import fine_tune
        from explorer.service.material import captioned_material
        from explorer.service.unfrozen import train_unfrozen
        from explorer.training.captions import read_captions

        captions, choices = read_captions(request.captions), self._on_base(request.choices)
        if request.unfreeze != "none":
            yield from train_unfrozen(self.models.encoders, captions, replace(request, choices=choices))
            return
        encoder = self.models.encoder(choices.base)
        material = captioned_material(self.library, encoder, captions, request.videos)
        yield from fine_tune(self.models.encoders, material, choices, bank=self.caches.bank(encoder))

    def _on_base(self, choices: FineTuneRequest) -> FineTuneRequest:
        return replace(choices, base=choices.base or self.models.current)


def _caption(line: Line) -> Lesson:
    start, end = as_number(line.get("start")), as_number(line.get("end"))
    return Lesson("caption", str(line.get("file", "")), str(line.get("caption", "")), start, end)


def _around(judgement: Judgement) -> tuple[float | None, float | None]:
    """A clip or frame judgement teaches its surroundings, not the whole file."""
    reach = REACH.get(judgement.kind)
    if judgement.time is None or reach is None:
        return None, None
    return max(0.0, judgement.time - reach), judgement.time + reach
