"""One search from the parsed query to judged hits: the other files of this folder, in their order."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from explorer.records import (
    FOUND,
    LEVELS,
    ExplorerError,
    Hit,
    LevelScores,
    LevelWeights,
    Match,
    Query,
    SearchResult,
    TextFeatures,
    Verdict,
)
from explorer.search import calibrate, choices, retrieve, score
from explorer.search.calibrate import Appraisal, Calibration
from explorer.search.explain import clip_runs, phrase_order, row_labels
from explorer.search.moments import Moment, frame_spans, moments
from explorer.search.phrase_weights import weigh
from explorer.search.query import is_name_alone
from explorer.search.retrieve import Library, VideoRow
from explorer.search.score import Encoder, Scored

SHORTLIST = 100  # windows that the model itself scores; all top tens tried lie within (benchmarks/search_speed.py)


@dataclass(frozen=True)
class EncodedQuery:
    """A query through the tower: all that costs encoding.

    features is what the tower gave, with the phrase weights worked in; excluded the (D,) sentence vectors of what to
    leave out.
    """

    query: Query
    features: TextFeatures
    excluded: tuple[np.ndarray, ...] = ()
    is_picture: bool = False  # the features are a picture's: unrelated pictures say what is usual, not descriptions
    choices: tuple[EncodedQuery, ...] = ()  # each alternative of the query; searched in the place of the whole text


def encode_query(encoder: Encoder, query: Query, phrase_weights: Mapping[str, float] | None = None) -> EncodedQuery:
    """A parsed query through the tower, with a person's phrase weights.

    Args:
        encoder: the checkpoint with its tower.
        query: parsed.
        phrase_weights: phrase text -> weight; 0 is off, below 0 excludes; phrases not named keep the query's.

    Raises:
        ExplorerError: no phrase would be left on.
    """
    alternatives = _encode_choices(encoder, query, phrase_weights)
    with score.one_thread():
        features = encoder.text(query.text, query.phrases)
        excluded = tuple(text.sentence for text in encoder.texts(query.excluded)) if query.excluded else ()
        if not phrase_weights and all(phrase.weight == 1 for phrase in features.phrase_spans):
            return EncodedQuery(query, features, excluded, choices=alternatives)
        features, negated = weigh(features, phrase_weights or {}, encode=encoder.text)
        return EncodedQuery(query, features, excluded + negated, choices=alternatives)


def _encode_choices(
    encoder: Encoder, query: Query, phrase_weights: Mapping[str, float] | None
) -> tuple[EncodedQuery, ...]:
    """Each alternative with the filters and exclusions of the whole; one whose phrases are all off is no choice.

    Raises:
        ExplorerError: every alternative is off.
    """
    encoded, off = [], None
    for choice in query.alternatives:
        alone = replace(query, text=choice.text, phrases=choice.phrases, alternatives=())
        try:
            encoded.append(encode_query(encoder, alone, phrase_weights))
        except ExplorerError as error:
            off = error
    if off is not None and not encoded:
        raise off
    return tuple(encoded)


def encode_image(encoder: Encoder, pixels: np.ndarray) -> EncodedQuery:
    """A picture as a query: (H, W, 3) uint8 of the tower's size; its vector stands for the sentence, a word and a
    phrase."""
    return picture_query(encoder.encode_frames(pixels[None])[0].astype(np.float32), label="this picture")


def picture_query(vector: np.ndarray, *, label: str) -> EncodedQuery:
    """A unit vector (D,) as a query: of a picture, or of a window ("more like this")."""
    features = TextFeatures(label, vector, vector[None], (label,), np.zeros((0, len(vector)), np.float32))
    return EncodedQuery(Query(label), features, is_picture=True)


def rank(
    encoded: EncodedQuery,
    *,
    library: Library,
    encoder: Encoder,
    weights: LevelWeights,
    candidates: int = retrieve.CANDIDATES,
    shortlist: int = SHORTLIST,
) -> Scored | None:
    """Candidates of a query with their scores at all levels; None where the filters leave nothing.

    Args:
        encoded: the query through the tower.
        library: the index.
        encoder: the checkpoint that made it.
        weights: of the levels, by which candidates are chosen; `present` may order them by others.
        candidates: windows looked at coarsely.
        shortlist: windows scored.

    Raises:
        ExplorerError: the index was made by another checkpoint.
    """
    if library.encoder != encoder.name:
        raise ExplorerError(
            f"the index was made by {library.encoder}, the search runs {encoder.name}; "
            "index again (kept features make it quick) or switch the model back"
        )
    with score.one_thread():
        levels = encoder.text_levels([encoded.features])
        vectors, allowed = score.query_vectors(levels), library.allowed(encoded.query)
        ids = retrieve.candidates(library, vectors, allowed=allowed, weights=weights, k=candidates)
        batch = library.windows(ids)
        if not len(batch):
            return None
        return score.score(encoder, levels, score.shortlist(vectors, batch, weights=weights, count=shortlist))


def present(
    scored: Scored | None,
    encoded: EncodedQuery,
    *,
    library: Library,
    encoder: Encoder,
    weights: LevelWeights,
    calibration: Calibration | None = None,
    k: int = 20,
    per_file: int | None = 3,
) -> SearchResult:
    """Scored candidates as hits: moments, their strength, phrases found. Other weights need no other scores.

    Args:
        scored: of `rank`; None where nothing passed the filters. The choices of a query are ranked here, each by
            itself.
        encoded: the query.
        library: that of `rank`.
        encoder: that of `rank`.
        weights: of the levels, by which hits are ordered.
        calibration: what chance gives in this library; None calls every hit likely.
        k: hits wanted.
        per_file: hits of one file at most; None has no limit.
    """
    began, query = time.perf_counter(), encoded.query
    if scored is None:
        return SearchResult(query, (), (), _empty(query), checkpoint=encoder.name)
    if encoded.choices:
        results = [
            find(c, library=library, encoder=encoder, weights=weights, calibration=calibration, k=k, per_file=per_file)
            for c in encoded.choices
        ]
        hits, phrases = choices.best_of(results, k=k, per_file=per_file), choices.phrases_of(query, results)
        seconds = time.perf_counter() - began
        return SearchResult(query, phrases, hits, _verdict(query.text, hits), seconds, encoder.name)
    with score.one_thread():
        videos = library.videos(sorted(set(scored.batch.video_ids.tolist())))
        scored = scored.take(np.flatnonzero(np.isin(scored.batch.video_ids, list(videos))))  # some may just have gone
        scored = score.exclude(
            scored, encoded.excluded, weights=weights, reference=calibration.reference if calibration else None
        )
        found, copies = moments(
            scored.batch,
            scored.totals(weights),
            scored.curve,
            videos,
            k=k,
            per_file=per_file,
            times_of=library.frame_times,
            spread=library.spread,
            baseline=_baseline(scored, calibration),
        )
        best = scored.take(np.array([moment.row for moment in found], np.int64))
        form = "picture" if encoded.is_picture else calibrate.form_of(query.text)
        appraisal = calibrate.appraise(encoder, calibration, best, form=form)
    phrases = tuple(phrase for phrase in encoded.features.phrase_spans if phrase.weight > 0)
    labels, text = row_labels(encoder, encoded.features)[0], encoded.features.text
    hits = tuple(
        _hit(best, row, moment, videos[moment.video_id], library.frame_times(moment.video_id), appraisal, labels, text)
        for row, moment in enumerate(found)
    )
    hits = tuple(replace(hit, copies=tuple(copies.get(hit.video_id, ()))) for hit in hits)
    if is_name_alone(query):  # the file was asked for, whatever it shows
        hits = tuple(replace(hit, strength="likely") for hit in hits)
    return SearchResult(
        query,
        phrases,
        hits,
        FOUND if hits and is_name_alone(query) else _verdict(text, hits),
        time.perf_counter() - began,
        encoder.name,
        unrelated="pictures" if encoded.is_picture else "descriptions",
    )


def find(
    encoded: EncodedQuery,
    *,
    library: Library,
    encoder: Encoder,
    weights: LevelWeights,
    calibration: Calibration | None = None,
    k: int = 20,
    per_file: int | None = 3,
) -> SearchResult:
    """Search the library: rank, then present."""
    began = time.perf_counter()
    scored = rank(encoded, library=library, encoder=encoder, weights=weights)
    result = present(
        scored,
        encoded,
        library=library,
        encoder=encoder,
        weights=weights,
        calibration=calibration,
        k=k,
        per_file=per_file,
    )
    return replace(result, seconds=time.perf_counter() - began)


def more_like(
    window: int,
    *,
    library: Library,
    encoder: Encoder,
    weights: LevelWeights,
    calibration: Calibration | None = None,
    k: int = 20,
) -> SearchResult:
    """Moments that look like a window, without those of its own file."""
    batch = library.windows(np.array([window]))
    if not len(batch):
        raise ExplorerError("this moment is no longer in the library; search again")
    vector = score.array(encoder.levels(batch.features, batch.mask).video)[0]
    encoded = picture_query(vector, label="more like this")
    scored = rank(encoded, library=library, encoder=encoder, weights=weights)
    assert scored is not None  # the window itself is always found
    others = scored.take(np.flatnonzero(scored.batch.video_ids != batch.video_ids[0]))
    return present(others, encoded, library=library, encoder=encoder, weights=weights, calibration=calibration, k=k)


def _baseline(scored: Scored, calibration: Calibration | None) -> float:
    """The frame curve's value at an average frame of the library; the candidates' lower tenth without a calibration."""
    real = scored.curve[scored.batch.mask]
    if calibration is None:
        return float(np.quantile(real, 0.1)) if len(real) else 0.0
    return score.average_frame(scored.encoded, calibration.reference)


def _hit(
    scored: Scored,
    row: int,
    moment: Moment,
    video: VideoRow,
    times: np.ndarray,
    appraisal: Appraisal,
    labels: Sequence[str],
    text: str,
) -> Hit:
    matches = _matches(scored, row, times, labels, appraisal.phrases_found[:, row])
    shares = appraisal.shares[row]
    video_level, clip, frame = scored.scores[row].tolist()
    return Hit(
        video_id=video.id,
        public_id=video.public_id,
        path=video.path,
        start=moment.start,
        end=moment.end,
        still=moment.still,
        scores=LevelScores(video_level, clip, frame, moment.total),
        agreement=float(calibrate.agreement(shares)) if np.isfinite(shares).all() else 0.0,
        matches=matches,
        duration=video.duration,
        recorded=video.recorded,
        recorded_by=video.recorded_by,
        window=int(scored.batch.ids[row]),
        first=int(scored.batch.first[row]),
        count=int(scored.batch.mask[row].sum()),
        calibrated=dict(zip(LEVELS, shares.tolist())) if np.isfinite(shares).all() else {},
        in_order=phrase_order(text, matches),
        strength=appraisal.strengths[row],
        percentile=float(appraisal.percentiles[row]),
    )


def _matches(
    scored: Scored, row: int, times: np.ndarray, labels: Sequence[str], phrases_found: np.ndarray
) -> tuple[Match, ...]:
    """Each phrase with the stretch of its best clip around its best frame, in the moment's window."""
    grids, batch = scored.grids, scored.batch
    first, count = int(batch.first[row]), int(batch.mask[row].sum())
    spans = frame_spans(times[first : first + count], float(batch.start[row]), float(batch.end[row]))
    matches = []
    for i, phrase in enumerate(labels[: grids.phrase_clip.shape[1]]):
        clip = int(grids.phrase_clip[row, i].argmax())
        runs = clip_runs(grids.assignment[row, :count, clip])
        best = max(runs, key=lambda run: float(grids.phrase_frame[row, i, run[0] : run[1] + 1].max()))
        start, end, cosine = spans[best[0], 0], spans[best[1], 1], grids.phrase_clip[row, i, clip]
        matches.append(Match(phrase, float(start), float(end), float(cosine), bool(phrases_found[i])))
    return tuple(matches)


def _verdict(text: str, hits: Sequence[Hit]) -> Verdict:
    """What the strongest hit allows to say of the whole answer."""
    if not hits:
        return Verdict("nothing", "every candidate shows what the query leaves out; remove an exclusion")
    strengths = {hit.strength for hit in hits}
    shown = text if len(text) <= 60 else text[:59] + "…"
    if "strong" in strengths:
        return Verdict("found")
    if "likely" in strengths:
        return Verdict("unsure", f'Not sure: the nearest moments may show "{shown}", or only something like it')
    return Verdict("nothing", f'Nothing here looks like "{shown}"; the nearest are below')


def _empty(query: Query) -> Verdict:
    """Why there is no hit at all."""
    bounds = (query.longer, query.shorter)
    if query.files and not query.folders:
        named = " or ".join(f'"{name[:60]}"' for name in query.files)
        return Verdict("nothing", f"no indexed file that passes the filters is called {named}; look at its name")
    days = (query.after, query.before, query.on)
    if query.files or query.folders or any(days) or any(bound is not None for bound in bounds):
        return Verdict("nothing", "no indexed video passes the filters; widen them")
    return Verdict("nothing", "nothing is indexed yet; add a folder first")
