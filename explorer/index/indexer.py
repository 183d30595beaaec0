"""Folders become a searchable store: scan, decode ahead, encode, embed, keep; a generator of Progress."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from explorer.config import SamplingConfig
from explorer.index import embed
from explorer.index.ahead import Ahead, Broken, Decoded, Ended, Opened, Spoiled, Step, Task
from explorer.index.embed import Draft, FrameEncoder
from explorer.index.pace import Pace
from explorer.index.plan import Plan, make_plan
from explorer.media.decode import Cancelled
from explorer.media.gate import NotVideo, Unreadable
from explorer.media.motion import belongs_to_photo
from explorer.records import ExplorerError, Failure, FrameFeatures, Frames, Note, Progress, VideoInfo
from explorer.store import drafts, others
from explorer.store.database import is_full
from explorer.store.rows import Root
from explorer.store.stills import Stills
from explorer.store.store import Store

if TYPE_CHECKING:
    from explorer.media.decode import DecodeWorker

log = logging.getLogger(__name__)

BATCH = 16  # frames encoded at once: under a second on two cores, so that a cancel is heard
STILL_WIDTH = 320  # pixels
SAVE_EVERY = 600  # frames, ten minutes of film, after which they are kept: what a kill costs of a long one
DAMAGED_BEFORE = "damaged: parts could not be decoded; the rest was kept"
SHOW_EVERY = 0.25  # seconds between two records of Progress


def index(
    store: Store,
    roots: Sequence[Root],
    *,
    encoder: FrameEncoder,
    decoder: DecodeWorker,
    sampling: SamplingConfig,
    stills: Stills | None = None,
    retry: bool = False,
    trust_smaller: bool = False,
    batch: int = BATCH,
    pace: Pace | None = None,
    beside: bool = False,
) -> Iterator[Progress]:
    """Bring the store up to what the folders hold. Close the generator to stop: a video is done or it is not.

    Args:
        store: the truth; this process must be its only writer.
        roots: folders of the library to look at.
        encoder: makes frame features and window vectors.
        decoder: the killable worker; the caller closes it.
        sampling: which frames are kept, and how they form windows.
        stills: where the small pictures go; None keeps none.
        retry: take files that failed before once more, though they have not changed.
        trust_smaller: believe a folder that has suddenly become empty or much smaller.
        batch: frames encoded at once; more suits a GPU.
        pace: what a person at work asks of it; None goes on at full.
        beside: keep features of the encoder's tower alone, so that another encoder's windows go on answering
            (index.beside takes over from it).

    Yields:
        Progress in seconds of video; failures as they happen; the last record is 'done' with the summary
        {"indexed", "unchanged", "failed", "damaged", "notes", "moved", "missing", "re_embedded", "offline", "seconds",
        "video_seconds"}; notes are of folders, and of files that were read in this run.

    Raises:
        ExplorerError: the disk is full or the database cannot be written; the work goes on where it stopped.
    """
    run = _Run(store, encoder, decoder, sampling, stills, batch, pace or Pace("full"), beside)
    plan = Plan()
    for item in make_plan(
        store,
        roots,
        tower=encoder.tower_name,
        sampling=sampling.key,
        encoder=encoder.name,
        retry=retry,
        trust_smaller=trust_smaller,
    ):
        if isinstance(item, Plan):
            plan = item
        else:
            yield item
    run.expect(plan)
    for video, set_id in [] if beside else plan.re_embed:
        run.re_embed(video.id, video.path, set_id)
        yield run.progress("encode", video.path)
    first, twins = _part_twins(plan.decode)
    for tasks in (first, twins):  # a twin finds its features kept, unless the first of it failed
        yield from run.bring_in(tasks)
    yield run.last(plan)


def _part_twins(tasks: Sequence[Task]) -> tuple[list[Task], list[Task]]:
    """Files of equal content are decoded once: the first of each content, and the others."""
    first = {task.file.fingerprint: task for task in reversed(tasks)}
    chosen = {task.video.id for task in first.values()}
    return [t for t in tasks if t.video.id in chosen], [t for t in tasks if t.video.id not in chosen]


@dataclass
class _Run:
    """One indexing run: what it works with and how far it is."""

    store: Store
    encoder: FrameEncoder
    decoder: DecodeWorker
    sampling: SamplingConfig
    stills: Stills | None
    batch: int
    pace: Pace
    beside: bool
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0  # of video, done
    bytes_done: int = 0
    bytes_left: int = 0
    indexed: int = 0
    damaged: int = 0
    re_embedded: int = 0
    fresh: list[Failure] = field(default_factory=list)  # not yet told
    failed: list[Failure] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)  # folders that vanished meanwhile
    in_hand: dict[int, Draft] = field(default_factory=dict)  # by number of the video

    def expect(self, plan: Plan) -> None:
        self.bytes_left = sum(task.file.size for task in plan.decode)
        self.failed, self.fresh = list(plan.failures), list(plan.failures)

    def re_embed(self, video_id: int, path: str, set_id: int) -> None:
        try:
            embed.re_embed(self.store, video_id, set_id, encoder=self.encoder, sampling=self.sampling)
            self.re_embedded += 1
        except Exception as error:
            self._raise_if_ours(error)
            self._list(path, _sentence(path, error))

    def bring_in(self, tasks: Sequence[Task]) -> Iterator[Progress]:
        """Files whose features are kept are embedded; the others are decoded, ahead of encoding."""
        unknown = []
        for task in tasks:
            if not self._reuse(task):
                unknown.append(task)
            else:
                yield self.progress("encode", task.file.path)
        if unknown:
            yield from (Progress("prepare", current=sentence) for sentence in self.encoder.make_ready())
            yield from self._decode(unknown)

    def _decode(self, tasks: list[Task]) -> Iterator[Progress]:
        ahead = Ahead(
            self.decoder,
            tasks,
            sampling=self.sampling,
            size=self.encoder.frame_size,
            still_width=STILL_WIDTH if self.stills is not None else 0,
            kept_until=self._kept_until,
        )
        shown, current = 0.0, tasks[0]
        try:
            for step in ahead.steps():
                current = current if step is None else step.task
                for finished in self._take(step):
                    if finished or time.monotonic() - shown > SHOW_EVERY:
                        shown = time.monotonic()
                        yield self.progress("encode", current.file.path)
        finally:
            self.in_hand.clear()
            ahead.stop()

    def _take(self, step: Step | None) -> Iterator[bool]:
        """Handle one step of the decoder; yields often, True where a file is finished."""
        try:
            draft = None if step is None else self.in_hand.get(step.task.video.id)
            if isinstance(step, Opened):
                draft = self.in_hand[step.task.video.id] = self._begin(step)
                _refuse_motion(step.task, step.info.duration)
            elif isinstance(step, Decoded) and draft is not None:
                yield from self._encode(draft, step.frames)
            elif isinstance(step, Ended) and draft is not None:
                draft.info = step.info or draft.info
                self._finish(draft, step.damage, step.notes)
            elif isinstance(step, Spoiled) and draft is not None:
                draft.damaged = True
            elif isinstance(step, Broken):
                self._raise_if_ours(step.error)
                self._fail(step.task, step.error)
        except Exception as error:
            self._raise_if_ours(error)
            if draft is not None:  # of a file given up already nothing more is said
                self._fail(draft.task, error)
        yield isinstance(step, (Ended, Broken))

    def _encode(self, draft: Draft, frames: Frames) -> Iterator[bool]:
        if self.stills is not None and frames.stills:
            self.stills.put(draft.task.file.fingerprint, draft.count, frames.stills)
        vectors = [np.zeros((0, self.encoder.dim), np.float16)]
        for pixels in embed.batches(frames.pixels, self.batch):
            self.pace.wait()
            vectors.append(self.encoder.encode_frames(pixels))
            yield False
        draft.add(frames, np.concatenate(vectors))
        if draft.count - draft.saved >= SAVE_EVERY:
            self._save(draft)

    def _key(self, task: Task) -> drafts.Key:
        return task.file.fingerprint, self.encoder.tower_name, self.sampling.key

    def _kept_until(self, task: Task) -> float:
        """Seconds of a file up to which an earlier run kept its frames."""
        kept = drafts.kept(self.store.database, self._key(task))
        return float(kept.features.times[-1]) if kept else -1.0

    def _begin(self, step: Opened) -> Draft:
        draft = Draft(step.task, step.info)
        kept = drafts.kept(self.store.database, self._key(step.task))
        if kept is not None:
            draft.resume(kept)
        return draft

    def _save(self, draft: Draft) -> None:
        """Keep what was decoded so far, so that a long film goes on from here; no part of the library yet."""
        part = draft.unsaved()
        if np.isfinite(part.vectors).all():
            drafts.keep_part(
                self.store.database,
                self._key(draft.task),
                draft.saved,
                part,
                info=draft.info,
                damaged=draft.damaged,
            )
            draft.saved = draft.count

    def _finish(self, draft: Draft, damage: str, notes: tuple[str, ...]) -> None:
        task = draft.task
        damage = damage or DAMAGED_BEFORE * draft.damaged
        if _changed_meanwhile(task):
            raise ExplorerError(f"{task.file.path} changed while it was read; it is tried again at the next indexing")
        self._keep(task, draft.info, draft.features(), damage, notes)
        del self.in_hand[task.video.id]
        self.notes += [Note(task.file.path, note) for note in notes]
        self._count(task, draft.info.duration, damage)

    def _keep(self, task: Task, info: VideoInfo, features: FrameFeatures, damage: str, notes: tuple[str, ...]) -> None:
        keep = embed.keep_features if self.beside else embed.keep
        keep(
            self.store,
            task,
            info,
            features,
            encoder=self.encoder,
            sampling=self.sampling,
            damage=damage,
            notes=notes,
        )

    def _reuse(self, task: Task) -> bool:
        """Whether this content was decoded before, for this tower and sampling: then nothing is decoded."""
        set_id = self.store.feature_set(
            task.file.fingerprint, tower=self.encoder.tower_name, sampling=self.sampling.key
        )
        if set_id is None:
            return False
        try:
            features, info, damage = self.store.set_features(set_id)
            _refuse_motion(task, info.duration)
            notes = self.store.set_notes(set_id)
            self._keep(task, info, features, damage, tuple(notes))
            self.notes += [Note(task.file.path, note) for note in notes]
        except Exception as error:
            self._raise_if_ours(error)
            self._fail(task, error)
            return True
        self._count(task, info.duration, damage)
        return True

    def _count(self, task: Task, duration: float, damage: str) -> None:
        self.indexed += 1
        self.damaged += bool(damage)
        self.seconds += duration
        self.bytes_done += task.file.size
        self.bytes_left -= task.file.size

    def _fail(self, task: Task, error: Exception) -> None:
        """List a file that could not be indexed; one that went away, is being written or whose drive fails stays in
        line."""
        self.in_hand.pop(task.video.id, None)
        self.bytes_left -= task.file.size
        path = task.file.path
        if not os.path.isdir(task.root):
            self._lost(task.root)
            return
        if isinstance(error, NotVideo) and not self.beside:
            others.set_aside(self.store.database, task.video.id, task.file, error.kind)
            return
        reason = _sentence(path, error)
        known = isinstance(error, Unreadable) or not os.path.exists(path) or _changed_meanwhile(task)
        if not (self.beside or known):
            self.store.mark_failed(task.video.id, task.file, reason=reason)
        self._list(path, reason)

    def _lost(self, root: str) -> None:
        if root in self.gone:
            return
        self.gone.add(root)
        reason = f"{root} cannot be reached any more; connect the drive and index again, nothing was forgotten"
        for known in self.store.roots():
            if known.path == root:
                self.store.set_root(known.id, state="offline", reason=reason)
        self._list(root, reason)

    def _list(self, path: str, reason: str) -> None:
        self.failed.append(Failure(path, reason))
        self.fresh.append(Failure(path, reason))

    def _raise_if_ours(self, error: Exception) -> None:
        """A full disk, a broken database or a kill is no fault of the video in hand: the whole run stops."""
        if is_full(error) or isinstance(error, Cancelled) or isinstance(error.__cause__, sqlite3.Error):
            raise error

    def progress(self, stage: str, current: str) -> Progress:
        """The state of the run; what is left is guessed from the bytes of the files to come."""
        part = sum(min(draft.times[-1][-1], draft.info.duration) for draft in self.in_hand.values() if draft.times)
        done, elapsed = self.seconds + float(part), time.monotonic() - self.started
        left = self.seconds / self.bytes_done * self.bytes_left - float(part) if self.bytes_done else 0.0
        rate = done / elapsed if elapsed > 0 else 0.0
        known = self.bytes_done > 0 and rate > 0
        fresh, self.fresh = tuple(self.fresh), []
        return Progress(
            stage,
            done=done,
            total=done + max(left, 0.0) if known else 0.0,
            current=current,
            rate=rate,
            eta=max(left, 0.0) / rate if known else None,
            failures=fresh,
        )

    def _note_folders(self, plan: Plan) -> None:
        """Keep what was noticed of each folder: by its walk, and of the files that are no videos."""
        for root in self.store.roots():
            if root.id in plan.noticed:
                found = others.others(self.store.database, [root.id]).values()
                notes = [*plan.noticed[root.id], *others.counted(found)]
                self.store.set_root_notes(root.id, notes)
                self.notes += [Note(root.path, note) for note in notes]

    def last(self, plan: Plan) -> Progress:
        self._note_folders(plan)
        drafts.forget_unused(self.store.database)
        fresh, self.fresh = tuple(self.fresh), []
        elapsed = time.monotonic() - self.started
        summary = {
            "indexed": self.indexed,
            "unchanged": plan.unchanged,
            "damaged": self.damaged,
            "moved": plan.moved,
            "failed": [{"path": failure.path, "reason": failure.reason} for failure in self.failed],
            "notes": [{"path": note.path, "note": note.note} for note in self.notes],
            "missing": plan.missing,
            "re_embedded": self.re_embedded,
            "offline": plan.offline + sorted(self.gone),
            "seconds": round(elapsed, 3),
            "video_seconds": round(self.seconds, 3),
        }
        rate = self.seconds / elapsed if elapsed > 0 else 0.0
        return Progress(
            "done", done=self.seconds, total=self.seconds, rate=rate, eta=0.0, failures=fresh, summary=summary
        )


def _refuse_motion(task: Task, seconds: float) -> None:
    """The motion part of a photo is no film, unless its folder is told to search them."""
    if not task.motion_photos and belongs_to_photo(task.file.path, seconds):
        raise NotVideo(f"{task.file.path} is the motion part of a photo", others.MOTION)


def _changed_meanwhile(task: Task) -> bool:
    try:
        now = os.stat(task.file.path)
    except OSError:
        return True
    return (now.st_size, now.st_mtime_ns) != (task.file.size, task.file.mtime_ns)


def _sentence(path: str, error: Exception) -> str:
    if isinstance(error, ExplorerError):
        return str(error)
    log.error("cannot index %r", path, exc_info=error)
    return f"cannot index {path}: {type(error).__name__}: {error}; convert it or remove it from the folder"
