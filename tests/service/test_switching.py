"""While another model is prepared the old one answers; then the new one does, and the way back costs nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from explorer.config import Settings
from explorer.records import ExplorerError, Progress
from explorer.service import Explorer, bank
from explorer.service.adding import add_tower
from explorer.service.judgements import Judgement
from explorer.service.requests import SwitchRequest
from explorer.service.switching import Switch
from tests.support.app import CLIPS, real_clips
from tests.support.tiny_clip import make

QUERY = "a man in a suit"


@pytest.fixture
def explorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Explorer]:
    """Three real clips indexed by a small CLIP, with a caption, a judgement and a saved search."""
    (tmp_path / "bank.txt").write_text("\n".join(f"{count} people cook {count} eggs" for count in range(20)))
    monkeypatch.setattr(bank, "BANK", tmp_path / "bank.txt")
    with Explorer(Settings(data_dir=tmp_path / "data", device="cpu")) as service:
        *_, added = add_tower(make(tmp_path, seed=1), service.settings)
        service.models.choose(str(added.summary["checkpoint"]))
        finish(service, service.library.add_folder(str(real_clips(tmp_path / "films"))))
        hit = service.searches.search(QUERY).hits[0]
        service.teaching.add_caption(hit.public_id, "a man speaks")
        service.searches.judgements.add(Judgement("video", QUERY, hit.path, time=hit.start, good=True))
        service.desk.save(QUERY)
        yield service


@pytest.fixture
def weights(tmp_path: Path) -> str:
    return make(tmp_path)


def switch(service: Explorer, tower: str) -> Iterator[Progress]:
    """The work of a job, step by step in this thread."""
    return Switch(service.settings, service.library, service.models, service.searches.caches).run(
        SwitchRequest(tower=tower)
    )


def finish(service: Explorer, job: int) -> dict[str, object]:
    done = service.jobs.wait(job, 300)
    assert done.state == "done", done.error
    return done.progress.summary


def test_the_old_model_answers_at_every_step_until_the_new_one_does(explorer: Explorer, weights: str) -> None:
    old, first = explorer.searches.search(QUERY).checkpoint, explorer.models.current
    stages: list[str] = []
    before: list[str] = []
    for step in switch(explorer, weights):
        stages += [step.stage] if step.stage not in ("prepare", *stages[-1:]) else []
        if explorer.models.current == first:
            result = explorer.searches.search(QUERY, remember=False)
            assert result.hits and result.checkpoint == old
            before.append(step.stage)
    assert stages == ["download", "load", "bank", "scan", "encode", "embed", "load", "scan", "done"]
    assert set(before) >= {"download", "load", "bank", "encode"}
    assert step.summary["videos"] == len(CLIPS) and step.summary["away"] == 0
    result = explorer.searches.search(QUERY)
    assert explorer.models.current != first and result.checkpoint != old and len(result.hits) == len(CLIPS)
    assert list(explorer.store.encoders()) == [explorer.models.encoder().name]


def test_the_way_back_reads_kept_features_and_what_was_taught_stays(explorer: Explorer, weights: str) -> None:
    first, name = explorer.searches.search(QUERY), explorer.models.current
    finish(explorer, explorer.models.add_tower(weights, agreed=True))
    clip = explorer.models.current
    began = time.monotonic()
    summary = finish(explorer, explorer.models.roll_back())
    took = time.monotonic() - began
    assert explorer.models.current == name and summary["videos"] == len(CLIPS) and "indexed" not in summary
    assert took < 10  # no decoding, no loading: what it takes idle stands in docs/results.md
    again = explorer.searches.search(QUERY)
    assert [(hit.path, hit.scores) for hit in again.hits] == [(hit.path, hit.scores) for hit in first.hits]
    finish(explorer, explorer.models.use(clip))
    assert explorer.models.current == clip
    assert explorer.teaching.pairs()[0].caption == "a man speaks"
    assert explorer.desk.saved() == [QUERY] and len(explorer.searches.judgements.of(QUERY)) == 1


def test_searches_are_not_blocked_while_a_model_loads_and_its_bank_is_encoded(
    explorer: Explorer, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer.searches.search(QUERY)
    entered, go_on = threading.Event(), threading.Event()
    plain = bank.encode_bank

    def slow(*arguments: object) -> Iterator[tuple[int, int]]:
        entered.set()
        go_on.wait(60)
        return plain(*arguments)

    monkeypatch.setattr("explorer.service.switching.encode_bank", slow)
    job = explorer.models.add_tower(weights, agreed=True)
    assert entered.wait(120)
    began = time.monotonic()
    assert explorer.searches.search("a white rabbit in the grass").hits
    assert time.monotonic() - began < 10
    go_on.set()
    finish(explorer, job)


def test_a_cancelled_switch_leaves_the_old_model_and_goes_on_where_it_was(explorer: Explorer, weights: str) -> None:
    first, steps = explorer.models.current, switch(explorer, weights)
    for step in steps:
        if step.stage == "encode":
            break
    steps.close()
    assert explorer.models.current == first and len(explorer.searches.search(QUERY).hits) == len(CLIPS)
    assert list(explorer.store.encoders()) == [explorer.models.encoder().name]
    finish(explorer, explorer.models.add_tower(weights, agreed=True))
    assert explorer.models.current != first and len(explorer.searches.search(QUERY).hits) == len(CLIPS)


def test_the_old_model_goes_on_where_every_drive_is_away(explorer: Explorer, weights: str, tmp_path: Path) -> None:
    (tmp_path / "films").rename(tmp_path / "away")
    first = explorer.models.current
    failed = explorer.jobs.wait(explorer.models.add_tower(weights, agreed=True), 300)
    assert failed.state == "failed" and "connect their drive and resume" in failed.error
    assert explorer.models.current == first and len(explorer.searches.search(QUERY).hits) == len(CLIPS)
    (tmp_path / "away").rename(tmp_path / "films")
    explorer.jobs.resume(failed.id)
    assert finish(explorer, failed.id)["videos"] == len(CLIPS) and explorer.models.current != first


def test_an_unknown_model_is_refused_at_once(explorer: Explorer) -> None:
    with pytest.raises(ExplorerError, match="there is no checkpoint"):
        explorer.models.use("nobody")
