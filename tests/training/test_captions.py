"""A person's captions file, good and bad: each trouble is one sentence with file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from explorer.records import CaptionPair, ExplorerError
from explorer.training.captions import MAX_WORDS, match_videos, read_captions, write_captions


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
        ('{"file": "a.mp4", "caption": "x"}\n'.encode("utf-16"), "c.jsonl", "not UTF-8"),
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
    assert "3 files" in notices[1] and "alone.mp4" in notices[1]


def test_no_video_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExplorerError, match="none of the 1 videos"):
        match_videos([CaptionPair("a.mp4", "c")], tmp_path)
    with pytest.raises(ExplorerError, match="is not a folder"):
        match_videos([CaptionPair("a.mp4", "c")], tmp_path / "nowhere")


def test_benchmark_ids_match_without_their_ending(tmp_path: Path) -> None:
    (tmp_path / "video7.webm").touch()
    found, _ = match_videos([CaptionPair("video7", "c"), CaptionPair("video7.mp4", "c")], tmp_path, stems=True)
    assert set(found) == {"video7", "video7.mp4"}
