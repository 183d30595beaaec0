"""Decoding in a real child: right frames at right times, turned and scaled rightly, damaged files rescued, children killed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults import odd, stripes
from explorer.config import IMPORT_DIR, SamplingConfig
from explorer.media import decode as decode_module
from explorer.media.decode import Cancelled, Clip, DecodeWorker
from explorer.records import ExplorerError, Frames, FrameSize
from tests.support.videos import COLOURS, Recipe, coloured, encode, numbered, quarters, read_stripes
from tests.support.videos import stripes as draw

SIZE = FrameSize(64, 256)
SMALL = Recipe(height=64, frames=50)


@pytest.fixture(scope="module")
def worker() -> Iterator[DecodeWorker]:
    with DecodeWorker() as opened:
        yield opened


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four minutes at 5 frames a second: several runs of frames, so that a clip is still open after the first."""
    return numbered(tmp_path_factory.mktemp("long") / "long.mp4", Recipe(fps=5, frames=1000, height=64, gop=50))


def whole(clip: Clip) -> Frames:
    runs = list(clip)
    return Frames(
        np.concatenate([run.times for run in runs]),
        np.concatenate([run.pixels for run in runs]),
        tuple(still for run in runs for still in run.stills),
    )


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_right_frame_right_time_short_form(decoder: str) -> None:
    if decoder == "decord":
        pytest.importorskip("decord")
    right, total, itself, wrong = stripes.run(decoder, short=True)
    assert right == total and total > 500 and itself >= 2, wrong


def test_a_clip_tells_what_it_is(worker: DecodeWorker, tmp_path: Path) -> None:
    clip = worker.open(str(numbered(tmp_path / "a.mp4", SMALL, sound=True)), sampling=SamplingConfig(), size=SIZE)
    frames = whole(clip)
    info = clip.info
    assert (info.width, info.height, info.fps, info.codec, info.container) == (320, 64, 25.0, "h264", "mp4")
    assert (info.audio_codec, info.pixel_format, round(info.duration, 2), info.rotation) == ("aac", "yuv420p", 2.0, 0)
    assert frames.pixels.shape == (12, 64, 256, 3) and frames.pixels.dtype == np.uint8
    assert len(frames.stills) == 12 and all(still[:2] == b"\xff\xd8" for still in frames.stills)
    assert not clip.damaged and clip.bad_packets == 0 and clip.decoder == "pyav"


def test_frames_that_coincide_are_given_once(worker: DecodeWorker, tmp_path: Path) -> None:
    path = numbered(tmp_path / "a.mp4", replace(SMALL, frames=3))
    frames = whole(worker.open(str(path), sampling=SamplingConfig(), size=SIZE))
    assert [read_stripes(picture) for picture in frames.pixels] == [0, 1, 2]


def test_variable_rate_gives_the_frame_on_display(worker: DecodeWorker, tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.2, 4.0, 4.05, 9.0]
    path = encode(tmp_path / "a.mkv", (draw(n, 320, 64) for n in range(6)), replace(SMALL, suffix=".mkv"), times=times)
    frames = worker.frames_at(str(path), [3.9, 0.15, 4.02, 8.0], size=SIZE)
    assert [read_stripes(picture) for picture in frames.pixels] == [1, 2, 3, 4]
    assert frames.times.tolist() == pytest.approx([0.1, 0.2, 4.0, 4.05], abs=0.002)


def test_far_apart_times_are_sought_exactly(worker: DecodeWorker, long_file: Path) -> None:
    times = [190.1, 3.1, 57.7, 121.3, 121.5]
    frames = worker.frames_at(str(long_file), times, size=SIZE)
    assert [read_stripes(picture) for picture in frames.pixels] == [15, 288, 606, 607, 950]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_is_applied(worker: DecodeWorker, tmp_path: Path, degrees: int) -> None:
    """A stored picture whose top left is red, turned clockwise: red goes to the top right, bottom right, bottom left."""
    recipe = Recipe(width=160, height=96, frames=10, rotation=degrees)
    path = encode(tmp_path / "a.mp4", (quarters(160, 96) for _ in range(10)), recipe)
    clip = worker.open(str(path), sampling=SamplingConfig(frames=1, hop=1), size=FrameSize(80, 80))
    picture = whole(clip).pixels[0].astype(int)
    corners = [picture[20, 20], picture[20, 60], picture[60, 60], picture[60, 20]]  # clockwise from top left
    red = min(range(4), key=lambda n: np.abs(corners[n] - COLOURS["red"]).sum())
    assert clip.info.rotation == degrees
    assert (clip.info.width, clip.info.height) == ((96, 160) if degrees % 180 else (160, 96))
    assert red == degrees // 90


def test_non_square_pixels_widen_the_picture(worker: DecodeWorker, tmp_path: Path) -> None:
    path = encode(
        tmp_path / "a.mp4",
        (quarters(160, 96) for _ in range(5)),
        Recipe(width=160, height=96, frames=5, pixel_shape=Fraction(2)),
    )
    info = worker.probe(str(path))
    assert (info.width, info.height) == (320, 96)


