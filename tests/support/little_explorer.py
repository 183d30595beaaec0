"""A small library in memory with the shape of the service, whose videos are found by the words of their captions."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from explorer.records import (
    FOUND,
    Explanation,
    ExplorerError,
    Failure,
    Hit,
    Job,
    LevelScores,
    LevelWeights,
    Match,
    Note,
    Phrase,
    Progress,
    Query,
    SearchResult,
    Verdict,
)
from explorer.service.adding import Offer
from explorer.service.judgements import Judgements, arranged

READS = {"starter-hgr": ("actions", "entities")}
STEP = 6.0  # seconds between the windows of a video
FRAMES = 12


class LittleExplorer:
    """Videos are dicts with public_id, path, duration, caption; every method is the service's, answered from them."""

    def __init__(self, videos: list[dict[str, Any]] | None = None) -> None:
        self.library = list(videos or [])
        self.paths = ["/home/you/Videos"] if videos else []
        self.work: list[Job] = []
        self.bad: list[Failure] = []
        self.noted: tuple[Note, ...] = ()
        self.taught: list[dict[str, Any]] = []
        self.told: list[tuple[Any, ...]] = []
        self.asked: list[str] = []
        self.kept: list[str] = []
        self.loading = False
        self.notice = ""
        self.judged = Judgements(Path(tempfile.mkdtemp()) / "feedback.jsonl")
        self.current = "starter"

    # ---- state
    def status(self) -> dict[str, Any]:
        return {
            "model": "loading" if self.loading else "ready",
            "message": "",
            "device": "cpu",
            "checkpoint": self.current,
            "videos": len(self.library),
            "windows": 4 * len(self.library),
            "folders": len(self.paths),
            "failed": len(self.bad),
            "seconds": sum(one["duration"] for one in self.library),
            "missing": 0,
            "offline": 0,
            "notice": self.notice,
        }

    def folders(self) -> list[dict[str, Any]]:
        return [
            {"id": n, "path": path, "state": "online", "videos": len(self.library), "failed": len(self.bad)}
            for n, path in enumerate(self.paths)
        ]

    def videos(self, text: str = "", limit: int = 200) -> list[dict[str, Any]]:
        found = [one for one in self.library if text.lower() in one["path"].lower()]
        return [
            {
                **one,
                "name": one["path"].rsplit("/", 1)[-1],
                "state": "indexed",
                "reason": "",
                "width": 1280,
                "height": 720,
                "codec": "h264",
                "windows": 4,
            }
            for one in found[:limit]
        ]

    def jobs(self) -> list[Job]:
        return list(self.work)

    def notes(self) -> tuple[Note, ...]:
        return self.noted

    def failures(self) -> list[Failure]:
        return list(self.bad)

    def models(self) -> list[dict[str, Any]]:
        row = {"R@1": 58.2, "R@5": 84.6, "R@10": 95.0, "median_rank": 1.0}
        table = dict.fromkeys(("mean_pool", "video_sentence", "clip_phrase", "frame_word", "total"), row)
        return [
            {
                "name": name,
                "model": model,
                "tower": "starter",
                "created": 1.7e9,
                "size": 4.1e7,
                "sha256": "ab" * 32,
                "kept": True,
                "current": name == self.current,
                "metrics": {"text_to_video": table, "data": "46 real clips"},
                "level_weights": {"video": 1.0, "clip": 0.5, "frame": 0.5},
            }
            for name, model in (("starter", "hcmi"), ("starter-hgr", "hgr"))
        ]

    def history(self) -> list[str]:
        return self.asked[::-1]

    def saved_searches(self) -> list[str]:
        return list(self.kept)

    def captions(self) -> list[dict[str, Any]]:
        return list(self.taught)

    def doctor(self) -> list[dict[str, Any]]:
        return [
            {"name": "Python", "value": "3.11", "ok": True},
            {"name": "decoder", "value": "PyAV 18.1", "ok": True},
            {"name": "GPU", "value": "none; the processor is used", "ok": True},
        ]

    # ---- search
    def search(
        self,
        text: str,
        *,
        k: int = 20,
        weights: LevelWeights | None = None,
        model: str | None = None,
        phrase_weights: dict[str, float] | None = None,
    ) -> SearchResult:
        if "broken" in text:
            raise ExplorerError(f"cannot read the query {text!r}: a quote is open; close it")
        self.asked.append(text)
        words = [word for word in text.lower().split() if not word.startswith("-")]
        excluded = tuple(word.strip('-"') for word in text.split() if word.startswith("-"))
        phrases = tuple(
            Phrase(word, text.lower().find(word), text.lower().find(word) + len(word))
            for word in words
            if len(word) > 2
        )
        counts = {phrase.text: (phrase_weights or {}).get(phrase.text, 1.0) for phrase in phrases}
        hits = [
            self._hit(one, start, counts, weights or LevelWeights())
            for one in self.library
            for start in (0.0, STEP)
            if start < one["duration"] and not any(word in one["caption"] for word in excluded)
        ]
        hits.sort(key=lambda hit: (-hit.scores.total, hit.path, hit.start))
        sure = bool(hits) and hits[0].scores.total > 0.2
        result = SearchResult(
            Query(text, excluded=excluded),
            phrases,
            tuple(hits),
            FOUND if sure else Verdict("nothing", "no caption holds these words"),
            0.012,
            model or self.current,
            reads=READS.get(model or self.current, ("phrases", "words")),
        )
        return arranged(result, self.judged.of(text), k=k)

    def _hit(self, one: dict[str, Any], start: float, counts: dict[str, float], weights: LevelWeights) -> Hit:
        share = sum(w for word, w in counts.items() if word in one["caption"].lower()) / max(1.0, sum(counts.values()))
        late = 0.03 if start else 0.0
        levels = (0.12 + 0.3 * share - late, 0.10 + 0.35 * share - 2 * late, 0.15 + 0.25 * share)
        total = sum(weight * level for weight, level in zip(weights.normalised(), levels))
        matches = tuple(
            Match(
                word, start + 1, start + 4, 0.1 + 0.3 * (word in one["caption"].lower()), word in one["caption"].lower()
            )
            for word in counts
        )
        calibrated = dict(
            zip(
                ("video_sentence", "clip_phrase", "frame_word"),
                (0.3 + 0.6 * share, 0.2 + 0.7 * share, 0.4 + 0.5 * share),
            )
        )
        end = min(one["duration"], start + 12)
        return Hit(
            0,
            one["public_id"],
            one["path"],
            start,
            end,
            int(start),
            LevelScores(*levels, total),
            0.4 + 0.58 * share,
            matches,
            one["duration"],
            0,
            calibrated,
            first=int(start),
            count=FRAMES,
            strength="strong" if share > 0.8 else "likely" if share > 0.4 else "weak",
            percentile=0.4 + 0.58 * share,
        )

    def search_image(self, image: np.ndarray, *, k: int = 20, model: str | None = None) -> SearchResult:
        return replace(self.search("picture", k=k, model=model), phrases=())

    def more_like(self, public_id: str, time: float, *, k: int = 20, model: str | None = None) -> SearchResult:
        return replace(self.search("alike", k=k, model=model), phrases=())

    def explain(
        self,
        text: str,
        public_id: str,
        time: float,
        *,
        end: float | None = None,
        model: str | None = None,
        weights: LevelWeights | None = None,
        phrase_weights: dict[str, float] | None = None,
    ) -> Explanation:
        self.told.append(("explain", model, weights, phrase_weights))
        words = tuple(text.lower().split())
        seed = np.random.default_rng(len(text) + int(time))
        times = time + np.arange(FRAMES, dtype=float)
        assignment = np.repeat(np.eye(4), 3, axis=0)
        spans = tuple(((float(times[3 * c]), float(times[3 * c + 2])),) for c in range(4))
        curve = np.arange(0.0, 60.0, STEP)
        return Explanation(
            words,
            words,
            seed.uniform(0, 0.5, (len(words), 4)),
            seed.uniform(0, 0.5, (len(words), FRAMES)),
            spans,
            times,
            tuple(int(t) for t in times),
            assignment,
            curve,
            0.2 + 0.1 * np.sin(curve / 9),
            reads=READS.get(model or self.current, ("phrases", "words")),
        )

    def graph(
        self,
        text: str,
        public_id: str | None = None,
        time: float | None = None,
        *,
        model: str | None = None,
        weights: LevelWeights | None = None,
    ) -> dict[str, Any]:
        self.told.append(("graph", model, weights))
        words = text.lower().split()
        nodes = [
            {
                "id": 0,
                "label": text,
                "kind": "event",
                "role": "event",
                "start": 0,
                "end": len(text),
                "score": 0.3,
                "frame": 1,
                "time": 1.0,
            }
        ]
        nodes += [
            {
                "id": n + 1,
                "label": word,
                "kind": "action" if n % 3 == 1 else "entity",
                "role": "",
                "start": 0,
                "end": 1,
                "score": 0.1 * n,
                "frame": int(time or 0) + n,
                "time": (time or 0.0) + n,
            }
            for n, word in enumerate(words)
        ]
        return {
            "nodes": nodes,
            "edges": [{"source": 0, "target": n + 1, "role": f"ARG{n % 3}"} for n in range(len(words))],
        }

    def why_not(
        self,
        text: str,
        public_id: str,
        *,
        model: str | None = None,
        weights: LevelWeights | None = None,
        phrase_weights: dict[str, float] | None = None,
    ) -> dict[str, Any]:
        self.told.append(("why_not", model, weights, phrase_weights))
        return {"rank": 31, "of": 46, "level": "clip_phrase", "phrase": "dog", "sentence": "No clip met “dog”."}

    # ---- what changes something
    def _start(self, kind: str) -> int:
        self.work.append(
            Job(
                len(self.work) + 1,
                kind,
                "running",
                {},
                Progress("encode", 12, 46, "/home/you/Videos/a.mp4", 3.2, 11.0),
                time.time(),
            )
        )
        return len(self.work)

    def add_folder(self, path: str) -> int:
        if not path.startswith("/"):
            raise ExplorerError(f"there is no folder {path!r}; check the path")
        self.paths.append(path)
        return self._start("index")

    def remove_folder(self, folder_id: int) -> None:
        self.paths.pop(folder_id)

    def start_index(self, retry_failed: bool = False) -> int:
        return self._start("index")

    def install_samples(self) -> int:
        return self._start("samples")

    def start_training(self, **choices: Any) -> int:
        self.told.append(("train", choices))
        return self._start("train")

    def _become(self, job_id: int, state: str) -> None:
        self.work = [replace(job, state=state) if job.id == job_id else job for job in self.work]

    def cancel_job(self, job_id: int) -> None:
        self._become(job_id, "cancelled")

    def pause_job(self, job_id: int) -> None:
        self._become(job_id, "paused")

    def resume_job(self, job_id: int) -> None:
        self._become(job_id, "running")

    def use_model(self, name: str) -> None:
        self.current = name

    keep_model = use_model

    def roll_back(self) -> None:
        self.current = "starter"

    def look_at_tower(self, wanted: str) -> Offer:
        return Offer(wanted, 605, False)

    def add_tower(self, name: str, agreed: bool) -> int:
        self.told.append(("tower", name, agreed))
        return self._start("tower")

    def add_caption(self, public_id: str, caption: str, start: float | None = None, end: float | None = None) -> None:
        self.taught.append({"public_id": public_id, "file": public_id, "caption": caption, "start": start, "end": end})

    def feedback(self, kind: str, text: str, public_id: str, **more: Any) -> None:
        self.told.append(("feedback", kind, text, public_id, more))
        self.judged.add(kind, text, self.path_of(public_id), **more)

    def take_back(self, text: str, public_id: str, start: float, end: float) -> None:
        self.judged.take_back(text, self.path_of(public_id), start, end)

    def path_of(self, public_id: str) -> str:
        return next(one["path"] for one in self.library if one["public_id"] == public_id)

    def save_search(self, text: str) -> None:
        self.kept.append(text)

    def drop_search(self, text: str) -> None:
        self.kept.remove(text)

    def clear_history(self) -> None:
        self.asked.clear()

    def export(self, result: SearchResult, form: str) -> str:
        return f"/data/exports/results.{form}"

    def reveal(self, public_id: str) -> None:
        self.told.append(("reveal", public_id))

    def open_in_player(self, public_id: str) -> None:
        self.told.append(("open", public_id))

    # ---- what the web side asks for
    def request_playable(self, public_id: str) -> dict[str, Any] | None:
        for one in self.library:
            if one["public_id"] == public_id:
                return {"state": one.get("playable", "ready"), "progress": 0.4, "path": one["path"], "message": ""}
        return None

    def still(self, public_id: str, frame: int) -> bytes | None:
        return None
