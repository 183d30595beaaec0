"""The one door over real clips and the shipped model: every question the page can ask, and what it writes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from explorer.config import Settings
from explorer.records import ExplorerError, LevelWeights
from explorer.service import Explorer
from explorer.service.requests import FineTuneRequest
from tests.support.app import CLIPS, real_clips


@pytest.fixture(scope="module")
def explorer(tmp_path_factory: pytest.TempPathFactory) -> Explorer:
    """The app's service with three real clips indexed."""
    folder = real_clips(tmp_path_factory.mktemp("films"))
    with Explorer(Settings(data_dir=tmp_path_factory.mktemp("data"), device="cpu")) as service:
        job = service.library.add_folder(str(folder))
        assert service.jobs.wait(job, 300).state == "done"
        yield service


def named(explorer: Explorer, name: str) -> str:
    return next(video.public_id for video in explorer.library.videos() if video.name == name)


def test_counts_on_the_page_are_those_of_the_database(explorer: Explorer) -> None:
    status, videos = explorer.status(), explorer.library.videos()
    assert status.videos == len(videos) == len(CLIPS) and status.failed == 0
    assert status.windows == sum(video.windows for video in videos)
    assert status.seconds == pytest.approx(sum(video.duration for video in videos))


def test_a_hit_can_be_explained_shown_and_played(explorer: Explorer) -> None:
    hit = explorer.searches.search("a man in a suit").hits[0]
    assert Path(hit.path).name == "carphone_pristine.mp4"
    why = explorer.searches.explain("a man in a suit", hit.public_id, hit.start)
    clips = len(why.clip_spans)
    assert why.phrase_clip.shape == (len(why.phrases), clips) and why.word_frame.shape == (
        len(why.words),
        len(why.frame_times),
    )
    assert why.assignment.shape == (len(why.frame_times), clips) and len(why.curve) == len(why.curve_times)
    still = explorer.playback.still(hit.public_id, hit.still)
    assert still is not None and still[:3] == b"\xff\xd8\xff"
    answer = explorer.playback.playable(hit.public_id)
    assert answer is not None and answer.state in ("ready", "making")