def test_crop_keeps_the_shape_and_the_centre(worker: DecodeWorker, tmp_path: Path) -> None:
    """Left third red, middle green, right blue, 3:1: the centre square is green alone; squashed, all three are seen."""
    wide = np.concatenate([np.full((96, 96, 3), COLOURS[c], np.uint8) for c in ("red", "green", "blue")], axis=1)
    path = str(encode(tmp_path / "a.mp4", (wide for _ in range(5)), Recipe(width=288, height=96, frames=5)))
    cropped = worker.frames_at(path, [0.0], size=FrameSize(48, 48, "crop")).pixels[0].astype(int)
    squashed = worker.frames_at(path, [0.0], size=FrameSize(48, 48)).pixels[0].astype(int)
    assert np.abs(cropped[:, 4:-4] - COLOURS["green"]).mean() < 12
    assert [
        np.abs(squashed[:, 8 + 16 * n] - COLOURS[c]).mean() < 12 for n, c in enumerate(("red", "green", "blue"))
    ] == [True] * 3


@pytest.mark.parametrize(
    "codec,pixels",
    [("libx264", "yuv444p"), ("libx265", "yuv420p10le"), ("libx264", "yuv420p10le"), ("prores_ks", "yuva444p10le")],
)
def test_deep_and_transparent_pixels(worker: DecodeWorker, tmp_path: Path, codec: str, pixels: str) -> None:
    path = coloured(
        tmp_path / "a.mov",
        [("blue", 0.4)],
        Recipe(codec=codec, suffix=".mov", pixel_format=pixels, width=160, height=96),
    )
    picture = whole(worker.open(str(path), sampling=SamplingConfig(), size=FrameSize(32, 32))).pixels[0].astype(int)
    assert np.abs(picture - COLOURS["blue"]).mean() < 12


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".avi", ".webm", ".flv", ".mp4"])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_truncated_file_keeps_what_lies_before_the_cut(
    worker: DecodeWorker, tmp_path: Path, suffix: str, share: float
) -> None:
    """Every frame is asked for; of those whose packets lie before the cut at least 95 % must come, and be right."""
    recipe = Recipe(codec="libvpx-vp9" if suffix == ".webm" else "libx264", suffix=suffix, frames=200, height=64)
    path = numbered(tmp_path / f"a{suffix}", recipe)
    if suffix == ".mp4":
        path = faststart(path)
    content = path.read_bytes()
    before = packets_before(path, int(len(content) * share))
    path.write_bytes(content[: int(len(content) * share)])
    clip = worker.open(str(path), sampling=SamplingConfig(fps=25, frames=200, hop=100), size=SIZE)
    numbers = [read_stripes(picture) for picture in whole(clip).pixels]
    good = [number for place, number in enumerate(sorted(set(numbers))) if abs(number - place) <= 2 + 0.02 * place]
    assert before > 60 and len(good) >= 0.95 * before
    assert clip.damaged or suffix == ".ts"  # a transport stream never says how long it should be


def faststart(path: Path) -> Path:
    import av

    moved = path.with_name("moved.mp4")
    with av.open(str(path)) as source, av.open(str(moved), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    return moved


def packets_before(path: Path, offset: int) -> int:
    """Packets of the picture that end before a byte of the file."""
    import av

    with av.open(str(path)) as file:
        return sum(
            1 for p in file.demux(video=0) if p.size and p.pos is not None and p.pos + p.size * 1.05 + 8 < offset
        )


def test_flipped_bytes_are_counted_and_the_rest_is_kept(worker: DecodeWorker, tmp_path: Path) -> None:
    path = numbered(tmp_path / "a.mp4", replace(SMALL, frames=100, gop=10))
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + 4000
    content[middle : middle + 400] = bytes(b ^ 0xFF for b in content[middle : middle + 400])
    path.write_bytes(bytes(content))
    clip = worker.open(str(path), sampling=SamplingConfig(fps=25, frames=100, hop=50), size=SIZE)
    assert len(whole(clip)) >= 80 and clip.damaged


def test_what_cannot_be_decoded_is_one_sentence_and_the_next_file_works(worker: DecodeWorker, tmp_path: Path) -> None:
    path = numbered(tmp_path / "a.mp4", SMALL)
    broken = tmp_path / "b.mp4"
    broken.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ExplorerError, match=r"^cannot decode [^\n]*b\.mp4: [^\n]+; [^\n]+$"):
        worker.open(str(broken), sampling=SamplingConfig(), size=SIZE)
    pid = worker.pid
    assert len(whole(worker.open(str(path), sampling=SamplingConfig(), size=SIZE))) == 12
    assert worker.pid == pid


