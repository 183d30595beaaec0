"""What was said in films is read when their folder is indexed, and found by its words, beside the pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.faults.common import open_app
from explorer.records import ExplorerError
from explorer.service.requests import IndexRequest
from tests.support.indexing import three_colours
from tests.support.subtitles import film_with_track, srt


def test_indexing_reads_subtitles_and_a_search_finds_what_was_said(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    film_with_track(films / "inside.mkv")
    (three_colours(films / "beside.mp4").with_suffix(".srt")).write_text(srt([(1.0, 2.0, "a dog barks")]), "utf-8")
    with open_app(tmp_path / "data") as explorer:
        steps = list(explorer.library.index(IndexRequest(), folders=[str(films)]))
        assert steps[-1].stage == "done" and steps[-1].summary["indexed"] == 2
        assert [Path(step.current).name for step in steps if step.stage == "subtitles"] == ["beside.mp4", "inside.mkv"]
        (hit,) = explorer.searches.said("an owl in:films")
        assert (Path(hit.path).name, hit.cue.start, hit.cue.text) == ("inside.mkv", 0.5, "the owl is here")
        assert [Path(hit.path).name for hit in explorer.searches.said("dogs barking")] == ["beside.mp4"]
        assert explorer.searches.said("an elephant") == ()
        both = explorer.searches.said("an owl or a dog")
        assert {Path(hit.path).name for hit in both} == {"inside.mkv", "beside.mp4"}
        assert explorer.searches.said("an owl in:elsewhere") == () == explorer.searches.said("dog after:2199")
        with pytest.raises(ExplorerError, match="empty"):
            explorer.searches.said("  ")
