"""The page is built over a small library in memory; its wiring is found, and its handlers answer as they are wired."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from explorer.config import ASSETS
from explorer.records import ExplorerError, Failure, Job, LevelWeights, Note, Progress, Query
from explorer.service.answers import ModelCard, Status
from explorer.service.places import Forecast
from explorer.service.recalls import measured_sets, training_report
from explorer.ui import components, lessons, page, panels, phrase_chips, toolbar
from explorer.ui.events import browsing, filters, link, reasons, telling
from explorer.ui.events import search as handlers
from explorer.ui.events.view import View
from explorer.ui.tabs import help as help_tab
from explorer.ui.tabs import library as library_tab
from explorer.ui.tabs import models as models_tab
from explorer.ui.tabs import teach as teach_tab
from tests.support.little_explorer import LittleExplorer

HOSTILE = "<img src=x onerror=alert(1)>\"'`${alert(2)}{{alert(3)}}"
VIDEOS = [
    {"public_id": "dogs0001", "path": "/videos/dogs.mp4", "duration": 30.0, "caption": "a dog runs on a beach"},
    {"public_id": "cars0001", "path": "/videos/cars.mp4", "duration": 10.0, "caption": "a red car at night"},
    {"public_id": "evil0001", "path": f"/videos/{HOSTILE}.mp4", "duration": 10.0, "caption": "a dog in a car"},
]


@pytest.fixture
def explorer() -> LittleExplorer:
    return LittleExplorer(VIDEOS)


def searched(explorer: LittleExplorer, text: str = "dog beach", view: View | None = None) -> View:
    return list(handlers.search(explorer, view or View(), text))[-1][0]


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return page.build(LittleExplorer(VIDEOS)).config


def listeners(config: dict[str, Any]) -> set[tuple[str, str]]:
    names = {one["id"]: one["props"].get("elem_id") or one["type"] for one in config["components"]}
    return {
        (str(names.get(target, "page")), event) for one in config["dependencies"] for target, event in one["targets"]
    }


def test_five_tabs(config: dict[str, Any]) -> None:
    assert [c["props"]["label"] for c in config["components"] if c["type"] == "tabitem"] == [
        "Search",
        "Library",
        "Models",
        "Teach",
        "Help",
    ]


def test_every_event_has_its_listener(config: dict[str, Any]) -> None:
    wanted = {
        ("hx-box", "submit"),
        ("hx-go", "click"),
        ("hx-results", "open"),
        ("hx-results", "undo"),
        ("hx-results", "example"),
        ("hx-results", "filter"),
        ("hx-results", "arrange"),
        ("hx-results", "more"),
        ("hx-results", "begin"),
        ("hx-browser", "act"),
        ("hx-phrases", "weigh"),
        ("hx-weights", "weigh"),
        ("hx-tools", "tool"),
        ("hx-tools", "image"),
        ("hx-player", "act"),
        ("hx-charts", "feedback"),
        ("hx-graph", "open"),
        ("hx-link", "restore"),
        ("hx-head", "refresh"),
        ("hx-why", "act"),
        ("hx-add", "click"),
        ("hx-path", "submit"),
        ("hx-index", "click"),
        ("hx-samples", "click"),
        ("hx-folders", "act"),
        ("hx-jobs", "act"),
        ("hx-failures", "act"),
        ("hx-videos", "act"),
        ("hx-models", "act"),
        ("hx-check", "click"),
        ("hx-consent", "act"),
        ("hx-caption-add", "click"),
        ("hx-train", "click"),
        ("hx-training", "act"),
        ("timer", "tick"),
    }
    assert wanted <= listeners(config)


def test_reranking_keeps_the_newest_and_nothing_is_offered_as_an_api(config: dict[str, Any]) -> None:
    named = {one["id"]: one["props"].get("elem_id") for one in config["components"]}
    sliders = [one for one in config["dependencies"] if any(named.get(t) == "hx-weights" for t, _ in one["targets"])]
    assert sliders and all(one["trigger_mode"] == "always_last" for one in sliders)
    assert all(one["api_visibility"] == "private" for one in config["dependencies"])


def test_the_timer_rests_until_there_is_work(config: dict[str, Any], explorer: LittleExplorer) -> None:
    assert [c["props"]["active"] for c in config["components"] if c["type"] == "timer"] == [False]
    assert not page.working(explorer)
    explorer.library.start_index()
    assert page.working(explorer) and page.ticked(explorer)()[-1].active


def test_templates_hold_no_handlebars_and_only_known_assets_are_named(config: dict[str, Any]) -> None:
    custom = [c["props"] for c in config["components"] if c["type"] == "html"]
    assert custom and not any("{{" in c["html_template"] or "`" in c["html_template"] for c in custom)
    named = set(re.findall(r"/assets/([\w.]+)", str(config) + page.head() + components.SCRIPTS))
    own = {path.name for path in ASSETS.iterdir()}
    assert named and named <= own


def test_no_script_or_style_asks_another_machine() -> None:
    for path in ASSETS.iterdir():
        if path.suffix in (".js", ".css"):
            assert not re.search(r"https?://|@import|url\(", path.read_text("utf-8")), path
    assert not page.theme()._stylesheets


def test_a_search_shows_results_and_selects_the_first(explorer: LittleExplorer) -> None:
    busy, last = handlers.search(explorer, View(), " dog beach ")
    assert "Searching" in busy[2] and last[0].selected == ("dogs0001", 0.0)
    assert last[5]["id"] == "dogs0001" and last[5]["load"] and last[4].count("<article") == 3 and "✓ dog" in last[3]


def test_a_search_waits_for_the_model_and_says_so(explorer: LittleExplorer, monkeypatch: pytest.MonkeyPatch) -> None:
    explorer.loading = True
    monkeypatch.setattr(handlers.time, "sleep", lambda _: setattr(explorer, "loading", False))
    told = [step[2] for step in handlers.search(explorer, View(), "dog")]
    assert "still loading" in told[1] and "moments" in told[-1]


def test_an_empty_search_shows_what_to_do_next(explorer: LittleExplorer) -> None:
    assert "Describe what you remember" in list(handlers.search(explorer, View(), "  "))[-1][4]
    assert "Nothing is indexed yet" in list(handlers.search(LittleExplorer(), View(), ""))[-1][4]


def test_a_problem_is_told_in_place(explorer: LittleExplorer) -> None:
    shown = list(handlers.search(explorer, View(), 'broken "quote'))[-1]
    assert "hx-error" in shown[2] and shown[5] == {}


def test_the_address_of_a_search_brings_it_back_as_it_was(explorer: LittleExplorer) -> None:
    view = handlers.weigh_levels(explorer, searched(explorer), {"video": 2, "clip": 0.25, "frame": 1})[0]
    view = handlers.weigh_phrase(explorer, view, {"phrase": "dog", "weight": 2})[0]
    view = handlers.tool(explorer, view, {"tool": "beside", "value": "starter-hgr"})[0]
    view = handlers.open_hit(explorer, view, {"id": "evil0001", "start": 6.0, "second": True})[0]
    again = handlers.restore(explorer, View(), link.address(view))
    kept = ("text", "weights", "phrase_weights", "model", "other", "selected", "second")
    assert [getattr(again[0], name) for name in kept] == [getattr(view, name) for name in kept]
    assert again[1] == "dog beach" and again[5]["id"] == "evil0001" and again[8] == link.address(view)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"q": "  "},
        {"q": 3},
        {"q": "dog", "w": "1,x,2", "p": "[", "t": "nan", "v": "dogs0001"},
        {"q": "dog", "w": "0,0,0", "p": '{"a": "b", "c": NaN, "d": 1e999}', "v": "gone", "t": "1"},
        {"q": "dog", "p": "[" * 9000},
    ],
)
def test_an_address_of_nonsense_is_read_as_far_as_it_can_be(explorer: LittleExplorer, parts: dict[str, Any]) -> None:
    shown = handlers.restore(explorer, View(), parts)
    if parts.get("q") == "dog":
        assert shown[0].text == "dog" and shown[0].weights is None and shown[0].phrase_weights == {}
    else:
        assert not isinstance(shown[0], View)


def test_the_empty_page_offers_three_ways_to_begin_and_the_samples_take_one_click(tmp_path: Path) -> None:
    empty = LittleExplorer([])
    shown = list(handlers.search(empty, View(), ""))[-1][4]
    assert all(text in shown for text in ("Add a folder", "Take the sample library", "Choose a model"))
    begun = handlers.begin(empty, View(), {"what": "samples"})
    assert [job.kind for job in empty.work] == ["samples"] and "are being indexed" in begun[4]
    handlers.begin(empty, View(), {"what": "samples"})
    handlers.begin(LittleExplorer(VIDEOS), View(), {"what": "samples"})
    assert len(empty.work) == 1


def test_a_folder_is_chosen_by_looking_into_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / HOSTILE.replace("/", "")).mkdir()
    (tmp_path / "films").mkdir()
    explorer = LittleExplorer([])
    shown = library_tab.choose(explorer, None, {"action": "go", "value": str(tmp_path)})[0]
    assert ">films</button>" in shown and "<img" not in shown and "&lt;img" in shown and "0 videos directly" in shown
    told = library_tab.choose(explorer, None, {"action": "hold", "value": str(tmp_path / "films")})[0]
    assert "no video was found" in told
    after = library_tab.choose(explorer, None, {"action": "choose", "value": str(tmp_path / "films")})
    assert explorer.paths == [str(tmp_path / "films")] and after[-1].active
    with pytest.raises(ExplorerError, match="no folder"):
        library_tab.choose(explorer, None, {"action": "go", "value": str(tmp_path / "gone")})


def test_a_forecast_tells_time_only_where_it_is_known() -> None:
    found = Forecast("/a", 3, 10, 120.0, (Failure("/b", "x"),), whole=False)
    assert browsing.forecast_text(found, 0.0) == "at least 3 videos, about 2 min; 1 file or folder cannot be read."
    assert "takes about 12 s here" in browsing.forecast_text(found, 10.0)
    assert browsing.forecast_text(Forecast("/a", 0, 0, 0.0), 1.0) == "no video was found."


def test_what_is_clicked_becomes_words_of_the_query_and_goes_away_again(explorer: LittleExplorer) -> None:
    view = searched(explorer)
    shown = handlers.filter_by(explorer, view, {"name": "in", "value": "my trips"})
    assert shown[1] == 'dog beach in:"my trips"' and shown[0].text == shown[1]
    day = handlers.filter_by(explorer, shown[0], {"name": "on", "value": "2024-06-03"})
    assert day[1].endswith("on:2024-06-03")
    assert handlers.weigh_phrase(explorer, day[0], {"filter": 'in:"my trips"'})[1] == "dog beach on:2024-06-03"
    for wrong in ({}, {"name": "rm", "value": "x"}, {"name": "in", "value": " "}):
        assert handlers.filter_by(explorer, view, wrong)[0].text == "dog beach"


def test_filters_are_read_however_they_were_typed() -> None:
    assert (
        filters.remove("dog IN: trips", "in:trips") == "dog" and filters.remove("dog longer:2m", "longer:120") == "dog"
    )
    assert filters.add("dog after:2020 before:2021", "on", "2024") == "dog on:2024"
    assert filters.add("dog", "in", 'a"b c') == 'dog in:"ab c"' and filters.remove("dog", "in:x") == "dog"
    chips = filters.of(Query("dog", folders=("my trips",), on="2024", longer=90.0))
    assert [one.written for one in chips] == ['in:"my trips"', "on:2024", "longer:90"]


def test_more_asks_for_more_and_arranging_asks_for_nothing(explorer: LittleExplorer) -> None:
    view = searched(explorer)
    assert handlers.more(explorer, view, {})[0].asked == 2 * view.asked
    asked = len(explorer.asked)
    sorted_view = handlers.arrange(explorer, view, {"sort": "newest", "group": "moment"})[0]
    assert (sorted_view.sort, sorted_view.group) == ("newest", "moment") and len(explorer.asked) == asked
    assert searched(explorer, "car", sorted_view).group == "moment"
    assert not isinstance(handlers.arrange(explorer, view, {"sort": "<b>"})[0], View)
    assert not isinstance(handlers.more(explorer, View(), {})[0], View)


def test_opening_a_card_only_tells_the_player(explorer: LittleExplorer) -> None:
    view, chips, player, link = handlers.open_hit(explorer, searched(explorer), {"id": "evil0001", "start": 0})
    assert link == {"q": "dog beach", "v": "evil0001", "t": "0"}
    assert view.selected == ("evil0001", 0.0) and not player["load"] and "✕ beach" in chips


@pytest.mark.parametrize("data", [{}, {"id": None, "start": "x"}, {"id": ["a"], "start": float("nan")}])
def test_nonsense_from_the_page_selects_nothing(explorer: LittleExplorer, data: dict[str, Any]) -> None:
    view, _, player, _ = handlers.open_hit(explorer, searched(explorer), data)
    assert player == {} and view.result is not None


def test_level_weights_rerank_and_reset(explorer: LittleExplorer) -> None:
    view = handlers.weigh_levels(explorer, searched(explorer), {"video": 2, "clip": 0, "frame": 0})[0]
    assert view.weights == LevelWeights(2.0, 0.0, 0.0) and view.ranks == {"dogs0001": 1, "evil0001": 2, "cars0001": 3}
    assert handlers.weigh_levels(explorer, view, {"reset": True})[0].weights is None
    with pytest.raises(ExplorerError, match="at least one"):
        handlers.weigh_levels(explorer, view, {"video": 0, "clip": -1, "frame": float("inf")})


def test_phrases_are_switched_weighed_negated_and_allowed_again(explorer: LittleExplorer) -> None:
    view = searched(explorer, "car night")
    assert handlers.weigh_phrase(explorer, view, {"phrase": "night", "weight": 0})[0].phrase_weights == {"night": 0.0}
    assert handlers.weigh_phrase(explorer, view, {"phrase": "night", "weight": 99})[0].phrase_weights == {"night": 10.0}
    assert handlers.weigh_phrase(explorer, view, {"phrase": "night", "weight": -5})[0].phrase_weights == {"night": -1.0}
    typed = searched(explorer, 'car -"night"')
    assert "cars0001" not in {hit.public_id for hit in typed.result.hits}
    again = handlers.weigh_phrase(explorer, typed, {"allow": "night"})
    assert again[1] == "car" and "cars0001" in {hit.public_id for hit in again[0].result.hits}


def test_a_picture_arrives_as_plain_pixels() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    sent = {"width": 4, "height": 2, "rgb": base64.b64encode(pixels.tobytes()).decode()}
    assert (handlers.picture(sent) == pixels).all()
    for wrong in ({}, {**sent, "width": 5}, {**sent, "width": 1e9}, {**sent, "rgb": "*"}, {"problem": "unreadable"}):
        with pytest.raises(ExplorerError, match="picture"):
            handlers.picture(wrong)


def test_picture_and_moment_are_questions_of_their_own(explorer: LittleExplorer) -> None:
    sent = {"width": 1, "height": 1, "rgb": base64.b64encode(b"abc").decode()}
    by_image = handlers.by_image(explorer, searched(explorer), sent)
    assert by_image[0].text == "" and by_image[1] == "" and by_image[0].image.shape == (1, 1, 3)
    alike = handlers.act(explorer, searched(explorer), {"action": "like", "id": "dogs0001", "time": 3.5})
    assert alike[0].like == ("dogs0001", 3.5) and reasons.explain(explorer, alike[0]) == ({}, {})


def test_two_models_answer_one_question(explorer: LittleExplorer) -> None:
    view = handlers.tool(explorer, searched(explorer), {"tool": "beside", "value": "starter-hgr"})[0]
    assert view.beside is not None and view.beside.checkpoint == "starter-hgr"
    assert handlers.tool(explorer, view, {"tool": "beside", "value": ""})[0].beside is None


def test_export_writes_all_hits_or_the_chosen_clip(explorer: LittleExplorer, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    monkeypatch.setattr(
        explorer.playback, "export", lambda result, form: written.append((len(result.hits), form)) or "/data/x"
    )
    view = searched(explorer)
    handlers.tool(explorer, view, {"tool": "export", "value": "csv"})
    handlers.tool(explorer, view, {"tool": "export", "value": "clip"})
    assert written == [(6, "csv"), (1, "clip")]
    with pytest.raises(ExplorerError, match="search first"):
        handlers.tool(explorer, View(), {"tool": "export", "value": "csv"})


def test_feedback_has_three_grains(explorer: LittleExplorer) -> None:
    view = searched(explorer)
    handlers.act(explorer, view, {"action": "bad", "id": "dogs0001", "time": 1})
    reasons.feedback(explorer, view, {"kind": "clip", "id": "dogs0001", "time": 2, "phrase": "dog", "good": True})
    reasons.feedback(explorer, view, {"kind": "frame", "id": "dogs0001", "time": 3, "word": "beach", "good": False})
    told = [one for one in explorer.told if one[0] == "feedback"]
    assert [(one[1], one[4]["phrase"], one[4]["word"], one[4]["good"]) for one in told] == [
        ("video", None, None, False),
        ("clip", "dog", None, True),
        ("frame", None, "beach", False),
    ]
    for wrong, seen in (({"kind": "file"}, view), ({"kind": "clip"}, View())):
        with pytest.raises(ExplorerError):
            reasons.feedback(explorer, seen, wrong)


def test_a_judgement_counts_at_once_and_can_be_taken_back(explorer: LittleExplorer) -> None:
    def order(view: View) -> list[str]:
        return list(dict.fromkeys(hit.public_id for hit in view.result.hits))

    view = searched(explorer)
    assert order(view) == ["dogs0001", "evil0001", "cars0001"]
    shown = handlers.act(explorer, view, {"action": "bad", "id": "dogs0001", "time": 1})
    assert order(shown[0]) == ["evil0001", "cars0001", "dogs0001"] and "you said: wrong" in shown[4]
    assert shown[0].selected == view.selected and shown[5]["judged"] == "bad" and shown[0].ranks["dogs0001"] == 1
    assert order(searched(explorer)) == ["evil0001", "cars0001", "dogs0001"]
    right = handlers.act(explorer, shown[0], {"action": "good", "id": "dogs0001", "time": 1})
    assert order(right[0])[0] == "dogs0001" and right[5]["judged"] == "good"
    again = handlers.act(explorer, right[0], {"action": "good", "id": "dogs0001", "time": 1})
    assert again[5]["judged"] == "" and order(again[0]) == order(view)
    judged = handlers.judge(
        explorer, view, {"kind": "clip", "id": "cars0001", "time": 3.0, "phrase": "dog", "good": True}
    )
    assert order(judged[0])[0] == "cars0001" and judged[5]["judged"] == ""
    assert order(handlers.undo(explorer, judged[0], {"id": "cars0001", "start": 0.0})[0]) == order(view)


def test_the_evidence_follows_the_model_whose_hit_is_chosen(explorer: LittleExplorer) -> None:
    view = handlers.tool(explorer, searched(explorer), {"tool": "beside", "value": "starter-hgr"})[0]
    first = handlers.open_hit(explorer, view, {"id": "evil0001", "start": 0, "second": False})[0]
    second, chips, *_ = handlers.open_hit(explorer, view, {"id": "evil0001", "start": 0, "second": True})
    assert "hx-kind" in chips and second.second and not first.second
    for seen, model, heading in ((first, None, "Phrases × clips"), (second, "starter-hgr", "Actions × frames")):
        charts, _ = reasons.explain(explorer, seen)
        assert charts["heat"]["title"] == heading
        reasons.graph(explorer, seen, {})
        reasons.why(explorer, seen, {"action": "why", "value": "cars0001"})
        assert [one[:2] for one in explorer.told[-3:]] == [("explain", model), ("graph", model), ("why_not", model)]
    alone = handlers.tool(explorer, second, {"tool": "beside", "value": ""})[0]
    assert (
        "hx-kind" not in phrase_chips.chips(alone)
        and reasons.explain(explorer, alone)[0]["heat"]["title"] == "Phrases × clips"
    )


def test_reasons_use_the_weights_that_the_person_set(explorer: LittleExplorer) -> None:
    view = handlers.weigh_levels(explorer, searched(explorer), {"video": 2, "clip": 0, "frame": 1})[0]
    view = handlers.weigh_phrase(explorer, view, {"phrase": "dog", "weight": 2})[0]
    reasons.explain(explorer, view)
    reasons.why(explorer, view, {"action": "why", "value": "cars0001"})
    assert [one[2:] for one in explorer.told] == [(LevelWeights(2, 0, 1), {"dog": 2.0})] * 2


def test_another_model_brings_its_own_weights_to_the_sliders(explorer: LittleExplorer) -> None:
    shown = handlers.tool(explorer, searched(explorer), {"tool": "model", "value": "starter-hgr"})
    assert 'name="clip" min="0" max="2" step="0.05" value="0.5"' in shown[7]
    mine = handlers.weigh_levels(explorer, shown[0], {"video": 2, "clip": 0, "frame": 1})
    assert (
        isinstance(mine[7], dict) and 'value="2"' in handlers.tool(explorer, mine[0], {"tool": "model", "value": ""})[7]
    )


def test_saved_searches_and_history_are_recalled_and_removed(explorer: LittleExplorer) -> None:
    view = searched(explorer)
    assert "dog beach" in handlers.tool(explorer, view, {"tool": "save"})[6] and explorer.kept == ["dog beach"]
    recalled = handlers.tool(explorer, View(), {"tool": "recall", "value": "dog beach"})
    assert recalled[1] == "dog beach" and recalled[0].result.hits
    assert 'data-tool="drop"' not in handlers.tool(explorer, view, {"tool": "drop", "value": "dog beach"})[6]
    assert 'data-tool="recall"' not in handlers.tool(explorer, view, {"tool": "clear"})[6]


def test_what_the_service_wants_known_is_on_the_page_and_can_be_put_away(explorer: LittleExplorer) -> None:
    explorer.notice = f"settings changed {HOSTILE}"
    shown = page.ticked(explorer)()[0]
    assert "hx-news" in shown and "data-dismiss" in shown and "<img src=x" not in shown
    assert panels.header(Status(notices=("one", "two")), []).count("data-dismiss") == 2
    failed = panels.header(Status("failed", "weights are damaged"), [])
    assert "The model cannot be loaded: weights are damaged" in failed
    assert "hx-news" not in panels.header(Status("ready"), [])


def test_opening_the_models_tab_shows_models_and_checks(explorer: LittleExplorer) -> None:
    models, choices, doctor = page.opened_models(explorer)()
    assert "SigLIP 2" in choices and "research only" in choices and choices.count('data-act="choose"') == 7
    assert "starter-hgr" in models and "PyAV" in doctor and doctor == models_tab.checking(explorer)()


def test_explanation_and_role_graph_of_the_selected_moment(explorer: LittleExplorer) -> None:
    view = searched(explorer)
    charts, graph = reasons.explain(explorer, view)
    assert charts["id"] == "dogs0001" and len(charts["heat"]["columns"]) == 4 and graph == {}
    drawn = reasons.graph(explorer, view, {})["figure"]["data"][2]
    assert [data[0] for data in drawn["customdata"][1:3]] == [0.0, 1.0]
    assert "Search for a sentence" in reasons.graph(explorer, View(), {})["note"]


def test_why_not_this_one(explorer: LittleExplorer) -> None:
    view = searched(explorer)
    assert "&lt;img" in reasons.why(explorer, view, {"action": "look", "field": "onerror"})
    assert "number 31 of 46" in reasons.why(explorer, view, {"action": "why", "value": "cars0001"})
    reasons.why(explorer, view, {"action": "teach", "value": "cars0001"})
    assert explorer.taught[0]["caption"] == "dog beach" and explorer.taught[0]["public_id"] == "cars0001"
    with pytest.raises(ExplorerError):
        reasons.why(explorer, View(), {"action": "look", "field": "x"})


def test_a_persons_error_becomes_an_escaped_message(explorer: LittleExplorer) -> None:
    def fail(*_: object) -> None:
        raise ExplorerError(f"no such thing: {HOSTILE}")

    with pytest.raises(gr.Error) as caught:
        telling.guarded(fail)(explorer, View(), {})
    assert "<img" not in caught.value.message and "&lt;img" in caught.value.message


def test_a_search_of_an_empty_library_says_that_the_first_videos_are_on_their_way() -> None:
    empty = LittleExplorer([])
    first = list(handlers.search(empty, View(), "a dog"))[-1]
    assert "Nothing found." in first[2] and "still being indexed" not in first[2] and "<p>" not in first[4]
    empty.add_folder("/more")
    assert "still being indexed" in list(handlers.search(empty, View(), "a dog"))[-1][2]
    assert "are being indexed" in page.welcoming(empty)(View())[0]
    assert "data-tab" in page.welcoming(empty)(View())[0]


def test_work_on_videos_is_told_in_lengths_of_video_and_other_work_in_steps() -> None:
    done = Progress("done", 90.0, 90.0, rate=4.9)
    assert panels.progress_text(Job(1, "index", "done", {}, done, 0.0)) == "2 min of video · 4.9 × real time"
    assert "train · 3 of 8" in panels.progress_text(Job(2, "train", "running", {}, Progress("train", 3, 8), 0.0))


def test_library_adds_steers_and_removes(explorer: LittleExplorer) -> None:
    shown = library_tab.starting(explorer, library_tab.add_folder)(" /more ")
    assert (
        shown[0] == ""
        and "/more" in shown[2]
        and "12 s of 46 s of video · 3.2 × real time · 11 s left" in shown[3]
        and shown[-1].active
    )
    for action, state in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        library_tab.change(explorer, None, {"action": action, "value": "1"})
        assert explorer.jobs.list()[0].state == state
    library_tab.change(explorer, None, {"action": "remove", "value": "0"})
    assert explorer.paths == ["/more"]
    with pytest.raises(gr.Error, match="No path was given"):
        library_tab.starting(explorer, library_tab.add_folder)(None)


def test_failures_and_empty_places_say_what_to_do() -> None:
    noted = panels.notes([Note(f"/v/{HOSTILE}.mp4", f"its clock restarts {HOSTILE}")])
    assert "its clock restarts" in noted and HOSTILE not in noted and panels.notes([]) == ""
    shown = panels.failures([Failure(f"/v/{HOSTILE}.mp4", f"no video stream {HOSTILE}")] * 3)
    assert "<img" not in shown and 'data-act="retry"' in shown
    assert "sample library" in panels.folders([]) and "No failures" in panels.failures([])
    assert f"and {2} more" in panels.failures([Failure("/a", "b")] * (panels.SHOWN_FAILURES + 2))


@pytest.mark.parametrize(
    ("state", "buttons"),
    [
        ("running", ["pause", "cancel"]),
        ("paused", ["resume", "cancel"]),
        ("queued", ["cancel"]),
        ("interrupted", ["resume", "cancel"]),
        ("done", []),
        ("failed", []),
    ],
)
def test_a_job_offers_what_its_state_allows(state: str, buttons: list[str]) -> None:
    shown = panels.job_item(Job(7, "index", state, {}, Progress("decode", 1, 4, HOSTILE, 0.5, 6.0), 0.0, error=HOSTILE))
    assert (
        re.findall(r'data-act="(\w+)" data-value="7"', shown) == buttons
        and "<img" not in shown
        and "width:25.0%" in shown
    )


def test_models_are_used_measured_and_added_with_consent(explorer: LittleExplorer) -> None:
    assert "hx-current" in lessons.models(explorer.models.list()) and "58.2" in lessons.models(explorer.models.list())
    models_tab.change(explorer, None, {"action": "use", "value": "starter-hgr"})
    assert explorer.current == "starter-hgr"
    chosen, _ = models_tab.choose(explorer, None, {"action": "choose", "value": "ViT-B-16-SigLIP2/webli"})
    assert "1.5 GB" in chosen and "Apache-2.0: any use" in chosen and "Agree and download" in chosen
    asked = models_tab.looking(explorer)("ViT-B-32/openai")
    assert "605.0 MB" in asked and "Agree and download" in asked and explorer.told == []
    models_tab.agree(explorer, None, {"value": "ViT-B-32/openai"})
    assert explorer.told == [("tower", "ViT-B-32/openai", True)]


def test_a_model_shows_what_it_was_measured_on_wherever_its_record_keeps_it() -> None:
    def table(recall: float) -> dict[str, Any]:
        return {"text_to_video": {"total": {"R@1": recall, "R@5": 50.0, "R@10": 60.0}}}

    nested = {"flickr8k": {"start": {"R@1": 1.1}, "val": table(2.2), "test": table(33.3), "seconds": 5}}
    shown = lessons.model(ModelCard("starter", measured=measured_sets(nested)))
    assert (
        "33.3" in shown and "2.2" not in shown and "measured on flickr8k test" in shown and "Not evaluated" not in shown
    )
    two = lessons.model(ModelCard("hcmi", measured=measured_sets({"photos": table(11.1), "the clips": table(44.4)})))
    assert two.count("<table") == 2 and "measured on the clips" in two
    tuned = lessons.model(ModelCard("mine", measured=measured_sets({"before": table(1.5), "after": table(6.5)})))
    assert "6.5" in tuned and "1.5" not in tuned
    assert "Not evaluated" in lessons.model(ModelCard("new"))


def test_before_and_after_stand_for_every_held_out_set_and_a_dropped_model_cannot_be_kept() -> None:
    def measured(recall: float) -> dict[str, Any]:
        return {"text_to_video": {"total": {"R@1": recall, "R@5": 60.0, "R@10": 70.0}}}

    runs = {
        "before": {**measured(40.0), "untaught": measured(10.0)},
        "after": {**measured(52.5), "untaught": measured(9.0)},
    }
    kept = lessons.outcome(training_report({**runs, "kept": True, "checkpoint": "mine"}))
    assert "40.0 → 52.5" in kept and "10.0 → 9.0" in kept and "held out whole" in kept and 'data-act="keep"' in kept
    alone = lessons.outcome(
        training_report({"before": {"untaught": measured(1.0)}, "after": {"untaught": measured(2.0)}, "kept": True})
    )
    assert "1.0 → 2.0" in alone
    dropped = lessons.outcome(training_report({**runs, "kept": False, "checkpoint": "starter"}))
    assert 'data-act="keep"' not in dropped and "starter" not in dropped


def test_the_graph_of_a_refused_query_is_a_note_and_no_second_error(explorer: LittleExplorer) -> None:
    assert "note" in reasons.graph(explorer, View(text="dog after:20", problem="after:20 is not a date"), {})


def test_teaching_checks_its_span_and_shows_before_and_after(explorer: LittleExplorer) -> None:
    add = teach_tab.adding(explorer)
    assert (
        "a dog" in add("dogs0001", " a dog ", "0:02", "0:09")[3]
        and explorer.taught[0]["start"] == 2.0
        and explorer.taught[0]["end"] == 9.0
    )
    for start, end in (("5", ""), ("9", "2"), ("x", "y")):
        with pytest.raises(gr.Error, match="span"):
            add("dogs0001", "a dog", start, end)
    with pytest.raises(gr.Error, match="needs a video"):
        add(None, "a dog", "", "")
    row = {"R@1": 40.0, "R@5": 60.0, "R@10": 70.0}
    summary = {
        "before": {"total": row},
        "after": {"total": {**row, "R@1": 52.5}},
        "kept": True,
        "checkpoint": "mine",
        "curve": [[1, 3.0, 1e-4]],
    }
    explorer.work = [Job(1, "train", "done", {}, Progress("done", summary=summary), 0.0, 1.0)]
    shown, curve = teach_tab.shown(explorer)
    assert "40.0 → 52.5" in shown and "Keep it to search with it" in shown and curve["figure"]["data"][0]["y"] == [3.0]
    teach_tab.decide(explorer, None, {"action": "keep", "value": "mine"})
    assert explorer.current == "mine"
    teach_tab.decide(explorer, None, {"action": "back"})
    assert explorer.current == "starter"


def test_the_welcome_and_the_help_are_whole(explorer: LittleExplorer) -> None:
    (view,) = [View()]
    grid, tools, sliders = page.welcoming(explorer)(view)
    assert (
        'data-example="a grey kitten"' in grid
        and "starter-hgr" in tools
        and 'name="clip" min="0" max="2" step="0.05" value="0.5"' in sliders
    )
    assert all(
        word in help_tab.text() for word in ("Keys", "What you can type", "What the numbers mean", "Privacy", "Limits")
    )


def test_a_hostile_history_stays_text() -> None:
    bar = toolbar.toolbar(history=[HOSTILE], saved=[HOSTILE], models=[HOSTILE], model=HOSTILE, other="")
    assert "<img" not in bar and bar.count("&lt;img") >= 4
