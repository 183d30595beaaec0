"""Playing and showing: the bytes a browser plays, the stills of a file, its place on the disk, results as files."""

from __future__ import annotations

import time
from pathlib import Path

from explorer.index.pace import Pace
from explorer.media.proxies import cut
from explorer.records import ExplorerError, SearchResult
from explorer.service import system
from explorer.service.answers import Playable
from explorer.service.copies import Copies
from explorer.store.rows import StoredVideo
from explorer.store.stills import Stills
from explorer.store.store import Store


class Playback:
    """What the player and the export need of the library's files. Any thread may call any method.

    Args:
        store: knows the files by their public id.
        stills: the small pictures of kept frames.
        data_dir: where playable copies and exports go.
        pace: hears that someone plays.
    """

    def __init__(self, store: Store, stills: Stills, data_dir: Path, *, pace: Pace) -> None:
        self.store, self.stills, self.pace = store, stills, pace
        self.copies, self.exports = Copies(data_dir / "playable"), data_dir / "exports"

    def playable(self, public_id: str) -> Playable | None:
        """Where the bytes of a video are that a browser plays; None: there is no such video."""
        self.pace.playing()
        video = self._find(public_id)
        return self.copies.request(video) if video else None

    def still(self, public_id: str, frame: int) -> bytes | None:
        """The JPEG of a kept frame; None: there is none."""
        video = self._find(public_id)
        return self.stills.get(video.fingerprint, frame) if video else None

    def _find(self, public_id: str) -> StoredVideo | None:
        try:
            return self.store.by_public_id(public_id)
        except ExplorerError:
            return None

    def reveal(self, public_id: str) -> None:
        """Show a file in the system's file manager."""
        system.reveal(self.store.by_public_id(public_id).path)

    def open(self, public_id: str) -> None:
        """Open a file in the system's own player."""
        system.open_path(self.store.by_public_id(public_id).path)

    def export(self, result: SearchResult, form: str) -> str:
        """Write a result as csv, jsonl, m3u, edl, fcpxml or clips into the data folder; the path."""
        from explorer.search.export import export, export_clips

        folder = self.exports / time.strftime("%Y-%m-%d %H.%M.%S")
        folder.mkdir(parents=True, exist_ok=True)
        if form in ("clip", "clips"):
            export_clips(result.hits, folder, cut=write_clip)
            return str(folder)
        videos = self.store.by_ids({hit.video_id for hit in result.hits}).values()
        infos = {video.id: video.info for video in videos if video.info}
        return str(export(result, folder / f"moments.{form}", infos=infos))

    def close(self) -> None:
        """Stop the making of copies; half a copy is never kept."""
        self.copies.close()


def write_clip(path: str, start: float, end: float, out: Path) -> None:
    """Write the stretch [start, end) of a file as mp4."""
    for _ in cut(path, str(out), start=start, end=end):
        pass
