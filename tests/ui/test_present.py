"""Numbers, names, cards and chips as they are shown, exactly."""

from __future__ import annotations

import html.parser
from dataclasses import replace

import pytest

from explorer.records import (
    FOUND,
    Cue,
    FoundCue,
    Hit,
    LevelScores,
    Match,
    Phrase,
    Query,
    SearchResult,
    Strength,
    Verdict,
)
from explorer.ui import cards, phrase_chips, present, render
from explorer.ui.events.view import View, find, moment, ranks

HOSTILE = "<img src=x onerror=alert(1)>\"'`${alert(2)}{{alert(3)}}"
LEVELS = {"video_sentence": 0.9, "clip_phrase": 0.5, "frame_word": 0.25}


def hit(
    public_id: str = "aaaaaaaa",
    *,
    path: str = "/videos/a.mp4",
    start: float = 6.0,
    total: float = 0.25,
    agreement: float = 0.93,
    **more: object,
) -> Hit:
    return Hit(
        1,
        public_id,
        path,
        start,
        start + 12,
        7,
        LevelScores(0.3, 0.2, 0.25, total),
        agreement,
        (Match("red car", 8.0, 11.0, 0.31, True), Match("night", 6.0, 9.0, 0.05, False)),
        60.0,
        3,
        dict(LEVELS),
        **more,
    )


def result(
    *hits: Hit, confident: bool = True, phrases: tuple[str, ...] = ("red car", "night"), reason: str = ""
) -> SearchResult:
    return SearchResult(
        Query("a red car at night", excluded=("snow",)),
        tuple(Phrase(text, 0, 1) for text in phrases),
        hits,
        FOUND if confident else Verdict("nothing", reason),
        0.0421,
        "starter",
    )


