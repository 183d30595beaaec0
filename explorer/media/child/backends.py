"""Samples one file: PyAV by default, decord where a person chose it and it is right. Runs in the child."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from explorer.config import SamplingConfig
from explorer.media.child import pictures
from explorer.media.child.claims import followed_by_another
from explorer.media.child.facts import duration, info
from explorer.media.child.picking import EPSILON, pick, picked_frames
from explorer.media.child.source import Source, frames, open_source
from explorer.media.gate import NotVideo, refusal
from explorer.media.sampling import Looks, frame_times
from explorer.records import Frames, FrameSize, VideoInfo

JOINED = "another recording is joined to its end and was not read; split the file to search both"
OUTLASTS = 1.0  # seconds of sound behind the last picture that are worth telling
RUN = 32  # frames a message: 4.8 MB at 224 x 224
SHORT_OF_END = 0.05  # share of the claimed length that may be missing before a file counts as cut off
# What decord reads rightly; it is wrong after a seek in hevc, avi, ts, mpg and wmv, and knows no AV1.
DECORD_KINDS = frozenset(("mp4", "mov", "matroska", "webm"))
DECORD_CODECS = frozenset(("h264", "vp8", "vp9", "mpeg4"))
DECORD_PIXELS = 2560 * 1440  # above that its reader, which holds many full frames, grows past the memory limit
Picture = tuple[float, np.ndarray, bytes]  # seconds, (H, W, 3) uint8, JPEG


@dataclass
class Reading:
    """One file being sampled: what it is, who decodes it and why, and its frames in runs of at most RUN."""

    info: VideoInfo
    decoder: str
    note: str
    runs: Iterator[Frames]
    source: Source

    @property
    def damaged(self) -> bool:
        return self.source.damaged

    @property
    def length(self) -> float:
        """Seconds of the file, once it was read: where sound outlasts the picture, to the end of the picture."""
        source = self.source
        outlasted = source.ended and source.sound_end > source.picture_end + OUTLASTS > OUTLASTS
        return min(self.info.duration, source.picture_end) if outlasted else self.info.duration


def probe(path: str, *, threads: int = 1) -> VideoInfo:
    """What a file is, from its header and first frame."""
    return _first_look(path, threads=threads).info


@dataclass(frozen=True)
class _Look:
    """What a first look at a file says: what it is, how often its clock restarts, what was noticed."""

    info: VideoInfo
    restarts: int
    notes: tuple[str, ...]


def _first_look(path: str, *, threads: int) -> _Look:
    source = open_source(path, threads=threads)
    try:
        first = next(frames(source), None)
        if first is None:
            raise refusal(path, "nothing in it can be decoded", remedy="copy it again, or remove it from the folder")
        if source.kind == "gif" and next(frames(source), None) is None:
            raise NotVideo(str(refusal(path, "it is a picture that does not move")), "pictures")
        length = duration(source)
        notes = [f"its clock restarts {source.restarts} times; its stretches were read one after the other"]
        notes = notes * (source.restarts > 0) + [JOINED] * followed_by_another(source)
        return _Look(info(source, first[1], length), source.restarts, (*source.notes, *notes))
    finally:
        source.close()


def read(
    path: str,
    choose: Callable[[VideoInfo], np.ndarray],
    *,
    size: FrameSize,
    still_width: int = 320,
    threads: int = 1,
    decoder: str = "pyav",
    whole: bool = True,
    after: float = -1.0,
    adaptive: bool = False,
) -> Reading:
    """Open a file and get ready to give the frames on display at chosen times.

    Args:
        path: the file; the gate is asked first.
        choose: the times, ascending seconds, once the file is known.
        size: pixels wanted.
        still_width: pixels of the JPEG beside each frame, 0 for none.
        threads: of the decoder.
        decoder: pyav, or decord, which falls back to pyav where it is not right.
        after: seconds; pictures up to there are not given.
        whole: the times reach to the end of the file, so that an early end tells of damage.
        adaptive: leave out the pixels of a frame that looks like the one before.
    """
    look = _first_look(path, threads=threads)
    seen = look.info
    targets = choose(seen)
    targets = targets[min(int(np.searchsorted(targets, after, side="right")), len(targets) - 1) :]
    source = open_source(path, threads=threads)
    source.restarts, source.notes = look.restarts, list(look.notes)
    painter = pictures.Pictures(size, still_width, source.stream.sample_aspect_ratio)
    note = _unfit_for_decord(seen, source) if decoder == "decord" else ""
    reading = Reading(seen, "pyav", note, iter(()), source)
    found = None
    if decoder == "decord" and not note:
        try:
            found = _decord_pictures(path, seen, targets, size=size, still_width=still_width, threads=threads)
            reading.decoder = "decord"
        except Exception as error:  # decord raises its own kinds; PyAV has the last word on the file
            reading.note = _fallen_back(error)
    slow = partial(_pyav_pictures, source, painter=painter, seen=seen, whole=whole, after=after)
    chosen = slow(targets) if found is None else _rescued(found, targets, slow, reading)
    reading.runs = _runs(chosen, Looks() if adaptive else None)
    return reading


def _fallen_back(error: Exception) -> str:
    return f"decord failed ({' '.join(str(error).split())[:80]}), so PyAV decodes it"


def _rescued(
    found: Iterator[Picture], targets: np.ndarray, slow: Callable[[np.ndarray], Iterator[Picture]], reading: Reading
) -> Iterator[Picture]:
    """decord's pictures; where it fails on the way, PyAV's for the times that are left."""
    last = -np.inf
    try:
        for picture in found:
            last = picture[0]
            yield picture
        return
    except GeneratorExit:
        raise
    except Exception as error:  # one bad packet is enough for decord
        reading.decoder, reading.note = "pyav", _fallen_back(error)
    left = targets[targets > last + EPSILON]
    yield from (picture for picture in (slow(left) if len(left) else ()) if picture[0] > last)


def sampled(sampling: SamplingConfig) -> Callable[[VideoInfo], np.ndarray]:
    """The `choose` of an index: the sampling's own times."""
    return lambda seen: frame_times(seen.duration, sampling)


