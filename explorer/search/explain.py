"""Why a moment was found, or was not: phrase against clip, word against frame, the file's curve, the level that
failed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from explorer.records import LEVELS, Explanation, ExplorerError, LevelWeights, Match, TextFeatures, WhyNot
from explorer.search import score
from explorer.search.moments import frame_spans
from explorer.search.retrieve import Library, WindowBatch
from explorer.search.score import Encoder, Scored

IN_CLIP = 0.5  # of a frame's largest share in any clip, from which it belongs to a clip
FRAMES = 24  # of a moment that are explained; a longer one is sampled over its whole length
MARGIN = 1e-3  # seconds by which a card's rounded bounds may miss a frame
WINDOWS_AT_MOST = 2000  # of one file on its curve: three hours; a longer file's curve is thinned
WORDS_A_PHRASE = 3  # listed of a learned phrase
THEN = re.compile(r"\b(?:and then|then|followed by|afterwards|after that|before|finally)\b", re.IGNORECASE)
AFTER = re.compile(r"\bafter\b(?! that)", re.IGNORECASE)


def reads(encoder: Encoder) -> tuple[str, str]:
    """What the middle and the fine level of a model compare, as a person calls it: the rows of an explanation."""
    return ("actions", "entities") if encoder.model.config.model == "hgr" else ("phrases", "words")


def row_labels(encoder: Encoder, text: TextFeatures) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the rows of the phrase x clip and word x frame grids stand for: HCMI's phrases and words, HGR's actions
    and entities."""
    if encoder.model.config.model == "hgr":
        from explorer.language.phrases import graph

        nodes = graph(text.text).nodes
        return tuple(n.text for n in nodes if n.kind == "action"), tuple(n.text for n in nodes if n.kind == "entity")
    return tuple(p.text for p in text.phrase_spans if p.weight > 0), text.word_texts


def clip_runs(shares: np.ndarray) -> list[tuple[int, int]]:
    """Runs [first, last] of frames that belong to a clip, from its column (F,) of the assignment.

    >>> clip_runs(np.array([0.5, 0.5, 0.0, 0.5]))
    [(0, 1), (3, 3)]
    """
    inside = np.flatnonzero(shares >= IN_CLIP * max(float(shares.max(initial=0)), 1e-9))
    if not len(inside):
        return [(0, len(shares) - 1)]
    breaks = np.flatnonzero(np.diff(inside) > 1)
    firsts, lasts = np.concatenate([[0], breaks + 1]), np.concatenate([breaks, [len(inside) - 1]])
    return [(int(inside[a]), int(inside[b])) for a, b in zip(firsts, lasts)]


def phrase_order(text: str, matches: Sequence[Match]) -> bool | None:
    """Whether phrases were met in the order a text asks for by "then", "before" or "after"; None where it asks for
    none.

    The phrases in front of the word are compared with those behind it by the middles of their best clips.

    >>> dog, cat = Match("dog", 0, 1, .3, True), Match("cat", 4, 5, .3, True)
    >>> phrase_order("a dog then a cat", [dog, cat]), phrase_order("a dog after a cat", [dog, cat])
    (True, False)
    """
    word = THEN.search(text) or AFTER.search(text)
    if word is None:
        return None
    places = [(text.find(match.phrase), (match.start + match.end) / 2) for match in matches]
    before = [middle for place, middle in places if 0 <= place < word.start()]
    behind = [middle for place, middle in places if place >= word.end()]
    if not before or not behind:
        return None
    forward = np.mean(before) < np.mean(behind)
    return bool(forward if THEN.fullmatch(word[0]) else np.mean(behind) < np.mean(before))