def test_weights_rerank_without_encoding(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    explorer.searches.search("a bicycle in a street")
    monkeypatch.setattr(
        explorer.models.encoder().tower, "encode_texts", lambda texts: pytest.fail("a slider encoded again")
    )
    moved = explorer.searches.search("a bicycle in a street", weights=LevelWeights(0, 1, 0))
    assert moved.hits[0].scores.total == pytest.approx(moved.hits[0].scores.clip_phrase, abs=1e-5)


def test_a_phrase_can_be_switched_off_and_excluded(explorer: Explorer) -> None:
    text = "a white rabbit and a bicycle"
    assert {p.text for p in explorer.searches.search(text).phrases} == {"white rabbit", "bicycle"}
    off = explorer.searches.search(text, phrase_weights={"bicycle": 0.0})
    assert {p.text for p in off.phrases} == {"white rabbit"} and Path(off.hits[0].path).name == "bigbuckbunny.mp4"
    without = explorer.searches.search(text, phrase_weights={"white rabbit": -1.0})
    assert Path(without.hits[0].path).name != "bigbuckbunny.mp4"


def test_a_picture_and_a_moment_are_questions_too(explorer: Explorer) -> None:
    from io import BytesIO

    from PIL import Image

    rabbit = named(explorer, "bigbuckbunny.mp4")
    still = explorer.playback.still(rabbit, 2)
    assert still is not None
    found = explorer.searches.search_image(np.asarray(Image.open(BytesIO(still)).convert("RGB")))
    assert found.hits[0].public_id == rabbit
    assert rabbit not in {hit.public_id for hit in explorer.searches.more_like(rabbit, 2.0).hits}


def test_why_not_names_rank_and_reason(explorer: Explorer) -> None:
    answer = explorer.searches.why_not("a man in a suit", named(explorer, "bigbuckbunny.mp4"))
    assert answer.rank > 1 and answer.of == len(CLIPS) and answer.sentence


def test_reasons_follow_the_level_weights_that_were_set(explorer: Explorer) -> None:
    text, rabbit = "a man in a suit", named(explorer, "bigbuckbunny.mp4")
    hit = next(hit for hit in explorer.searches.search(text, k=40).hits if hit.public_id == rabbit)
    for weights, level in ((LevelWeights(1, 0, 0), "video_sentence"), (LevelWeights(0, 0, 1), "frame_word")):
        found = explorer.searches.search(text, k=40, weights=weights)
        ranks = list(dict.fromkeys(one.public_id for one in found.hits))
        answer = explorer.searches.why_not(text, rabbit, weights=weights)
        assert answer.rank == ranks.index(rabbit) + 1 and answer.level in (level, "")
        best = max(one.scores.total for one in found.hits if one.public_id == rabbit)
        assert explorer.searches.explain(text, rabbit, hit.start, weights=weights).curve.max() == pytest.approx(
            best, abs=1e-5
        )


def test_a_judged_hit_moves_now_and_when_asked_again_until_it_is_taken_back(explorer: Explorer) -> None:
    text = "a car in the rain"
    before = list(dict.fromkeys(hit.public_id for hit in explorer.searches.search(text).hits))
    explorer.teaching.add_judgement("video", text, before[0], good=False)
    explorer.teaching.add_judgement("video", text, before[-1], good=True)
    again = explorer.searches.search('A "car" in the rain longer:0.1')
    assert [again.hits[0].public_id, again.hits[-1].public_id] == [before[-1], before[0]]
    assert again.confident and again.hits[0].judged is True and again.hits[-1].judged is False
    assert explorer.searches.search("a car").hits[0].judged is None
    for public_id in (before[0], before[-1]):
        explorer.teaching.withdraw_judgement(text, public_id, 0.0, 1.0)
    assert list(dict.fromkeys(hit.public_id for hit in explorer.searches.search(text).hits)) == before


def test_hgr_reads_actions_and_entities_and_says_where_there_is_no_verb(explorer: Explorer) -> None:
    found = explorer.searches.search("a man drives a car", model="hgr")
    assert found.reads == ("actions", "entities") and [match.phrase for match in found.hits[0].matches] == ["drives"]
    hit = found.hits[0]
    why = explorer.searches.explain("a man drives a car", hit.public_id, hit.start, model="hgr")
    assert (why.reads, why.phrases, why.words) == (("actions", "entities"), ("drives",), ("man", "car"))
    silent = explorer.searches.search("a white rabbit", model="hgr").hits[0]
    none = explorer.searches.explain("a white rabbit", silent.public_id, silent.start, model="hgr")
    assert (
        none.phrases == () and len(none.phrase_clip) == 0 and none.words == ("white rabbit",) and silent.matches == ()
    )
    assert explorer.searches.search("a man drives a car").reads == ("phrases", "words")
    times = [
        node.time for node in explorer.searches.graph("a man drives a car", hit.public_id, hit.start, model="hgr").nodes
    ]
    assert all(min(why.frame_times) <= time <= max(why.frame_times) for time in times)
    off = explorer.searches.search("a man drives a car", model="hgr", phrase_weights={"man": 0.0})
    assert off.hits and "man" not in {phrase.text for phrase in off.phrases}


def test_the_role_graph_names_its_best_frames(explorer: Explorer) -> None:
    drawn = explorer.searches.graph("a man drives a car", named(explorer, "carphone_pristine.mp4"), 1.0)
    assert {node.label for node in drawn.nodes if node.kind == "entity"} == {"man", "car"}
    assert {edge.role for edge in drawn.edges} >= {"ARG0", "ARG1"}
    assert all(node.score is not None and node.time >= 0 for node in drawn.nodes)


@pytest.mark.parametrize("form", ["csv", "jsonl", "m3u", "edl", "fcpxml"])
def test_results_are_exported_into_the_data_folder(explorer: Explorer, form: str) -> None:
    path = Path(explorer.playback.export(explorer.searches.search("a bicycle"), form))
    assert path.is_relative_to(explorer.settings.data_dir) and "bikes" in path.read_text("utf-8")


def test_what_is_taught_is_plain_lines_the_person_owns(explorer: Explorer) -> None:
    bikes = named(explorer, "bikes.mp4")
    explorer.teaching.add_caption(bikes, "bicycles wait at a crossing", start=0.0, end=2.0)
    explorer.teaching.add_judgement("clip", "a bicycle in a street", bikes, time=1.0, phrase="bicycle", good=True)
    lines = [json.loads(line) for line in (explorer.settings.data_dir / "captions.jsonl").read_text().splitlines()]
    assert lines[-1]["caption"] == "bicycles wait at a crossing" and lines[-1]["end"] == 2.0
    assert {lesson.kind for lesson in explorer.teaching.lessons()} == {"caption", "clip, right"}
    with pytest.raises(ExplorerError, match="span"):
        explorer.teaching.add_caption(bikes, "backwards", start=3.0, end=1.0)
    with pytest.raises(ExplorerError, match="no words"):
        explorer.teaching.add_caption(bikes, "   ")


def test_too_little_to_learn_from_is_said_and_changes_nothing(explorer: Explorer) -> None:
    job = explorer.jobs.wait(explorer.teaching.start_training(FineTuneRequest()), 300)
    assert job.state == "failed" and "captions" in job.error
    assert explorer.models.current == "starter"


def test_history_and_saved_searches_stay(explorer: Explorer) -> None:
    explorer.searches.search("a bicycle")
    explorer.desk.save("a bicycle")
    assert explorer.desk.history()[0] == "a bicycle" and explorer.desk.saved() == ["a bicycle"]
    explorer.desk.drop("a bicycle")
    explorer.desk.clear_history()
    assert explorer.desk.history() == [] and explorer.desk.saved() == []


def test_the_sliders_start_at_the_model_s_own_weights(explorer: Explorer) -> None:
    current = next(card for card in explorer.models.list() if card.current)
    assert current.name == "starter" and current.sha256 and not current.own and current.measured
    assert current.level_weights == explorer.models.encoder().config.level_weights


def test_the_index_is_read_ahead_of_the_model_and_serves_its_searches(explorer: Explorer) -> None:
    wanted = explorer.searches.search("a bicycle", remember=False)
    explorer.searches.caches.save()  # as a closing app does
    with Explorer(Settings(data_dir=explorer.settings.data_dir, device="cpu"), writer=False) as again:
        again.searches.caches.read_ahead()
        ahead = again.searches.caches._open(explorer.models.encoder().name)
        assert len(ahead.vectors) == explorer.status().windows and again.models.encoders.loaded("starter") is None
        assert [hit.start for hit in again.searches.search("a bicycle", remember=False).hits] == [
            hit.start for hit in wanted.hits
        ]
        assert again.searches.caches._open(explorer.models.encoder().name) is ahead


def test_a_reader_beside_the_app_searches_but_does_not_write(explorer: Explorer) -> None:
    with Explorer(Settings(data_dir=explorer.settings.data_dir, device="cpu"), writer=False) as reader:
        assert reader.searches.search("a bicycle", remember=False).hits
        with pytest.raises(ExplorerError, match="only reads"):
            reader.library.start_index()


def test_a_changed_settings_file_and_a_damaged_desk_are_told_once(tmp_path: Path) -> None:
    told = []
    for settings, desk in (
        ('{"device": "cpu"}', ""),
        ('{"device": "cpu"}', '{"seal": 1}'),
        ('{"device": "cpu", "port": 7901}', '{"seal": 1}'),
        ('{"device": "cpu", "port": 7901}', ""),
    ):
        (tmp_path / "settings.json").write_text(settings, "ascii")
        if desk:
            (tmp_path / "desk.json").write_text(desk, "ascii")
        with Explorer(Settings.load(data_dir=tmp_path)) as service:
            told.append(service.status().notices)
    assert [len(lines) for lines in told] == [0, 1, 2, 0]
    assert "desk.json" in told[2][0] and "settings.json was changed" in told[2][1]


def test_folders_that_cannot_be_taken_are_one_sentence(explorer: Explorer, tmp_path: Path) -> None:
    file = tmp_path / "film.mp4"
    file.touch()
    for path, words in (
        ("", "no folder"),
        (str(tmp_path / "none"), "no folder"),
        (str(file), "is a file"),
        (str(explorer.settings.data_dir.parent), "own data"),
    ):
        with pytest.raises(ExplorerError, match=words):
            explorer.library.add_folder(path)
    assert os.listdir(tmp_path) == ["film.mp4"]
