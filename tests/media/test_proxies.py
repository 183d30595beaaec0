"""Copies for the browser: what may be played as it is, what is rewrapped or encoded, trimmed clips, and stopping half-way."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from explorer.media import proxies
from explorer.media.decode import DecodeWorker
from explorer.records import ExplorerError, FrameSize, VideoInfo
from tests.support.videos import Recipe, encode, numbered, quarters, read_stripes

SIZE = FrameSize(64, 256)


@pytest.mark.parametrize(
    "codec,container,sound,pixels,expected",
    [
        ("h264", "mp4", "aac", "yuv420p", "direct"),
        ("h264", "mp4", "", "yuv420p", "direct"),
        ("vp9", "webm", "opus", "yuv420p", "direct"),
        ("av1", "mp4", "opus", "yuv420p", "direct"),
        ("h264", "matroska", "aac", "yuv420p", "remux"),
        ("h264", "mpegts", "aac", "yuv420p", "remux"),
        ("h264", "mov", "aac", "yuv420p", "remux"),
        ("h264", "mp4", "ac3", "yuv420p", "remux"),
        ("h264", "mp4", "aac", "yuv420p10le", "transcode"),
        ("hevc", "mp4", "aac", "yuv420p", "transcode"),
        ("mpeg4", "avi", "mp3", "yuv420p", "transcode"),
        ("gif", "gif", "", "bgra", "transcode"),
    ],
)
def test_playability(codec: str, container: str, sound: str, pixels: str, expected: str) -> None:
    assert (
        proxies.playability(VideoInfo(1.0, 640, 360, 25.0, codec, container, audio_codec=sound, pixel_format=pixels))
        == expected
    )


def made(path: Path, out: Path) -> VideoInfo:
    with DecodeWorker() as worker:
        info = worker.probe(str(path))
        steps = list(proxies.make_playable(str(path), str(out), info=info))
        assert steps[-1].stage == "done" and steps[-1].summary["bytes"] == out.stat().st_size
        assert os.listdir(out.parent) == [out.name]
        return worker.probe(str(out))


def numbers(path: Path, times: list[float]) -> list[int]:
    with DecodeWorker() as worker:
        return [read_stripes(picture) for picture in worker.frames_at(str(path), times, size=SIZE).pixels]


@pytest.mark.parametrize(
    "suffix,codec,kept",
    [
        (".mkv", "libx264", True),
        (".ts", "libx264", True),
        (".mov", "libx264", True),
        (".avi", "mpeg4", False),
        (".mp4", "libx265", False),
        (".mpg", "mpeg2video", False),
    ],
)
def test_a_copy_plays_and_shows_the_same_frames(tmp_path: Path, suffix: str, codec: str, kept: bool) -> None:
    sound = suffix != ".mpg"
    path = numbered(
        tmp_path / f"a{suffix}", Recipe(codec=codec, suffix=suffix, frames=75, height=64, b_frames=0), sound=sound
    )
    (tmp_path / "out").mkdir()
    info = made(path, tmp_path / "out" / "a.mp4")
    assert proxies.playability(info) == "direct" and info.container == "mp4"
    assert info.duration == pytest.approx(3.0, abs=0.15) and info.audio_codec == ("aac" if sound else "")
    assert all(abs(a - b) <= 1 for a, b in zip(numbers(tmp_path / "out" / "a.mp4", [0.1, 1.5, 2.9]), [2, 37, 72]))


def test_a_turned_wide_file_becomes_upright_and_at_most_1280_wide(tmp_path: Path) -> None:
    recipe = Recipe(codec="libx265", width=1600, height=2000, frames=5, rotation=90)
    path = encode(tmp_path / "a.mp4", (quarters(1600, 2000) for _ in range(5)), recipe)
    (tmp_path / "out").mkdir()
    info = made(path, tmp_path / "out" / "b.mp4")
    assert (info.width, info.height, info.rotation) == (1280, 1024, 0)
    with DecodeWorker() as worker:
        before = worker.frames_at(str(path), [0.0], size=SIZE).pixels.astype(int)
        after = worker.frames_at(str(tmp_path / "out" / "b.mp4"), [0.0], size=SIZE).pixels.astype(int)
    assert np.abs(before - after).mean() < 6


def test_a_remuxed_phone_video_stays_turned(tmp_path: Path) -> None:
    path = encode(
        tmp_path / "a.mov",
        (quarters(160, 96) for _ in range(5)),
        Recipe(suffix=".mov", width=160, height=96, frames=5, rotation=90),
    )
    (tmp_path / "out").mkdir()
    info = made(path, tmp_path / "out" / "a.mp4")
    assert (info.width, info.height, info.rotation) == (96, 160, 90)


def test_a_cut_holds_the_stretch_and_nothing_else(tmp_path: Path) -> None:
    path = numbered(tmp_path / "a.mp4", Recipe(frames=150, height=64, gop=150), sound=True)
    out = tmp_path / "cut.mp4"
    assert list(proxies.cut(str(path), str(out), start=2.0, end=4.0))[-1].stage == "done"
    with DecodeWorker() as worker:
        info = worker.probe(str(out))
    assert info.duration == pytest.approx(2.0, abs=0.1) and info.audio_codec == "aac"
    assert numbers(out, [0.0, 1.0, 1.96]) == [50, 75, 99]


def test_nothing_is_left_behind_by_a_stop_or_a_failure(tmp_path: Path) -> None:
    path = numbered(tmp_path / "a.avi", Recipe(codec="mpeg4", suffix=".avi", frames=300))
    out = tmp_path / "out" / "a.mp4"
    out.parent.mkdir()
    with DecodeWorker() as worker:
        steps = proxies.make_playable(str(path), str(out), info=worker.probe(str(path)))
    next(steps)
    steps.close()
    assert os.listdir(out.parent) == []
    with pytest.raises(ExplorerError, match="between the two times"):
        list(proxies.cut(str(path), str(out), start=100.0, end=101.0))
    assert os.listdir(out.parent) == []
    with pytest.raises(ExplorerError, match="cannot"):
        list(proxies.cut(str(path), str(tmp_path / "absent" / "a.mp4"), start=0.0, end=1.0))
    with pytest.raises(ValueError, match="start"):
        proxies_cut = proxies.cut(str(path), str(out), start=2.0, end=1.0)
        list(proxies_cut)
