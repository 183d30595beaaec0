"""Folders as people have them, through the whole index: what is no film, what is linked, what belongs to a photo."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pytest

from explorer.index import indexer
from explorer.media.decode import DecodeWorker
from explorer.records import FrameFeatures, Progress, VideoInfo
from explorer.store import drafts, others
from explorer.store.others import Rules
from explorer.store.store import Store
from tests.support import everyday
from tests.support.colour import ColourEncoder
from tests.support.indexing import SAMPLING, rows, run_index, three_colours
from tests.support.videos import Recipe, coloured


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "index.db") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "films").mkdir()
    three_colours(tmp_path / "films" / "a.mp4")
    return tmp_path / "films"


def names(store: Store) -> list[str]:
    return [os.path.basename(video.path) for video in store.videos()]


def notes(steps: list[Progress]) -> list[str]:
    return [note["note"] for note in steps[-1].summary["notes"]]


def test_what_is_no_video_is_counted_in_one_line_and_looked_at_once(store: Store, folder: Path) -> None:
    for name in ("app.ts", "main.ts"):
        (folder / name).write_text("export const answer: number = 42;\n" * 40)
    everyday.sound_only(folder / "song.mp4")
    everyday.one_picture_gif(folder / "dot.gif")
    steps = run_index(store, folder)
    line = "4 files have the ending of a video and are none: 1 pictures, 1 sounds, 2 texts"
    assert steps[-1].summary["failed"] == [] and notes(steps) == [line] and names(store) == ["a.mp4"]
    assert store.counts().failed == 0 and [note.note for note in store.notes()] == [line]
    again = run_index(store, folder)[-1].summary
    assert (again["indexed"], again["unchanged"], again["failed"]) == (0, 1, [])
    three_colours(folder / "new.mp4").replace(folder / "song.mp4")
    assert run_index(store, folder)[-1].summary["indexed"] == 1 and names(store) == ["a.mp4", "song.mp4"]
    os.remove(folder / "dot.gif")
    assert notes(run_index(store, folder)) == ["2 files have the ending of a video and are none: 2 texts"]


def test_a_film_that_becomes_a_text_leaves_the_library(store: Store, folder: Path) -> None:
    shutil.move(folder / "a.mp4", folder / "a.mts")
    assert run_index(store, folder)[-1].summary["indexed"] == 1
    (folder / "a.mts").write_text("import x from 'y';\n" * 40)
    steps = run_index(store, folder)
    assert store.videos() == () and store.counts().windows == 0 and "1 texts" in notes(steps)[0]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_what_a_link_shows_is_indexed_once_and_told(store: Store, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "drive").mkdir()
    three_colours(tmp_path / "drive" / "far.mp4", order=("blue", "red", "green"))
    os.symlink(tmp_path / "drive", folder / "away")
    os.symlink(tmp_path / "drive" / "far.mp4", folder / "zfar.mp4")
    os.symlink(folder, folder / "loop")
    steps = run_index(store, folder)
    assert steps[-1].summary["failed"] == [] and [v.state for v in store.videos()] == ["indexed"] * 2
    assert sorted(names(store)) == ["a.mp4", "far.mp4"]
    assert any("away is a link that leads out" in note for note in notes(steps)) and any(
        "loop" in note for note in notes(steps)
    )


def test_exclusions_are_edited_and_what_they_hide_leaves_the_library(store: Store, folder: Path) -> None:
    (folder / "raw").mkdir()
    (folder / "@Recycle").mkdir()
    for place in ("raw", "@Recycle"):
        three_colours(folder / place / f"{place}.mp4", order=("blue", "red", "green"))
    run_index(store, folder)
    assert names(store) == ["a.mp4", "raw.mp4"]
    root = store.roots()[0]
    others.set_rules(store.database, root.id, Rules(patterns=("RAW",)))
    run_index(store, folder)
    assert sorted(names(store)) == ["@Recycle.mp4", "a.mp4"]
    others.set_rules(store.database, root.id, Rules())
    run_index(store, folder)
    assert names(store) == ["a.mp4", "raw.mp4"] and {v.state for v in store.videos()} == {"indexed"}


@pytest.mark.parametrize(
    ("photo", "video", "part"),
    [
        ("IMG_0001.HEIC", "IMG_0001.MOV", True),
        ("IMG_0002.JPG", "IMG_0002.mov", True),
        ("PXL_20230704_101530123.MP.jpg", "PXL_20230704_101530123.MP.mp4", True),
        ("any name.heic", "any name.mov", True),
        ("poster of a film.jpg", "poster of a film.mp4", False),
        ("IMG_0003.HEIC", "IMG_0004.MOV", False),
    ],
)
def test_motion_parts_of_photos_are_left_out_until_they_are_wanted(
    store: Store, folder: Path, photo: str, video: str, part: bool
) -> None:
    (folder / photo).write_bytes(b"a photo")
    suffix = Path(video).suffix.lower()
    recipe = Recipe(fps=5, width=64, height=48, gop=5, suffix=suffix)
    coloured(folder / f"x{suffix}", [("red", 1.5), ("blue", 1.5)], recipe).rename(folder / video)
    steps = run_index(store, folder)
    assert (video in names(store)) != part and (notes(steps) != []) == part
    others.set_rules(store.database, store.roots()[0].id, Rules(motion_photos=True))
    run_index(store, folder)
    assert video in names(store) and store.notes() == ()
    others.set_rules(store.database, store.roots()[0].id, Rules())
    assert (video in (run_index(store, folder), names(store))[1]) != part


def test_a_long_film_beside_a_photo_of_its_name_is_a_film(store: Store, folder: Path) -> None:
    (folder / "a.heic").write_bytes(b"a photo")
    run_index(store, folder)
    assert names(store) == ["a.mp4"]


def test_notes_of_a_file_reach_summary_store_and_its_twin(store: Store, folder: Path) -> None:
    everyday.joined_films(folder / "joined.ts")
    shutil.copy(folder / "joined.ts", folder / "twin.ts")
    told = notes(run_index(store, folder))
    assert len(told) == 2 and all("restarts" in note for note in told)
    assert [os.path.basename(note.path) for note in store.notes()] == ["joined.ts", "twin.ts"]


def test_a_long_film_goes_on_where_a_kill_left_it_and_is_never_shown_in_part(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice the run ends after some hundred frames, as a kill ends it; the whole equals a run that nothing broke."""
    monkeypatch.setattr(indexer, "SAVE_EVERY", 40)
    monkeypatch.setattr(indexer, "SHOW_EVERY", 0.0)
    os.remove(folder / "a.mp4")
    coloured(folder / "long.mp4", [(c, 25.0) for c in ("red", "green", "blue") * 4], Recipe(fps=2, width=64, height=48))
    seen = []
    for stop in (100, 80):
        encoder = ColourEncoder()
        steps = index_steps(store, folder, encoder)
        while encoder.frames_seen < stop:
            next(steps)
            assert store.counts().windows == 0 and all(video.state == "new" for video in store.videos())
        steps.close()
        seen.append(encoder.frames_seen)
    encoder = ColourEncoder()
    run_index(store, folder, encoder)
    assert encoder.frames_seen <= 300 - 80 - 40  # at least two runs' saves were not decoded again
    with Store(folder.parent / "unbroken.db") as unbroken:
        run_index(unbroken, folder)
        assert rows(store) == rows(unbroken)
    with store.database.read() as connection:
        assert connection.execute("SELECT count(*) FROM drafts").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM draft_parts").fetchone() == (0,)


