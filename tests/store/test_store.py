"""The store: one row a file, features shared by equal content, filters, counts, many threads."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explorer.records import ExplorerError, FrameFeatures, Note, Recorded, VideoFile, VideoInfo, Window
from explorer.store.check import check
from explorer.store.database import DiskFull
from explorer.store.features import BLOCK_ROWS
from explorer.store.store import Store

INFO = VideoInfo(30.0, 640, 360, 25.0, "h264", "mp4")


def unit(rows: int, dim: int = 16, *, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((rows, dim))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16)


def put(
    store: Store,
    path: str,
    *,
    fingerprint: str,
    frames: int = 31,
    encoder: str = "e",
    mtime: int = 10**9,
    seed: int = 0,
    duration: float = 30.0,
    root: str = "/v",
    damage: str = "",
) -> int:
    """Keep a made-up video of `frames` frames with windows of 12, half overlap."""
    file = VideoFile(path, 100, mtime, fingerprint)
    store.add_files(store.add_root(root).id, [file])
    video = store.by_path(path)
    assert video is not None
    firsts = [*range(0, frames - 12, 6), frames - 12]
    windows = [Window(i, float(f), f + 12.0, f, 12) for i, f in enumerate(firsts)]
    store.put_video(
        video.id,
        file,
        info=VideoInfo(duration, 640, 360, 25.0, "h264", "mp4"),
        tower="t",
        sampling="s",
        features=FrameFeatures(np.arange(frames) + 0.5, unit(frames, seed=seed)),
        windows=windows,
        vectors=unit(len(windows), seed=seed + 1),
        encoder=encoder,
        damage=damage,
    )
    return video.id


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path / "index.db") as opened:
        yield opened


def test_what_is_put_comes_back(store: Store) -> None:
    video_id = put(store, "/v/a.mp4", fingerprint="fa", frames=31)
    features = store.features(video_id)
    assert np.array_equal(features.vectors, unit(31)) and np.array_equal(features.times, np.arange(31) + 0.5)
    video = store.video(video_id)
    assert video.info == INFO and video.state == "indexed" and store.by_public_id(video.public_id) == video
    assert [w.first for w in store.windows_of(video_id)] == [0, 6, 12, 18, 19]


def test_notes_and_the_day_of_recording_stay_with_the_content(store: Store) -> None:
    root = store.add_root("/v")
    first = VideoFile("/v/a.mp4", 100, 10**9, "fa")
    store.add_files(root.id, [first])
    video_id = store.videos()[0].id
    assert store.video(video_id).recorded is None and store.notes() == ()
    store.put_video(
        video_id,
        first,
        info=replace(INFO, created=5.0, timecode="01:00:00:00"),
        tower="t",
        sampling="s",
        features=FrameFeatures(np.arange(12) + 0.5, unit(12)),
        windows=[Window(0, 0.0, 12.0, 0, 12)],
        vectors=unit(1),
        encoder="e",
        notes=["one\nthing", "another", "another"],
        recorded=Recorded(5.0, "container"),
    )
    video = store.video(video_id)
    assert (video.recorded, video.recorded_by, video.info.timecode) == (5.0, "container", "01:00:00:00")
    assert video.notes == ("one thing", "another") == store.set_notes(video.set_id)
    store.set_root_notes(root.id, ["3 files left out"])
    assert store.notes() == (Note("/v", "3 files left out"), Note("/v/a.mp4", "one thing"), Note("/v/a.mp4", "another"))
    store.set_recorded([(video_id, Recorded(7.0, "name"))])
    assert (store.video(video_id).recorded, store.video(video_id).recorded_by) == (7.0, "name")


def test_candidates_are_the_frames_of_their_windows_in_the_order_asked(store: Store) -> None:
    for i in range(4):
        put(store, f"/v/{i}.mp4", fingerprint=f"f{i}", frames=25 + 7 * i, seed=i)
    windows = [w for video in store.videos() for w in store.windows_of(video.id)]
    order = np.random.default_rng(1).permutation(len(windows))
    asked = [windows[i].id for i in order]
    found = store.candidate_features([*asked, 10**6])  # a window that is gone is left out
    assert [w.id for w in found.windows] == asked and found.mask.all()
    for window, features in zip(found.windows, found.features):
        slow = store.features(window.video_id).vectors[window.first : window.first + window.count]
        assert np.array_equal(features, slow)
    assert BLOCK_ROWS != 19  # a window that begins inside a block was among them


def test_equal_content_shares_features_and_they_go_with_the_last_file(store: Store) -> None:
    first, second = put(store, "/v/a.mp4", fingerprint="f"), put(store, "/v/b.mp4", fingerprint="f")
    assert store.video(first).set_id == store.video(second).set_id
    store.mark_failed(first, VideoFile("/v/a.mp4", 1, 1, "other"), reason="broken")
    assert store.feature_set("f", tower="t", sampling="s") and not store.windows_of(first)
    store.mark_failed(second, VideoFile("/v/b.mp4", 1, 1, "other"), reason="broken")
    assert store.feature_set("f", tower="t", sampling="s") is None and check(store) == []


def test_missing_is_marked_and_everything_is_back_with_the_file(store: Store) -> None:
    video_id = put(store, "/v/a.mp4", fingerprint="f", damage="cut short")
    windows = store.windows_of(video_id)
    store.mark_missing([video_id])
    assert store.counts().missing == 1 and store.counts().damaged == 0
    assert len(store.allowed_windows()) == 0  # not shown
    store.mark_present([video_id])
    assert store.video(video_id).state == "damaged" and store.windows_of(video_id) == windows
    assert store.allowed_windows() is None


def test_files_that_swap_names_keep_what_is_theirs(store: Store) -> None:
    a, b = put(store, "/v/a.mp4", fingerprint="fa"), put(store, "/v/b.mp4", fingerprint="fb")
    store.move_files([(a, VideoFile("/v/b.mp4", 1, 1, "fa"), 1), (b, VideoFile("/v/a.mp4", 1, 1, "fb"), 1)])
    assert store.video(a).path == "/v/b.mp4" and store.video(b).path == "/v/a.mp4"


def test_filters(store: Store) -> None:
    old = put(store, "/v/Trips/2020/a.mp4", fingerprint="1", mtime=1_000 * 10**9, duration=30)
    new = put(store, "/v/trips2/b.mp4", fingerprint="2", mtime=2_000 * 10**9, duration=300)

    def videos(**filters: object) -> set[int]:
        ids = store.allowed_windows(**filters)
        return {window.video_id for window in store.windows(ids.tolist()).values()}

    assert videos(folders=["trips/"]) == {old, new} and videos(folders=["/v/trips/2020"]) == {old}
    assert videos(folders=["trips2", "2020"]) == {old, new} and videos(folders=["nowhere"]) == set()
    assert videos(after=2_000) == {new} and videos(before=2_000) == {old}
    assert videos(longer=300) == {new} and videos(shorter=299) == {old} and videos(longer=31, folders=["v"]) == {new}


def test_parts_of_names_of_folders_and_files_are_found(store: Store) -> None:
    root = "/home/trips/media"
    city = put(store, f"{root}/Spain/caf\u00e9 in Rome.mp4", fingerprint="1", root=root)
    apart = put(store, f"{root}/japan/cafe\u0301.MOV", fingerprint="2", root=root)

    def videos(**filters: object) -> set[int]:
        return {w.video_id for w in store.windows(store.allowed_windows(**filters).tolist()).values()}

    assert videos(folders=["rome"]) == {city} and videos(folders=["pai"]) == {city}
    assert (
        videos(folders=["caf\u00e9"]) == videos(folders=["cafe\u0301"]) == videos(files=["CAF\u00c9"]) == {city, apart}
    )
    assert videos(folders=["trips"]) == set() and videos(folders=["media"]) == {city, apart}
    assert videos(folders=["/home/trips"]) == {city, apart} and videos(folders=["japan\\caf"]) == {apart}
    assert videos(files=["japan"]) == set() and videos(files=["cafe\u0301.mov"]) == {apart}
    assert videos(files=["japan/cafe\u0301"]) == {apart} and videos(files=["caf\u00e9"], folders=["spain"]) == {city}


def test_days_are_those_of_recording(store: Store) -> None:
    copied = put(store, "/v/a.mp4", fingerprint="1", mtime=9_000 * 10**9)
    store.set_recorded([(copied, Recorded(1_000.0, "container"))])
    assert len(store.allowed_windows(before=2_000)) and not len(store.allowed_windows(after=2_000))


def test_names_that_are_no_text_survive(store: Store) -> None:
    name = os.fsdecode(b"/v/\xff\xfe '\"<img>\n.mp4")
    video_id = put(store, name, fingerprint="f")
    store.mark_failed(video_id, VideoFile(name, 1, 1, "g"), reason=f"cannot decode {name}; convert it")
    store.set_root(1, state="offline", reason=f"{name} cannot be reached")
    assert "\\udcff" in store.video(video_id).reason and "\\udcff" in store.roots()[0].reason
    assert store.video(video_id).path == name and os.fsencode(store.by_path(name).path).startswith(b"/v/\xff")


def test_removing_a_folder_takes_all_of_it(store: Store) -> None:
    put(store, "/v/a.mp4", fingerprint="f")
    put(store, "/w/b.mp4", fingerprint="g", root="/w")
    assert store.remove_root(1) == 1
    assert [v.path for v in store.videos()] == ["/w/b.mp4"] and check(store) == []


def test_encoders_are_told_apart(store: Store) -> None:
    put(store, "/v/a.mp4", fingerprint="f")
    assert store.other_encoders("e") == {}
    put(store, "/v/b.mp4", fingerprint="g", encoder="e2")
    assert store.other_encoders("e") == {"e2": 5} and store.encoders() == {"e": 5, "e2": 5}
    assert [f.kind for f in check(store)] == ["windows"]


def test_readers_and_a_writer_at_once(store: Store) -> None:
    ids = [put(store, f"/v/{i}.mp4", fingerprint=f"f{i}") for i in range(3)]
    errors: list[Exception] = []

    def read() -> None:
        try:
            for _ in range(30):
                found = store.candidate_features([w.id for i in ids for w in store.windows_of(i)])
                assert found.mask.all() and store.counts().videos >= 3
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for i in range(10):
        put(store, f"/v/new{i}.mp4", fingerprint=f"n{i}")
    for thread in threads:
        thread.join()
    assert errors == [] and check(store) == []


def test_a_full_disk_is_told_and_leaves_nothing_half_written(store: Store) -> None:
    put(store, "/v/a.mp4", fingerprint="f")
    with store.database.write() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    store.database._writer.execute(f"PRAGMA max_page_count = {pages + 1}")  # SQLite's own way of being full
    with pytest.raises(DiskFull, match="free some space"):
        put(store, "/v/b.mp4", fingerprint="g", frames=500)
    assert len(store.videos(state="indexed")) == 1 and check(store) == []
    store.database._writer.execute("PRAGMA max_page_count = 1000000")
    put(store, "/v/b.mp4", fingerprint="g", frames=500)
    assert store.counts().indexed == 2 and check(store) == []


def test_what_is_no_database_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "index.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(ExplorerError, match="damaged.*index anew"):
        Store(tmp_path / "index.db")
    (tmp_path / "file").write_text("")
    with pytest.raises(ExplorerError):
        Store(tmp_path / "file" / "index.db")
    with pytest.raises(ExplorerError, match="cannot open"):
        Store(tmp_path / "none.db", read_only=True)


def test_a_reading_store_cannot_write(tmp_path: Path) -> None:
    with Store(tmp_path / "index.db") as store:
        put(store, "/v/a.mp4", fingerprint="f")
    with Store(tmp_path / "index.db", read_only=True) as store:
        assert store.counts().indexed == 1
        with pytest.raises(ExplorerError, match="reading only"):
            store.add_root("/x")


def test_an_hour_of_video_takes_less_than_six_megabytes(tmp_path: Path) -> None:
    """D = 512, one frame a second, windows of 12 with half overlap; the coarse cache is counted too."""
    from explorer.store.vectors import VectorCache

    with Store(tmp_path / "index.db") as store:
        root, file = store.add_root("/v"), VideoFile("/v/a.mp4", 1, 1, "f")
        store.add_files(root.id, [file])
        windows = [Window(i, 6.0 * i, 6.0 * i + 12, 6 * i, 12) for i in range(599)]
        store.put_video(
            1,
            file,
            info=INFO,
            features=FrameFeatures(np.arange(3600) + 0.5, unit(3600, 512)),
            tower="t",
            sampling="s",
            windows=windows,
            vectors=unit(599, 512),
            encoder="e",
        )
        VectorCache(store, tmp_path / "vectors.faiss", encoder="e").save()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 6_000_000
