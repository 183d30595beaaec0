"""The field's annotation files: the real ones counted, the others from their public description."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from explorer.records import ExplorerError
from explorer.training.benchmarks import BENCHMARKS, msrvtt_train_ids, published_rows, read_benchmark

# (benchmark, split, captions, videos): the sizes the published protocols state
REAL = [
    ("msrvtt-1ka", "test", 1000, 1000),
    ("msvd", "train", 48774, 1200),
    ("msvd", "val", 4290, 100),
    ("msvd", "test", 27763, 670),
    ("didemo", "train", 8392, 8392),
    ("didemo", "val", 1065, 1065),
    ("didemo", "test", 1004, 1004),
    ("flickr8k", "train", 32955, 6591),
    ("flickr8k", "val", 2500, 500),
    ("flickr8k", "test", 5000, 1000),
]


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "split", "captions", "videos"), REAL)
def test_real_files_hold_what_the_protocol_says(
    shared_data: Path, name: str, split: str, captions: int, videos: int
) -> None:
    folder = shared_data / ("flickr8k" if name == "flickr8k" else "annotations")
    found = read_benchmark(name, folder, split=split)
    assert (len(found.pairs), len({pair.file for pair in found.pairs})) == (captions, videos)
    assert all(pair.caption and "\t" not in pair.caption and "\t" not in pair.file for pair in found.pairs)
    assert name == "flickr8k" or not any(pair.caption.endswith(",") for pair in found.pairs)


@pytest.mark.shared_data
def test_real_files_line_by_line(shared_data: Path) -> None:
    annotations = shared_data / "annotations"
    assert len(msrvtt_train_ids(annotations)) == 9000
    first = read_benchmark("msrvtt-1ka", annotations).pairs[0]
    assert (first.file, first.caption) == ("video9770", "a person is connecting something to system")
    msvd = read_benchmark("msvd", annotations, split="val").pairs
    assert (msvd[0].file, msvd[0].caption) == ("bQJQGoJF7_k_162_169", "a man is filling up a bag with meat")
    assert msvd[-1].file and not msvd[-1].file.endswith("\r")


def test_msrvtt_training_takes_the_captions_of_its_list(tmp_path: Path) -> None:
    (tmp_path / "MSRVTT_train.9k.csv").write_text("video_id\nvideo1\nvideo3\n")
    (tmp_path / "MSRVTT_data.json").write_text(
        json.dumps(
            {
                "sentences": [
                    {"video_id": "video1", "caption": "one"},
                    {"video_id": "video2", "caption": "two"},
                    {"video_id": "video3", "caption": "three"},
                    {"video_id": "video1", "caption": "one again"},
                ]
            }
        )
    )
    found = read_benchmark("msrvtt-1ka", tmp_path, split="train")
    assert [(p.file, p.caption) for p in found.pairs] == [
        ("video1", "one"),
        ("video3", "three"),
        ("video1", "one again"),
    ]


def test_lsmdc_by_its_description(tmp_path: Path) -> None:
    path = tmp_path / "LSMDC16_challenge_1000_publictect.csv"
    path.write_text(
        "1004_Juno_00.00.32.161-00.00.35.000\t00:00:32,161\t00:00:35,000\t00:00:32\t00:00:35\tSOMEONE looks up, smiling.\n"
    )
    pair = read_benchmark("lsmdc", tmp_path).pairs[0]
    assert (pair.file, pair.caption) == ("1004_Juno_00.00.32.161-00.00.35.000", "SOMEONE looks up, smiling.")
    path.write_text("clip\tonly three\tcolumns\n")
    with pytest.raises(ExplorerError, match="line 1: 3 columns where 6"):
        read_benchmark("lsmdc", tmp_path)


def test_activitynet_makes_a_paragraph(tmp_path: Path) -> None:
    (tmp_path / "val_1.json").write_text(
        json.dumps(
            {"v_x": {"duration": 9.0, "timestamps": [[0, 4], [4, 9]], "sentences": ["A man sits.", " He stands up."]}}
        )
    )
    assert [(p.file, p.caption) for p in read_benchmark("activitynet", tmp_path).pairs] == [
        ("v_x", "A man sits. He stands up.")
    ]
    (tmp_path / "val_1.json").write_text(json.dumps({"v_x": {"captions": []}}))
    with pytest.raises(ExplorerError, match="not the layout of this benchmark"):
        read_benchmark("activitynet", tmp_path)


def test_a_quoted_didemo_line_and_a_plain_msvd_line(tmp_path: Path) -> None:
    (tmp_path / "DiDeMo_test.tsv").write_text('"a man says ""hi"", he leaves, "\tclip.mp4\r\nthe end, \tb.mov\r\n')
    assert [p.caption for p in read_benchmark("didemo", tmp_path).pairs] == ['a man says "hi", he leaves', "the end"]
    (tmp_path / "MSVD_test.tsv").write_text("a dog runs, a dog runs, the dog, \tid_1_2\r\n")
    assert [p.caption for p in read_benchmark("msvd", tmp_path).pairs] == ["a dog runs", "a dog runs", "the dog"]


def test_missing_annotations_and_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(ExplorerError, match="no MSVD_test.tsv in"):
        read_benchmark("msvd", tmp_path)
    with pytest.raises(ExplorerError, match="unknown benchmark 'x'"):
        read_benchmark("x", tmp_path)
    with pytest.raises(ValueError, match="split"):
        read_benchmark("msvd", tmp_path, split="dev")
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ExplorerError, match="no column 'video_id'"):
        read_benchmark("msrvtt-1ka", tmp_path)


def test_published_headline_figures() -> None:
    headline = {
        name: next(
            row["value"]
            for row in published_rows(name)
            if row["metric"] == "R@1" and row["direction"] == "text-to-video" and row["model"] == "HunYuan_tvr"
        )
        for name in BENCHMARKS
        if BENCHMARKS[name].published
    }
    assert headline == {"msrvtt-1ka": 55.0, "msvd": 58.2, "lsmdc": 29.7, "didemo": 52.1, "activitynet": 57.3}
    assert published_rows("flickr8k") == []
