"""The gate: what is refused, each with one sentence, and that it never hangs."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from explorer.media import gate
from explorer.media.child import wire
from explorer.records import ExplorerError
from tests.support.videos import Recipe, numbered

REFUSED = {
    "empty": (b"", "empty"),
    "one": (b"x", "text"),
    "text": (b"hello there", "text"),
    "zip": (b"PK\x03\x04rest", "zip"),
    "jpeg": (b"\xff\xd8\xff\xe0rest", "JPEG"),
    "png": (b"\x89PNG\r\n", "PNG"),
    "hls": (b"#EXTM3U\n#EXTINF:1\n/etc/passwd", "playlist"),
    "bom": (b"\xef\xbb\xbf #EXTM3U\n", "playlist"),
    "concat": (b"ffconcat version 1.0\nfile x", "list of files"),
    "dash": (b'<?xml version="1.0"?><MPD>', "XML"),
    "mpd": (b"<MPD>", "DASH"),
    "sdp": (b"v=0\no=- 0 0", "SDP"),
    "wave": (b"RIFF\x00\x00\x00\x00WAVEfmt ", "sound"),
    "webp": (b"RIFF\x00\x00\x00\x00WEBP", "picture"),
    "mp3": (b"ID3\x04rest", "sound"),
    "heic": (b"\x00\x00\x00\x18ftypheic\x00\x00", "picture"),
    "m4a": (b"\x00\x00\x00\x18ftypM4A \x00\x00", "sound"),
    "zeros": (bytes(5000), "zeros"),
    "random": (bytes(range(128, 256)) * 9, "no video container"),
    "elf": (b"\x7fELF\x02", "program"),
    "bare": (b"\x00\x00\x00\x01\x67\x42", "bare stream"),
    "pdf": (b"%PDF-1.7", "PDF"),
    "strm": (b"http://x/y.mp4\n", "text"),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_no_video_is_refused(tmp_path: Path, name: str) -> None:
    content, piece = REFUSED[name]
    path = tmp_path / f"{name}.mp4"
    path.write_bytes(content)
    with pytest.raises(ExplorerError) as caught:
        gate.check(str(path))
    assert re.fullmatch(r"cannot decode [^\n]+: [^\n]+; [^\n]+", str(caught.value)) and piece in str(caught.value)


@pytest.mark.parametrize(
    "suffix,codec",
    [
        (".mp4", "libx264"),
        (".mov", "libx264"),
        (".mkv", "libx264"),
        (".webm", "libvpx-vp9"),
        (".avi", "mpeg4"),
        (".ts", "libx264"),
        (".mpg", "mpeg2video"),
        (".wmv", "wmv2"),
        (".flv", "flv"),
        (".3gp", "libx264"),
    ],
)
def test_containers_are_known_by_content(tmp_path: Path, suffix: str, codec: str) -> None:
    path = numbered(tmp_path / f"a{suffix}", Recipe(codec=codec, suffix=suffix, frames=10, height=64)).rename(
        tmp_path / "a.txt"
    )
    known = {".mkv": "matroska", ".ts": "mpegts", ".mpg": "mpeg", ".wmv": "asf"}
    assert gate.container(str(path)) == known.get(suffix, suffix[1:])


@pytest.mark.skipif(os.name == "nt", reason="no pipes among files on Windows")
def test_pipes_links_folders_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    good = numbered(tmp_path / "good.mp4", Recipe(frames=5, height=64))
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    for name, target in {
        "zero.mp4": "/dev/zero",
        "self.mp4": "self.mp4",
        "dangling.mp4": "nowhere",
        "link.mp4": str(good),
    }.items():
        os.symlink(target, tmp_path / name)
    begin = time.monotonic()
    for name in ("pipe.mp4", "folder.mp4", "zero.mp4", "self.mp4", "dangling.mp4", "link.mp4", "absent.mp4"):
        with pytest.raises(ExplorerError):
            gate.check(str(tmp_path / name))
    with pytest.raises(ExplorerError, match="device"):
        gate.check("/dev/zero")
    assert time.monotonic() - begin < 1


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_folder_linked_into_the_library_leads_out(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "root").mkdir()
    numbered(tmp_path / "outside" / "a.mp4", Recipe(frames=5, height=64))
    os.symlink(tmp_path / "outside", tmp_path / "root" / "in")
    gate.check(str(tmp_path / "outside" / "a.mp4"), root=str(tmp_path / "outside"))
    with pytest.raises(ExplorerError, match="out of the library"):
        gate.check(str(tmp_path / "root" / "in" / "a.mp4"), root=str(tmp_path / "root"))


def test_names_are_shown_on_one_printable_line() -> None:
    assert gate.shown("a\nb\u202e\udcff\x1b.mp4") == "a\\nb\\u202e\\udcff\\x1b.mp4"


def test_messages_survive_the_wire_and_lies_are_noticed(tmp_path: Path) -> None:
    with open(tmp_path / "wire", "wb") as stream:
        wire.send(stream, {"path": "odd\udcff"}, [b"one", b""])
    with open(tmp_path / "wire", "rb") as stream:
        assert wire.receive(stream) == ({"path": "odd\udcff"}, [b"one", b""])
        assert wire.receive(stream) is None
    for lie in (
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x02[]",
        b"\x00\x00\x00\x0e" + b'{"blobs":[-1]}',
        b"\x00\x00\x00\x01{",
    ):
        (tmp_path / "lie").write_bytes(lie)
        with open(tmp_path / "lie", "rb") as stream, pytest.raises(wire.WireError):
            wire.receive(stream)
