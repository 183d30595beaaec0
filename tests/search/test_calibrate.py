"""Calibration: formulas by hand, then that it tells what is there from what is not, on a real small index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explorer.records import LEVELS, ExplorerError, LevelWeights
from explorer.search import calibrate, score
from explorer.search.calibrate import agreement, form_of, normal, qb_norm, read_bank, standing
from explorer.search.examples import examples
from explorer.search.find import encode_image, encode_query, find, more_like
from explorer.search.query import parse
from tests.support.agreement import assert_agrees
from tests.support.tiny_search import TinyEncoder, make_library, scenes

WORDS, PHRASES = (f"item{i}" for i in range(120)), (f"thing{i} place{i}" for i in range(120))
SENTENCES = (f"someone{i} does{i} something{i} somewhere{i}" for i in range(120))
BANK = (*WORDS, *PHRASES, *SENTENCES)


def test_standing_and_percentiles_by_hand() -> None:
    assert standing(np.array([[3.0, 1.0]]), np.array([[[0.0, 1.0]], [[2.0, 3.0]]])).tolist() == [[2.0, -1.0]]
    assert normal(np.array([0.0, -40.0, 40.0])).tolist() == [0.5, 0.0, 1.0]
    assert normal(np.array([1.0]))[0] == pytest.approx(0.841345, abs=1e-6)


def test_agreement_is_high_only_where_all_levels_are() -> None:
    assert agreement(np.array([1.0, 1.0, 1.0])) == pytest.approx(1.0)
    assert agreement(np.array([1.0, 1.0, 0.1])) == pytest.approx(0.1 ** (1 / 3))
    assert agreement(np.array([0.9, 0.0, 0.9])) == 0.0


def test_qb_norm_by_hand() -> None:
    scores, bank = np.array([[0.5, 0.4], [0.1, 0.6]]), np.array([[0.6, 0.1], [0.5, 0.0]])
    out = qb_norm(scores, bank, beta=2.0)  # video 0 is the hub; query 0 has it on top, query 1 not
    expected = [np.exp(1.0) / (np.exp(1.2) + np.exp(1.0)), np.exp(0.8) / (np.exp(0.2) + np.exp(0.0))]
    np.testing.assert_allclose(out[0], expected)
    assert out[1].tolist() == [0.1, 0.6] and out[0].argmax() == 1


def test_bank_file(tmp_path: Path) -> None:
    path = tmp_path / "bank.txt"
    path.write_text("a dog\n\n a cat \na dog\n", "utf-8")
    assert read_bank(path) == ("a dog", "a cat")
    path.write_text("\n", "utf-8")
    with pytest.raises(ExplorerError, match="is empty"):
        read_bank(path)
    with pytest.raises(ExplorerError, match="cannot read"):
        read_bank(tmp_path / "none.txt")


def test_present_and_absent_subjects_are_told_apart(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    videos = {f"{i}.mp4": scenes((f"subject{i} scene{i}", 8)) for i in range(40)}
    library = make_library(tmp_path, videos, encoder)
    calibration = calibrate.calibrate(encoder, encoder.texts(BANK), library, generation=library.generation)
    assert calibration is not None
    assert {form: null.shape for form, null in calibration.null.items()} == dict.fromkeys(
        ("word", "phrase", "sentence"), (120, 120, 3)
    )

    def result(typed: str):
        return find(
            encode_query(encoder, parse(typed)),
            library=library,
            encoder=encoder,
            weights=LevelWeights(),
            calibration=calibration,
        )

    here = [result(f"subject{i} scene{i}") for i in range(0, 40, 4)]
    gone = [result(f"absent{i} nowhere{i}") for i in range(10)]
    assert all(r.verdict.state == "found" and r.hits[0].agreement > 0.95 for r in here)
    assert all(match.found for r in here for match in r.hits[0].matches)
    assert sum(r.verdict.state == "found" for r in gone) <= 2 and not all(r.confident for r in gone)
    assert all(f'Nothing here looks like "{r.query.text}"' in r.reason for r in gone if not r.confident)
    half = result("subject4 unicorn")
    assert [(m.phrase, m.found) for m in half.hits[0].matches] == [("subject4", True), ("unicorn", False)]
    assert set(half.hits[0].calibrated) == {"video_sentence", "clip_phrase", "frame_word"}


def test_banner_cards_and_chips_agree(tmp_path: Path) -> None:
    """Whatever is asked, all three say what one number says."""
    encoder, rng = TinyEncoder(), np.random.default_rng(0)
    things = [f"thing{i}" for i in range(60)]
    videos = {f"{i}.mp4": scenes((" ".join(rng.choice(things, 2)), 3), (str(rng.choice(things)), 4)) for i in range(50)}
    library = make_library(tmp_path, videos, encoder)
    calibration = calibrate.calibrate(encoder, encoder.texts(BANK), library, generation=library.generation)
    seen = set()
    for count in (1, 2, 3, 5):
        for _ in range(20):
            text = " ".join(rng.choice([*things, "unicorn", "nowhere", "never"], count, replace=False))
            encoded = encode_query(encoder, parse(text))
            result = find(encoded, library=library, encoder=encoder, weights=LevelWeights(), calibration=calibration)
            assert_agrees(result)
            seen.add(result.verdict.state)
    assert seen == {"found", "unsure", "nothing"}


def test_pictures_are_held_against_pictures_of_other_files(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    videos = {f"{i}.mp4": scenes((f"w{i}", 4)) for i in range(20)} | {"again.mp4": scenes(("w3 w4", 5))}
    library = make_library(tmp_path, videos, encoder)
    calibration = calibrate.calibrate(encoder, encoder.texts(BANK), library, generation=library.generation)
    picture = encode_image(encoder, np.full((4, 4, 3), 3, np.uint8))
    hits = find(picture, library=library, encoder=encoder, weights=LevelWeights(), calibration=calibration).hits
    assert hits[0].strength == "strong" and hits[0].percentile > 0.95 and hits[-1].weak
    first = more_like(hits[0].window, library=library, encoder=encoder, weights=LevelWeights(), calibration=calibration)
    assert first.hits[0].path.endswith("again.mp4") and first.hits[0].strength == "strong"


def test_each_example_finds_something(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    videos = {f"{i}.mp4": scenes((f"thing{i} place{i}", 4)) for i in range(4)}
    videos |= {f"other{i}.mp4": scenes((f"subject{i} scene{i}", 4)) for i in range(30)}
    library = make_library(tmp_path, videos, encoder)
    calibration = calibrate.calibrate(encoder, encoder.texts(BANK), library, generation=library.generation)
    shown = examples(calibration)
    assert set(shown) == {f"thing{i} place{i}" for i in range(4)} and examples(None) == ()
    for text in shown:
        result = find(
            encode_query(encoder, parse(text)),
            library=library,
            encoder=encoder,
            weights=LevelWeights(),
            calibration=calibration,
        )
        assert result.verdict.state == "found", text


def test_the_scale_of_a_heatmap_is_the_librarys(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    library = make_library(tmp_path, {f"{i}.mp4": scenes((f"subject{i}", 4)) for i in range(9)}, encoder)
    calibration = calibrate.calibrate(encoder, encoder.texts(BANK), library, generation=library.generation)
    assert calibration is not None
    assert set(calibration.scale) == set(LEVELS)
    assert all(abs(chance) < 0.05 < rare < 0.6 for chance, rare in calibration.scale.values())


@pytest.mark.parametrize(
    ("text", "form"),
    [("dog", "word"), ("The dog", "word"), ("ice hockey", "phrase"), ("a plane lands on a runway", "sentence")],
)
def test_forms(text: str, form: str) -> None:
    assert form_of(text) == form


def test_an_empty_library_has_no_calibration(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    assert (
        calibrate.calibrate(encoder, encoder.texts(BANK[:3]), make_library(tmp_path, {}, encoder), generation=0) is None
    )


def test_a_sample_is_spread_over_the_library_and_never_more_than_it(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    library = make_library(tmp_path, {f"{i}.mp4": scenes((f"subject{i}", 2)) for i in range(9)}, encoder)
    ids = library.vectors.ids().tolist()
    assert len(ids) == 9 and [library.sample(count).tolist() for count in (9, 100, 3, 1)] == [
        ids,
        ids,
        ids[::4],
        ids[:1],
    ]
    assert make_library(tmp_path / "empty", {}, encoder).sample(5).tolist() == []


def test_presence_is_the_best_clip(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    library = make_library(tmp_path, {"a.mp4": scenes(("dog", 2), ("cat", 2))}, encoder)
    batch = library.windows(library.sample(5))
    levels = encoder.levels(batch.features, batch.mask)
    sentences = np.stack([encoder.text("dog").sentence, encoder.text("sea").sentence])
    found = score.presence(sentences, levels)
    assert found.shape == (2, 1) and found[0, 0] == pytest.approx(1.0, abs=1e-3) and found[1, 0] < 0.5