class Tags(html.parser.HTMLParser):
    """Counts elements and balances them, so that hostile text cannot have become one."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes |= {key for key, _ in attrs}
        if tag not in ("img", "input", "br", "path"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "path":
            assert self.open.pop() == tag


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0:00"), (59.9, "0:59"), (60, "1:00"), (3600, "1:00:00"), (-3, "0:00")]
)
def test_clock(value: float, shown: str) -> None:
    assert present.clock(value) == shown


@pytest.mark.parametrize("text", ["", "a", "1:2:3:4", "-1", "1e3", "nan", "1:", "１２"])
def test_a_time_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        present.seconds(text)


def test_amounts() -> None:
    assert [present.length(s) for s in (45, 720, 12600)] == ["45 s", "12 min", "3.5 h"]
    assert [present.size(n) for n in (640e3, 12e6, 1.44e9)] == ["640 kB", "12.0 MB", "1.4 GB"]
    assert present.count(1, "video") == "1 video" and present.count(2000, "video") == "2,000 videos"
    assert present.count(2, "match", "matches") == "2 matches"


def test_odd_bytes_and_direction_marks_become_visible() -> None:
    assert present.visible("a\udcff.mp4") == "a\ufffd.mp4"
    assert present.visible("gpj.\u202e4pm\n\x00") == "gpj.\ufffd4pm\ufffd\ufffd"
    assert present.visible("👩\u200d🚀") == "👩\u200d🚀"
    present.safe("a\ud800b").encode("utf-8")


def test_safe_leaves_no_way_out_of_an_attribute_or_element() -> None:
    assert present.safe('<a href="x">\'&') == "&lt;a href=&quot;x&quot;&gt;&#x27;&amp;"


def test_still_address_quotes_the_id() -> None:
    assert present.still("a/../b?", 3) == "/still/a%2F..%2Fb%3F/3"


def test_bars_are_percentiles_where_calibrated_and_parts_of_the_best_elsewhere() -> None:
    one = hit()
    assert cards.level_share(one, "clip_phrase", highest=9.0) == 0.5
    bare = Hit(1, "aaaaaaaa", "/a", 0, 1, 0, LevelScores(0.3, -0.2, 0.25, 0.2), 0.5)
    assert cards.level_share(bare, "video_sentence", highest=0.6) == pytest.approx(0.5)
    assert cards.level_share(bare, "clip_phrase", highest=0.6) == 0.0
    assert cards.level_share(bare, "clip_phrase", highest=0.0) == 0.0
    assert cards.level_title(one, "clip_phrase").endswith("Similarity 0.200, higher than 50 % of unrelated captions")


def test_ranges_mark_each_moment_in_the_file() -> None:
    assert cards.ranges([hit()]) == ((10.0, 20.0),) and "left:10.00%;width:20.00%" in cards.grid(
        View(result=result(hit()))
    )
    assert cards.ranges([Hit(1, "a", "/a", 0.0, 0.0, 0, LevelScores(0, 0, 0, 0), 0.0)]) == ()


@pytest.mark.parametrize("strength", ["strong", "likely", "weak"])
def test_a_card_says_its_strength_and_on_hover_what_that_rests_on(strength: Strength) -> None:
    shown = cards.grid(View(result=result(hit(strength=strength, percentile=0.983))))
    assert f'class="hx-agree hx-{strength}"' in shown and f">{strength}</span>" in shown
    assert "Fits better than 98 of 100 unrelated descriptions" in shown and "sentence 0.30, phrases 0.20" in shown


def test_one_card_a_file_with_its_other_moments_as_buttons() -> None:
    view = View(result=result(hit(), hit("bbbbbbbb"), hit(start=30.0)))
    shown = cards.grid(view)
    assert shown.count("<article") == 2 and shown.count('class="hx-moment"') == 1
    assert (
        'data-id="aaaaaaaa" data-start="6.000" data-end="18.000" data-still="7" data-first="0" data-count="0"' in shown
    )
    assert ranks(view.result) == {"aaaaaaaa": 1, "bbbbbbbb": 2}


def test_the_chosen_card_is_marked_by_any_of_its_moments() -> None:
    one, other = hit(), hit(start=30.0)
    for chosen in (one, other):
        assert cards.grid(View(result=result(one, other), selected=moment(chosen))).count('aria-current="true"') == 1
    assert 'aria-current="true"' not in cards.grid(View(result=result(one)))


def test_moves_of_rank_are_told_after_a_repair_only() -> None:
    assert cards.move("a", 1, {}) is None and cards.move("a", 1, {"a": 1}) is None
    moves = [cards.move("a", 1, {"a": 3}), cards.move("a", 2, {"a": 1}), cards.move("a", 1, {"b": 1})]
    assert [move.text for move in moves if move] == ["▲2", "▼1", "new"]


def test_weak_matches_are_folded_away_but_never_all() -> None:
    files = [hit(f"video{n:03d}", strength="likely" if n < 2 else "weak") for n in range(12)]
    assert len(cards.strong(cards.by_file(result(*files)))) == 2
    assert len(cards.strong(cards.by_file(result(*files[2:], confident=False)))) == cards.TOP
    assert "10 weaker matches" in cards.grid(View(result=result(*files)))


def test_an_answer_without_doubt_has_no_notice() -> None:
    assert "hx-notice" not in cards.summary(View(result=result(hit())))


def test_cards_are_sorted_and_grouped_and_keep_the_number_of_their_rank() -> None:
    old, new = hit("old00000", recorded=1e9), replace(hit("new00000", recorded=1.5e9), duration=10.0)
    undated, again = replace(hit("no000000"), duration=99.0), replace(hit("old00000", recorded=1e9), start=40.0)
    found = result(old, new, undated, again)

    def order(**arranged: str) -> list[tuple[str, int]]:
        column = cards.column(found, View(result=found, **arranged))
        return [(card.best.public_id[:3], card.rank) for card in column.strong]

    assert order() == [("old", 1), ("new", 2), ("no0", 3)]
    assert order(sort="newest") == [("new", 2), ("old", 1), ("no0", 3)]
    assert order(sort="longest")[0] == ("no0", 3)
    assert order(group="moment") == [("old", 1), ("new", 2), ("no0", 3), ("old", 4)]


def test_a_card_tells_folder_and_day_and_folds_further_moments() -> None:
    hits = [
        replace(hit(recorded=1717408800.0), start=10.0 * n, path="/trips/sea/a film of the whole day 0042.mp4")
        for n in range(6)
    ]
    shown = cards.grid(View(result=result(*hits)))
    assert 'data-filter="in" data-value="sea"' in shown and 'data-filter="on" data-value="2024-06-0' in shown
    assert "Jun 2024" in shown and "2 more moments</summary>" not in shown and "2 more moments in this file" in shown
    assert ">a film of the whole day</span><span> 0042.mp4</span>" in shown
    assert 'data-filter="on"' not in cards.grid(View(result=result(hit())))


def test_more_is_offered_where_there_may_be_more() -> None:
    few = result(hit())
    assert "data-more" not in cards.grid(View(result=few)) and "data-more" in cards.grid(View(result=few, asked=1))


def test_the_order_of_phrases_is_told_with_their_times() -> None:
    one = replace(
        hit(), in_order=False, matches=(Match("dog", 9.0, 10.0, 0.3, True), Match("cat", 2.0, 4.0, 0.3, True))
    )
    shown = phrase_chips.chips(View(result=result(one), selected=moment(one)))
    assert "✕ Not in the order you asked for:" in shown and shown.index("1. cat 0:02–0:04") < shown.index(
        "2. dog 0:09–0:10"
    )
    assert "hx-order-chip" not in phrase_chips.chips(View(result=result(hit()), selected=moment(hit())))


def test_two_models_stand_side_by_side() -> None:
    shown = cards.grid(View(result=result(hit()), beside=result(hit("bbbbbbbb")), other="hgr"))
    assert shown.count("hx-column") == 2 and shown.count("starter</h3>") == 1 and "hgr</h3>" in shown


def test_summary_says_how_many_and_whether_to_trust_them() -> None:
    shown = cards.summary(View(result=result(hit(), hit(start=30.0))))
    assert "2 moments in 1 video</span>" in shown and "42 ms</span>" in shown
    doubtful = cards.summary(View(result=result(hit(), confident=False, reason="nothing like it")))
    assert "<b>Nothing like it.</b>" in doubtful and ", the nearest" in doubtful
    assert "Nothing found." in cards.summary(View(result=result()))
    assert "hx-error" in cards.summary(View(problem="no")) and cards.summary(View()) == ""


def test_chips_tell_found_missing_off_and_excluded() -> None:
    one = hit()
    view = View(
        result=result(one, phrases=("red car", "night", "road")),
        selected=moment(one),
        phrase_weights={"road": 0.0, "red car": 2.0},
    )
    shown = phrase_chips.chips(view)
    assert "✓ red car" in shown and "×2" in shown and 'data-jump="8.000"' in shown and "0:08–0:11" in shown
    assert "✕ night" in shown and "No evidence of this phrase" in shown
    assert "○ road" in shown and 'aria-pressed="false"' in shown and 'data-excluded="snow"' in shown
    negated = phrase_chips.chips(
        View(result=result(one, phrases=("night",)), selected=moment(one), phrase_weights={"night": -1.0})
    )
    assert "− night" in negated and "left out" in negated and 'aria-pressed="false"' in negated and "×" not in negated
    assert "· red car" in phrase_chips.chips(View(result=result(one)))


def test_hostile_names_and_phrases_stay_text() -> None:
    bad = Hit(
        1,
        HOSTILE,
        f"/videos/{HOSTILE}.mp4",
        0,
        5,
        0,
        LevelScores(0.1, 0.1, 0.1, 0.1),
        0.9,
        (Match(HOSTILE, 0, 1, 0.2, True),),
        9.0,
    )
    view = View(
        result=SearchResult(
            Query(HOSTILE, excluded=(HOSTILE,)),
            (Phrase(HOSTILE, 0, 3),),
            (bad,),
            Verdict("nothing", HOSTILE),
            0.1,
            HOSTILE,
        ),
        beside=result(bad),
        selected=moment(bad),
    )
    for shown in (
        cards.grid(view),
        phrase_chips.chips(view),
        cards.summary(view),
        render.notice(HOSTILE, hint=HOSTILE),
    ):
        tags = Tags(shown)
        assert not tags.open and "onerror" not in tags.attributes and "script" not in tags.names
    assert Tags(cards.grid(view)).names.count("img") == 2


def test_find_gives_the_hit_of_either_model() -> None:
    one, other = hit(), hit("bbbbbbbb")
    view = View(result=result(one), beside=result(other))
    assert find(view, moment(other)) is other and find(view, None) is None and find(View(), moment(one)) is None


def test_chips_show_the_choices_of_a_query_and_notes_stand_without_a_hit() -> None:
    query = Query("dog or cat", alternatives=(Query("dog"), Query("<cat>")), notes=('searched for "dog" or <cat>',))
    shown = phrase_chips.chips(View(result=replace(result(hit()), query=query)))
    assert 'data-excluded="dog"' in shown and "or &lt;cat&gt;" in shown and "searched for" in shown
    empty = replace(result(), hits=(), phrases=(), query=Query("dog", notes=("read as words",)))
    assert "read as words" in phrase_chips.chips(View(result=empty))


def test_chips_of_phrases_that_are_off_stay_where_they_were() -> None:
    one = hit()
    view = View(
        result=result(one, phrases=("night",)), selected=moment(one), phrase_weights={"red car": 0.0, "snow": -1.0}
    )
    view = replace(
        view, result=replace(view.result, query=Query("a red car at night in snow"), phrases=(Phrase("night", 13, 18),))
    )
    shown = phrase_chips.chips(view)
    assert shown.index("○ red car") < shown.index("✕ night") < shown.index("− snow")


def test_chips_and_bars_name_what_a_role_graph_model_reads() -> None:
    acts = replace(hit(), matches=(Match("runs", 7.0, 8.0, 0.2, True), Match("sits", 7.0, 8.0, 0.0, False)))
    first, second = result(hit()), replace(result(acts), reads=("actions", "entities"))
    view = View(result=first, beside=second, other="hgr", selected=moment(acts), second=True)
    shown = phrase_chips.chips(view)
    assert "✓ runs" in shown and "✕ sits" in shown and 'data-jump="7.000"' in shown and "not for phrases" in shown
    assert "actions: its frames against the verbs" in cards.grid(view)
    assert "✓ red car" in phrase_chips.chips(replace(view, second=False))
    silent = replace(view, beside=replace(second, hits=(replace(acts, matches=()),)))
    assert "no verb in this query" in phrase_chips.chips(silent)


def test_only_the_column_of_the_chosen_model_marks_its_card() -> None:
    view = View(result=result(hit()), beside=result(hit()), other="hgr", selected=moment(hit()), second=True)
    first, second = cards.grid(view).split('data-second="true"')
    assert "hx-chosen" not in first and "hx-chosen" in second


def test_a_judged_card_says_so_and_offers_to_undo() -> None:
    right = replace(hit(), judged=True, judged_by="video")
    shown = cards.grid(View(result=result(right, replace(right, start=30.0))))
    assert shown.count("you said: right") == 1 and 'class="hx-undo" data-id="aaaaaaaa" data-start="6.000"' in shown
    wrong = replace(hit(), judged=False, judged_by="clip")
    assert "a clip at 0:06–0:18" in cards.grid(View(result=result(wrong)))
    assert "you said" not in cards.grid(View(result=result(hit())))
    files = [hit(str(n), agreement=0.9) for n in range(8)]
    assert len(cards.strong(cards.by_file(result(*files[:7], replace(files[7], judged=False))))) == 7


def test_what_was_said_stands_above_the_cards_escaped_and_only_where_something_was() -> None:
    cue = Cue(62.0, 64.0, "the <b>owl</b> is here", "film.srt")
    said = (FoundCue(1, "aaaaaaaa", "/v/a <i>.mkv", cue, -1.0),)
    shown = cards.grid(View(result=result(hit()), said=said))
    assert "the &lt;b&gt;owl&lt;/b&gt; is here" in shown and 'data-start="62.000"' in shown and "<b>owl" not in shown
    assert "hx-said" not in cards.grid(View(result=result(hit())))


def test_the_help_names_the_version_in_use() -> None:
    from explorer import __version__
    from explorer.ui.tabs import help as help_tab

    assert f"HCMI Explorer {__version__}" in help_tab.text()
