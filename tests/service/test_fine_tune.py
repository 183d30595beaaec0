"""One fine-tune for the page and the command line: the same captions give the same model by both doors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.faults.common import open_app
from explorer.records import Progress
from explorer.service import Explorer
from explorer.service.requests import FineTuneRequest, IndexRequest, TrainRequest
from tests.support.videos import Recipe, coloured

SMALL = Recipe(fps=5, width=64, height=64, gop=5)
TAUGHT = {"red": "a white thing", "green": "a black thing", "blue": "a blue thing"}  # the tower finds only the last
EACH = 4  # captioned videos of a colour; one more is only in the library


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    for colour in TAUGHT:
        for number in range(EACH + 1):
            coloured(folder / f"{colour} {number}.mp4", [(colour, 2.0 + 0.2 * number)], SMALL)
    return folder


def captions() -> list[tuple[str, str]]:
    """(file name, caption): two of each captioned video."""
    return [
        (f"{colour} {number}.mp4", f"{text}{more}")
        for colour, text in TAUGHT.items()
        for number in range(EACH)
        for more in ("", f" number {number}")
    ]


def choices(name: str) -> FineTuneRequest:
    return FineTuneRequest(epochs=12, lr=0.02, seed=3, name=name)


def by_page(explorer: Explorer) -> Progress:
    """Captions typed on the page, then the button that fine-tunes: a job."""
    known = {video.name: video.public_id for video in explorer.library.videos()}
    for name, text in captions():
        explorer.teaching.add_caption(known[name], text)
    job = explorer.jobs.wait(explorer.teaching.start_training(choices("by page")), 300)
    assert job.state == "done", job.error
    return job.progress


def by_file(explorer: Explorer, films: Path) -> Progress:
    """What `train --captions FILE --videos DIR` does."""
    file = films.parent / "captions.jsonl"
    file.write_text("".join(json.dumps({"file": name, "caption": text}) + "\n" for name, text in captions()))
    return list(explorer.teaching.train_file(TrainRequest(file, films, choices("by file"))))[-1]


def test_the_same_captions_give_the_same_model_by_both_doors(films: Path, tmp_path: Path) -> None:
    with open_app(tmp_path / "data") as explorer:
        list(explorer.library.index(IndexRequest(), folders=[str(films)]))
        page, file = by_page(explorer).summary, by_file(explorer, films).summary
        assert len(page["curve"]) > 5
        for name in ("kept", "ratio", "tried", "before", "after", "curve"):
            assert page[name] == file[name], name
        cards = {card.name: card.sha256 for card in explorer.models.list()}
        assert cards.get("by page") == cards.get("by file")
