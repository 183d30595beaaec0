"""A small library in memory with the shape of the service, whose videos are found by the words of their captions."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from explorer.records import (
    FOUND,
    DrawnEdge,
    DrawnGraph,
    DrawnNode,
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
    WhyNot,
)
from explorer.service.adding import Offer
from explorer.service.answers import Fact, Folder, Lesson, ModelCard, Playable, Status, Video
from explorer.service.choosing import CHOICES, Offered
from explorer.service.judgements import Judgement, Judgements, arrange
from explorer.service.recalls import measured_sets
from explorer.service.requests import FineTuneRequest

READS = {"starter-hgr": ("actions", "entities")}
STEP = 6.0  # seconds between the windows of a video
FRAMES = 12


class LittleExplorer:
    """Videos are dicts with public_id, path, duration, caption; the parts are the service's, answered from them."""

    def __init__(self, videos: list[dict[str, Any]] | None = None) -> None:
        self.films = list(videos or [])
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
        self.searches = SimpleNamespace(
            search=self.search,
            said=lambda text: (),
            search_image=self.search_image,
            more_like=self.more_like,
            explain=self.explain,
            why_not=self.why_not,
            graph=self.graph,
            examples=lambda: ("a grey kitten", "waves on a beach"),
        )
        self.library = SimpleNamespace(
            folders=self.folders,
            videos=self.videos,
            failures=lambda: tuple(self.bad),
            notes=lambda: self.noted,
            add_folder=self.add_folder,
            remove_folder=lambda folder_id: self.paths.pop(folder_id),
            start_index=lambda retry=False, trust_smaller=False: self._start("index"),
            install_samples=lambda: self._start("samples"),
        )
        self.models = SimpleNamespace(
            list=self.cards,
            use=self.use,
            roll_back=lambda: self.use("starter"),
            remove=lambda name: self.told.append(("remove", name)),
            look_at_tower=lambda wanted: Offer(wanted, 605, False),
            offers=lambda: tuple(Offered(choice, "Standard", False, False, None, None) for choice in CHOICES),
            measure=lambda: self._start("measure"),
            add_tower=self.add_tower,
        )
        self.teaching = SimpleNamespace(
            lessons=self.lessons,
            add_caption=self.add_caption,
            add_judgement=self.add_judgement,
            withdraw_judgement=self.withdraw_judgement,
            start_training=self.start_training,
        )
        self.jobs = SimpleNamespace(
            list=lambda: tuple(self.work),
            cancel=lambda job_id: self._become(job_id, "cancelled"),
            pause=lambda job_id: self._become(job_id, "paused"),
            resume=lambda job_id: self._become(job_id, "running"),
        )
        self.desk = SimpleNamespace(
            history=lambda: self.asked[::-1],
            clear_history=self.asked.clear,
            saved=lambda: list(self.kept),
            save=self.kept.append,
            drop=self.kept.remove,
        )
        self.playback = SimpleNamespace(
            playable=self.playable,
            still=lambda public_id, frame: None,
            export=lambda result, form: f"/data/exports/results.{form}",
            reveal=lambda public_id: self.told.append(("reveal", public_id)),
            open=lambda public_id: self.told.append(("open", public_id)),
        )

    # ---- state
    def status(self) -> Status:
        return Status(
            model="loading" if self.loading else "ready",
            device="cpu",
            checkpoint=self.current,
            videos=len(self.films),
            windows=4 * len(self.films),
            folders=len(self.paths),
            failed=len(self.bad),
            seconds=sum(film["duration"] for film in self.films),
            notices=(self.notice,) if self.notice else (),
        )

    def folders(self) -> tuple[Folder, ...]:
        return tuple(
            Folder(n, path, "online", videos=len(self.films), failed=len(self.bad)) for n, path in enumerate(self.paths)
        )

    def videos(self, text: str = "", *, limit: int = 200) -> tuple[Video, ...]:
        matching = [film for film in self.films if text.lower() in film["path"].lower()]
        return tuple(
            Video(film["public_id"], film["path"], "indexed", "", 4, film["duration"], 1280, 720, "h264")
            for film in matching[:limit]
        )

    def cards(self) -> tuple[ModelCard, ...]:
        row = {"R@1": 58.2, "R@5": 84.6, "R@10": 95.0, "median_rank": 1.0}
        table = dict.fromkeys(("mean_pool", "video_sentence", "clip_phrase", "frame_word", "total"), row)
        return tuple(
            ModelCard(
                name,
                kind=kind,
                tower="starter",
                created="2026-01-01T10:00:00",
                size=41_000_000,
                sha256="ab" * 32,
                current=name == self.current,
                measured=measured_sets({"text_to_video": table, "data": "46 real clips"}),
                level_weights=LevelWeights(1.0, 0.5, 0.5),
            )
            for name, kind in (("starter", "hcmi"), ("starter-hgr", "hgr"))
        )

    def lessons(self) -> tuple[Lesson, ...]:
        return tuple(
            Lesson("caption", line["file"], line["caption"], line["start"], line["end"]) for line in self.taught
        )

    def doctor(self) -> tuple[Fact, ...]:
        return (
            Fact("Python", "3.11"),
            Fact("decoder", "PyAV 18.1"),
            Fact("GPU", "none; the processor is used"),
        )

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
            for one in self.films
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
        return arrange(result, self.judged.of(text), k=k)

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
    ) -> DrawnGraph:
        self.told.append(("graph", model, weights))
        words = text.lower().split()
        nodes = [DrawnNode(0, text, "event", "event", 0, len(text), 0.3, 1, 1.0)]
        for n, word in enumerate(words):
            kind, second = "action" if n % 3 == 1 else "entity", (time or 0.0) + n
            nodes.append(DrawnNode(n + 1, word, kind, "", 0, 1, 0.1 * n, int(second), second))
        edges = tuple(DrawnEdge(0, n + 1, f"ARG{n % 3}") for n in range(len(words)))
        return DrawnGraph(tuple(nodes), edges)

    def why_not(
        self,
        text: str,
        public_id: str,
        *,
        model: str | None = None,
        weights: LevelWeights | None = None,
        phrase_weights: dict[str, float] | None = None,
    ) -> WhyNot:
        self.told.append(("why_not", model, weights, phrase_weights))
        return WhyNot(31, 46, "clip_phrase", "dog", "No clip met “dog”.")

    # ---- what changes something
    def _start(self, kind: str) -> int:
        progress = Progress("encode", 12, 46, "/home/you/Videos/a.mp4", 3.2, 11.0)
        self.work.append(Job(len(self.work) + 1, kind, "running", {}, progress, time.time()))
        return len(self.work)

    def _become(self, job_id: int, state: str) -> None:
        self.work = [replace(job, state=state) if job.id == job_id else job for job in self.work]

    def add_folder(self, path: str) -> int:
        if not path.startswith("/"):
            raise ExplorerError(f"there is no folder {path!r}; check the path")
        self.paths.append(path)
        return self._start("index")

    def start_training(self, choices: FineTuneRequest) -> int:
        self.told.append(("train", choices))
        return self._start("train")

    def use(self, name: str) -> int:
        self.current = name
        return 0

    def add_tower(self, name: str, *, agreed: bool) -> int:
        self.told.append(("tower", name, agreed))
        return self._start("download")

    def add_caption(
        self, public_id: str, caption: str, *, start: float | None = None, end: float | None = None
    ) -> None:
        self.taught.append({"public_id": public_id, "file": public_id, "caption": caption, "start": start, "end": end})

    def add_judgement(self, kind: str, text: str, public_id: str, **more: Any) -> None:
        self.told.append(("feedback", kind, text, public_id, more))
        self.judged.add(Judgement(kind, text, self.path_of(public_id), **more))

    def withdraw_judgement(self, text: str, public_id: str, start: float, end: float) -> None:
        self.judged.withdraw(text, self.path_of(public_id), start, end)

    def path_of(self, public_id: str) -> str:
        return next(film["path"] for film in self.films if film["public_id"] == public_id)

    # ---- what the web side asks for
    def playable(self, public_id: str) -> Playable | None:
        for film in self.films:
            if film["public_id"] == public_id:
                return Playable(film.get("playable", "ready"), 0.4, film["path"])
        return None
