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


def put(folder: Path, **files: object) -> Path:
    """Files by name, __ standing for a dot: text as it is, anything else as JSON."""
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name.replace("__", ".")).write_text(text, "utf-8")
    return folder


def read(name: str, folder: Path, split: str = "test") -> list[tuple[str, str]]:
    return [(pair.file, pair.caption) for pair in read_benchmark(name, folder, split=split).pairs]


def test_msvd_as_its_repositories_ship_it(tmp_path: Path) -> None:
    folder = put(tmp_path, test_list__txt="a_1_2\nb_3_4\n")
    put(folder, AllVideoDescriptions__txt="# ids\na_1_2 a dog runs\nc_5_6 a cat\nb_3_4 two men\na_1_2 the dog\n")
    assert read("msvd", folder) == [("a_1_2", "a dog runs"), ("b_3_4", "two men"), ("a_1_2", "the dog")]
    (folder / "raw-captions.json").write_text('{"a_1_2": [["a", "dog"], ["it", "runs"]], "c_5_6": [["x"]]}')
    assert read("msvd", folder) == [("a_1_2", "a dog"), ("a_1_2", "it runs")]


def test_a_pickle_is_not_opened_and_the_sentence_says_what_to_make(tmp_path: Path) -> None:
    put(tmp_path, test_list__txt="a\n")
    (tmp_path / "raw-captions.pkl").write_bytes(b"cos\nsystem\n(S'touch " + bytes(tmp_path / "ran") + b"'\ntR.")
    with pytest.raises(ExplorerError) as caught:
        read("msvd", tmp_path)
    assert "raw-captions.pkl is a pickle" in str(caught.value) and "raw-captions.json" in str(caught.value)
    assert '{"video7": ["a dog runs"]}' in str(caught.value) and not (tmp_path / "ran").exists()


def test_didemo_as_its_repository_ships_it(tmp_path: Path) -> None:
    rows = [("a.mov", "first"), ("b.mov", "one"), ("a.mov", "second. ")]
    put(tmp_path, test_data__json=[{"video": video, "description": text, "times": [[0, 1]]} for video, text in rows])
    assert read("didemo", tmp_path) == [("a.mov", "first second."), ("b.mov", "one")]
    put(tmp_path, test_data__json=[{"video": "a.mov"}])
    with pytest.raises(ExplorerError, match="not the layout of this benchmark"):
        read("didemo", tmp_path)


def test_lists_of_video_and_caption(tmp_path: Path) -> None:
    put(tmp_path, msrvtt_ret_test1k__json=[{"video": "video7020.mp4", "caption": ["a woman creating a fondant baby"]}])
    assert read("msrvtt-1ka", tmp_path) == [("video7020.mp4", "a woman creating a fondant baby")]
    put(tmp_path, didemo_ret_test__json=[{"video": "a.mp4", "caption": ["one", "two"]}])
    assert read("didemo", tmp_path) == [("a.mp4", "one two")]


def test_flickr8k_in_its_three_forms(tmp_path: Path) -> None:
    sentences = [{"raw": "a dog ."}, {"raw": "the dog ."}]
    images = [{"filename": "1.jpg", "split": "test", "sentences": sentences}]
    images += [{"filename": "2.jpg", "split": "train", "sentences": sentences}]
    put(tmp_path, dataset_flickr8k__json={"images": images})
    wanted = [("1.jpg", "a dog ."), ("1.jpg", "the dog .")]
    assert read("flickr8k", tmp_path) == wanted
    (tmp_path / "Flickr_8k.testImages.txt").write_text("1.jpg\n")
    token = "1.jpg#0\ta dog .\n1.jpg#1\tthe dog .\n2.jpg#0\tx\n"
    (tmp_path / "Flickr8k.token.txt").write_text(token)
    assert read("flickr8k", tmp_path) == wanted
    put(tmp_path, captions__txt='image,caption\n1.jpg,a dog .\n1.jpg,"the dog ."\n2.jpg,x\n')
    assert read("flickr8k", tmp_path) == wanted
