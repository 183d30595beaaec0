"""The one door for the page, the web side and the command line: opens a library, hands out its parts, closes it."""

from __future__ import annotations

import logging
import threading
from functools import cached_property
from typing import TYPE_CHECKING

from explorer.config import Settings, tell_changed_settings
from explorer.disk.lock import DataLock
from explorer.index.pace import Pace
from explorer.records import ExplorerError
from explorer.service.answers import Fact, Status
from explorer.service.desk import Desk
from explorer.service.jobs import Jobs
from explorer.service.judgements import Judgements
from explorer.service.library import Library
from explorer.service.models import Models
from explorer.service.playback import Playback
from explorer.service.requests import (
    FineTuneRequest,
    IndexRequest,
    MeasureRequest,
    Request,
    SamplesRequest,
    SwitchRequest,
    TowerRequest,
)
from explorer.service.search_caches import SearchCaches
from explorer.service.searches import Searches
from explorer.service.switching import Switch
from explorer.service.teaching import Teaching
from explorer.store.stills import Stills
from explorer.store.store import Store

if TYPE_CHECKING:
    from explorer.service.evaluation import Evaluation

log = logging.getLogger(__name__)


class Explorer:
    """A person's library on this machine. Any thread may call any method of any part.

    The parts are `searches`, `library`, `models`, `teaching`, `jobs`, `desk`, `playback` and `evaluation`. A process
    that only reads opens each at its first use, so that its models can be listed where nothing is indexed yet.

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
        try:
            self.desk = Desk(settings.data_dir)
            self.models = Models(settings, self.desk, self._start, lambda: self.store)
            self._notices = [self.desk.notice, tell_changed_settings(settings.data_dir) if writer else ""]
            if writer:
                self._open()
        except BaseException:
            self._release()
            raise

    def _start(self, request: Request) -> int:
        return self.jobs.start(request)

    def _open(self) -> None:
        """Open every part before threads meet in it, and say what answers each request."""
        for part in ("store", "stills", "jobs", "library", "searches", "teaching", "playback"):
            getattr(self, part)
        stop = self.library.stop_decoding
        self.jobs.register(IndexRequest, self.library.index, stop=stop)
        self.jobs.register(SamplesRequest, self.library.add_samples, stop=stop)
        switch = Switch(self.settings, self.library, self.models, self.searches.caches)
        self.jobs.register(SwitchRequest, switch.run, stop=switch.stop)
        self.jobs.register(TowerRequest, self.models.install_tower)
        self.jobs.register(MeasureRequest, self.models.measure_speeds)
        self.jobs.register(FineTuneRequest, self.teaching.train_taught)

    # ---- parts

    @cached_property
    def store(self) -> Store:
        """The truth about the library."""
        if self.lock is None and not self.settings.database.is_file():
            raise ExplorerError(
                f"nothing is indexed in {self.settings.data_dir} yet; run `python -m explorer index FOLDER` first"
            )
        return Store(self.settings.database, read_only=self.lock is None)

    @cached_property
    def stills(self) -> Stills:
        """The small pictures of kept frames."""
        return Stills(self.settings.data_dir / "stills.db")

    @cached_property
    def jobs(self) -> Jobs:
        """Work that goes on by itself: list, pause, resume, cancel.

        Raises:
            ExplorerError: this process only reads.
        """
        if self.lock is None:
            raise ExplorerError("this process only reads the library; use the open app, or close it first")
        return Jobs(self.store)

    @cached_property
    def library(self) -> Library:
        """Folders, videos, indexing, failures, samples, checks."""
        return Library(
            self.settings,
            self.store,
            self.stills,
            encoder=self.models.encoder,
            start=self._start,
            pace=self.pace,
        )

    @cached_property
    def pace(self) -> Pace:
        """How much of the machine indexing takes: its `mode` is gently, normal or full."""
        return Pace(self.settings.pace)

    @cached_property
    def searches(self) -> Searches:
        """Questions, and why something was found or was not."""
        caches = SearchCaches(self.store, self.settings.data_dir, self.models.encoder)
        judgements = Judgements(self.settings.data_dir / "feedback.jsonl")
        return Searches(self.store, caches, judgements, self.desk, pace=self.pace)

    @cached_property
    def teaching(self) -> Teaching:
        """Captions, judgements, fine-tuning."""
        return Teaching(
            self.settings.data_dir,
            self.searches.judgements,
            library=self.library,
            models=self.models,
            caches=self.searches.caches,
            start=self._start,
        )

    @cached_property
    def playback(self) -> Playback:
        """Playable files, stills, exports, the file manager."""
        return Playback(self.store, self.stills, self.settings.data_dir, pace=self.pace)

    @cached_property
    def evaluation(self) -> Evaluation:
        """Measurements on captioned videos."""
        from explorer.service.evaluation import Evaluation

        return Evaluation(self.library, self.models, self.searches.caches)

    # ---- the whole

    def status(self) -> Status:
        """What the page's head says."""
        counts = self.store.counts()
        return Status(
            model=self.models.state,
            message=self.models.message,
            device=self.models.device(),
            checkpoint=self.models.current,
            videos=counts.indexed + counts.damaged,
            windows=counts.windows,
            folders=counts.roots,
            seconds=counts.seconds,
            failed=counts.failed,
            missing=counts.missing,
            offline=counts.offline,
            new=counts.new,
            damaged=counts.damaged,
            notices=tuple(filter(None, self._notices)),
        )

    def doctor(self) -> tuple[Fact, ...]:
        """What this installation is made of, line by line."""
        from explorer.service.doctor import examine

        return examine(self.settings, self.models)

    # ---- lifetime

    def warm_up(self) -> None:
        """Load the model and the index, a thread each, so that the page opens at once and the first search waits the
        least."""
        for name, work in (("warm-up", self._load_model), ("read-ahead", self.searches.caches.read_ahead)):
            threading.Thread(target=work, name=name, daemon=True).start()

    def _load_model(self) -> None:
        try:
            self.searches.caches.calibration(self.models.encoder())  # also warms the towers and the parser
        except Exception as error:  # whatever it is, the page says it in place of the model
            self.models.fail(error)

    def close(self) -> None:
        """Stop jobs (they can be resumed), end child processes, let another process write."""
        opened = vars(self)  # a part that was never used is not opened only to be closed
        try:
            if self.lock is not None:
                self.jobs.close()
                self.library.stop_decoding()
                self.playback.close()
                self._keep_caches()
        finally:
            for part in ("store", "stills"):
                if part in opened:
                    opened[part].close()
            self._release()

    def _keep_caches(self) -> None:
        """Write the search cache; a disk that refuses costs the next start some seconds, no more."""
        try:
            self.searches.caches.save()
        except (ExplorerError, OSError, RuntimeError) as error:
            log.warning("the search cache is not kept: %s", error)

    def _release(self) -> None:
        if self.lock is not None:
            self.lock.release()

    def __enter__(self) -> Explorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
