"""The library: what a walk finds, what counts as the same file, and 2,000 random file operations against a plain model."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from pathlib import Path

import pytest

from explorer.media import scan as library
from explorer.media.walk import EXCLUDED, Left, excluded
from explorer.records import ExplorerError, Failure, VideoFile


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def found(root: Path) -> list[str]:
    return [os.path.relpath(file.path, root) for file in library.scan(str(root))]


def with_fingerprints(root: Path) -> list[VideoFile]:
    return list(library.compare([], library.scan(str(root))).new)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "PAUSE", 0.0)


def test_hidden_system_and_other_files_are_skipped(tmp_path: Path) -> None:
    for name in (
        "a.mp4",
        "b.MKV",
        "trip/c.webm",
        ".hidden/d.mp4",
        "$RECYCLE.BIN/e.mp4",
        "@eaDir/f.mp4",
        "g.txt",
        ".h.mp4",
        "mp4",
    ):
        put(tmp_path / name, b"x")
    assert found(tmp_path) == ["a.mp4", "b.MKV", "trip/c.webm"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_followed_once_without_loops_and_twins_count_once(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside" / "far.mp4", b"far")
    root = tmp_path / "root"
    put(root / "a.mp4", b"a")
    os.link(root / "a.mp4", root / "twin.mp4")
    os.symlink(outside, root / "out.mp4")
    os.symlink(outside.parent, root / "folder")
    os.symlink(root, root / "loop")
    os.symlink("self.mp4", root / "self.mp4")
    os.symlink("/", root / "everything")
    os.symlink(root / "a.mp4", root / "again.mp4")
    os.symlink("/dev/zero", root / "zero.mp4")
    put(root / "deep" / "b.mp4", b"b")
    os.symlink(root / "deep", root / "deep" / "down")
    os.symlink(root / "deep", root / "beside")
    os.mkfifo(root / "pipe.mp4")
    (root / "folder.mp4").mkdir()
    assert found(root) == ["a.mp4", "deep/b.mp4", "folder/far.mp4"]
    left = Left()
    list(library.scan(str(root), left=left))
    told = " ".join(left.notes())
    assert "folder is a link that leads out" in told and all(
        name in told for name in ("everything", "loop", "self.mp4")
    )
    assert "again" not in told and "beside" not in told
    assert [f.path for f in library.scan(str(root), elsewhere=[str(outside.parent)])] == [
        str(root / "a.mp4"),
        str(root / "deep" / "b.mp4"),
    ]


@pytest.mark.parametrize(
    "place",
    [
        "@Recycle",
        "@Recently-Snapshot",
        "#recycle",
        "@eaDir",
        ".Trash-1000",
        ".zfs/snapshot",
        "Mine.photoslibrary/originals",
        "Film.fcpbundle/Original Media",
        "Lightroom Catalog Previews.lrdata",
        "Adobe Premiere Pro Video Previews",
        "CacheClip",
    ],
)
def test_bins_snapshots_and_packages_are_left_out(tmp_path: Path, place: str) -> None:
    put(tmp_path / "Trip" / place / "a.mp4", b"a")
    put(tmp_path / "Trip" / "b.mp4", b"b")
    left = Left()
    assert [Path(f.path).name for f in library.scan(str(tmp_path), left=left)] == ["b.mp4"]
    assert left.excluded and (place.startswith(".") or "as excluded" in left.notes()[0])
    assert len(list(library.scan(str(tmp_path), patterns=()))) == 2
    assert len(list(library.scan(str(tmp_path / "Trip" / place)))) == 1  # what a person adds themselves is read


def test_patterns_are_of_names_or_places_whatever_case_or_accent(tmp_path: Path) -> None:
    root = str(tmp_path)

    def at(*steps: str) -> str:
        return os.path.join(root, *steps)

    assert excluded(at("Raw", "a.mp4"), root, ["raw"]) and excluded(at("b", "RAW", "a.mp4"), root, ["raw/"])
    assert excluded(at("trip", "raw", "a.mp4"), root, ["trip/raw"])
    assert not excluded(at("raw", "a.mp4"), root, ["trip/raw"]) and not excluded(at("raws", "a.mp4"), root, ["raw"])
    assert excluded(at("e\u0301te\u0301", "a.mp4"), root, ["\u00e9t\u00e9"])
    assert excluded(at("a-proxy.mp4"), root, ["*-proxy.*"]) and not excluded(at("a.mp4"), root, EXCLUDED)


def test_films_that_nothing_here_reads_are_counted_in_one_line(tmp_path: Path) -> None:
    for name in ("a.rm", "b.braw", "c.wtv", "d.r3d", "e.mp4", "f.txt"):
        put(tmp_path / name, b"x")
    left = Left()
    assert [Path(f.path).name for f in library.scan(str(tmp_path), left=left)] == ["e.mp4"]
    assert left.notes() == ["4 files or folders look like video and are not supported: a.rm, b.braw, c.wtv and 1 more"]


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ExplorerError, match="connect its drive"):
        list(library.scan(str(tmp_path / "gone")))


def test_fingerprint_sees_ends_and_middle(tmp_path: Path) -> None:
    size = 4 * library.CHUNK
    content = bytearray(os.urandom(size))
    path = put(tmp_path / "a.mp4", bytes(content))
    first = library.fingerprint(str(path), size)
    assert first == library.fingerprint(str(path), size) and len(first) == 32
    for place in (0, size // 2, size - 1):
        changed = bytearray(content)
        changed[place] ^= 1
        assert library.fingerprint(str(put(path, bytes(changed))), size) != first
    with pytest.raises(ExplorerError, match="being written"):
        library.fingerprint(str(path), size + 1)


def test_new_changed_moved_missing_unchanged(tmp_path: Path) -> None:
    for name in ("keep", "edit", "move", "drop", "touch"):
        put(tmp_path / f"{name}.mp4", name.encode())
    known = with_fingerprints(tmp_path)
    put(tmp_path / "edit.mp4", b"another")
    (tmp_path / "move.mp4").rename(tmp_path / "moved.mp4")
    (tmp_path / "drop.mp4").unlink()
    os.utime(tmp_path / "touch.mp4", ns=(1, 1))
    put(tmp_path / "copy.mp4", b"keep")
    seen = library.compare(known, library.scan(str(tmp_path)), root=str(tmp_path))

    def names(files: tuple[VideoFile, ...]) -> list[str]:
        return [Path(file.path).stem for file in files]

    assert (names(seen.new), names(seen.changed), names(seen.missing)) == (["copy"], ["edit"], ["drop"])
    assert names(seen.unchanged) == ["keep", "touch"]
    assert [(Path(a.path).stem, Path(b.path).stem) for a, b in seen.moved] == [("move", "moved")]
    assert seen.unchanged[1].mtime_ns == 1


def test_an_unreachable_empty_or_shrunken_folder_is_offline(tmp_path: Path) -> None:
    root = tmp_path / "drive"
    for number in range(12):
        put(root / f"{number}.mp4", bytes([number]))
    known = with_fingerprints(root)
    for number in range(7):
        (root / f"{number}.mp4").unlink()
    shrunken = library.compare(known, library.scan(str(root)), root=str(root))
    assert "5 of 12" in shrunken.offline and not shrunken.missing
    assert len(library.compare(known, library.scan(str(root)), root=str(root), confirmed=True).missing) == 7
    for path in root.iterdir():
        path.unlink()
    assert "empty" in library.compare(known, library.scan(str(root)), root=str(root)).offline
    root.rmdir()
    assert "cannot be reached" in library.compare(known, [], root=str(root)).offline


def test_files_under_an_unreadable_folder_are_not_missing(tmp_path: Path) -> None:
    put(tmp_path / "a.mp4", b"a")
    put(tmp_path / "locked" / "b.mp4", b"b")
    put(tmp_path / "locked2" / "c.mp4", b"c")
    known = with_fingerprints(tmp_path)
    shutil.rmtree(tmp_path / "locked2")
    shown = [file for file in library.scan(str(tmp_path)) if "locked" not in file.path]
    seen = library.compare(known, shown, root=str(tmp_path), unreadable=[str(tmp_path / "locked")])
    assert [Path(file.path).name for file in seen.missing] == ["c.mp4"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0)
    told: list[Failure] = []
    assert list(library.scan(str(tmp_path), report=told.append)) == []
    assert told and "permissions" in told[0].reason


def test_a_file_still_being_copied_is_put_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "PAUSE", 0.3)
    path = put(tmp_path / "a.mp4", b"begin")
    files = list(library.scan(str(tmp_path)))
    writer = threading.Thread(target=lambda: (time.sleep(0.1), path.write_bytes(b"begin and more")))
    writer.start()
    seen = library.compare([], files)
    writer.join()
    assert [Path(file.path).name for file in seen.pending] == ["a.mp4"] and not seen.new
    assert [Path(file.path).name for file in library.compare([], library.scan(str(tmp_path))).new] == ["a.mp4"]


class Folder:
    """A folder changed at random, with its contents kept in a plain dict: the model that `compare` is held against."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.random, self.clock, self.number = root, random.Random(seed), 10**18, 0
        self.files: dict[str, bytes] = {}

    def step(self) -> None:
        operation = self.random.choice(
            (
                self.create,
                self.create,
                self.delete,
                self.rename,
                self.move,
                self.copy,
                self.overwrite,
                self.append,
                self.truncate,
                self.touch,
                self.swap,
                self.rename_folder,
                self.replace,
            )
        )
        operation = self.delete if len(self.files) > 20 else operation  # a small folder keeps the test quick
        if self.files or operation == self.create:
            operation()

    def some(self) -> str:
        return self.random.choice(sorted(self.files))

    def name(self) -> str:
        self.number += 1
        return f"{self.random.choice(('', 'a/', 'b/', 'a/deep/'))}{self.number}.mp4"

    def write(self, name: str, content: bytes) -> None:
        put(self.root / name, content)
        self.clock += 10**9
        os.utime(self.root / name, ns=(self.clock, self.clock))
        self.files[name] = content

    def shift(self, old: str, new: str) -> None:
        (self.root / new).parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.root / old, self.root / new)
        self.files[new] = self.files.pop(old)

    def create(self) -> None:
        self.write(self.name(), self.random.randbytes(self.random.randint(1, 50)))

    def delete(self) -> None:
        name = self.some()
        (self.root / name).unlink()
        del self.files[name]

    def rename(self) -> None:
        old = self.some()
        self.shift(old, os.path.join(os.path.dirname(old), os.path.basename(self.name())))

    def move(self) -> None:
        self.shift(self.some(), self.name())

    def copy(self) -> None:
        self.write(self.name(), self.files[self.some()])

    def overwrite(self) -> None:
        name = self.some()
        self.write(name, self.random.randbytes(len(self.files[name])))

    def append(self) -> None:
        name = self.some()
        self.write(name, self.files[name] + b"more")

    def truncate(self) -> None:
        name = self.some()
        self.write(name, self.files[name][:-1] or b"?")

    def touch(self) -> None:
        name = self.some()
        self.write(name, self.files[name])

    def swap(self) -> None:
        one, other = self.some(), self.some()
        if one != other:
            self.shift(one, "between.mp4")
            self.shift(other, one)
            self.shift("between.mp4", other)

    def rename_folder(self) -> None:
        inside = [name for name in self.files if name.startswith("a/")]
        self.number += 1
        for name in inside:
            self.shift(name, f"was{self.number}/{name[2:]}")

    def replace(self) -> None:
        self.shift(self.some(), self.some())