def _pyav_pictures(
    source: Source, targets: np.ndarray, painter: pictures.Pictures, seen: VideoInfo, *, whole: bool, after: float
) -> Iterator[Picture]:
    end = None
    for time, frame in picked_frames(source, targets):
        end = time
        if time > after + EPSILON:
            yield time, painter.pixels(frame), painter.still(frame)
    if end is None:
        raise refusal(source.path, "nothing in it can be decoded", remedy="copy it again, or remove it from the folder")
    if whole and not source.sealed:  # a sealed file that ends early ends on a still picture, or with sound alone
        missing = float(targets[-1]) - max(source.last, source.picture_end, source.sound_end)
        source.damaged |= missing > max(SHORT_OF_END * seen.duration, 1.0, 2 * source.gap)


def _runs(found: Iterator[Picture], looks: Looks | None) -> Iterator[Frames]:
    while run := list(itertools.islice(found, RUN)):
        times, pixels, stills = zip(*run)
        fresh = np.array([looks is None or looks.fresh(time, picture) for time, picture, _ in run])
        shown = [picture for picture, new in zip(pixels, fresh) if new]
        yield Frames(np.array(times), np.stack(shown) if shown else np.stack(pixels)[:0], stills, fresh)


def _unfit_for_decord(seen: VideoInfo, source: Source) -> str:
    """Why decord is not used for a file, "" where it is."""
    if seen.container not in DECORD_KINDS or seen.codec not in DECORD_CODECS:
        return f"decord is not right for {seen.codec} in {seen.container}, so PyAV decodes it"
    if (
        seen.rotation
        or seen.pixel_format not in ("yuv420p", "yuvj420p")
        or (source.stream.sample_aspect_ratio or 1) != 1
    ):
        return "decord does not show turned, deep or non-square pictures rightly, so PyAV decodes it"
    if source.edited:
        return "decord does not know the edit list of this file, so PyAV decodes it"
    if seen.width * seen.height > DECORD_PIXELS:
        return "decord holds too much memory on large pictures, so PyAV decodes it"
    return ""


def _decord_pictures(
    path: str, seen: VideoInfo, targets: np.ndarray, *, size: FrameSize, still_width: int, threads: int
) -> Iterator[Picture]:
    """Check decord's clock against the container first, then decode; raises where the clock is wrong."""
    import decord

    width, height = _decord_size(seen, size, still_width)
    reader = decord.VideoReader(path, ctx=decord.cpu(0), width=width, height=height, num_threads=threads)
    times = np.asarray(reader.get_frame_timestamp(np.arange(len(reader))))[:, 0].astype(np.float64)
    times = times - _container_start(path)
    if len(times) == 0 or not np.isfinite(times).all() or np.any(np.diff(times) <= 0):
        raise ValueError("its timestamps do not ascend")
    if abs(times[0]) > 1 or times[-1] > seen.duration + 1:
        raise ValueError("its timestamps lie outside the file")
    wanted = [index for _, index in pick(((float(t), i) for i, t in enumerate(times)), targets)]
    return _decord_frames(reader, wanted, times, size=size, still_width=still_width, seen=seen)


def _decord_frames(
    reader: object, wanted: list[int], times: np.ndarray, *, size: FrameSize, still_width: int, seen: VideoInfo
) -> Iterator[Picture]:
    for index in wanted:
        whole = Image.fromarray(reader[index].asnumpy())  # type: ignore[index]
        still = (
            pictures.jpeg(_resized(whole, pictures.still_size((seen.width, seen.height), still_width)))
            if still_width
            else b""
        )
        if size.fit == "squash":
            yield float(times[index]), _resized(whole, (size.width, size.height)), still
        else:
            yield (
                float(times[index]),
                pictures.centre(_resized(whole, pictures.cover((seen.width, seen.height), size)), size),
                still,
            )


def _resized(picture: Image.Image, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC))


def _decord_size(seen: VideoInfo, size: FrameSize, still_width: int) -> tuple[int, int]:
    """Small enough to be quick, large enough for both the tower and the still."""
    scale = min(1.0, max(size.width / seen.width, size.height / seen.height, still_width / seen.width))
    return max(round(seen.width * scale), 1), max(round(seen.height * scale), 1)


def _container_start(path: str) -> float:
    source = open_source(path)
    source.close()
    return source.start
