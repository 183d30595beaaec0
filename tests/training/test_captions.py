"""A person's captions file, good and bad: each trouble is one sentence with file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from explorer.records import CaptionPair, ExplorerError
from explorer.training.caption_videos import by_file, match_videos
from explorer.training.captions import MAX_WORDS, fit_spans, read_captions, write_captions


def write(tmp_path: Path, text: str | bytes, name: str = "captions.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_both_forms_of_a_line_and_other_languages(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"file": "a.mp4", "captions": ["a dog", "ein Hund läuft"]}\n\n'
        '{"file": "b.mp4", "caption": "猫が跳ぶ 🐈", "start": 1, "end": 2.5}\n',
    )
    found = read_captions(path)
    assert found.pairs == (
        CaptionPair("a.mp4", "a dog"),
        CaptionPair("a.mp4", "ein Hund läuft"),
        CaptionPair("b.mp4", "猫が跳ぶ 🐈", 1.0, 2.5),
    )
    assert found.notices == ()


def test_csv_tsv_and_byte_order_mark(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbf" + b'file,caption\na.mp4,"a dog, running"\n', "c.csv")
    assert read_captions(path).pairs == (CaptionPair("a.mp4", "a dog, running"),)
    path = write(tmp_path, "file\tcaption\tstart\tend\r\na.mp4\ta dog\t0\t3\r\n", "c.tsv")
    assert read_captions(path).pairs == (CaptionPair("a.mp4", "a dog", 0.0, 3.0),)


def test_repeats_are_counted_and_kept_once(tmp_path: Path) -> None:
    line = '{"file": "a.mp4", "captions": ["a dog", "a  dog "]}\n'
    found = read_captions(write(tmp_path, line * 2))
    assert len(found.pairs) == 1 and "3 repeated" in found.notices[0]


def test_a_caption_of_ten_thousand_words_is_cut_with_a_notice(tmp_path: Path) -> None:
    found = read_captions(write(tmp_path, json.dumps({"file": "a.mp4", "caption": "word " * 10_000})))
    assert len(found.pairs[0].caption.split()) == MAX_WORDS
    assert "line 1" in found.notices[0] and "10000 words" in found.notices[0]


def test_lines_that_miss_a_half_are_left_out_and_named(tmp_path: Path) -> None:
    found = read_captions(
        write(
            tmp_path,
            '{"caption": "no video"}\n{"file": "b.mp4", "captions": [" "]}\n{"file": "c.mp4", "caption": "kept"}',
        )
    )
    assert [pair.file for pair in found.pairs] == ["c.mp4"]
    assert "line 1" in found.notices[0] and "line 2" in found.notices[1] and "b.mp4" in found.notices[1]


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("", "c.jsonl", "holds no caption"),
        ("\n \n", "c.jsonl", "holds no caption"),
        ("file,caption\n", "c.csv", "holds no caption"),
        ('{"file": "a.mp4", "caption": "x"}\n{"file": ', "c.jsonl", "line 2: broken JSON"),
        ("[" * 100_000, "c.jsonl", "line 1: broken JSON"),
        ('["a"]', "c.jsonl", "line 1: expected an object"),
        ('{"file": "a.mp4", "captions": [3]}', "c.jsonl", "line 1: captions must be text"),
        ('{"file": "a.mp4", "caption": "x", "start": 3}', "c.jsonl", "line 1: a span needs both"),
        ('{"file": "a.mp4", "caption": "x", "start": 3, "end": 2}', "c.jsonl", "ends .* before it starts"),
        ('{"file": "a.mp4", "caption": "x", "start": NaN, "end": 2}', "c.jsonl", "start must be seconds"),
        ("file,caption\na.mp4,x,y\n", "c.csv", "line 2: 3 columns where 2"),
        ("héllo".encode("latin-1"), "c.jsonl", "line 1: not UTF-8"),
        ('{"file": "a.mp4", "caption": "x"}\n'.encode("utf-16")[:-1], "c.jsonl", "not UTF-8"),
        ('[{"file": "a.mp4", "caption": "x"},\n {"file": ]', "c.json", "line 2: broken JSON"),
        ('[{"file": "a.mp4", "caption": "x"},\n\n "b"]', "c.json", "line 3: expected an object"),
        ("video,colour\na.mp4,red\n", "c.csv", "line 1: no column that could hold the caption"),
        ("one,two\nthree,four\n", "c.csv", "line 1: cannot tell which"),
        ('file,caption\na.mp4,"a dog\nb.mp4,one "two" three, four\n', "c.csv", "line 3: a quote within a cell"),
        ("x", "c.docx", "captions are read from"),
    ],
)
def test_bad_files_give_one_sentence(tmp_path: Path, text: str | bytes, name: str, words: str) -> None:
    path = write(tmp_path, text, name)
    with pytest.raises(ExplorerError, match=words) as caught:
        read_captions(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path / "folder.jsonl"):
        (tmp_path / "folder.jsonl").mkdir(exist_ok=True)
        with pytest.raises(ExplorerError, match="cannot read"):
            read_captions(path)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    pairs = (CaptionPair("a.mp4", 'quote " and\u2028separator'), CaptionPair("b.mp4", "span", 0.5, 1.5))
    write_captions(tmp_path / "c.jsonl", pairs)
    assert read_captions(tmp_path / "c.jsonl").pairs == (CaptionPair("a.mp4", 'quote " and separator'), pairs[1])


def test_videos_are_matched_by_path_then_by_a_unique_name(tmp_path: Path) -> None:
    for name in ("a.mp4", "sub/a.mp4", "sub/b.mp4", "x/twin.mp4", "y/twin.mp4", "alone.mp4", "captions.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    pairs = [CaptionPair(name, "c") for name in ("a.mp4", "sub/a.mp4", "b.mp4", "twin.mp4", "gone.mp4", "../a.mp4")]
    found, notices = match_videos(pairs, tmp_path)
    assert found == {"a.mp4": tmp_path / "a.mp4", "sub/a.mp4": tmp_path / "sub/a.mp4", "b.mp4": tmp_path / "sub/b.mp4"}
    assert "3 of 6" in notices[0] and "gone.mp4" in notices[0]
    assert "twin.mp4 may be x/twin.mp4, y/twin.mp4: none is taken" in notices[1]
    assert "1 file " in notices[2] and "alone.mp4" in notices[2]


def test_no_video_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExplorerError, match="none of the 1 videos"):
        match_videos([CaptionPair("a.mp4", "c")], tmp_path)
    with pytest.raises(ExplorerError, match="is not a folder"):
        match_videos([CaptionPair("a.mp4", "c")], tmp_path / "nowhere")


def test_benchmark_ids_match_without_their_ending(tmp_path: Path) -> None:
    (tmp_path / "video7.webm").touch()
    found, _ = match_videos([CaptionPair("video7", "c"), CaptionPair("video7.mp4", "c")], tmp_path)
    assert set(found) == {"video7", "video7.mp4"}


BOTH = (CaptionPair("a.mp4", 'a 5" screen'), CaptionPair("b.mp4", "a dog"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('file\tcaption\na.mp4\ta 5" screen\nb.mp4\ta dog\n', "c.tsv"),
        ('file\tcaption\na.mp4\t"a 5"" screen"\nb.mp4\ta dog\n', "c.tsv"),
        ('file;caption\na.mp4;a 5" screen\nb.mp4;a dog\n', "c.csv"),
        ('sep=;\nfile;caption\na.mp4;a 5" screen\nb.mp4;a dog\n', "c.csv"),
        ('file,caption,\na.mp4,"a 5"" screen",\nb.mp4,a dog\n'.replace("caption,", "caption"), "c.csv"),
        ('file\tcaption\r\na.mp4\ta 5" screen\r\nb.mp4\ta dog\r\n'.encode("utf-16"), "c.tsv"),
        ('file\tcaption\na.mp4\ta 5" screen\nb.mp4\ta dog\n'.encode("utf-16-le"), "c.txt"),
        ('file\tcaption\na.mp4\ta 5" screen\nb.mp4\ta dog\n'.encode("utf-16-be"), "c.tsv"),
        (b"\xef\xbb\xbf" + b'Video_ID,Sentence\na.mp4,"a 5"" screen"\nb.mp4,a dog\n', "c.csv"),
        ('clip_name\tdescription\na.mp4\ta 5" screen\nb.mp4\ta dog\n', "c.tsv"),
        ('[{"video": "a.mp4", "caption": "a 5\\" screen"},\n {"video": "b.mp4", "caption": "a dog"}]', "c.json"),
        ('{"a.mp4": ["a 5\\" screen"],\n "b.mp4": "a dog"}', "c.json"),
        ('{"a.mp4": {"captions": ["a 5\\" screen"]}, "b.mp4": {"caption": "a dog"}}', "c.json"),
        (
            '{"sentences": [{"video_id": "a.mp4", "caption": "a 5\\" screen"}, {"video_id": "b.mp4", "caption": "a dog"}]}',
            "c.json",
        ),
        (
            '{"images": [{"id": 1, "file_name": "a.mp4"}, {"id": 2, "file_name": "b.mp4"}], "annotations":'
            ' [{"image_id": 1, "caption": "a 5\\" screen"}, {"image_id": 2, "caption": "a dog"}]}',
            "c.json",
        ),
        ('{"file": "a.mp4", "sentences": [{"raw": "a 5\\" screen"}]}\n{"file": "b.mp4", "text": "a dog"}\n', "c.jsonl"),
    ],
)
def test_captions_as_people_have_them(tmp_path: Path, text: str | bytes, name: str) -> None:
    assert read_captions(write(tmp_path, text, name)).pairs == BOTH


def test_a_quote_in_a_cell_swallows_no_row(tmp_path: Path) -> None:
    lines = ["file\tcaption", 'a.mp4\t"big" screen', 'b.mp4\t"to be', "c.mp4\ta dog", 'd.mp4\tor not" he said']
    found = read_captions(write(tmp_path, "\n".join(lines), "c.tsv"))
    assert [pair.file for pair in found.pairs] == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert found.pairs[1].caption == '"to be'
    kept = read_captions(write(tmp_path, 'file,caption\na.mp4,"two lines,\nof one cell"\n', "c.csv"))
    assert kept.pairs == (CaptionPair("a.mp4", "two lines, of one cell"),)


def test_tables_without_names_of_columns_are_read_and_said(tmp_path: Path) -> None:
    found = read_captions(write(tmp_path, "a dog runs,a.mp4\ntwo cats,b.mp4\n", "c.csv"))
    assert found.pairs == (CaptionPair("a.mp4", "a dog runs"), CaptionPair("b.mp4", "two cats"))
    assert "column 2 is read as the video and column 1 as the caption" in found.notices[0]
    spans = read_captions(write(tmp_path, "v1\t0,5\t2,5\ta dog runs\nv2\t1\t3\ttwo cats\n", "c.tsv"))
    assert spans.pairs == (CaptionPair("v1", "a dog runs", 0.5, 2.5), CaptionPair("v2", "two cats", 1.0, 3.0))


def test_decimal_commas_clocks_and_lists_of_times(tmp_path: Path) -> None:
    found = read_captions(write(tmp_path, "video;start;end;text\na.mp4;1,5;0:02,5;a dog\n", "c.csv"))
    assert found.pairs == (CaptionPair("a.mp4", "a dog", 1.5, 2.5),)
    activity = '{"v_x": {"duration": 9, "timestamps": [[0, 4], [4, 9]], "sentences": ["A man sits.", "He stands."]}}'
    found = read_captions(write(tmp_path, activity, "c.json"))
    assert found.pairs == (CaptionPair("v_x", "A man sits.", 0.0, 4.0), CaptionPair("v_x", "He stands.", 4.0, 9.0))
    with pytest.raises(ExplorerError, match="line 1: timestamps must be"):
        read_captions(write(tmp_path, '{"file": "a", "captions": ["x", "y", "z"], "timestamps": [[0, 1], [1, 2]]}'))


def test_what_is_ambiguous_is_said_with_its_line(tmp_path: Path) -> None:
    found = read_captions(write(tmp_path, "file,caption,description\na.mp4,x y,z\n", "c.csv"))
    assert found.pairs == (CaptionPair("a.mp4", "x y"),)
    assert "line 1: the columns caption and description could hold the caption; caption is read" in found.notices[0]


def test_the_old_western_encoding_of_a_spreadsheet_is_read_and_said(tmp_path: Path) -> None:
    found = read_captions(write(tmp_path, "file;caption\na.mp4;une forêt d’été\n".encode("cp1252"), "c.csv"))
    assert found.pairs == (CaptionPair("a.mp4", "une forêt d’été"),) and "Windows-1252" in found.notices[0]
    with pytest.raises(ExplorerError, match="line 2: not UTF-8"):
        read_captions(write(tmp_path, b"file;caption\na.mp4;\x81\x8d\n", "c.csv"))


def test_one_file_however_its_name_is_written(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("sub/cafe\u0301.MP4", "b.mp4"):
        (tmp_path / name).touch()
    names = [
        "sub/caf\u00e9.mp4",
        "sub\\CAFE\u0301.mp4",
        f"{tmp_path}/sub/caf\u00e9.MP4",
        "C:\\clips\\caf\u00e9.mp4",
        "./b.mp4",
    ]
    pairs = [CaptionPair(name, "c") for name in names]
    found, notices = match_videos(pairs, tmp_path)
    assert [path.name for path in found.values()] == ["cafe\u0301.MP4"] * 4 + ["b.mp4"] and notices == ()
    assert len({pair.file for pair in by_file(pairs, found)}) == 2


def test_side_files_of_one_stem_do_not_make_a_video_vanish(tmp_path: Path) -> None:
    for name in ("video7.mp4", "video7.wav", "video7.jpg", "video7.srt", "compressed/video7.mp4", "._video7.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found, notices = match_videos([CaptionPair("video7", "c")], tmp_path)
    assert found == {"video7": tmp_path / "video7.mp4"}
    assert notices == ("video7 may be video7.mp4, compressed/video7.mp4: the first is taken",)
    (tmp_path / "other").mkdir()
    (tmp_path / "video7.mp4").rename(tmp_path / "other" / "video7.mp4")
    (tmp_path / "b.mp4").touch()
    found, notices = match_videos([CaptionPair("video7", "c"), CaptionPair("b", "c")], tmp_path)
    assert set(found) == {"b"} and "compressed/video7.mp4, other/video7.mp4: none is taken" in notices[1]


def test_spans_beyond_the_file_are_left_out_and_small_overshoots_cut() -> None:
    pairs = [
        CaptionPair("a", "in", 1.0, 9.0),
        CaptionPair("a", "late", 8.0, 10.4),
        CaptionPair("a", "far", 5.0, 60.0),
        CaptionPair("a", "beyond", 30.0, 40.0),
        CaptionPair("a", "whole"),
        CaptionPair("unknown", "x", 30.0, 40.0),
    ]
    found = fit_spans(pairs, {"a": 10.0})
    assert [(pair.caption, pair.end) for pair in found.pairs] == [
        ("in", 9.0),
        ("late", 10.0),
        ("whole", None),
        ("x", 40.0),
    ]
    assert (
        "cut to it: 1" in found.notices[0]
        and "left out: 2" in found.notices[1]
        and "a 30-40 s of 10.0 s" in found.notices[1]
    )
