"""When a file was recorded: names as devices and programs give them, containers' clocks, and which of them counts."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import av
import pytest

from explorer.media.decode import DecodeWorker
from explorer.media.recorded import container_time, name_time, recorded
from explorer.records import Recorded, VideoFile
from tests.support.videos import Recipe, numbered

EXACT = datetime(2023, 7, 4, 10, 15, 30)
NOON = datetime(2023, 7, 4, 12)


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("VID_20230704_101530.mp4", EXACT),
        ("20230704_101530.mp4", EXACT),
        ("PXL_20230704_101530123.mp4", EXACT),
        ("VID-20230704-WA0001.mp4", NOON),
        ("WhatsApp Video 2023-07-04 at 10.15.30.mp4", EXACT),
        ("Screen Recording 2023-07-04 at 10.15.30.mov", EXACT),
        ("2023-07-04 10.15.30.mp4", EXACT),
        ("2023-07-04T10:15:30.mkv", EXACT),
        ("2023-07-04_10-15-30-front.mp4", EXACT),
        ("2023_0704_101530_001.MP4", EXACT),
        ("DJI_20230704101530_0001_D.MP4", EXACT),
        ("signal-2023-07-04-101530.mp4", EXACT),
        ("Birthday 2023.07.04.avi", NOON),
    ],
)
def test_a_date_in_the_name(name: str, moment: datetime) -> None:
    assert name_time(name) == moment.timestamp()


@pytest.mark.parametrize(
    "name",
    ["clip 1920x1080.mp4", "GH010034.MP4", "20231345.mp4", "123420230704.mp4", "film.2019.1080p.mkv", "2079-01-01.mp4"],
)
def test_other_numbers_are_no_dates(name: str) -> None:
    assert name_time(name) is None


@pytest.mark.parametrize(
    "text", ["1904-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z", "2023", "soon", "", "2999-01-01T00:00:00Z"]
)
def test_a_clock_that_was_never_set_says_nothing(text: str) -> None:
    assert container_time(text) is None


def test_the_zone_of_a_container_counts() -> None:
    assert container_time("2023-07-04T12:00:00+0200") == container_time("2023-07-04T10:00:00.000000Z") == 1688464800.0


def test_container_before_name_before_file() -> None:
    file = VideoFile("/films/VID_20230704_101530.mp4", 1, 5_000_000_000)
    assert recorded(file, 1688464800.0) == Recorded(1688464800.0, "container")
    assert recorded(file, None) == Recorded(EXACT.timestamp(), "name")
    assert recorded(VideoFile("/films/a.mp4", 1, 5_000_000_000), None) == Recorded(5.0, "file")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_container_tells_its_time_and_timecode(tmp_path: Path, suffix: str) -> None:
    path = numbered(tmp_path / f"plain{suffix}", Recipe(suffix=suffix, frames=10, height=64))
    told = tmp_path / f"told{suffix}"
    with av.open(str(path)) as source, av.open(str(told), "w") as out:
        out.metadata["creation_time"] = "2023-07-04T10:00:00Z"
        stream = out.add_stream_from_template(source.streams.video[0])
        stream.metadata["timecode"] = "10:11:12:13"
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    with DecodeWorker() as worker:
        info, before = worker.probe(str(told)), worker.probe(str(path))
    assert (info.created, info.timecode) == (1688464800.0, "10:11:12:13")
    assert (before.created, before.timecode) == (None, "")
