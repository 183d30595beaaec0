"""One search from the typed text to explained hits: the other files of this folder, in their order."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from explorer.records import ExplorerError, Hit, LevelScores, LevelWeights, Match, Query, SearchResult, TextFeatures
from explorer.search import calibrate, grouping, rerank, retrieve
from explorer.search.calibrate import Calibration
from explorer.search.explain import clip_runs, phrase_order
from explorer.search.grouping import Moment
from explorer.search.repair import weigh
from explorer.search.rerank import Encoder, Ranked
from explorer.search.retrieve import Library

SHORTLIST = 100  # windows that the model itself scores; all top tens tried lie within (benchmarks/search_speed.py)


@dataclass(frozen=True)
class Asked:
    """A query through the tower: all that costs encoding.

    encoded is what the tower gave, text the same with its phrase weights worked in (what is searched), and excluded the
    (D,) sentence vectors of what to leave out.
    """

    query: Query
    encoded: TextFeatures
    text: TextFeatures
    excluded: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Found:
    """A result, and the scored candidates under it, for other level weights or an explanation."""

    result: SearchResult
    ranked: Ranked | None


def ask(encoder: Encoder, query: Query) -> Asked:
    """Encode a query once; every later change of weights starts from here."""
    with rerank.one_thread():
        encoded = encoder.text(query.text, query.phrases)
        excluded = tuple(features.sentence for features in encoder.texts(query.excluded)) if query.excluded else ()
        return Asked(query, encoded, weigh(encoded, {}, encode=encoder.text)[0], excluded)


def repaired(asked: Asked, phrase_weights: Mapping[str, float], *, encoder: Encoder) -> Asked:
    """The query with phrases weighed, off (0) or negated (below 0); phrases are named by their text."""
    text, negated = weigh(asked.encoded, phrase_weights, encode=encoder.text)
    return replace(asked, text=text, excluded=asked.excluded + negated)


def rank(
    asked: Asked,
    *,
    library: Library,
    encoder: Encoder,
    weights: LevelWeights,
    calibration: Calibration | None = None,
    candidates: int = retrieve.CANDIDATES,
    shortlist: int = SHORTLIST,
) -> Ranked | None:
    """Candidates of a query with their scores; None where the filters leave nothing.

    Raises:
        ExplorerError: the index was made by another checkpoint.
    """
    if library.encoder != encoder.name:
        raise ExplorerError(
            f"the index was made by {library.encoder}, the search runs {encoder.name}; "
            "index again (kept features make it quick) or switch the model back"
        )
    encoded = encoder.text_levels([asked.text])
    vectors = rerank.query_vectors(encoded)
    ids = retrieve.candidates(library, asked.query, vectors, weights=weights, k=candidates)
    if not len(ids):
        return None
    batch = rerank.shortlist(vectors, library.windows(ids), weights=weights, count=shortlist)
    if not len(batch):
        return None
    ranked = rerank.score(encoder, asked.text, batch, weights=weights, encoded=encoded)
    return rerank.exclude(ranked, asked.excluded, reference=calibration.reference if calibration else None)


def present(
    ranked: Ranked,
    query: Query,
    *,
    library: Library,
    encoder: Encoder,
    calibration: Calibration | None = None,
    k: int = 20,
    per_file: int = 3,
) -> SearchResult:
    """Scored candidates as hits: moments, agreement, phrases found; also after `rerank.reweigh`."""
    videos = library.videos(sorted(set(ranked.batch.video_ids.tolist())))
    ranked = _of_known_files(ranked, videos)
    moments, copies = grouping.moments(
        ranked.batch,
        ranked.totals,
        ranked.curve,
        videos,
        k=k,
        per_file=per_file,
        times_of=library.frame_times,
        baseline=_baseline(ranked, calibration),
    )
    phrases = tuple(p for p in ranked.text.phrase_spans if p.weight > 0)
    if not moments:
        return SearchResult(
            query,
            phrases,
            (),
            False,
            "every candidate shows what the query leaves out; remove an exclusion",
            checkpoint=encoder.name,
        )
    rows = np.array([moment.row for moment in moments])
    levels = rerank.take(ranked.levels, rows)
    z = None if calibration is None else calibrate.among_captions(encoder, calibration, levels, ranked.scores[rows])
    shares = np.full((len(rows), 3), np.nan) if z is None else calibrate.normal(z)
    seen = _standing(ranked, levels, calibration) >= calibrate.found_line(encoder)
    hits = tuple(
        _hit(ranked, moment, videos[moment.video_id], library, shares[i], seen[:, i], copies)
        for i, moment in enumerate(moments)
    )
    confidence = 1.0 if calibration is None or z is None else calibrate.confidence(calibration, z)
    confident = confidence >= calibrate.CONFIDENT
    return SearchResult(query, phrases, hits, confident, "" if confident else _doubt(hits), checkpoint=encoder.name)


def find(
    asked: Asked,
    *,
    library: Library,
    encoder: Encoder,
    weights: LevelWeights,
    calibration: Calibration | None = None,
    k: int = 20,
    per_file: int = 3,
) -> Found:
    """Search the library.

    Args:
        asked: the encoded query.
        library: the index.
        encoder: the checkpoint that made it.
        weights: of the levels.
        calibration: None leaves agreement at 0 and trusts every result.
        k: hits wanted.
        per_file: hits of one file at most.
    """
    with rerank.one_thread():
        return _find(asked, library, encoder, weights, calibration, k=k, per_file=per_file)


def _find(
    asked: Asked,
    library: Library,
    encoder: Encoder,
    weights: LevelWeights,
    calibration: Calibration | None,
    *,
    k: int,
    per_file: int,
) -> Found:
    began = time.perf_counter()
    ranked = rank(asked, library=library, encoder=encoder, weights=weights, calibration=calibration)
    if ranked is None:
        reason = (
            "no indexed video passes the filters; widen them"
            if _has_filters(asked.query)
            else "nothing is indexed yet; add a folder first"
        )
        return Found(SearchResult(asked.query, (), (), False, reason, checkpoint=encoder.name), None)
    result = present(
        ranked, asked.query, library=library, encoder=encoder, calibration=calibration, k=k, per_file=per_file
    )
    return Found(replace(result, seconds=time.perf_counter() - began), ranked)


def ask_image(encoder: Encoder, pixels: np.ndarray) -> Asked:
    """A picture as a query: (H, W, 3) uint8 of the tower's size; its vector stands for the sentence, a word and a
    phrase."""
    return ask_vector(encoder.encode_frames(pixels[None])[0].astype(np.float32))


def ask_vector(vector: np.ndarray, *, label: str = "this picture") -> Asked:
    """A unit vector (D,) as a query: of a picture, or of a window ("more like this")."""
    text = TextFeatures(label, vector, vector[None], (label,), np.zeros((0, len(vector)), np.float32))
    return Asked(Query(label), text, text)


def more_like(window: int, *, library: Library, encoder: Encoder, weights: LevelWeights, k: int = 20) -> Found:
    """Moments that look like a window, without those of its own file."""
    batch = library.windows(np.array([window]))
    if not len(batch):
        raise ExplorerError("this moment is no longer in the library; search again")
    vector = rerank.array(encoder.levels(batch.features, batch.mask).video)[0]
    ranked = rank(ask_vector(vector, label="more like this"), library=library, encoder=encoder, weights=weights)
    assert ranked is not None  # the window itself is always found
    own = ranked.batch.video_ids == batch.video_ids[0]
    ranked = replace(ranked, penalty=ranked.penalty + np.where(own, np.inf, 0))
    return Found(present(ranked, Query("more like this"), library=library, encoder=encoder, k=k), ranked)


def _of_known_files(ranked: Ranked, videos: Mapping[int, object]) -> Ranked:
    """Files that went while the search ran are left out."""
    known = np.isin(ranked.batch.video_ids, list(videos))
    return ranked if known.all() else rerank.rows_of(ranked, np.flatnonzero(known))


def _baseline(ranked: Ranked, calibration: Calibration | None) -> float:
    """The frame curve's value at an average frame of the library; the candidates' lower tenth without a calibration."""
    real = ranked.curve[ranked.batch.mask]
    if calibration is None:
        return float(np.quantile(real, 0.1))
    return rerank.average_frame(ranked.encoded, ranked.text, calibration.reference)


def _standing(ranked: Ranked, levels: object, calibration: Calibration | None) -> np.ndarray:
    """(P, k) standing of each phrase in each hit; infinite without a calibration, where nothing can be doubted."""
    encoded = ranked.encoded
    phrases = rerank.array(encoded.phrases)[0][rerank.array(encoded.phrase_mask)[0]]
    if calibration is None:
        return np.full((len(phrases), len(levels)), np.inf)  # type: ignore[arg-type]
    return calibrate.phrase_standing(calibration, phrases, levels)


def _hit(
    ranked: Ranked,
    moment: Moment,
    video: retrieve.VideoRow,
    library: Library,
    shares: np.ndarray,
    seen: np.ndarray,
    copies: Mapping[int, Sequence[str]],
) -> Hit:
    matches = _matches(ranked, moment, library.frame_times(video.id), seen)
    video_sentence, clip_phrase, frame_word = ranked.scores[moment.row].tolist()
    known = bool(np.isfinite(shares).all())
    return Hit(
        video_id=video.id,
        public_id=video.public_id,
        path=video.path,
        start=moment.start,
        end=moment.end,
        still=moment.still,
        scores=LevelScores(video_sentence, clip_phrase, frame_word, moment.total),
        agreement=float(calibrate.agreement(shares)) if known else 0.0,
        matches=matches,
        duration=video.duration,
        window=int(ranked.batch.ids[moment.row]),
        first=int(ranked.batch.first[moment.row]),
        count=int(ranked.batch.mask[moment.row].sum()),
        calibrated=dict(zip(rerank.LEVELS, shares.tolist())) if known else {},
        copies=tuple(copies.get(video.id, ())),
        in_order=phrase_order(ranked.text.text, matches),
    )


def _matches(ranked: Ranked, moment: Moment, times: np.ndarray, seen: np.ndarray) -> tuple[Match, ...]:
    """Each phrase with the stretch of its best clip around its best frame, in the moment's window."""
    row, grids = moment.row, ranked.grids
    first, count = int(ranked.batch.first[row]), int(ranked.batch.mask[row].sum())
    spans = grouping.frame_spans(
        times[first : first + count], float(ranked.batch.start[row]), float(ranked.batch.end[row])
    )
    found = []
    for i, phrase in enumerate(ranked.labels[: grids.phrase_clip.shape[1]]):
        clip = int(grids.phrase_clip[row, i].argmax())
        runs = clip_runs(grids.assignment[row, :count, clip])
        best = max(runs, key=lambda run: float(grids.phrase_frame[row, i, run[0] : run[1] + 1].max()))
        found.append(
            Match(
                phrase,
                float(spans[best[0], 0]),
                float(spans[best[1], 1]),
                float(grids.phrase_clip[row, i, clip]),
                bool(seen[i]),
            )
        )
    return tuple(found)


def _doubt(hits: Sequence[Hit]) -> str:
    missing = [match.phrase for match in hits[0].matches if not match.found]
    about = (
        f'no evidence of "{missing[0][:60]}"'
        if missing
        else "the best moment fits hardly better than unrelated captions do"
    )
    return f"probably nothing here: {about}; try other words or a wider filter"


def _has_filters(query: Query) -> bool:
    return bool(query.folders or query.after or query.before or query.longer is not None or query.shorter is not None)
