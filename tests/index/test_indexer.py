"""Indexing real files: exact features, only what changed, nothing lost, nothing half-written."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults.kill_index import run as kill
from explorer.config import SamplingConfig
from explorer.index.indexer import index
from explorer.media.decode import Cancelled, DecodeWorker
from explorer.records import ExplorerError
from explorer.store.check import check
from explorer.store.stills import Stills
from explorer.store.store import Store
from tests.support.colour import COLOURS, ColourEncoder, one_hot
from tests.support.indexing import SAMPLING, rows, run_index, three_colours


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two different videos, a twin of the first and a text that pretends."""
    folder = tmp_path_factory.mktemp("drawn")
    three_colours(folder / "a.mp4")
    three_colours(folder / "b.mp4", order=("blue", "red"))
    shutil.copy(folder / "a.mp4", folder / "twin.mp4")
    (folder / "bad.mp4").write_text("no video")
    for file in folder.iterdir():
        os.utime(file, (1_700_000_000, 1_700_000_000))
    return folder


@pytest.fixture
def library(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "library"))


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path / "data" / "index.db") as opened:
        yield opened


def test_features_windows_stills_and_summary_are_exact(store: Store, library: Path, tmp_path: Path) -> None:
    encoder, stills = ColourEncoder(), Stills(tmp_path / "stills.db")
    before = {f: (f.read_bytes(), f.stat().st_mtime_ns) for f in library.iterdir()}
    records = run_index(store, library, encoder, stills=stills)
    summary = records[-1].summary
    assert (summary["indexed"], summary["unchanged"], summary["video_seconds"]) == (3, 0, 32.0)
    assert [f["path"] for f in summary["failed"]] == [str(library / "bad.mp4")] and "text" in summary["failed"][0][
        "reason"
    ]
    assert [f.path for r in records for f in r.failures] == [str(library / "bad.mp4")]
    assert encoder.frames_seen == 20  # 12 + 8: the twin was not decoded
    video = store.by_path(str(library / "a.mp4"))
    names = [COLOURS[i] for i in store.features(video.id).vectors.argmax(1)]
    assert names == ["red"] * 4 + ["green"] * 4 + ["blue"] * 4
    windows = store.windows_of(video.id)
    assert [(w.first, w.count) for w in windows] == [(0, 4), (2, 4), (4, 4), (6, 4), (8, 4)]
    vectors = np.concatenate([v for _, v in store.window_vectors(np.array([w.id for w in windows]))])
    assert np.array_equal(vectors[0], one_hot(0)) and np.allclose(
        vectors[1], (one_hot(0) + one_hot(1)) / 2**0.5, atol=1e-3
    )
    assert stills.frames(video.fingerprint) == 12 and stills.get(video.fingerprint, 11)[:2] == b"\xff\xd8"
    assert {f: (f.read_bytes(), f.stat().st_mtime_ns) for f in library.iterdir()} == before
    counts = store.counts()
    assert (counts.indexed, counts.failed, counts.seconds) == (3, 1, 32.0) and check(store, stills=stills) == []


def test_only_what_changed_is_decoded(store: Store, library: Path) -> None:
    run_index(store, library)
    known = {Path(v.path).name: v for v in store.videos()}
    os.rename(library / "a.mp4", library / "moved.mp4")
    os.utime(library / "twin.mp4")  # touched, not changed
    os.utime(library / "twin.mp4", (1_700_000_100, 1_700_000_100))
    (library / "b.mp4").unlink()
    three_colours(library / "c.mp4", order=("green",))
    os.utime(library / "c.mp4", (1_700_000_000, 1_700_000_000))
    encoder = ColourEncoder()
    summary = run_index(store, library, encoder)[-1].summary
    assert (summary["indexed"], summary["moved"], summary["missing"], summary["unchanged"]) == (1, 1, 1, 2)
    assert encoder.frames_seen == 4  # c.mp4 alone: one window of 4 frames
    assert store.by_path(str(library / "moved.mp4")).public_id == known["a.mp4"].public_id
    assert store.by_path(str(library / "b.mp4")).state == "missing" and store.windows_of(known["b.mp4"].id)
    assert check(store) == []
    three_colours(library / "b.mp4", order=("blue", "red"))  # the same content comes back
    os.utime(library / "b.mp4", (1_700_000_000, 1_700_000_000))
    encoder = ColourEncoder()
    run_index(store, library, encoder)
    assert store.by_path(str(library / "b.mp4")).state == "indexed" and encoder.frames_seen == 0


def test_a_changed_file_replaces_what_it_was(store: Store, library: Path) -> None:
    run_index(store, library)
    three_colours(library / "b.mp4", order=("green", "green"))
    os.utime(library / "b.mp4", (1_700_000_500, 1_700_000_500))
    assert run_index(store, library)[-1].summary["indexed"] == 1
    features = store.features(store.by_path(str(library / "b.mp4")).id)
    assert set(features.vectors.argmax(1)) == {1} and check(store) == []


