"""Decoders ahead, shared looks and a person at work change how fast a library is indexed, and nothing of the index."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explorer.index.ahead import Ahead, Decoded, Ended, Opened, Task
from explorer.index.embed import Draft
from explorer.index.indexer import index
from explorer.index.pace import LONGEST, NICENESS, Pace
from explorer.media.decode import DecodeWorker
from explorer.records import Frames, FrameSize, VideoFile, VideoInfo
from explorer.store.rows import StoredVideo
from explorer.store.store import Store
from tests.support.colour import ColourEncoder
from tests.support.indexing import SAMPLING, rows, run_index, three_colours

INFO = VideoInfo(9.0, 64, 48, 5.0, "h264", "mp4")


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five films of other lengths and orders."""
    folder = tmp_path_factory.mktemp("films")
    orders = [("red", "green", "blue"), ("blue", "red"), ("green",), ("green", "red", "green"), ("blue", "green")]
    for number, order in enumerate(orders):
        three_colours(folder / f"film{number}.mp4", order=order, seconds=3.0 + number)
    return folder


def task_of(number: int) -> Task:
    file = VideoFile(f"/films/{number}.mp4", 1, 0, str(number))
    return Task(StoredVideo(number, "", 1, file.path, 1, 0, str(number), "new", "", None, None, None), file, "/films")


def features_one_by_one(folder: Path) -> dict[str, np.ndarray]:
    """Path -> vectors, by decoding each film to its end and then encoding each frame alone."""
    encoder, found = ColourEncoder(), {}
    with DecodeWorker() as worker:
        for path in sorted(folder.iterdir()):
            runs = list(worker.open(str(path), sampling=SAMPLING, size=encoder.frame_size))
            found[str(path)] = np.concatenate([encoder.encode_frames(p[None]) for run in runs for p in run.pixels])
    return found


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("batch", [1, 16])
def test_features_are_those_of_one_film_and_one_frame_at_a_time(
    films: Path, tmp_path: Path, adaptive: bool, batch: int
) -> None:
    with Store(tmp_path / "index.db") as store, DecodeWorker() as decoder:
        sampling = replace(SAMPLING, adaptive=adaptive)
        encoder, roots = ColourEncoder(), [store.add_root(films)]
        last = [*index(store, roots, encoder=encoder, decoder=decoder, sampling=sampling, batch=batch)][-1]
        assert last.summary["indexed"] == 5
        expected = features_one_by_one(films)
        for path, vectors in expected.items():
            found = store.features(store.by_path(path).id)
            np.testing.assert_array_equal(found.vectors, vectors)
        frames = sum(map(len, expected.values()))
        assert encoder.frames_seen == frames if not adaptive else encoder.frames_seen < frames / 2


def test_adaptive_or_not_the_stored_rows_are_the_same(films: Path, tmp_path: Path) -> None:
    found = []
    for adaptive in (False, True):
        with Store(tmp_path / f"{adaptive}.db") as store, DecodeWorker() as decoder:
            sampling = replace(SAMPLING, adaptive=adaptive)
            [*index(store, [store.add_root(films)], encoder=ColourEncoder(), decoder=decoder, sampling=sampling)]
            found.append(rows(store))
    assert found[0] == found[1]


def test_a_shared_look_reaches_over_the_end_of_a_run() -> None:
    draft = Draft(task_of(1), INFO)
    pixels, vectors = np.zeros((2, 4, 4, 3), np.uint8), np.eye(4, dtype=np.float16)
    draft.add(Frames(np.arange(3.0), pixels, (), np.array([True, False, True])), vectors[:2])
    draft.add(Frames(np.arange(3.0, 6.0), pixels[:1], (), np.array([False, False, True])), vectors[2:3])
    draft.add(Frames(np.arange(6.0, 8.0), pixels[:0], (), np.array([False, False])), vectors[:0])
    assert draft.features().vectors.argmax(1).tolist() == [0, 0, 1, 1, 1, 2, 2, 2]
    assert draft.features().times.tolist() == [*range(8)]


def test_frames_without_their_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="2 of them fresh"):
        Frames(np.arange(3.0), np.zeros((3, 4, 4, 3), np.uint8), (), np.array([True, False, True]))


def test_several_files_are_decoded_at_once_and_each_in_order(films: Path) -> None:
    tasks = [
        replace(task_of(n), file=VideoFile(str(p), 1, 0, str(n)), root=str(films))
        for n, p in enumerate(sorted(films.iterdir()))
    ]
    with DecodeWorker() as decoder:
        ahead = Ahead(decoder, tasks, sampling=SAMPLING, size=FrameSize(16, 16), still_width=0, cores=3)
        assert len([t for t in threading.enumerate() if t.name == "decode-ahead"]) == 3
        steps = [step for step in ahead.steps() if step is not None]
        ahead.stop()
    for task in tasks:
        own = [step for step in steps if step.task is task]
        assert isinstance(own[0], Opened) and isinstance(own[-1], Ended)
        times = np.concatenate([step.frames.times for step in own if isinstance(step, Decoded)])
        assert (np.diff(times) > 0).all() and len(times) >= 4
    assert "decode-ahead" not in [t.name for t in threading.enumerate()]


def test_a_person_at_work_stops_a_batch_but_not_for_ever() -> None:
    pace, went_on = Pace(), threading.Event()

    def work() -> None:
        pace.wait()
        went_on.set()

    with pace.person():
        threading.Thread(target=work).start()
        assert not went_on.wait(0.3)
        assert went_on.wait(LONGEST), "it goes on by steps"
    pace.mode = "full"
    with pace.person():
        began = time.monotonic()
        pace.wait()
    assert time.monotonic() - began < 0.1


def test_a_player_is_a_person_too_and_a_gentle_pace_rests() -> None:
    pace = Pace()
    pace.playing()
    began = time.monotonic()
    pace.wait()
    assert time.monotonic() - began >= LONGEST * 0.9
    gentle = Pace("gently")
    time.sleep(0.2)  # as a batch would take
    began = time.monotonic()
    gentle.wait()
    assert 0.15 < time.monotonic() - began < LONGEST
    assert [Pace(mode).niceness for mode in ("gently", "normal", "full")] == sorted(NICENESS.values(), reverse=True)
    with pytest.raises(ValueError, match="gently, normal, full"):
        pace.mode = "fast"


def test_a_failed_file_among_several_leaves_the_others(films: Path, tmp_path: Path) -> None:
    (films / "bad.mp4").write_text("no video")
    try:
        with Store(tmp_path / "index.db") as store:
            summary = run_index(store, films)[-1].summary
    finally:
        (films / "bad.mp4").unlink()
    assert summary["indexed"] == 5 and [f["path"] for f in summary["failed"]] == [str(films / "bad.mp4")]
