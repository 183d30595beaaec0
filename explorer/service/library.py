"""The person's folders and files: what is known of them, and the indexing that brings them up to date."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.config import SamplingConfig, Settings
from explorer.index.cues import read_cues
from explorer.index.indexer import index
from explorer.index.pace import Pace
from explorer.media.decode import DecodeWorker
from explorer.records import ExplorerError, Failure, Note, Progress
from explorer.service.answers import Folder, Video
from explorer.service.requests import IndexRequest, Request, SamplesRequest
from explorer.service.search_caches import CACHES
from explorer.store.rows import StoredVideo
from explorer.store.stills import Stills
from explorer.store.store import Store

if TYPE_CHECKING:
    from explorer.model.encoder import Encoder
    from explorer.store.check import Finding

SAMPLES = "sample library"  # folder of the data folder


class Library:
    """Folders, files and their indexing. Any thread may call any method.

    Args:
        settings: the data folder, the decoder, the sampling.
        store: the truth about the library.
        stills: where small pictures of kept frames go.
        encoder: gives the encoder of the current model.
        start: puts a job in line; its number.
        pace: of indexing beside a person at work.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        stills: Stills,
        *,
        encoder: Callable[[], Encoder],
        start: Callable[[Request], int],
        pace: Pace,
    ) -> None:
        self.settings, self.store, self.stills = settings, store, stills
        self._encoder, self._start, self.pace = encoder, start, pace
        self._worker: DecodeWorker | None = None
        self._turn = threading.Lock()  # indexing and a change of the model change the index one after the other

    def folders(self) -> tuple[Folder, ...]:
        """The person's folders with their state and counts."""
        videos = self.store.videos()
        return tuple(
            Folder(
                root.id,
                root.path,
                root.state,
                root.reason,
                videos=sum(video.root_id == root.id for video in videos),
                failed=sum(video.root_id == root.id and video.state == "failed" for video in videos),
            )
            for root in self.store.roots()
        )

    def add_folder(self, path: str) -> int:
        """Take a folder into the library and index it; the job's number.

        Raises:
            ExplorerError: it is no folder, or lies in the data folder.
        """
        self.store.add_root(checked_folder(path, self.settings.data_dir))
        return self.start_index()

    def remove_folder(self, folder_id: int) -> None:
        """Take a folder out of the library, and its small pictures with it; its files are not touched."""
        self.store.remove_root(folder_id)
        self.stills.keep_only(video.fingerprint for video in self.store.videos())

    def start_index(self, *, retry: bool = False, trust_smaller: bool = False) -> int:
        """Bring the index up to date with the folders and the current model; the job's number.

        Args:
            retry: take files that failed before once more, though they have not changed.
            trust_smaller: believe a folder that has suddenly become empty or much smaller.
        """
        return self._start(IndexRequest(retry=retry, trust_smaller=trust_smaller))

    def install_samples(self) -> int:
        """Make the sample library in the data folder and index it; the job's number."""
        return self._start(SamplesRequest())

    def videos(self, text: str = "", *, limit: int = 200) -> tuple[Video, ...]:
        """Files whose path holds a text, by path."""
        windows = self.store.window_counts()
        matching = [video for video in self.store.videos() if text.casefold() in video.path.casefold()]
        return tuple(_video(video, windows.get(video.id, 0)) for video in matching[:limit])

    def failures(self) -> tuple[Failure, ...]:
        """Files that could not be indexed, and damaged ones of which a part was kept, with the reason."""
        states = ("failed", "damaged")
        return tuple(Failure(video.path, video.reason) for state in states for video in self.store.videos(state=state))

    def notes(self) -> tuple[Note, ...]:
        """Files and folders that were read otherwise than one would expect, with the sentence a person is shown."""
        return self.store.notes()

    # ---- the work itself

    def index(
        self,
        request: IndexRequest,
        *,
        folders: Sequence[str] = (),
        encoder: Encoder | None = None,
        sampling: SamplingConfig | None = None,
    ) -> Iterator[Progress]:
        """Index in this thread, and yield how far it is.

        Args:
            request: how.
            folders: taken into the library first.
            encoder: makes the vectors; None takes the current model's.
            sampling: which frames are kept; None takes the settings'.
        """
        for folder in folders:
            self.store.add_root(checked_folder(folder, self.settings.data_dir))
        with ExitStack() as opened:
            yield from self.wait_for_turn(opened)
            worker = self._worker = opened.enter_context(
                DecodeWorker(self.settings.decoder, niceness=self.pace.niceness)
            )
            try:
                for step in index(
                    self.store,
                    self.store.roots(),
                    encoder=encoder or self._encoder(),  # asked for now: another model may have taken over meanwhile
                    decoder=worker,
                    stills=self.stills,
                    sampling=sampling or self.settings.sampling,
                    retry=request.retry,
                    trust_smaller=request.trust_smaller,
                    pace=self.pace,
                ):
                    if step.stage == "done":  # the summary stays the last record
                        yield from read_cues(self.store, worker)
                    yield step
            finally:
                self._worker = None

    def wait_for_turn(self, opened: ExitStack) -> Iterator[Progress]:
        """Wait until no other work changes the index; the turn is given back when `opened` is closed."""
        while not self._turn.acquire(timeout=0.25):
            yield Progress("waiting")
        opened.callback(self._turn.release)

    def add_samples(self, request: SamplesRequest) -> Iterator[Progress]:
        """Make the sample library and index it in this thread."""
        from explorer.media.samples import make_samples

        folder = self.settings.data_dir / SAMPLES
        yield from (step for step in make_samples(folder) if step.stage != "done")
        self.store.add_root(folder)
        yield from self.index(IndexRequest())

    def stop_decoding(self) -> None:
        """End the child process that decodes, so that the indexing that waits for it can stop."""
        worker = self._worker
        if worker is not None:
            worker.kill()

    def check(self, *, repair: bool = False) -> list[Finding]:
        """Look for every inconsistency of the index and its caches; `repair` mends what can be made again."""
        from explorer.store.check import check
        from explorer.store.vectors import VectorCache

        makers = list(self.store.encoders())
        path = self.settings.data_dir / CACHES / f"{makers[0]}.faiss" if makers else None
        vectors = VectorCache(self.store, path, encoder=makers[0]) if path and path.is_file() else None
        return check(self.store, vectors=vectors, stills=self.stills, repair=repair)


def _video(video: StoredVideo, windows: int) -> Video:
    info = video.info
    if info is None:
        return Video(video.public_id, video.path, video.state, video.reason, windows)
    return Video(
        video.public_id,
        video.path,
        video.state,
        video.reason,
        windows,
        duration=info.duration,
        width=info.width,
        height=info.height,
        codec=info.codec,
    )


def checked_folder(path: str, data_dir: Path) -> str:
    """The absolute path of a folder a person named.

    Raises:
        ExplorerError: nothing there, no folder, not readable, or the data folder itself.
    """
    name = os.path.abspath(os.path.expanduser(path.strip()))
    if not path.strip():
        raise ExplorerError("no folder was named; type the path of a folder with videos")
    if not os.path.exists(name):
        raise ExplorerError(f"there is no folder {path.strip()!r}; check the path")
    if not os.path.isdir(name):
        raise ExplorerError(f"{path.strip()!r} is a file; name the folder it lies in")
    if not os.access(name, os.R_OK | os.X_OK):
        raise ExplorerError(f"{path.strip()!r} cannot be read; change its permissions or choose another folder")
    if Path(name) in (data_dir, *data_dir.parents):
        raise ExplorerError(f"{path.strip()!r} holds this app's own data; choose a folder with your videos")
    return name