def test_a_drive_that_vanishes_is_offline_and_comes_back(store: Store, library: Path) -> None:
    run_index(store, library)
    before = rows(store)
    os.rename(library, library.with_name("away"))
    encoder = ColourEncoder()
    summary = run_index(store, library, encoder)[-1].summary
    assert "cannot be reached" in summary["offline"][0] and store.roots()[0].state == "offline"
    library.mkdir()  # an empty mount point
    assert "empty" in run_index(store, library, encoder)[-1].summary["offline"][0]
    assert rows(store) == before and store.counts().missing == 0
    library.rmdir()
    os.rename(library.with_name("away"), library)
    run_index(store, library, encoder)
    assert rows(store) == before and store.roots()[0].state == "online" and encoder.frames_seen == 0


def test_another_checkpoint_re_embeds_without_decoding_and_another_tower_decodes(store: Store, library: Path) -> None:
    run_index(store, library)
    other = ColourEncoder("colour-2", sign=-1.0)
    summary = run_index(store, library, other)[-1].summary
    assert (summary["re_embedded"], summary["indexed"], other.frames_seen) == (3, 0, 0)
    assert store.other_encoders("colour-2") == {}
    tower = ColourEncoder("colour-3", tower_name="another")
    assert run_index(store, library, tower)[-1].summary["indexed"] == 3 and tower.frames_seen == 20
    back = ColourEncoder("colour-2", sign=-1.0)
    assert run_index(store, library, back)[-1].summary["re_embedded"] == 3 and back.frames_seen == 0
    assert check(store) == []


def test_failed_files_are_tried_again_when_asked(store: Store, library: Path) -> None:
    run_index(store, library)
    assert run_index(store, library)[-1].summary["failed"]  # listed each time, though not tried
    shutil.copy(library / "b.mp4", library / "bad.mp4")
    assert run_index(store, library)[-1].summary["failed"] == [] and store.counts().failed == 0


def test_a_model_of_numbers_that_are_not_finite_fails_each_file_with_a_sentence(store: Store, library: Path) -> None:
    class Broken(ColourEncoder):
        def encode_frames(self, pixels: np.ndarray) -> np.ndarray:
            return super().encode_frames(pixels) * np.float16(np.nan)

    summary = run_index(store, library, Broken())[-1].summary
    assert summary["indexed"] == 0 and len(summary["failed"]) == 4
    assert sum("not finite" in f["reason"] for f in summary["failed"]) == 3 and check(store) == []
    assert run_index(store, library, retry=True)[-1].summary["indexed"] == 3


def test_closing_the_generator_stops_within_two_seconds_and_the_rest_follows(
    store: Store, library: Path, tmp_path: Path
) -> None:
    for i in range(6):
        three_colours(library / f"more{i}.mp4", order=("red", "blue", "green")[: 1 + i % 3], seconds=6 + i)

    class Slow(ColourEncoder):
        def encode_frames(self, pixels: np.ndarray) -> np.ndarray:
            time.sleep(0.2)
            return super().encode_frames(pixels)

    with DecodeWorker() as decoder:
        steps = index(store, [store.add_root(library)], encoder=Slow(), decoder=decoder, sampling=SAMPLING)
        for record in steps:
            if record.stage == "encode" and record.done > 12:  # one file is kept, the next is in hand
                break
        began = time.monotonic()
        steps.close()
        took = time.monotonic() - began
        assert decoder.pid is None
    assert took < 2 and "decode-ahead" not in [t.name for t in threading.enumerate()]
    assert 0 < store.counts().indexed < 9 and check(store) == []
    run_index(store, library)
    with Store(tmp_path / "whole" / "index.db") as whole:
        run_index(whole, library)
        assert rows(whole) == rows(store)


def test_a_decoder_killed_from_outside_stops_the_run_and_no_video_is_blamed(store: Store, library: Path) -> None:
    root = store.add_root(library)
    with DecodeWorker() as decoder:
        threading.Timer(0.05, decoder.kill).start()
        steps = index(store, [root], encoder=ColourEncoder(), decoder=decoder, sampling=SAMPLING)
        with pytest.raises(Cancelled):
            for _ in steps:
                decoder.kill()
    assert store.counts().failed == 0 and check(store) == []
    assert run_index(store, library)[-1].summary["indexed"] == 3


def test_a_full_disk_stops_the_run_and_no_video_is_blamed(store: Store, library: Path) -> None:
    with store.database.write() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    root = store.add_root(library)
    store.database._writer.execute(f"PRAGMA max_page_count = {pages}")
    with DecodeWorker() as decoder, pytest.raises(ExplorerError, match="free some space"):
        list(
            index(
                store, [root], encoder=ColourEncoder(), decoder=decoder, sampling=SamplingConfig(fps=5, frames=4, hop=1)
            )
        )
    store.database._writer.execute("PRAGMA max_page_count = 1000000")
    assert {v.path for v in store.videos(state="failed")} <= {
        str(library / "bad.mp4")
    }  # the order of files is no promise
    assert run_index(store, library)[-1].summary["indexed"] == 3 and check(store) == []  # by the other sampling


def test_killed_indexing_loses_nothing_and_ends_equal(tmp_path: Path) -> None:
    figures = kill(5, seed=3, videos=4, folder=tmp_path)
    assert figures.kills == 5 and figures.sound, figures
