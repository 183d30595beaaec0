"""The one door for the page, the web side and the command line: the library, its models, its searches, its jobs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.config import Settings, tell_changed_settings
from explorer.disk.lock import DataLock
from explorer.index.indexer import index
from explorer.media.decode import DecodeWorker
from explorer.records import Explanation, ExplorerError, Failure, Job, LevelWeights, Note, Progress, SearchResult
from explorer.service import desk
from explorer.service.adding import Offer, look
from explorer.service.jobs import Jobs
from explorer.service.judgements import LOOKED_THROUGH, arranged
from explorer.service.models import Shelf
from explorer.service.playback import Playback
from explorer.service.searches import Searching
from explorer.service.teaching import Teaching
from explorer.store.rows import StoredVideo
from explorer.store.stills import Stills
from explorer.store.store import Store

if TYPE_CHECKING:
    from explorer.model.encoder import Encoder

log = logging.getLogger(__name__)

SAMPLES = "sample library"  # folder of the data folder


class Explorer:
    """A person's library on this machine. Any thread may call any method.

    Args:
        settings: the data folder, the checkpoint, the decoder, the device.
        writer: whether this process changes the library; a search beside a running app only reads.

    Raises:
        AlreadyRunning: another process writes to this data folder.
        ExplorerError: the data folder cannot be used.
    """

    def __init__(self, settings: Settings, *, writer: bool = True) -> None:
        self.settings = settings
        self.lock = DataLock(settings.data_dir) if writer else None
        if not writer and not settings.database.is_file():
            raise ExplorerError(
                f"nothing is indexed in {settings.data_dir} yet; run `python -m explorer index FOLDER` first"
            )
        try:
            self.store = Store(settings.database, read_only=not writer)
            self.stills = Stills(settings.data_dir / "stills.db")
            self.shelf = Shelf(settings)
            self.desk = desk.Desk(settings.data_dir)
            self._notice = tell_changed_settings(settings.data_dir) if writer else ""
            self.teaching = Teaching(settings.data_dir)
            self.jobs_table = Jobs(self.store) if writer else None
            self.playback = Playback(self.store, settings.data_dir / "playable")
        except BaseException:
            self.release()
            raise
        self._checkpoint = self.desk.current() or settings.checkpoint
        self._model_state, self._model_message = "loading", ""
        self.searching = Searching(self.store, settings.data_dir, self.encoder)
        self._worker: DecodeWorker | None = None
        if self.jobs_table is not None:
            self._register()

    def _register(self) -> None:
        assert self.jobs_table is not None
        for kind, maker, stop in (
            ("index", self._index, self._stop_decoding),
            ("samples", self._samples, self._stop_decoding),
            ("train", self._train, None),
            ("download", self._download, None),
        ):
            self.jobs_table.register(kind, maker, stop=stop)

    # ---- lifetime

    def warm_up(self) -> None:
        """Load the model and the index, a thread each, so that the page opens at once and the first search waits the
        least."""
        for name, work in (("warm-up", self._warm), ("read-ahead", self.searching.read_ahead)):
            threading.Thread(target=work, name=name, daemon=True).start()

    def _warm(self) -> None:
        try:
            self.searching.bank(self.encoder())  # also warms the towers and the parser
        except Exception as error:  # whatever it is, the page says it in place of the model
            log.debug("cannot load the model", exc_info=True)
            self._model_state, self._model_message = "failed", str(error) or type(error).__name__

    def close(self) -> None:
        """Stop jobs (they can be resumed), end child processes, let another process write."""
        try:
            if self.jobs_table is not None:
                self.jobs_table.close()
            self._stop_decoding()
            self.playback.close()
            self._keep_caches()
        finally:
            self.store.close()
            self.stills.close()
            self.release()

    def _keep_caches(self) -> None:
        """Write the search cache where this process may; a disk that refuses costs the next start some seconds, no
        more."""
        try:
            if self.lock is not None:
                self.searching.save()
        except (ExplorerError, OSError, RuntimeError) as error:
            log.warning("the search cache is not kept: %s", error)

    def release(self) -> None:
        if self.lock is not None:
            self.lock.release()

    def __enter__(self) -> Explorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- models

    @property
    def checkpoint(self) -> str:
        """Name of the current checkpoint."""
        return self._checkpoint

    def encoder(self, name: str | None = None) -> Encoder:
        """The encoder of a checkpoint; None is the current one.

        Raises:
            ExplorerError: it cannot be loaded.
        """
        encoder = self.shelf.encoder(name or self._checkpoint)
        if name in (None, self._checkpoint):
            self._model_state, self._model_message = "ready", ""
        return encoder

    def models(self) -> list[dict[str, Any]]:
        """Every checkpoint as the page shows it; a broken one has "error"."""
        shown = []
        for one in self.shelf.models():
            files = one.get("files", {})
            shown.append(
                {
                    **one,
                    "model": one.get("config", {}).get("model", "?"),
                    "size": one.get("bytes", 0),
                    "sha256": next((entry["sha256"] for entry in files.values()), ""),
                    "level_weights": one.get("config", {}).get("level_weights"),
                    "kept": one.get("kept", True),
                    "metrics": one.get("metrics") or {},
                    "current": one.get("name") == self._checkpoint,
                }
            )
        return shown

    def use_model(self, name: str) -> int:
        """Make a checkpoint current, remember it, and embed the library with it from kept features; the job's
        number."""
        self.encoder(name)
        self.desk.set_current(name)
        self._checkpoint = name
        self.searching.forget()
        return self.start_index()

    keep_model = use_model

    def choose(self, name: str) -> None:
        """Make a checkpoint current and remember it, without indexing: the command line indexes next."""
        self.encoder(name)
        self.desk.set_current(name)
        self._checkpoint = name

    def choose_encoder(self, encoder: Encoder) -> None:
        """Index with an encoder at hand for the life of this object."""
        self._checkpoint = next(
            name for name in (one["name"] for one in self.shelf.models()) if self.shelf.loaded(name) is encoder
        )

    def roll_back(self) -> int:
        """Go back to the checkpoint that was current before."""
        return self.use_model(self.desk.previous() or self.settings.checkpoint)

    def look_at_tower(self, wanted: str) -> Offer:
        """What adding a tower by name or file would cost; nothing is fetched and nobody is asked."""
        return look(wanted, self.settings)

    def add_tower(self, wanted: str, agreed: bool = False) -> int:
        """Fetch a tower (the person having agreed to its size) or copy a file, and make a checkpoint of it; the job's
        number."""
        offer = self.look_at_tower(wanted)
        if not agreed and not offer.here:
            raise ExplorerError(f"{offer.name} must be downloaded; agree to its size first")
        return self._jobs().start("download", {"tower": wanted})

    def _download(self, arguments: dict[str, Any]) -> Iterator[Progress]:
        yield from self.shelf.add_tower(arguments["tower"])

    # ---- library

    def status(self) -> dict[str, Any]:
        """What the page's head says; the model is "loading", "ready" or "failed", the notice a sentence a line."""
        counts = self.store.counts()
        return {
            "model": self._model_state,
            "message": self._model_message,
            "device": self.device(),
            "checkpoint": self._checkpoint,
            "videos": counts.indexed + counts.damaged,
            "windows": counts.windows,
            "folders": counts.roots,
            "seconds": counts.seconds,
            "failed": counts.failed,
            "missing": counts.missing,
            "offline": counts.offline,
            "new": counts.new,
            "damaged": counts.damaged,
            "notice": "\n".join(filter(None, [self.desk.notice, self._notice])),
        }

    def device(self) -> str:
        """What runs the model, once it is loaded."""
        encoder = self.shelf.loaded(self._checkpoint)
        if encoder is None:
            return ""
        from explorer.model.device import describe

        return describe(encoder.tower.device, engine=encoder.tower.engine_name)

    def folders(self) -> list[dict[str, Any]]:
        """The person's folders with their state and counts."""
        videos = self.store.videos()
        return [
            {
                "id": root.id,
                "path": root.path,
                "state": root.state,
                "reason": root.reason,
                "videos": sum(v.root_id == root.id for v in videos),
                "failed": sum(v.root_id == root.id and v.state == "failed" for v in videos),
            }
            for root in self.store.roots()
        ]

    def add_folder(self, path: str) -> int:
        """Take a folder into the library and index it; the job's number.

        Raises:
            ExplorerError: it is no folder, or lies in the data folder.
        """
        self.store.add_root(desk.checked_folder(path, self.settings.data_dir))
        return self.start_index()

    def remove_folder(self, root_id: int) -> None:
        """Take a folder out of the library; its files are not touched."""
        self.store.remove_root(root_id)

    def install_samples(self) -> int:
        """Make the sample library in the data folder and index it; the job's number."""
        return self._jobs().start("samples", {})

    def start_index(self, retry_failed: bool = False, trust_smaller: bool = False) -> int:
        """Bring the index up to date with the folders and the current model; the job's number."""
        return self._jobs().start("index", {"retry": retry_failed, "trust_smaller": trust_smaller})

    def _index(self, arguments: dict[str, Any]) -> Iterator[Progress]:
        encoder = self.encoder()
        with DecodeWorker(self.settings.decoder) as worker:
            self._worker = worker
            try:
                yield from index(
                    self.store,
                    self.store.roots(),
                    encoder=encoder,
                    decoder=worker,
                    stills=self.stills,
                    sampling=self.settings.sampling,
                    retry=bool(arguments.get("retry")),
                    trust_smaller=bool(arguments.get("trust_smaller")),
                )
            finally:
                self._worker = None

    def index_now(self, folders: Sequence[str], *, retry: bool = False) -> Iterator[Progress]:
        """Index in this thread, for the command line: adds the folders and yields progress."""
        for folder in folders:
            self.store.add_root(desk.checked_folder(folder, self.settings.data_dir))
        yield from self._index({"retry": retry})

    def _samples(self, arguments: dict[str, Any]) -> Iterator[Progress]:
        from explorer.media.samples import make_samples

        folder = self.settings.data_dir / SAMPLES
        yield from (step for step in make_samples(folder) if step.stage != "done")
        self.store.add_root(folder)
        yield from self._index(arguments)

    def _stop_decoding(self) -> None:
        worker = self._worker
        if worker is not None:
            worker.kill()

    def videos(self, text: str = "", limit: int = 200) -> list[dict[str, Any]]:
        """Files whose path holds a text, by path."""
        windows = self.store.window_counts()
        found = [v for v in self.store.videos() if text.casefold() in v.path.casefold()]
        return [_video(v, windows.get(v.id, 0)) for v in found[:limit]]

    def failures(self) -> list[Failure]:
        """Files that could not be indexed, and damaged ones of which a part was kept, with the reason."""
        return [Failure(v.path, v.reason) for state in ("failed", "damaged") for v in self.store.videos(state=state)]

    def notes(self) -> tuple[Note, ...]:
        """Files and folders that were read otherwise than one would expect, with the sentence a person is shown."""
        return self.store.notes()

    # ---- jobs

    def _jobs(self) -> Jobs:
        if self.jobs_table is None:
            raise ExplorerError("this process only reads the library; use the open app, or close it first")
        return self.jobs_table

    def jobs(self) -> list[Job]:
        """The newest jobs, newest first."""
        return list(self._jobs().list())

    def cancel_job(self, job_id: int) -> None:
        self._jobs().cancel(job_id)

    def pause_job(self, job_id: int) -> None:
        self._jobs().pause(job_id)

    def resume_job(self, job_id: int) -> None:
        self._jobs().resume(job_id)

    # ---- search

    def search(
        self,
        text: str,
        *,
        k: int = 20,
        weights: LevelWeights | None = None,
        model: str | None = None,
        phrase_weights: Mapping[str, float] | None = None,
        remember: bool = True,
    ) -> SearchResult:
        """Search the library; what the person judged for these words counts (service.judging).

        Args:
            text: what was typed, filters included (see search.query).
            k: moments wanted.
            weights: of the levels; None takes the checkpoint's.
            model: checkpoint name; None is the current one.
            phrase_weights: phrase -> weight; 0 is off, below 0 excludes.
            remember: whether it goes into the history.

        Raises:
            ExplorerError: the query cannot be read, or the index was made by another model.
        """
        judged = self.teaching.judgements.of(text)
        result = self.searching.search(
            text, k=max(k, LOOKED_THROUGH) if judged else k, weights=weights, model=model, phrase_weights=phrase_weights
        )
        result = arranged(result, judged, k=k) if judged else result
        if remember and not phrase_weights:
            self.desk.remember(text)
        return result

    def search_image(self, image: np.ndarray, *, k: int = 20, model: str | None = None) -> SearchResult:
        """Moments that look like a picture (H, W, 3) uint8 of any size."""
        return self.searching.search_image(image, k=k, model=model)

    def more_like(self, public_id: str, moment: float, *, k: int = 20, model: str | None = None) -> SearchResult:
        """Moments of other files that look like one."""
        return self.searching.more_like(public_id, moment, k=k, model=model)

    def explain(
        self,
        text: str,
        public_id: str,
        moment: float,
        *,
        end: float | None = None,
        model: str | None = None,
        weights: LevelWeights | None = None,
        phrase_weights: Mapping[str, float] | None = None,
    ) -> Explanation:
        """Why a moment met a query: phrase x clip, word x frame, the curve over the file."""
        return self.searching.explain(
            text, public_id, moment, end=end, model=model, weights=weights, phrase_weights=phrase_weights
        )

    def why_not(
        self,
        text: str,
        public_id: str,
        *,
        model: str | None = None,
        weights: LevelWeights | None = None,
        phrase_weights: Mapping[str, float] | None = None,
    ) -> dict[str, Any]:
        """Where an expected video came for a query, and the level or phrase that held it back."""
        return self.searching.why_not(text, public_id, model=model, weights=weights, phrase_weights=phrase_weights)

    def graph(
        self,
        text: str,
        public_id: str | None = None,
        moment: float | None = None,
        *,
        model: str | None = None,
        weights: LevelWeights | None = None,
    ) -> dict[str, Any]:
        """The role graph of a query for drawing, each node with its best frame in a moment where one is named."""
        return self.searching.graph(text, public_id, moment, model=model, weights=weights)

    # ---- playing and showing

    def still(self, public_id: str, frame: int) -> bytes | None:
        """The JPEG of a kept frame, or None."""
        try:
            return self.stills.get(self.store.by_public_id(public_id).fingerprint, frame)
        except ExplorerError:
            return None

    def request_playable(self, public_id: str) -> dict[str, Any] | None:
        """Where the bytes of a video are that a browser plays: {"state", "progress", "path", "message"}; None: no
        such video."""
        try:
            video = self.store.by_public_id(public_id)
        except ExplorerError:
            return None
        return self.playback.request(video)

    def reveal(self, public_id: str) -> None:
        """Show a file in the system's file manager."""
        desk.reveal(self.store.by_public_id(public_id).path)

    def open_in_player(self, public_id: str) -> None:
        """Open a file in the system's own player."""
        desk.open_path(self.store.by_public_id(public_id).path)

    def export(self, result: SearchResult, form: str) -> str:
        """Write a result as csv, jsonl, m3u, edl, fcpxml or clips into the data folder; the path."""
        from explorer.search.export import export, export_clips

        folder = desk.new_folder(self.settings.data_dir / "exports")
        if form in ("clip", "clips"):
            export_clips(result.hits, folder, cut=self.playback.cut)
            return str(folder)
        infos = {v.id: v.info for v in self.store.by_ids({hit.video_id for hit in result.hits}).values() if v.info}
        return str(export(result, folder / f"moments.{form}", infos=infos))

    def history(self) -> list[str]:
        """Recent searches, newest first."""
        return self.desk.history()

    def save_search(self, text: str) -> None:
        self.desk.save_search(text)

    def saved_searches(self) -> list[str]:
        return self.desk.saved()

    def drop_search(self, text: str) -> None:
        """Take a search out of the saved ones."""
        self.desk.drop_search(text)

    def clear_history(self) -> None:
        """Forget the recent searches."""
        self.desk.clear_history()

    # ---- teaching

    def captions(self) -> list[dict[str, Any]]:
        """What the person taught so far, with the file each line is about."""
        return self.teaching.lines()

    def add_caption(self, public_id: str, caption: str, start: float | None = None, end: float | None = None) -> None:
        """Keep a caption of a video, or of its span [start, end) seconds."""
        video = self.store.by_public_id(public_id)
        self.teaching.add_caption(
            video.path, caption, start=start, end=end, duration=video.info.duration if video.info else None
        )

    def feedback(
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
        """Keep a judgement: kind video, clip (of a phrase) or frame (of a word)."""
        self.teaching.add_feedback(
            kind, text, self.store.by_public_id(public_id).path, time=time, phrase=phrase, word=word, good=good
        )

    def take_back(self, text: str, public_id: str, start: float, end: float) -> None:
        """Withdraw the judgement that stands for a moment of a search."""
        self.teaching.judgements.take_back(text, self.store.by_public_id(public_id).path, start, end)

    def start_training(self, **choices: Any) -> int:
        """Fine-tune the current model on what was taught; the job's number."""
        return self._jobs().start("train", {"base": self._checkpoint, **choices})

    def _train(self, arguments: dict[str, Any]) -> Iterator[Progress]:
        base = arguments.get("base") or self._checkpoint
        encoder = self.encoder(base)
        yield from self.teaching.train(
            encoder, self.store, self.shelf, base=base, arguments=arguments, bank=self.searching.bank(encoder)
        )

    # ---- care

    def doctor(self) -> list[dict[str, Any]]:
        """What this installation is made of: name, value, whether it is fine."""
        from explorer.service.doctor import examine

        return examine(self.settings, self._checkpoint, self.device())


def _video(video: StoredVideo, windows: int) -> dict[str, Any]:
    info = video.info
    return {
        "public_id": video.public_id,
        "name": Path(video.path).name,
        "path": video.path,
        "state": video.state,
        "reason": video.reason,
        "windows": windows,
        "duration": info.duration if info else 0.0,
        "width": info.width if info else 0,
        "height": info.height if info else 0,
        "codec": info.codec if info else "",
    }