def index_steps(store: Store, folder: Path, encoder: ColourEncoder) -> Generator[Progress, None, None]:
    """Indexing that the caller ends."""
    with DecodeWorker() as decoder:
        yield from indexer.index(
            store, [store.add_root(folder)], encoder=encoder, decoder=decoder, sampling=SAMPLING, batch=8
        )


def test_damage_before_a_stop_is_not_forgotten(store: Store, folder: Path) -> None:
    key = ("f", "t", "s")
    part = FrameFeatures(np.arange(3) + 0.5, np.eye(3, 8).astype(np.float16))
    info = VideoInfo(6.0, 64, 48, 5.0, "h264", "mp4")
    drafts.keep_part(store.database, key, 0, part, info=info, damaged=False)
    drafts.keep_part(store.database, key, 3, part, info=info, damaged=True)
    kept = drafts.kept(store.database, key)
    assert kept is not None and kept.damaged and len(kept.features.times) == 6
    with store.database.write() as connection:
        connection.execute("UPDATE draft_parts SET crc = crc + 1 WHERE first = 3")
    assert drafts.kept(store.database, key) is None
    drafts.keep_part(store.database, key, 0, part, info=info, damaged=False)
    kept = drafts.kept(store.database, key)
    assert kept is not None and not kept.damaged and len(kept.features.times) == 3
    drafts.forget_unused(store.database)
    assert drafts.kept(store.database, key) is None
