"""Why a moment was found, or was not: phrase against clip, word against frame, the file's curve, the level that
failed."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from explorer.records import LEVELS, Explanation, ExplorerError, LevelWeights, Match, TextFeatures, WhyNot
from explorer.search import rerank
from explorer.search.grouping import frame_spans
from explorer.search.rerank import Encoder, Ranked
from explorer.search.retrieve import Library, WindowBatch

IN_CLIP = 0.5  # of a frame's largest share in any clip, from which it belongs to a clip
WINDOWS_AT_MOST = 2000  # of one file on its curve: three hours; a longer file's curve is thinned
WORDS_A_PHRASE = 3  # listed of a learned phrase
THEN = re.compile(r"\b(?:and then|then|followed by|afterwards|after that|before|finally)\b", re.IGNORECASE)
AFTER = re.compile(r"\bafter\b(?! that)", re.IGNORECASE)


def reads(encoder: Encoder) -> tuple[str, str]:
    """What the middle and the fine level of a model compare, as a person calls it: the rows of an explanation."""
    return ("actions", "entities") if encoder.model.config.model == "hgr" else ("phrases", "words")


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


def _window_at(batch: WindowBatch, totals: np.ndarray, time: float) -> int:
    """The row of the best window that covers a time, or of the nearest one."""
    covers = (batch.start <= time) & (time <= batch.end)
    if covers.any():
        return int(np.flatnonzero(covers)[np.argmax(totals[covers])])
    return int(np.argmin(np.minimum(abs(batch.start - time), abs(batch.end - time))))


def _learned(encoded: object, text: TextFeatures) -> tuple[tuple[tuple[str, float], ...], ...]:
    """The words of most weight in each learned phrase; empty where phrases came from the parser."""
    assignment = getattr(encoded, "assignment", None)
    if assignment is None:
        return ()
    shares = rerank.array(assignment)[0]  # (W, P)
    real = rerank.array(encoded.phrase_mask)[0]  # type: ignore[attr-defined]
    top = np.argsort(-shares[: len(text.word_texts)], axis=0, kind="stable")[:WORDS_A_PHRASE]
    return tuple(tuple((text.word_texts[i], float(shares[i, p])) for i in top[:, p]) for p in np.flatnonzero(real))


def explain(
    text: TextFeatures, video_id: int, time: float, *, library: Library, encoder: Encoder, weights: LevelWeights
) -> Explanation:
    """The evidence of one window, and the totals of all windows of its file.

    Args:
        text: the encoded query; phrases of weight 0 are left out.
        video_id: the file.
        time: seconds; the best window that covers it is explained.
        library: the index.
        encoder: the checkpoint that made it.
        weights: of the levels, for the curve.
    """
    batch = _file_windows(library, video_id)
    ranked = rerank.score(encoder, text, batch, weights=weights)
    row = _window_at(batch, ranked.totals, time)
    first, count = int(batch.first[row]), int(batch.mask[row].sum())
    times = library.frame_times(video_id)[first : first + count]
    spans = frame_spans(times, float(batch.start[row]), float(batch.end[row]))
    clips = np.flatnonzero(ranked.grids.clip_mask[row])
    runs = [clip_runs(ranked.grids.assignment[row, :count, clip]) for clip in clips]
    learned = _learned(ranked.encoded, text)
    phrases, words = rerank.row_labels(encoder, text)
    whole = (text.text,)  # stands in where a text has no phrase or word of its own
    return Explanation(
        phrases=(tuple(", ".join(word for word, _ in parts) for parts in learned) or phrases or whole)[
            : _rows(ranked.grids.phrase_clip)
        ],
        words=(words or whole)[: _rows(ranked.grids.word_frame)],
        phrase_clip=ranked.grids.phrase_clip[row][:, clips],
        word_frame=ranked.grids.word_frame[row][:, :count],
        clip_spans=tuple(tuple((float(spans[a, 0]), float(spans[b, 1])) for a, b in run) for run in runs),
        frame_times=times,
        frame_indices=tuple(range(first, first + count)),
        assignment=ranked.grids.assignment[row][:count][:, clips],
        curve_times=(batch.start + batch.end) / 2,
        curve=ranked.totals,
        learned_phrases=learned,
        reads=reads(encoder),
    )


def _rows(table: np.ndarray) -> int:
    """Rows of a (V, rows, columns) grid: none for HGR's actions where the text has no verb."""
    return table.shape[1]


def why_not(ranked: Ranked, video_id: int, *, library: Library, encoder: Encoder) -> WhyNot:
    """Why an expected file is not the first hit of a search.

    Its best window is scored as the candidates were; the level that loses most against the first hit, weight counted,
    is what sank it, and with it the phrase whose best clip loses most.

    Args:
        ranked: the scored candidates of the search.
        video_id: the expected file.
        library: the index.
        encoder: the checkpoint that made it.
    """
    own = rerank.score(encoder, ranked.text, _file_windows(library, video_id), weights=ranked.weights)
    row, top = int(np.argmax(own.totals)), int(np.argmax(ranked.totals))
    best = {int(v): float(ranked.totals[ranked.batch.video_ids == v].max()) for v in np.unique(ranked.batch.video_ids)}
    penalised = [t for v, t in zip(ranked.batch.video_ids, ranked.penalty) if v == video_id]
    rank = 1 + sum(value > own.totals[row] + 1e-6 for video, value in best.items() if video != video_id)
    files = len(set(best) | {video_id})
    if penalised and min(penalised) > 0:
        return WhyNot(rank, files, "excluded", "", "it shows something that the query leaves out")
    if rank == 1:
        return WhyNot(1, files, "", "", "it is the first hit")
    loss = (ranked.scores[top] - own.scores[row]) * np.asarray(ranked.weights.normalised())
    level = LEVELS[int(loss.argmax())]
    phrase, here, there = _weakest_phrase(ranked, top, own, row)
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


def _weakest_phrase(ranked: Ranked, top: int, own: Ranked, row: int) -> tuple[str, float, float]:
    """The phrase whose best clip loses most against the first hit, with both cosines; nothing for a query by
    picture."""
    spans = ranked.labels
    there, here = ranked.grids.phrase_clip[top].max(1), own.grids.phrase_clip[row].max(1)
    if not len(there):
        return "", 0.0, 0.0
    worst = int(np.argmax(there - here))
    return (spans[worst], float(here[worst]), float(there[worst])) if worst < len(spans) else ("", 0.0, 0.0)
