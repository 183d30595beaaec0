"""The whole search over a real store: exact expectations, and the fast way against the slow one, ties included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explorer.records import ExplorerError, LevelWeights, SearchResult, TextFeatures
from explorer.search import score
from explorer.search.find import (
    encode_image,
    encode_query,
    find,
    more_like,
    picture_query,
    present,
    rank,
)
from explorer.search.library import StoredLibrary
from explorer.search.query import parse
from tests.support.tiny_search import DIM, TinyEncoder, make_library, mean_vector, scenes, word_vector

EQUAL = LevelWeights()
WORDS = [f"word{i}" for i in range(40)]


def slow_scores(text: TextFeatures, features: np.ndarray, encoder: TinyEncoder) -> np.ndarray:
    """One window (F, D) at three levels, written as plainly as the definition."""
    levels = encoder.levels(features[None], np.ones((1, len(features)), bool))
    frames = features.astype(np.float32) / np.linalg.norm(features.astype(np.float32), axis=1, keepdims=True)
    clips = levels.clips[0][levels.clip_mask[0]].numpy()
    on = [i for i, phrase in enumerate(text.phrase_spans) if phrase.weight > 0]
    weight = np.array([text.phrase_spans[i].weight for i in on])
    mean = frames.mean(0) / np.linalg.norm(frames.mean(0))

    def late(tokens: np.ndarray, others: np.ndarray, shares: np.ndarray) -> float:
        one = sum(share * max(float(t @ o) for o in others) for t, share in zip(tokens, shares))
        return (one + np.mean([max(float(t @ o) for t in tokens) for o in others])) / 2

    return np.array(
        [
            text.sentence @ mean,
            late(text.phrases[on], clips, weight / weight.sum()),
            late(text.words, frames, np.full(len(text.words), 1 / len(text.words))),
        ]
    )


def random_library(folder: Path, encoder: TinyEncoder, *, files: int, seed: int = 0) -> StoredLibrary:
    rng = np.random.default_rng(seed)
    videos = {}
    for i in range(files):
        parts = [(" ".join(rng.choice(WORDS, 2)), int(rng.integers(1, 6))) for _ in range(3)]
        noisy = scenes(*parts) + 0.05 * rng.standard_normal((sum(n for _, n in parts), DIM)).astype(np.float32)
        videos[f"{i:03d}.mp4"] = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    return make_library(folder, videos, encoder)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> StoredLibrary:
    """60 files of random scenes, some 190 windows."""
    return random_library(tmp_path_factory.mktemp("big"), TinyEncoder(), files=60)


def all_windows(library: StoredLibrary):
    return library.windows(library.store.window_ids(library.encoder))


@pytest.mark.parametrize("weights", [EQUAL, LevelWeights(1, 0, 0), LevelWeights(0, 1, 0), LevelWeights(0.2, 0.1, 0.7)])
def test_scores_of_candidates_are_the_definition(big: StoredLibrary, weights: LevelWeights) -> None:
    encoder = TinyEncoder()
    asked = encode_query(encoder, parse('word1 "word2 word3"^2 word4 "word5"'))
    ranked = rank(asked, library=big, encoder=encoder, weights=weights, shortlist=50)
    slow = np.stack(
        [
            slow_scores(asked.features, ranked.batch.features[i][ranked.batch.mask[i]], encoder)
            for i in range(len(ranked.batch))
        ]
    )
    np.testing.assert_allclose(ranked.scores, slow, atol=1e-5)
    np.testing.assert_allclose(ranked.totals(weights), score.total(slow, weights), atol=1e-5)


def test_coarse_then_fine_finds_what_scoring_everything_finds(big: StoredLibrary) -> None:
    encoder, library = TinyEncoder(), big
    everything, rng, equal = all_windows(library), np.random.default_rng(1), 0
    for _ in range(30):
        asked = encode_query(encoder, parse(" ".join(rng.choice(WORDS, 3, replace=False))))
        fast = rank(asked, library=library, encoder=encoder, weights=EQUAL, candidates=60, shortlist=30)
        slow = score.score(encoder, encoder.text_levels([asked.features]), everything)
        top_fast, top_slow = np.sort(fast.totals(EQUAL))[::-1][:10], np.sort(slow.totals(EQUAL))[::-1][:10]
        equal += np.allclose(top_fast, top_slow, atol=1e-6)
    assert len(everything) > 150 and equal >= 29


def test_the_estimate_is_the_score_where_every_frame_is_its_own_clip(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    frames = np.stack([word_vector(w) for w in ("cat", "dog", "sea", "sky")])  # four unlike frames, four clips
    library = make_library(tmp_path, {"a.mp4": frames}, encoder)
    asked, batch = encode_query(encoder, parse("dog sky")), all_windows(library)
    full = score.score(encoder, encoder.text_levels([asked.features]), batch)
    if full.grids.clip_mask.sum() == 4:
        np.testing.assert_allclose(
            score.total(score.estimate(score.query_vectors(full.encoded), batch), EQUAL), full.totals(EQUAL), atol=1e-3
        )
    np.testing.assert_allclose(
        score.total(score.estimate(score.query_vectors(full.encoded), batch), LevelWeights(1, 0, 1)),
        score.total(full.scores, LevelWeights(1, 0, 1)),
        atol=1e-3,
    )


def test_the_moment_has_the_bounds_of_its_scene(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    library = make_library(
        tmp_path,
        {"long.mp4": scenes(("sea sky", 9), ("red car", 5), ("sea sky", 10)), "other.mp4": scenes(("cat sofa", 12))},
        encoder,
    )
    result = find(encode_query(encoder, parse('"red car"')), library=library, encoder=encoder, weights=EQUAL)
    hit = result.hits[0]
    assert hit.path.endswith("long.mp4") and (hit.start, hit.end) == (9.0, 14.0)
    assert 9 <= hit.still < 14
    (match,) = hit.matches
    assert match.phrase == "red car" and 9 <= match.start < match.end <= 14 and match.score > 0.99


def test_two_scenes_of_a_file_are_two_moments_and_a_still_scene_is_one(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    library = make_library(
        tmp_path,
        {
            "twice.mp4": scenes(("dog beach", 6), ("sea sky", 12), ("dog beach", 6)),
            "still.mp4": scenes(("dog beach", 30)),
            "none.mp4": scenes(("cat sofa", 12)),
        },
        encoder,
    )
    hits = find(encode_query(encoder, parse('"dog beach"')), library=library, encoder=encoder, weights=EQUAL).hits
    of = {
        name: [(h.start, h.end) for h in hits if h.path.endswith(name) and h.scores.total > 0.9]
        for name in ("twice.mp4", "still.mp4")
    }
    assert sorted(of["twice.mp4"]) == [(0.0, 6.0), (18.0, 24.0)]
    assert of["still.mp4"] == [(0.0, 30.0)]


def test_hits_of_a_file_are_limited(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    videos = {"many.mp4": scenes(*[("dog beach", 4), ("sea sky", 6)] * 6), "other.mp4": scenes(("cat sofa", 4))}
    library = make_library(tmp_path, videos, encoder)
    for limit in (1, 2):
        found = find(
            encode_query(encoder, parse("dog beach")), library=library, encoder=encoder, weights=EQUAL, per_file=limit
        )
        assert sum(hit.path.endswith("many.mp4") for hit in found.hits) == limit


def test_ties_go_by_path_then_start(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    names = ["c.mp4", "a.mp4", "b.mp4"]
    library = make_library(tmp_path, {name: scenes(("dog", 6 + i)) for i, name in enumerate(names)}, encoder)
    hits = find(encode_query(encoder, parse("dog")), library=library, encoder=encoder, weights=EQUAL).hits
    assert [Path(h.path).name for h in hits] == ["a.mp4", "b.mp4", "c.mp4"]


def test_one_long_film_shows_all_its_moments(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    film = scenes(*[("dog beach", 4), ("sea sky", 6)] * 6)
    alone = make_library(tmp_path / "alone", {"many.mp4": film}, encoder)
    both = make_library(tmp_path / "both", {"many.mp4": film, "other.mp4": scenes(("cat sofa", 9))}, encoder)

    def count(library: StoredLibrary, per_file: int | None) -> int:
        encoded = encode_query(encoder, parse("dog beach"))
        found = find(encoded, library=library, encoder=encoder, weights=EQUAL, per_file=per_file)
        return sum(hit.path.endswith("many.mp4") and hit.scores.total > 0.75 for hit in found.hits)

    assert count(alone, 3) == count(both, None) == 6 and count(both, 3) == 3


def test_copies_are_shown_once_and_named(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    library = make_library(
        tmp_path, {"b.mp4": scenes(("dog", 8)), "a.mp4": scenes(("dog", 8)), "c.mp4": scenes(("dog", 20))}, encoder
    )
    hits = find(encode_query(encoder, parse("dog")), library=library, encoder=encoder, weights=EQUAL).hits
    assert [Path(h.path).name for h in hits] == ["a.mp4", "c.mp4"]  # c is longer, so another film
    assert [Path(p).name for p in hits[0].copies] == ["b.mp4"]


def test_an_excluded_phrase_removes(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    videos = {f"other{i}.mp4": scenes((f"thing{i} place{i}", 8)) for i in range(30)}
    videos |= {"night.mp4": scenes(("car night", 8)), "day.mp4": scenes(("car day", 8))}
    library = make_library(tmp_path, videos, encoder)

    def names(typed: str) -> list[str]:
        hits = find(encode_query(encoder, parse(typed)), library=library, encoder=encoder, weights=EQUAL).hits
        return [Path(h.path).name for h in hits]

    assert set(names("car")[:2]) == {"night.mp4", "day.mp4"}
    assert names("car -night")[0] == "day.mp4" and "night.mp4" not in names("car -night")


def test_phrases_are_weighed_switched_off_and_negated(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    videos = {f"other{i}.mp4": scenes((f"thing{i} place{i}", 8)) for i in range(30)}
    videos |= {"dog.mp4": scenes(("dog", 8)), "cat.mp4": scenes(("cat", 8))}
    library = make_library(tmp_path, videos, encoder)

    def result(phrase_weights: dict[str, float]) -> SearchResult:
        encoded = encode_query(encoder, parse("dog cat"), phrase_weights)
        return find(encoded, library=library, encoder=encoder, weights=EQUAL)

    def first(phrase_weights: dict[str, float]) -> str:
        return Path(result(phrase_weights).hits[0].path).name

    assert first({"dog": 0.0}) == "cat.mp4" and first({"cat": 0.0}) == "dog.mp4"
    assert first({"dog": 3.0}) == "dog.mp4" and first({"cat": 3.0}) == "cat.mp4"
    assert first({"dog": -1.0}) == "cat.mp4"
    assert [phrase.text for phrase in result({"dog": 0}).phrases] == ["cat"]
    with pytest.raises(ExplorerError, match="leave at least one"):
        result({"dog": 0, "cat": 0})


def test_a_phrase_that_is_off_leaves_what_the_text_without_it_says() -> None:
    encoder = TinyEncoder()
    without = encoder.text(" cat bird")
    text = encode_query(encoder, parse("dog cat bird"), {"dog": 0.0}).features
    np.testing.assert_allclose(text.sentence, without.sentence, atol=1e-6)
    np.testing.assert_allclose(text.words, without.words, atol=1e-6)
    assert [(p.text, p.weight) for p in text.phrase_spans] == [("dog", 0.0), ("cat", 1.0), ("bird", 1.0)]
    assert text.text == "dog cat bird" and text.phrases.shape == (3, encoder.dim)


def test_weights_typed_and_weights_set_later_are_the_same() -> None:
    encoder = TinyEncoder()
    typed = encode_query(encoder, parse('dog "cat"^3')).features
    later = encode_query(encoder, parse('dog "cat"^2'), {"cat": 3.0}).features
    np.testing.assert_allclose(typed.sentence, later.sentence, atol=1e-6)
    plain = encode_query(encoder, parse("dog cat")).features
    assert plain.sentence == pytest.approx(mean_vector(["dog", "cat"]))


def test_other_level_weights_order_the_scores_that_are_kept(big: StoredLibrary) -> None:
    encoder, library, other = TinyEncoder(), big, LevelWeights(0, 0, 1)
    encoded = encode_query(encoder, parse("word1 word2"))
    kept = rank(encoded, library=library, encoder=encoder, weights=EQUAL, shortlist=10_000)
    again = rank(encoded, library=library, encoder=encoder, weights=other, shortlist=10_000)
    assert kept is not None and again is not None
    assert dict(zip(kept.batch.ids.tolist(), kept.totals(other))) == pytest.approx(
        dict(zip(again.batch.ids.tolist(), again.totals(other)))
    )
    encoder.text_levels = encoder.levels = None  # type: ignore[method-assign,assignment]  # neither is asked again
    moved = present(kept, encoded, library=library, encoder=encoder, weights=other)
    assert moved.hits[0].scores.total == pytest.approx(float(kept.totals(other).max()))


def test_a_shortlist_holds_the_best_of_each_level(big: StoredLibrary) -> None:
    encoder = TinyEncoder()
    levels = encoder.text_levels([encode_query(encoder, parse("word1 word2 word3")).features])
    vectors, batch = score.query_vectors(levels), all_windows(big)
    estimates = score.estimate(vectors, batch)
    short = score.shortlist(vectors, batch, weights=LevelWeights(1, 0, 0), count=40)
    assert len(short) == 40 and all(batch.ids[estimates[:, level].argmax()] in short.ids for level in range(3))


def test_filters(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    day = 1_700_000_000.0  # November 2023
    library = make_library(
        tmp_path,
        {"trips/a.mp4": scenes(("dog", 8)), "b.mp4": scenes(("dog", 20)), "c.mp4": scenes(("dog", 31))},
        encoder,
        **{"b.mp4": {"mtime": day}},
    )

    def names(typed: str) -> set[str]:
        found = find(encode_query(encoder, parse(typed)), library=library, encoder=encoder, weights=EQUAL)
        assert found.hits or ("filters" in found.reason and not found.confident)
        return {Path(h.path).name for h in found.hits}

    assert names("dog in:trips") == {"a.mp4"} and names("dog after:2023") == {"b.mp4"}
    assert names("dog before:2023") == {"a.mp4", "c.mp4"} and names("dog longer:15 shorter:25") == {"b.mp4"}
    assert names("dog in:nowhere") == set()


def test_pictures_and_more_like_this(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    library = make_library(
        tmp_path, {"a.mp4": scenes(("w3", 8)), "b.mp4": scenes(("w3 w4", 9)), "c.mp4": scenes(("w5", 8))}, encoder
    )
    picture = np.full((4, 4, 3), 3, np.uint8)
    hits = find(encode_image(encoder, picture), library=library, encoder=encoder, weights=EQUAL).hits
    assert [Path(h.path).name for h in hits] == ["a.mp4", "b.mp4", "c.mp4"]
    like = more_like(hits[0].window, library=library, encoder=encoder, weights=EQUAL).hits
    assert [Path(h.path).name for h in like] == ["b.mp4", "c.mp4"]
    assert (
        find(picture_query(mean_vector(["w5"]), label="this picture"), library=library, encoder=encoder, weights=EQUAL)
        .hits[0]
        .path.endswith("c.mp4")
    )


def test_order_of_phrases(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    library = make_library(
        tmp_path,
        {
            "right.mp4": scenes(("dog", 2), ("cat", 2)),
            "wrong.mp4": scenes(("cat", 2), ("dog", 2)),
            "x.mp4": scenes(("sea", 5)),
        },
        encoder,
    )
    hits = find(encode_query(encoder, parse("dog then cat")), library=library, encoder=encoder, weights=EQUAL).hits
    order = {Path(h.path).name: h.in_order for h in hits}
    assert order["right.mp4"] is True and order["wrong.mp4"] is False


def test_an_empty_library_and_another_encoder_are_said(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    library = make_library(tmp_path, {}, encoder)
    found = find(encode_query(encoder, parse("dog")), library=library, encoder=encoder, weights=EQUAL)
    assert not found.hits and "add a folder" in found.reason and not found.confident
    with pytest.raises(ExplorerError, match="was made by tiny"):
        find(encode_query(encoder, parse("dog")), library=library, encoder=TinyEncoder("second"), weights=EQUAL)
