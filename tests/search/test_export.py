"""Exports hold true times and survive hostile names."""

from __future__ import annotations

import csv
import io
import json
import os
import xml.etree.ElementTree as ET
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from explorer.records import ExplorerError, Hit, LevelScores, Match, Query, SearchResult, VideoInfo
from explorer.search.export import FORMATS, export, export_clips, frame_rate, frames_of, render, timecode

HOSTILE = [
    "/v/a b.mp4",
    "/v/=cmd|' /C calc'!A0.mp4",
    "/v/<script>&\"'.mp4",
    "/v/new\nline\r\n#EXTM3U.mp4",
    "/v/犬 🐕.mp4",
    os.fsdecode(b"/v/odd\xff\xfe.mp4"),
    "/v/\x01\x1b[31m.mp4",
    "/v/]]>-->.mp4",
    "/v/‮gpj.mp4",
    "/v/%2e%2e?#.mp4",
]
INFOS = {i: VideoInfo(60.0, 1920, 1080, 29.97, "h264", "mp4", audio_codec="aac") for i in range(len(HOSTILE))}


def hit(video_id: int, path: str, start: float = 1.0, end: float = 3.5) -> Hit:
    return Hit(
        video_id,
        "p",
        path,
        start,
        end,
        3,
        LevelScores(0.3, 0.2, 0.1, 0.25),
        0.9,
        (Match("red car", 1.0, 2.0, 0.3, True),),
        60.0,
    )


RESULT = SearchResult(Query('=red "car"\n<x>'), (), tuple(hit(i, p) for i, p in enumerate(HOSTILE)))


def test_csv_reads_back_with_one_row_a_hit_and_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(render(RESULT, "csv"))))
    assert len(rows) == len(HOSTILE) and rows[0]["path"] == "/v/a b.mp4" and float(rows[0]["end"]) == 3.5
    bad = replace(RESULT, hits=(hit(0, "=1+1.mp4"), hit(1, "@x"), hit(2, "-x")))
    assert all(row["path"].startswith("'") for row in csv.DictReader(io.StringIO(render(bad, "csv"))))


def test_jsonl_keeps_names_exactly() -> None:
    lines = [json.loads(line) for line in render(RESULT, "jsonl").splitlines()]
    assert [line["path"] for line in lines] == HOSTILE
    assert lines[0]["scores"] == {"video_sentence": 0.3, "clip_phrase": 0.2, "frame_word": 0.1, "total": 0.25}


def test_m3u_names_files_as_addresses_that_no_name_can_break() -> None:
    lines = render(RESULT, "m3u").splitlines()
    assert len(lines) == 1 + 4 * len(HOSTILE) and lines.count("#EXTM3U") == 1
    names = [
        os.fsdecode(unquote_to_bytes(line.removeprefix("file://"))) for line in lines if line.startswith("file://")
    ]
    assert names == HOSTILE and "#EXTVLCOPT:start-time=1.000" in lines


def test_edl_times() -> None:
    text = render(replace(RESULT, hits=RESULT.hits[:2]), "edl", infos={0: VideoInfo(60.0, 64, 48, 25.0, "h264", "mp4")})
    assert (
        "001  AX       V     C        00:00:01:00 00:00:03:13 01:00:00:00 01:00:02:13" in text
    )  # 2.5 s = 62.5 -> 63 frames
    assert "002  AX       V     C        00:00:01:00 00:00:03:13 01:00:02:13 01:00:05:01" in text
    assert timecode(25 * 3600, Fraction(25)) == "01:00:00:00"


def test_every_line_of_an_edl_is_its_own() -> None:
    lines = render(RESULT, "edl", infos=INFOS).splitlines()
    assert sum(line.startswith("* FROM CLIP NAME: ") for line in lines) == len(HOSTILE)
    assert len(lines) == 2 + 4 * len(HOSTILE)


def seconds(text: str) -> Fraction:
    return Fraction(text.removesuffix("s"))


def test_fcpxml_is_xml_with_whole_frames() -> None:
    root = ET.fromstring(render(RESULT, "fcpxml", infos=INFOS))
    frame = Fraction(1001, 30000)
    assert root.get("version") == "1.10" and seconds(root.find(".//format").get("frameDuration")) == frame
    assets = {asset.get("id"): asset for asset in root.iter("asset")}
    clips, position = list(root.iter("asset-clip")), Fraction(0)
    assert len(clips) == len(HOSTILE)
    for clip, path in zip(clips, HOSTILE):
        source = assets[clip.get("ref")].find("media-rep").get("src")
        assert os.fsdecode(unquote_to_bytes(source.removeprefix("file://"))) == path
        for name in ("offset", "start", "duration"):
            assert (seconds(clip.get(name)) / frame).denominator == 1
        assert seconds(clip.get("offset")) == position and abs(float(seconds(clip.get("start"))) - 1.0) < frame
        position += seconds(clip.get("duration"))
    assert seconds(root.find(".//sequence").get("duration")) == position


