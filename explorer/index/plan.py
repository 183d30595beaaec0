"""What indexing has to do: folders are scanned, compared with the store, and files put in line."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

from explorer.index.ahead import Task
from explorer.media.motion import belongs_to_photo
from explorer.media.recorded import recorded
from explorer.media.scan import compare, offline_reason
from explorer.media.walk import EXCLUDED, Left, excluded, scan
from explorer.records import ExplorerError, Failure, Progress, VideoFile
from explorer.store import others
from explorer.store.others import Other
from explorer.store.rows import SEARCHABLE, Root, StoredVideo
from explorer.store.store import Store

log = logging.getLogger(__name__)

SHOW_EVERY = 0.25  # seconds between two records while scanning


@dataclass
class Plan:
    """What a scan found: files to decode, videos to embed anew from kept features, and the figures of the summary."""

    decode: list[Task] = field(default_factory=list)
    re_embed: list[tuple[StoredVideo, int]] = field(default_factory=list)  # (video, feature set)
    failures: list[Failure] = field(default_factory=list)
    noticed: dict[int, list[str]] = field(default_factory=dict)  # folder -> sentences on what its walk met
    offline: list[str] = field(default_factory=list)  # sentences
    unchanged: int = 0
    moved: int = 0
    missing: int = 0


def make_plan(
    store: Store, roots: Sequence[Root], *, tower: str, sampling: str, encoder: str, retry: bool, trust_smaller: bool
) -> Iterator[Progress | Plan]:
    """Scan folders, bring the store's rows up to what is there, and list what is left to do; the last item is the Plan.

    Args:
        store: the library.
        roots: the folders to look at.
        tower: names the features wanted, together with `sampling`.
        sampling: the key of the frames wanted.
        encoder: names the window vectors wanted.
        retry: take files that failed before once more.
        trust_smaller: believe a folder that has suddenly become empty or much smaller.
    """
    plan, scanned = Plan(), []
    found: dict[str, tuple[VideoFile, Root]] = {}
    for root in roots:
        files = yield from _scan(store, root, plan, trust_smaller=trust_smaller)
        if files is not None:
            scanned.append(root)
            found.update((file.path, (file, root)) for file in files if file.path not in found)
    ready = _apply(store, scanned, found, plan)
    _line_up(store, ready, found, plan, tower=tower, sampling=sampling, encoder=encoder, retry=retry)
    yield plan


def _scan(
    store: Store, root: Root, plan: Plan, *, trust_smaller: bool
) -> Generator[Progress, None, list[VideoFile] | None]:
    """The files of a folder, or None where it is offline as a whole, which is noted in store and plan."""
    files, shown, left, wanted = [], 0.0, Left(), others.rules(store.database, root.id)
    patterns = EXCLUDED if wanted.patterns is None else wanted.patterns
    known = others.others(store.database, [root.id])
    try:
        for file in scan(
            root.path,
            report=plan.failures.append,
            patterns=patterns,
            elsewhere=[other.path for other in store.roots() if other.id != root.id],
            left=left,
        ):
            if _is_set_aside(known.get(file.path), file):
                known.pop(file.path)
                continue
            files.append(file)
            if time.monotonic() - shown > SHOW_EVERY:
                shown = time.monotonic()
                yield Progress("scan", done=len(files), current=file.path)
    except ExplorerError as error:
        log.info("%s", error)
    _forget_excluded(store, root, patterns)
    reason = _offline(store, root, found=len(files), trust_smaller=trust_smaller)
    store.set_root(
        root.id, state="offline" if reason else "online", reason=reason, scanned=None if reason else time.time()
    )
    if reason:
        plan.offline.append(reason)
        return None
    others.forget_others(store.database, [path for path in known if not _below(path, plan.failures)])
    plan.noticed[root.id] = left.notes()
    return files


def _is_set_aside(known: Other | None, file: VideoFile) -> bool:
    """Whether a file is what it was when it was found to be no video."""
    return known is not None and (known.size, known.mtime_ns) == (file.size, file.mtime_ns)


def _below(path: str, unreadable: Sequence[Failure]) -> bool:
    return any(path.startswith(os.path.join(failure.path, "")) for failure in unreadable)


def _forget_excluded(store: Store, root: Root, patterns: Sequence[str]) -> None:
    """Files that were excluded since leave the library."""
    gone = [v.id for v in store.videos(root_id=root.id) if excluded(v.path, root.path, patterns)]
    others.forget_videos(store.database, gone)


def _offline(store: Store, root: Root, *, found: int, trust_smaller: bool) -> str:
    """A sentence where a folder must not be believed; a person may confirm that files are gone, not that a drive is."""
    known = sum(video.state != "missing" for video in store.videos(root_id=root.id))
    if trust_smaller and os.path.isdir(root.path):
        return ""
    return offline_reason(root.path, known=known, found=found)


def _apply(
    store: Store, roots: Sequence[Root], found: dict[str, tuple[VideoFile, Root]], plan: Plan
) -> dict[int, VideoFile]:
    """Write what the comparison says, and give the videos that are there: number -> file as found now."""
    ids = {root.id for root in roots}
    videos = {video.path: video for video in store.videos() if video.root_id in ids or video.path in found}
    known = [VideoFile(v.path, v.size, v.mtime_ns, v.fingerprint) for v in videos.values()]
    unreadable = [failure.path for failure in plan.failures]
    changes = compare(known, [file for file, _ in found.values()], unreadable=unreadable)
    plan.failures.extend(Failure(file.path, _later(file.path)) for file in changes.pending)
    moves = [(videos[old.path].id, new, found[new.path][1].id) for old, new in changes.moved]
    store.move_files(moves)
    store.mark_missing(videos[file.path].id for file in changes.missing if videos[file.path].state != "missing")
    there = [*changes.unchanged, *changes.changed]
    store.mark_present(videos[file.path].id for file in there if videos[file.path].state == "missing")
    for root in roots:
        store.add_files(root.id, [file for file in changes.new if found[file.path][1].id == root.id])
    plan.moved, plan.missing = len(moves), len(changes.missing)
    _date(
        store, [(videos[file.path], file) for file in there] + [(videos[old.path], new) for old, new in changes.moved]
    )
    store.touch_files((videos[f.path].id, f) for f in changes.unchanged if f.mtime_ns != videos[f.path].mtime_ns)
    ready = {videos[file.path].id: file for file in there}
    ready.update((video_id, file) for video_id, file, _ in moves)
    added = {video.path: video.id for video in store.videos(state="new")}
    ready.update((added[file.path], file) for file in changes.new if file.path in added)
    return ready


def _date(store: Store, files: Sequence[tuple[StoredVideo, VideoFile]]) -> None:
    """Bring up to date when files were recorded, of those whose container does not say it."""
    told = [(video, recorded(file, None)) for video, file in files if video.recorded_by != "container"]
    fresh = [(v.id, when) for v, when in told if (when.time, when.by) != (v.recorded, v.recorded_by)]
    if fresh:
        store.set_recorded(fresh)


def _later(path: str) -> str:
    return f"{path} is being written or cannot be read now; it is looked at again at the next indexing"


def _line_up(
    store: Store,
    ready: dict[int, VideoFile],
    found: dict[str, tuple[VideoFile, Root]],
    plan: Plan,
    *,
    tower: str,
    sampling: str,
    encoder: str,
    retry: bool,
) -> None:
    """Sort every video into: nothing to do, embed anew, decode."""
    embedded = store.list_embedded(tower=tower, sampling=sampling)
    videos = store.by_ids({*ready, *embedded})
    for video in sorted(videos.values(), key=lambda v: v.path):
        file = ready.get(video.id)
        set_id, made_by = embedded.get(video.id, (None, None))
        if file is not None and _must_decode(video, file, set_id, retry=retry):
            root = found[file.path][1]
            plan.decode.append(Task(video, file, root.path, motion_photos=root.motion_photos))
        elif file is not None and _is_unwanted_motion(video, found[file.path][1]):
            others.set_aside(store.database, video.id, file, others.MOTION)
        elif set_id is not None and made_by != encoder:
            plan.re_embed.append((video, set_id))
        elif file is not None and video.state in SEARCHABLE:
            plan.unchanged += 1
        elif file is not None and video.state == "failed":
            plan.failures.append(Failure(video.path, video.reason))


def _is_unwanted_motion(video: StoredVideo, root: Root) -> bool:
    return video.info is not None and not root.motion_photos and belongs_to_photo(video.path, video.info.duration)


def _must_decode(video: StoredVideo, file: VideoFile, set_id: int | None, *, retry: bool) -> bool:
    if video.state == "new" or file.fingerprint != video.fingerprint:
        return True
    if video.state == "failed":
        return retry
    return set_id is None  # another tower or another sampling
