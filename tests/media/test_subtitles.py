"""Subtitles beside and inside a film are read with their times, whatever their form; what is no text harms nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from explorer.media.decode import DecodeWorker
from explorer.media.subtitles import LARGEST, find_side_files, read_side_file
from explorer.records import ExplorerError
from tests.support.subtitles import SAID, film_with_track, srt

VTT = "WEBVTT\n\n00:00:00.500 --> 00:00:01.500\nthe owl is here\n\n00:00:02.000 --> 00:00:03.000\nit hoots at night\n"
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,16

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.50,0:00:01.50,Default,,0,0,0,,{\\i1}the owl{\\i0} is here
Comment: 0,0:00:00.50,0:00:01.50,Default,,0,0,0,,not said
Dialogue: 0,0:00:02.00,0:00:03.00,Default,,0,0,0,,it hoots\\Nat night
"""


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("film.srt", srt().encode()),
        ("film.en.SRT", ("\ufeff" + srt()).encode()),
        ("film.srt", srt().encode("utf-16")),
        ("film.srt", srt().replace("\n", "\r\n").encode("cp1252")),
        ("film.vtt", VTT.encode()),
        ("film.ass", ASS.encode()),
    ],
)
def test_a_file_beside_a_film_is_read(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    (found,) = find_side_files(str(tmp_path / "film.mp4"))
    assert [(cue.start, cue.end, cue.text) for cue in read_side_file(found)] == list(SAID)


def test_only_files_of_the_same_stem_count(tmp_path: Path) -> None:
    for name in ("film.srt", "film2.srt", "film.txt", "other.srt", "film.de.vtt"):
        (tmp_path / name).write_text("", "utf-8")
    assert [path.name for path in find_side_files(str(tmp_path / "film.mkv"))] == ["film.de.vtt", "film.srt"]
    assert find_side_files(str(tmp_path / "gone" / "film.mkv")) == ()


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 500, b"\xff\xfe\x00", b"1\n00:00:99,5 --> x\nno", b"{}", b"[Script Info]"]
)
def test_what_is_no_subtitle_has_no_cues(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "film.srt").write_bytes(data)
    assert read_side_file(tmp_path / "film.srt") == ()


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "film.srt", "wb") as file:
        file.write(srt().encode())
        file.truncate(LARGEST + 1)
    assert read_side_file(tmp_path / "film.srt") == ()


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
def test_a_text_track_inside_a_film_is_read_in_the_child(tmp_path: Path, name: str) -> None:
    film_with_track(tmp_path / name)
    with DecodeWorker() as decoder:
        cues = decoder.cues(str(tmp_path / name))
    assert [(round(start, 2), round(end, 2), text) for start, end, text, _ in cues] == list(SAID)
    assert {language for *_, language in cues} == {"eng"}


def test_a_file_that_is_no_film_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_text("not a film", "utf-8")
    with DecodeWorker() as decoder, pytest.raises(ExplorerError, match=r"film\.mp4"):
        decoder.cues(str(tmp_path / "film.mp4"))