def test_a_hung_child_is_killed_at_the_deadline(tmp_path: Path) -> None:
    path = str(numbered(tmp_path / "a.mp4", SMALL))
    with DecodeWorker(patience=10.0) as worker:
        worker.probe(path)
        child, worker.patience = worker.pid, 1.0
        assert child is not None
        os.kill(child, signal.SIGSTOP)
        begin = time.monotonic()
        with pytest.raises(ExplorerError, match="did not get on for longer than 1 s"):
            worker.open(path, sampling=SamplingConfig(), size=SIZE)
        assert 0.9 < time.monotonic() - begin < 3
        worker.patience = 10.0
        begin = time.monotonic()
        assert len(whole(worker.open(path, sampling=SamplingConfig(), size=SIZE))) == 12
        assert time.monotonic() - begin < 2 * max(
            1.0, os.getloadavg()[0] / 2
        )  # 2 s on a machine that is not busy otherwise
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_kill_from_another_thread(long_file: Path) -> None:
    with DecodeWorker() as worker:
        worker.probe(str(long_file))
        child = worker.pid
        os.kill(child, signal.SIGSTOP)
        asked: list[float] = []
        threading.Timer(0.3, lambda: (asked.append(time.monotonic()), worker.kill())).start()
        with pytest.raises(Cancelled):
            worker.open(str(long_file), sampling=SamplingConfig(), size=SIZE)
        assert time.monotonic() - asked[0] < 1
        clip = worker.open(str(long_file), sampling=SamplingConfig(fps=5), size=SIZE)
        iterator = iter(clip)
        next(iterator)
        worker.kill()
        with pytest.raises(Cancelled):
            list(iterator)
        assert worker.probe(str(long_file)).fps == 5


def test_a_clip_left_half_way_does_not_spoil_the_next(long_file: Path, tmp_path: Path) -> None:
    path = str(numbered(tmp_path / "a.mp4", SMALL))
    with DecodeWorker() as worker:
        next(iter(worker.open(str(long_file), sampling=SamplingConfig(), size=SIZE)))
        assert worker.open(path, sampling=SamplingConfig(), size=SIZE).info.duration == 2.0
        next(iter(worker.open(str(long_file), sampling=SamplingConfig(), size=SIZE)))
        assert worker.probe(path).duration == 2.0


def test_too_much_memory_is_told_and_the_next_file_works(tmp_path: Path) -> None:
    """A limit below what the libraries alone take is passed by any file; /proc says what a process holds."""
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("this system does not say what a process holds")
    path = str(numbered(tmp_path / "a.mp4", SMALL))
    with DecodeWorker(memory_mb=20) as worker:
        with pytest.raises(ExplorerError, match="more than 20 MB of memory"):
            whole(worker.open(path, sampling=SamplingConfig(), size=SIZE))
        worker.memory_mb = 1024
        assert worker.probe(path).codec == "h264"


def test_the_child_is_renewed_and_dies_with_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_module, "FILES_A_CHILD", 2)
    path = str(numbered(tmp_path / "a.mp4", SMALL))
    with DecodeWorker() as worker:
        pids = []
        for _ in range(4):
            worker.probe(path)
            pids.append(worker.pid)
        assert pids[0] == pids[1] != pids[2] == pids[3]
        worker._child._process.stdin.close()  # what the end of the parent looks like to the child
        assert worker._child._process.wait(5) == 0


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="needs a system with process alarms")
def test_a_child_ends_with_its_parent_though_its_pipe_is_held_open(tmp_path: Path) -> None:
    """The middle process starts the child and goes; this one still holds the other end of what the child reads, and reads what it writes."""
    child = "[sys.executable, '-m', 'explorer.media.child.worker', '--memory', '2000', '--parent', str(os.getpid())]"
    middle = f"import os, subprocess, sys, time; subprocess.Popen({child}); print('begun', flush=True); time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", middle], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=IMPORT_DIR
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"begun\n"
        assert not select.select([process.stdout], [], [], 0)[0]
        process.kill()
        assert select.select([process.stdout], [], [], 30)[0] and process.stdout.read() == b""


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="needs a system with process alarms")
def test_a_child_whose_native_code_never_lets_go_is_ended_by_the_system() -> None:
    """A regular expression that runs for ever holds the interpreter, as a decoder's native code may."""
    code = (
        "import os, re, threading; from explorer.media.child import worker; worker.STUCK = 1;"
        "threading.Thread(target=worker._watch, args=(1 << 40, os.getppid()), daemon=True).start();"
        "import time; time.sleep(0.5); re.match('(a+)+$', 'a' * 64 + 'b')"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=IMPORT_DIR, timeout=60).returncode == -signal.SIGALRM


def test_odd_names(worker: DecodeWorker, tmp_path: Path) -> None:
    content = numbered(tmp_path / "plain.mp4", SMALL).read_bytes()
    failed = []
    for name in odd.NAMES:
        path = os.path.join(tmp_path, name)
        with open(path, "wb") as file:
            file.write(content)
        try:
            assert len(whole(worker.open(path, sampling=SamplingConfig(), size=SIZE))) == 12
        except Exception as error:
            failed.append((name, repr(error)))
    assert len(odd.NAMES) >= 40 and not failed


@pytest.mark.shared_data
def test_every_odd_file_decodes_or_is_refused(shared_data: Path) -> None:
    rows = odd.judge_folder(shared_data / "odd")
    assert len(rows) > 50 and not [row for row in rows if not row.good]