@pytest.mark.parametrize(
    ("measured", "exact"),
    [
        (23.976, Fraction(24000, 1001)),
        (29.97003, Fraction(30000, 1001)),
        (30.0, 30),
        (59.94, Fraction(60000, 1001)),
        (12.5, Fraction(25, 2)),
        (0.0, 25),
    ],
)
def test_rates(measured: float, exact: Fraction) -> None:
    assert frame_rate(measured) == exact


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, form: str) -> None:
    out = export(RESULT, tmp_path / f"hits.{form}", infos=INFOS)
    assert out.read_text("utf-8") == render(RESULT, form, infos=INFOS) and list(tmp_path.iterdir()) == [out]


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    with pytest.raises(ExplorerError, match="not an export format"):
        export(RESULT, tmp_path / "a.doc")
    with pytest.raises(ExplorerError, match="no hits"):
        export(replace(RESULT, hits=()), tmp_path / "a.csv")
    with pytest.raises(ExplorerError, match="cannot write"):
        export(RESULT, tmp_path / "missing" / "a.csv")


def test_clips_get_plain_names_in_the_folder(tmp_path: Path) -> None:
    asked: list[tuple] = []
    written = export_clips(RESULT.hits, tmp_path, cut=lambda *args: asked.append(args))
    assert len({p.name for p in written}) == len(HOSTILE) and all(p.parent == tmp_path for p in written)
    assert asked[0] == ("/v/a b.mp4", 1.0, 3.5, tmp_path / "01-a b.mp4")


NTSC, DROP = Fraction(30000, 1001), "10:20:30;12"
CAMERA = VideoInfo(600.0, 1920, 1080, 29.97, "h264", "mp4", timecode=DROP)
STUDIO = VideoInfo(600.0, 1920, 1080, 25.0, "h264", "mov", timecode="01:00:00:00")
FAST = VideoInfo(600.0, 1920, 1080, 50.0, "h264", "mov", timecode="02:00:00:10")


def of(*infos: VideoInfo) -> tuple[SearchResult, dict[int, VideoInfo]]:
    """A result of one hit a file, each from 61.5 to 64 s."""
    hits = tuple(hit(i, f"/v/{i}.mp4", 61.5, 64.0) for i in range(len(infos)))
    return SearchResult(Query("x"), (), hits, True), dict(enumerate(infos))


@pytest.mark.parametrize(("rate", "speed"), [(NTSC, 30000 / 1001), (Fraction(60000, 1001), 60000 / 1001)])
def test_dropped_numbers_are_those_of_an_independent_counter(rate: Fraction, speed: float) -> None:
    otio = pytest.importorskip("opentimelineio")
    for frames in [*range(0, 20_000, 7), 1799, 1800, 17981, 17982, 17983, 107892, 2_000_000]:
        code = timecode(frames, rate, drop=True)
        assert code == otio.opentime.to_timecode(otio.opentime.RationalTime(frames, speed), speed, True), frames
        assert frames_of(code, rate) == frames


@pytest.mark.parametrize(("info", "rate"), [(CAMERA, 30000 / 1001), (STUDIO, 25.0), (FAST, 50.0)])
def test_an_independent_reader_finds_the_moment_in_the_edit_list(info: VideoInfo, rate: float) -> None:
    otio = pytest.importorskip("opentimelineio")
    pytest.importorskip("otio_cmx3600_adapter")
    result, infos = of(info, info)
    read = otio.adapters.read_from_string(render(result, "edl", infos=infos), "cmx_3600", rate=rate)
    first = frames_of(info.timecode, frame_rate(info.fps))
    for clip in read.tracks[0]:
        span = clip.source_range
        assert abs(span.start_time.value - first - 61.5 * rate) <= 0.5 and abs(span.duration.value - 2.5 * rate) <= 0.5
    assert read.global_start_time is None or read.global_start_time.to_seconds() >= 0


def test_source_times_are_of_each_file_s_own_rate() -> None:
    result, infos = of(STUDIO, FAST, CAMERA)
    lines = [line for line in render(result, "edl", infos=infos).splitlines() if line[:3].isdigit()]
    assert lines[0].endswith("01:01:01:13 01:01:04:00 01:00:00:00 01:00:02:12")  # 61.5 s = 1537.5 -> 1538 frames at 25
    assert "02:01:01:35 02:01:04:10" in lines[1] and lines[1].endswith("01:00:02:12 01:00:04:24")
    assert "10:21:31;" in lines[2] or "10:21:32;" in lines[2]
    assert "FCM: DROP FRAME" in render(*of(CAMERA)[:1], "edl", infos={0: CAMERA})


def test_an_independent_reader_finds_the_moments_in_the_fcpxml() -> None:
    otio = pytest.importorskip("opentimelineio")
    pytest.importorskip("otio_fcpx_xml_adapter")
    result, infos = of(STUDIO, FAST, CAMERA)
    text = render(result, "fcpxml", infos=infos)
    read = otio.adapters.read_from_string(text, "fcpx_xml")
    clips = list(read.find_clips())
    assert len(clips) == 3
    for clip, info in zip(clips, infos.values()):
        rate = frame_rate(info.fps)
        first = frames_of(info.timecode, rate) / rate
        start = clip.source_range.start_time
        assert abs(start.to_seconds() - float(first) - 61.5) < 1.0 / float(rate), info  # the reader takes 29.97 as 29
        assert abs(clip.source_range.duration.to_seconds() - 2.5) < 2.0 / float(rate)
    for asset in ET.fromstring(text).iter("asset"):
        info = infos[int(asset.get("id")[1:])]
        rate = frame_rate(info.fps)
        assert seconds(asset.get("start")) == frames_of(info.timecode, rate) / rate
    formats = [clip.get("tcFormat") for clip in ET.fromstring(text).iter("asset-clip")]
    assert formats == ["NDF", "NDF", "DF"]
