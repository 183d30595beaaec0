"""The command line as scripts use it: exit codes, JSON of the promised form, one sentence for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from explorer.cli.commands import result_json
from explorer.records import Hit, LevelScores, Query, SearchResult
from tests.support.app import CLIPS, real_clips, run


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with three real clips and one file that is none, indexed: (folder, data folder)."""
    folder, data = real_clips(tmp_path_factory.mktemp("clips")), str(tmp_path_factory.mktemp("data"))
    (folder / "letter.mp4").write_text("Dear reader, this is not a film.")
    done = run("index", str(folder), "--data-dir", data, "--json")
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert set(last) == {"indexed", "unchanged", "failed", "notes", "seconds", "video_seconds"}
    assert last["indexed"] == len(CLIPS) and len(last["failed"]) == 1
    assert last["failed"][0]["path"].endswith("letter.mp4") and last["failed"][0]["reason"]
    return folder, data


def test_second_index_changes_nothing(library: tuple[Path, str]) -> None:
    folder, data = library
    last = json.loads(run("index", str(folder), "--data-dir", data, "--json").stdout.splitlines()[-1])
    assert last["indexed"] == 0 and last["unchanged"] == len(CLIPS)


def test_search_finds_each_clip_by_its_words(library: tuple[Path, str]) -> None:
    for name, words in CLIPS.items():
        done = run("search", words, "--data-dir", library[1], "--json", "-k", "3")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert Path(found["hits"][0]["path"]).name == name
        hit = found["hits"][0]
        assert set(hit["scores"]) == {"video_sentence", "clip_phrase", "frame_word", "total"}
        assert 0 <= hit["start"] < hit["end"] and 0 <= hit["agreement"] <= 1
        assert {"phrase", "start", "end", "score"} <= set(hit["matches"][0])
        assert hit["weak"] == (hit["strength"] == "weak") and found["verdict"] in ("found", "unsure", "nothing")
        assert found["query"] == words and found["phrases"] and isinstance(found["confident"], bool)


def test_weights_move_the_total_alone(library: tuple[Path, str]) -> None:
    done = run("search", "a man in a suit", "--data-dir", library[1], "--json", "--weights", "video=1,clip=0,frame=0")
    for hit in json.loads(done.stdout)["hits"]:
        assert hit["scores"]["total"] == pytest.approx(hit["scores"]["video_sentence"], abs=1e-6)


def test_evaluate_gives_the_promised_object(library: tuple[Path, str], tmp_path: Path) -> None:
    captions = tmp_path / "captions.jsonl"
    captions.write_text(
        "".join(json.dumps({"file": name, "captions": [words]}) + "\n" for name, words in CLIPS.items())
    )
    done = run("evaluate", "--captions", str(captions), "--videos", str(library[0]), "--data-dir", library[1], "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["videos"] == found["queries"] == len(CLIPS)
    for direction in ("text_to_video", "video_to_text"):
        assert set(found[direction]) == {"total", "video_sentence", "clip_phrase", "frame_word", "mean_pool"}
        assert set(found[direction]["total"]) == {"R@1", "R@5", "R@10", "median_rank", "mean_rank"}
    assert found["text_to_video"]["mean_pool"]["R@1"] == 100.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("search", "", "--data-dir", "DATA"), "empty"),
        (("search", "dog longer:30 shorter:10", "--data-dir", "DATA"), "leave no duration"),
        (("search", "dog", "--data-dir", "NOWHERE"), "index"),
        (("index", "/no/such/folder", "--data-dir", "DATA"), "no folder"),
        (("search", "dog", "--data-dir", "DATA", "--checkpoint", "no-such"), "no checkpoint"),
        (("evaluate", "--captions", "/no/captions.jsonl", "--videos", "/", "--data-dir", "DATA"), "captions.jsonl"),
        (("train", "--captions", "/no/captions.jsonl", "--videos", "/", "--data-dir", "DATA"), "captions.jsonl"),
    ],
)
def test_wrong_input_is_one_sentence(
    library: tuple[Path, str], tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    places = {"DATA": library[1], "NOWHERE": str(tmp_path / "nothing")}
    done = run(*(places.get(one, one) for one in arguments))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and words in done.stderr.lower(), done.stderr


def test_wrong_arguments_exit_with_two(library: tuple[Path, str]) -> None:
    for arguments in (
        ("search",),
        ("frobnicate",),
        ("search", "dog", "-k", "0"),
        ("search", "dog", "--weights", "video=-1"),
    ):
        assert run(*arguments).returncode == 2


def test_check_finds_nothing_wrong_and_doctor_answers(library: tuple[Path, str]) -> None:
    assert run("check", "--data-dir", library[1]).stdout.strip() == "all is well"
    found = json.loads(run("doctor", "--data-dir", library[1], "--json").stdout)
    assert {"Python", "torch", "decoder", "device", "model"} <= {one["name"] for one in found}
    assert "starter" in {one["name"] for one in json.loads(run("models", "--data-dir", library[1], "--json").stdout)}


def test_media_folder_is_untouched(library: tuple[Path, str]) -> None:
    assert sorted(path.name for path in library[0].iterdir()) == sorted([*CLIPS, "letter.mp4"])


def test_notes_and_the_day_of_recording_reach_scripts() -> None:
    hit = Hit(1, "p", "/v/a.mp4", 0, 1, 0, LevelScores(0.1, 0.1, 0.1, 0.1), 0.5, recorded=5.0, recorded_by="name")
    found = result_json(SearchResult(Query("x", notes=("read as words",)), (), (hit,)))
    assert found["notes"] == ["read as words"]
    assert (found["hits"][0]["recorded"], found["hits"][0]["recorded_by"]) == (5.0, "name")