def expected_moves(before: dict[str, bytes], now: dict[str, bytes]) -> int:
    """How many pairs (content gone from its path, same content at a new path) there can be."""
    gone = [content for name, content in before.items() if now.get(name) != content]
    fresh = [content for name, content in now.items() if name not in before]
    return sum(min(gone.count(content), fresh.count(content)) for content in set(gone))


def test_2000_random_steps_against_a_model(tmp_path: Path) -> None:
    """Twelve file operations; after every few, `compare` says what the plain dict says, and its answer rebuilds the state."""
    folder = Folder(tmp_path, seed=11)
    known: dict[str, VideoFile] = {}
    before: dict[str, bytes] = {}
    for step in range(2000):
        folder.step()
        if step % 4 and step != 1999:
            continue
        seen = library.compare(known.values(), library.scan(str(tmp_path)))
        rel = {
            file.path: os.path.relpath(file.path, tmp_path).replace(os.sep, "/")
            for group in (seen.new, seen.changed, seen.missing, seen.unchanged)
            for file in group
        }
        assert {rel[f.path] for f in seen.unchanged} == {n for n, c in folder.files.items() if before.get(n) == c}
        assert len(seen.moved) == expected_moves(before, folder.files)
        assert all(old.fingerprint == new.fingerprint for old, new in seen.moved)
        gone = {f.path for f in seen.missing} | {old.path for old, _ in seen.moved}
        assert {f.path for f in seen.missing} <= {f.path for f in known.values()} and not seen.pending
        known = {path: file for path, file in known.items() if path not in gone}
        known.update({f.path: f for f in (*seen.new, *seen.changed, *seen.unchanged, *(new for _, new in seen.moved))})
        assert {os.path.relpath(p, tmp_path).replace(os.sep, "/"): f.fingerprint for p, f in known.items()} == {
            name: library.fingerprint(str(tmp_path / name), len(content)) for name, content in folder.files.items()
        }
        before = dict(folder.files)
