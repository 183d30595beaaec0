"""Files as cameras, recorders and people leave them: the film is found, all of it is read, and what was left is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from explorer.config import SamplingConfig
from explorer.media.child.timeline import Timeline
from explorer.media.containers import container_of
from explorer.media.decode import Clip, DecodeWorker
from explorer.media.gate import NotVideo, check
from explorer.records import ExplorerError, FrameSize
from tests.support import everyday
from tests.support.videos import Recipe, numbered, read_stripes

SAMPLING = SamplingConfig(fps=1, frames=4, hop=2)
FILM = ("libx264", 320, 64, 60)  # six seconds


@pytest.fixture(scope="module")
def worker() -> Iterator[DecodeWorker]:
    with DecodeWorker() as opened:
        yield opened


def read(worker: DecodeWorker, path: Path) -> tuple[Clip, np.ndarray, list[int]]:
    """(clip, seconds, numbers) of the sampled frames."""
    clip = worker.open(str(path), sampling=SAMPLING, size=FrameSize(64, 256))
    runs = list(clip)
    return clip, np.concatenate([run.times for run in runs]), [read_stripes(p) for run in runs for p in run.pixels]


@pytest.mark.parametrize("kind", sorted(everyday.RARE))
def test_rare_kinds_are_read_at_the_right_times(worker: DecodeWorker, tmp_path: Path, kind: str) -> None:
    clip, times, numbers = read(worker, everyday.RARE[kind](tmp_path))
    assert numbers == [9, 28, 46, 65] and times == pytest.approx([0.36, 1.12, 1.84, 2.6], abs=0.002)
    assert clip.info.duration == pytest.approx(3.0, abs=0.05) and not clip.damaged and clip.info.fps == 25


@pytest.mark.parametrize(
    ("name", "beside", "first", "default"),
    [
        ("cover-first.mp4", ("mjpeg", 640, 480, 1), True, 0),
        ("cover-default.mp4", ("mjpeg", 640, 480, 1), False, 1),
        ("cover-first.mkv", ("mjpeg", 640, 480, 1), True, 0),
        ("cover-first.mov", ("png", 640, 480, 1), True, 0),
        ("thumbnails.mkv", ("mjpeg", 640, 480, 4), True, 0),
        ("thumbnails.mp4", ("mjpeg", 640, 480, 4), True, 0),
    ],
)
def test_the_film_is_the_track_that_lasts(
    worker: DecodeWorker, tmp_path: Path, name: str, beside: tuple[str, int, int, int], first: bool, default: int
) -> None:
    path = everyday.tracks(tmp_path / name, [beside, FILM] if first else [FILM, beside], default=default)
    clip, _, numbers = read(worker, path)
    assert numbers == [5, 15, 25, 35, 45, 55] and clip.info.codec == "h264" and clip.notes == ()
    assert clip.info.plain == (not first)


@pytest.mark.parametrize("name", ["front-and-rear.mp4", "front-and-rear.mkv", "front-and-rear.ts"])
def test_of_two_films_the_larger_is_read_and_the_other_named(worker: DecodeWorker, tmp_path: Path, name: str) -> None:
    path = everyday.tracks(
        tmp_path / name, [("libx264", 160, 64, 60), FILM], format="mpegts" if name.endswith("ts") else None
    )
    clip, _, numbers = read(worker, path)
    assert numbers == [5, 15, 25, 35, 45, 55] and not clip.info.plain
    assert clip.notes == ("picture track 1 (160 x 64, h264) is not searched; the one of 320 x 64 is",)


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
@pytest.mark.parametrize("suffix", [".ts", ".mpg", ".vob"])
@pytest.mark.parametrize("parts", [2, 3])
def test_joined_recordings_are_read_to_their_end(
    worker: DecodeWorker, tmp_path: Path, suffix: str, codec: str, parts: int
) -> None:
    path = everyday.joined_films(tmp_path / f"a{suffix}", codec=codec, parts=parts, sound=suffix == ".ts")
    clip, times, numbers = read(worker, path)
    assert len(numbers) == 4 * parts and clip.info.duration == pytest.approx(4 * parts, abs=0.1)
    assert np.abs(times * 25 - numbers).max() < 2 * parts and numbers[-1] > 100 * parts - 30
    assert "restarts" in clip.notes[0] and not clip.damaged and not clip.info.plain
    late = worker.frames_at(str(path), [4.5, 4 * parts - 0.5], size=FrameSize(64, 256))
    assert [read_stripes(p) for p in late.pixels] == pytest.approx([112, 100 * parts - 13], abs=2)


@pytest.mark.parametrize("suffix,codec", [(".flv", "flv"), (".mkv", "libx264"), (".mp4", "libx264"), (".avi", "mpeg4")])
def test_a_second_film_that_cannot_be_read_is_told(
    worker: DecodeWorker, tmp_path: Path, suffix: str, codec: str
) -> None:
    clip, _, numbers = read(worker, everyday.joined_films(tmp_path / f"a{suffix}", codec=codec))
    assert len(numbers) == 4 and "was not read" in clip.notes[0]


def test_a_clock_that_jumps_ahead_leaves_no_hole() -> None:
    class Packet:
        pts, duration, time_base = None, 0, 1
        stream = type("Stream", (), {"index": 0})

    timeline, placed = Timeline(0, step=0.0), []
    for dts in (0, 1, 2, 5000, 5001, 1, 2):
        packet = Packet()
        packet.dts = dts
        timeline.place(packet)  # type: ignore[arg-type]
        placed.append(packet.dts)
    assert placed == [0, 1, 2, 2, 3, 3, 4] and timeline.restarts == 2


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm", ".flv", ".ts", ".avi"])
def test_sound_that_outlasts_the_picture_is_no_damage(worker: DecodeWorker, tmp_path: Path, suffix: str) -> None:
    path = everyday.sound_outlasts(tmp_path / f"a{suffix}", codec="libvpx" if suffix == ".webm" else "libx264")
    clip, _, numbers = read(worker, path)
    assert not clip.damaged and clip.bad_packets == 0 and numbers[-1] >= 34
    assert clip.info.duration == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_a_last_picture_that_stands_is_no_damage(worker: DecodeWorker, tmp_path: Path, suffix: str) -> None:
    clip, _, numbers = read(worker, everyday.still_end(tmp_path / f"a{suffix}"))
    assert not clip.damaged and numbers == [5, 15, 25, 29] and clip.info.duration == pytest.approx(12, abs=0.2)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda d: _text(d / "component.ts"), "texts"),
        (lambda d: _text(d / "go.mod"), "texts"),
        (lambda d: everyday.sound_only(d / "a.ogg", codec="libopus"), "sounds"),
        (lambda d: everyday.sound_only(d / "a.mp4"), "sounds"),
        (lambda d: everyday.sound_only(d / "a.webm", codec="libopus"), "sounds"),
        (lambda d: everyday.one_picture_gif(d / "a.gif"), "pictures"),
    ],
)
def test_what_is_no_video_is_no_failed_video(
    worker: DecodeWorker, tmp_path: Path, make: Callable[[Path], Path], kind: str
) -> None:
    with pytest.raises(NotVideo) as caught:
        read(worker, make(tmp_path))
    assert caught.value.kind == kind


def _text(path: Path) -> Path:
    path.write_text("export const answer: number = 42;\n" * 40)
    return path


def test_a_text_in_place_of_a_film_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ExplorerError) as caught:
        check(str(_text(tmp_path / "film.mp4")))
    assert not isinstance(caught.value, NotVideo)


def test_a_gif_that_moves_is_a_film(worker: DecodeWorker, tmp_path: Path) -> None:
    path = numbered(tmp_path / "a.gif", Recipe(codec="gif", suffix=".gif", pixel_format="rgb8", frames=20, height=64))
    assert len(read(worker, path)[2]) == 4


@pytest.mark.parametrize(
    "head", [b"\x00\x00\x00\x01\x67\x42", b"\x00\x00\x01\x09\x10" * 5, b"G" + bytes(187) + b"G", b"\x47" * 3]
)
def test_a_glimpse_of_a_stream_is_none(head: bytes) -> None:
    assert "it" in container_of(head)