def _file_windows(library: Library, video_id: int) -> WindowBatch:
    ids = library.windows_of(video_id)
    if not len(ids):
        raise ExplorerError("this video has no windows in the index; index its folder again")
    step = -(-len(ids) // WINDOWS_AT_MOST)
    return library.windows(ids[::step])


def _moment_frames(times: np.ndarray, start: float, end: float) -> np.ndarray:
    """Numbers (F,) of the frames to explain: those within [start, end], FRAMES of them spread over it where there are
    more, and the nearest one where there is none."""
    inside = np.flatnonzero((times >= start - MARGIN) & (times <= end + MARGIN))
    if not len(inside):
        return np.array([np.abs(times - (start + end) / 2).argmin()])
    return inside[np.unique(np.linspace(0, len(inside) - 1, min(FRAMES, len(inside))).round().astype(np.int64))]


def moment_batch(library: Library, video_id: int, start: float, end: float) -> tuple[WindowBatch, np.ndarray]:
    """A stretch of a file as one window of its own, and the numbers (F,) of its kept frames.

    Raises:
        ExplorerError: nothing of the file is indexed.
    """
    features = library.frame_features(video_id)
    if not len(features):
        raise ExplorerError("this video has no windows in the index; index its folder again")
    numbers = _moment_frames(features.times, start, end)
    vectors = features.vectors[numbers][None]
    one = np.array([0])
    return WindowBatch(
        ids=one,
        video_ids=np.array([video_id]),
        first=numbers[:1],
        start=np.array([start], np.float64),
        end=np.array([end], np.float64),
        features=vectors,
        mask=np.ones(vectors.shape[:2], bool),
    ), numbers


def _learned(encoded: object, text: TextFeatures) -> tuple[tuple[tuple[str, float], ...], ...]:
    """The words of most weight in each learned phrase; empty where phrases came from the parser."""
    assignment = getattr(encoded, "assignment", None)
    if assignment is None:
        return ()
    shares = score.array(assignment)[0]  # (W, P)
    real = score.array(encoded.phrase_mask)[0]  # type: ignore[attr-defined]
    top = np.argsort(-shares[: len(text.word_texts)], axis=0, kind="stable")[:WORDS_A_PHRASE]
    return tuple(tuple((text.word_texts[i], float(shares[i, p])) for i in top[:, p]) for p in np.flatnonzero(real))


def explain(
    text: TextFeatures,
    video_id: int,
    start: float,
    end: float,
    *,
    library: Library,
    encoder: Encoder,
    weights: LevelWeights,
    scale: Mapping[str, tuple[float, float]] | None = None,
) -> Explanation:
    """The evidence of one moment, exactly from its start to its end, and the totals of all windows of its file.

    Args:
        text: the encoded query; phrases of weight 0 are left out.
        video_id: the file.
        start: seconds, of the moment shown.
        end: seconds, where it ends.
        library: the index.
        encoder: the checkpoint that made it.
        weights: of the levels, for the curve.
        scale: what chance gives at each level (calibrate.Calibration.scale).
    """
    windows = _file_windows(library, video_id)
    batch, numbers = moment_batch(library, video_id, start, end)
    encoded = encoder.text_levels([text])
    scored, curve = score.score(encoder, encoded, batch), score.score(encoder, encoded, windows)
    grids, times = scored.grids, library.frame_times(video_id)[numbers]
    spans = frame_spans(times, start, end)
    clips = _in_time_order(grids.assignment[0], np.flatnonzero(grids.clip_mask[0]))
    runs = [clip_runs(grids.assignment[0, :, clip]) for clip in clips]
    learned = _learned(encoded, text)
    phrases, words = row_labels(encoder, text)
    whole = (text.text,)  # stands in where a text has no phrase or word of its own
    names = tuple(", ".join(word for word, _ in parts) for parts in learned) or phrases or whole
    return Explanation(
        phrases=names[: grids.phrase_clip.shape[1]],  # none for HGR's actions where the text has no verb
        words=(words or whole)[: grids.word_frame.shape[1]],
        phrase_clip=grids.phrase_clip[0][:, clips],
        word_frame=grids.word_frame[0],
        clip_spans=tuple(tuple((float(spans[a, 0]), float(spans[b, 1])) for a, b in run) for run in runs),
        frame_times=times,
        frame_indices=tuple(numbers.tolist()),
        assignment=grids.assignment[0][:, clips],
        curve_times=(windows.start + windows.end) / 2,
        curve=curve.totals(weights),
        learned_phrases=learned,
        reads=reads(encoder),
        start=start,
        end=end,
        scale=dict(scale or {}),
    )


def _in_time_order(assignment: np.ndarray, clips: np.ndarray) -> np.ndarray:
    """Clips by the middle of the frames that belong to them, weighed by their shares in assignment (F, C)."""
    shares = assignment[:, clips] / np.maximum(assignment[:, clips].sum(0), 1e-9)
    first = [clip_runs(assignment[:, clip])[0][0] for clip in clips]
    return clips[np.lexsort((np.arange(len(assignment)) @ shares, first))]


def why_not(
    scored: Scored, text: TextFeatures, video_id: int, *, library: Library, encoder: Encoder, weights: LevelWeights
) -> WhyNot:
    """Why an expected file is not the first hit of a search.

    Its best window is scored as the candidates were; the level that loses most against the first hit, weight counted,
    is what sank it, and with it the phrase whose best clip loses most.

    Args:
        scored: the candidates of the search, exclusions counted.
        text: the query's features.
        video_id: the expected file.
        library: the index.
        encoder: the checkpoint that made it.
        weights: of the levels.
    """
    own = score.score(encoder, scored.encoded, _file_windows(library, video_id))
    totals, own_totals = scored.totals(weights), own.totals(weights)
    row, top = int(np.argmax(own_totals)), int(np.argmax(totals))
    best = {int(v): float(totals[scored.batch.video_ids == v].max()) for v in np.unique(scored.batch.video_ids)}
    penalised = [t for v, t in zip(scored.batch.video_ids, scored.penalty) if v == video_id]
    rank = 1 + sum(bool(value > own_totals[row] + 1e-6) for video, value in best.items() if video != video_id)
    files = len(set(best) | {video_id})
    if penalised and min(penalised) > 0:
        return WhyNot(rank, files, "excluded", "", "it shows something that the query leaves out")
    if rank == 1:
        return WhyNot(1, files, "", "", "it is the first hit")
    loss = (scored.scores[top] - own.scores[row]) * np.asarray(weights.normalised())
    level = LEVELS[int(loss.argmax())]
    phrase, here, there = _weakest_phrase(scored, top, own, row, row_labels(encoder, text)[0])
    names = dict(zip(LEVELS, ("the sentence as a whole", *(f"its {rows}" for rows in reads(encoder)))))
    part = f'; "{phrase}" scores {here:.2f} here and {there:.2f} there' if phrase else ""
    more = "at least " if video_id not in best else ""
    return WhyNot(
        rank,
        files,
        level,
        phrase,
        f"rank {more}{rank} among {files} candidate files: {names[level]} lost most "
        f"against the first hit ({loss.max():.3f} of {max(float(loss.sum()), 0):.3f}){part}",
    )


def _weakest_phrase(scored: Scored, top: int, own: Scored, row: int, labels: Sequence[str]) -> tuple[str, float, float]:
    """The phrase whose best clip loses most against the first hit, with both cosines; nothing for a query by
    picture."""
    there, here = scored.grids.phrase_clip[top].max(1), own.grids.phrase_clip[row].max(1)
    if not len(there):
        return "", 0.0, 0.0
    worst = int(np.argmax(there - here))
    return (labels[worst], float(here[worst]), float(there[worst])) if worst < len(labels) else ("", 0.0, 0.0)
