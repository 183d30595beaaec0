"""What a score means: unrelated descriptions say what chance gives in a library, and each word about a hit is drawn
from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import erf, log, sqrt
from pathlib import Path
from typing import Any, Literal

import numpy as np

from explorer.records import LEVELS, ExplorerError, Strength, TextFeatures
from explorer.search.retrieve import Library
from explorer.search.score import Encoder, Scored, array, compare, presence, take, total

Form = Literal["word", "phrase", "sentence", "picture"]

BANK_FILE = "caption_bank.txt"
SAMPLE = 256  # windows of the library that stand for all: the null's quantiles move by under 0.03
QB_BETA = 20.0  # inverse temperature of QB-Norm (arXiv 2112.12777)
ARTICLES = frozenset({"a", "an", "the"})
PHRASE_WORDS = 3  # a text of more words, articles aside, is a sentence
# Spreads above chance from which a moment is likely and strong, by the form of what was asked. Libraries of photos
# apart from every test set tell them (`python -m benchmarks.doubt`): likely leaves out 8 % of the words and phrases and
# 5 % of the sentences that a library shows, strong is reached by 10 % of what it does not show. The starter has learned
# the labels and the kind of captions asked for there; a person's words it has not. For words a starter that had seen
# none of the labels puts the line 1.1 spreads lower (0.29 to -0.8): half of that is taken off for every form. Phrases
# share the line of words: those asked for there are few, and all of them were learned.
LINES: dict[Form, tuple[float, float]] = {
    "word": (-0.25, 1.8),
    "phrase": (-0.25, 1.8),
    "sentence": (0.25, 2.5),
    "picture": (0.0, 1.5),
}
LOW, MIDDLE = 0.25, 0.5  # quantiles of the bank's bests that tell chance: the upper half may be things that are there
QUARTILE = 0.6745  # standard deviations between these two of a normal distribution
# Standing from which a phrase counts as found. Read in its sentence, a phrase shares the sentence's standing, so the
# line is higher: it leaves out 15 % of what Flickr8k's validation photos show (benchmarks/absence.py).
FOUND_Z = {"prompted": 1.0, "contextual": 2.3, "learned": 2.3}
UNUSUAL = 0.999  # quantile of unrelated cosines that ends the scale of a heatmap
MOST_CELLS = 512  # frames of the sample that tell it
MOST_WINDOWS = 1 << 31  # more than any library holds: asks the sample for all
FEW_WINDOWS = 32  # below about this many, the library itself is too small to say what is usual


@dataclass(frozen=True)
class Chance:
    """The best fit that something unrelated finds in a whole library: a normal distribution."""

    middle: float
    spread: float

    def above(self, totals: np.ndarray) -> np.ndarray:
        """How far totals lie above chance, in spreads."""
        return (totals - self.middle) / self.spread


@dataclass(frozen=True)
class Calibration:
    """The null of one encoder over one state of the library.

    names gives for each form of text the bank's B descriptions of that form, texts the model's TextLevels of them, null
    their level scores (B, S, 3) with S sampled windows; phrases (N, D) are the vectors of all their phrases; reference
    is the model's VideoLevels of the sampled windows and files (S,) the file of each.
    """

    encoder: str
    generation: int
    names: dict[Form, tuple[str, ...]]
    texts: dict[Form, Any]
    null: dict[Form, np.ndarray]
    phrases: np.ndarray
    reference: Any
    files: np.ndarray
    weights: Any  # LevelWeights of the checkpoint: a slider orders hits, and changes nothing of what chance gives
    windows: int = 0  # of the whole library

    @cached_property
    def chances(self) -> dict[Form, Chance]:
        """Chance for each form of text."""
        return {form: self._chance(total(null, self.weights)) for form, null in self.null.items()}

    @cached_property
    def picture_chance(self) -> Chance | None:
        """Chance for a picture: what other files' windows resemble it; None in a library of one file."""
        video = array(self.reference.video)
        cosines = np.where(self.files[:, None] == self.files[None], np.nan, video @ video.T)
        return self._chance(cosines[np.isfinite(cosines).any(1)]) if np.isfinite(cosines).any() else None

    @cached_property
    def scale(self) -> dict[str, tuple[float, float]]:
        """For each level the cosine of an unrelated pair: on average, and what one in a thousand reaches."""
        clips = array(self.reference.clips)[array(self.reference.clip_mask)]
        frames = array(self.reference.frames)[array(self.reference.frame_mask)]
        frames = frames[np.unique(np.linspace(0, len(frames) - 1, MOST_CELLS).astype(np.int64))]
        words = np.concatenate([array(texts.words)[array(texts.word_mask)] for texts in self.texts.values()])
        pairs = (
            np.concatenate([null[..., 0] for null in self.null.values()]),
            self.phrases @ clips.T,
            words @ frames.T,
        )
        return {
            level: (float(cosines.mean()), float(np.quantile(cosines, UNUSUAL)))
            for level, cosines in zip(LEVELS, pairs)
        }

    def _chance(self, totals: np.ndarray) -> Chance:
        """Chance from totals (B, S) of unrelated queries and sampled windows; NaN where a pair does not count.

        Their best windows tell it, by two quantiles of the lower half. Beyond the sample the best of N grows like
        sqrt(2 ln N), as a normal's.
        """
        best, sampled = np.nanmax(totals, axis=1), totals.shape[1]
        low, middle = np.quantile(best, [LOW, MIDDLE])
        growth = sqrt(2 * log(max(self.windows, sampled, 2))) - sqrt(2 * log(max(sampled, 2)))
        return Chance(
            float(middle + growth * np.nanstd(totals, axis=1).mean()), max(float(middle - low) / QUARTILE, 1e-6)
        )


@dataclass(frozen=True)
class Appraisal:
    """What chance says of k moments.

    percentiles (k,) are shares of unrelated queries that find nothing in the library that fits them as well; strengths
    the word for each; shares (k, 3) the percentile of each level among what the bank reaches in the same moment, NaN
    without a calibration; phrases_found (P, k) whether the moment shows each phrase.
    """

    percentiles: np.ndarray
    strengths: tuple[Strength, ...]
    shares: np.ndarray
    phrases_found: np.ndarray


def read_bank(path: Path) -> tuple[str, ...]:
    """The captions of a bank, one a line.

    Raises:
        ExplorerError: the file is missing or holds none.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ExplorerError(f"cannot read the caption bank {path}: {error}; install the app again") from error
    captions = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not captions:
        raise ExplorerError(f"the caption bank {path} is empty; install the app again")
    return captions


def form_of(text: str) -> Form:
    """Whether a text is a word, a phrase or a sentence: each fits the best of a library in its own way.

    >>> form_of("the dog"), form_of("reading a book"), form_of("a dog runs on the beach")
    ('word', 'phrase', 'sentence')
    """
    count = sum(word.casefold() not in ARTICLES for word in text.split())
    return "word" if count <= 1 else "phrase" if count <= PHRASE_WORDS else "sentence"


def calibrate(
    encoder: Encoder, bank: Sequence[TextFeatures], library: Library, *, generation: int, sample: int = SAMPLE
) -> Calibration | None:
    """Score the bank against a sample of the library; None where the library is empty.

    Args:
        encoder: the checkpoint that made the index.
        bank: features of the descriptions, `encoder.texts(read_bank(path))`: they do not change with the library.
        library: where to sample.
        generation: of the library, so that a later one is noticed.
        sample: windows at most.
    """
    ids = library.sample(sample)
    if not len(ids):
        return None
    batch = library.windows(ids)
    texts, reference = encoder.text_levels(bank), encoder.levels(batch.features, batch.mask)
    scores, forms = compare(encoder, texts, reference), np.array([form_of(text.text) for text in bank])
    rows: dict[Form, np.ndarray] = {form: np.flatnonzero(forms == form) for form in sorted(set(forms.tolist()))}
    return Calibration(
        encoder=encoder.name,
        generation=generation,
        names={form: tuple(bank[row].text for row in own) for form, own in rows.items()},
        texts={form: take(texts, own) for form, own in rows.items()},
        null={form: scores[own] for form, own in rows.items()},
        phrases=array(texts.phrases)[array(texts.phrase_mask)],
        reference=reference,
        files=batch.video_ids,
        weights=encoder.model.config.level_weights,
        windows=len(library.sample(MOST_WINDOWS)),
    )


def standing(scores: np.ndarray, null: np.ndarray) -> np.ndarray:
    """How far scores lie above their null: (..., k, 3) and (B, k, 3) -> (..., k, 3) in standard deviations of the null.

    >>> standing(np.array([3.0]), np.array([[0.0], [2.0]])).tolist()
    [2.0]
    """
    return (scores - null.mean(0)) / np.maximum(null.std(0), 1e-6)


def normal(z: np.ndarray) -> np.ndarray:
    """The share of a normal distribution below z."""
    return np.vectorize(lambda value: 0.5 * (1 + erf(value / sqrt(2))), otypes=[float])(z)


def agreement(percentiles: np.ndarray) -> np.ndarray:
    """How much the levels agree that a hit is unusual: the geometric mean of their percentiles.

    With u_l the share of unrelated captions that level l expects to score lower in the same window,
    agreement = (u_video * u_clip * u_frame)^(1/3): near 1 only where every level finds the hit unusual; one level that
    sees nothing (u = 0.1) brings two sure ones down to 0.46; an unrelated text has 0.45 on average.

    Args:
        percentiles: (..., 3) in [0, 1].

    >>> agreement(np.array([[1.0, 1.0, 0.125]])).round(6).tolist()
    [0.5]
    """
    return np.cbrt(np.prod(np.clip(percentiles, 0, 1), axis=-1))


def phrase_standing(calibration: Calibration, phrases: np.ndarray, levels: Any) -> np.ndarray:
    """How much each phrase (P, D) stands out in each of k windows: (P, k), in standard deviations.

    The mean of two: against what the library's windows give this phrase, and against what this window gives the
    phrases of the bank. The first leaves out phrases that fit everywhere, the second windows that fit everything. In a
    library of few windows the first counts less: its share is S / (S + FEW_WINDOWS) of one half.
    """
    here = presence(phrases, levels)  # (P, k)
    usual = presence(phrases, calibration.reference)  # (P, S)
    others = presence(calibration.phrases, levels)  # (N, k)
    among_windows = (here - usual.mean(1, keepdims=True)) / np.maximum(usual.std(1, keepdims=True), 1e-6)
    among_phrases = (here - others.mean(0)) / np.maximum(others.std(0), 1e-6)
    share = 0.5 * usual.shape[1] / (usual.shape[1] + FEW_WINDOWS)
    return share * among_windows + (1 - share) * among_phrases


def appraise(encoder: Encoder, calibration: Calibration | None, scored: Scored, *, form: Form) -> Appraisal:
    """What chance says of moments: their strength, and from it which phrases they show.

    A moment's total under the checkpoint's own weights is held against the best that unrelated descriptions of the same
    form find in the library. A weak moment shows no phrase, and a strong one shows at least its clearest.

    Args:
        encoder: the checkpoint.
        calibration: None calls every moment likely and every phrase found: nothing is known against them.
        scored: the k moments' windows with their scores.
        form: of the query.
    """
    phrases = array(scored.encoded.phrases)[0][array(scored.encoded.phrase_mask)[0]]
    count, unknown = len(scored.batch), np.full((len(scored.batch), 3), np.nan)
    chance = None if calibration is None else chance_of(calibration, form)
    if calibration is None or chance is None:
        likely: list[Strength] = ["likely"] * count
        return Appraisal(np.full(count, 0.5), tuple(likely), unknown, np.ones((len(phrases), count), bool))
    above = chance.above(fit(calibration, scored, form=form))
    strengths = tuple(strength(value, form) for value in above.tolist())
    if form == "picture":
        return Appraisal(normal(above), strengths, unknown, np.ones((len(phrases), count), bool))
    near = nearest_form(calibration, form)
    z = standing(scored.scores, compare(encoder, calibration.texts[near], scored.levels))
    seen = phrase_standing(calibration, phrases, scored.levels)
    return Appraisal(
        normal(above), strengths, normal(z), _agreed(seen, FOUND_Z[encoder.model.config.text_levels], strengths)
    )


def nearest_form(calibration: Calibration, form: Form) -> Form:
    """The form itself where the bank has it, else the next longer or shorter one."""
    order: list[Form] = ["sentence", "phrase", "word"]
    return form if form in calibration.texts else next(known for known in order if known in calibration.texts)


def chance_of(calibration: Calibration, form: Form) -> Chance | None:
    """Chance for a form of query; None for a picture in a library of one file."""
    return calibration.picture_chance if form == "picture" else calibration.chances[nearest_form(calibration, form)]


def fit(calibration: Calibration, scored: Scored, *, form: Form) -> np.ndarray:
    """The (K,) numbers that are held against chance: totals by the checkpoint's weights; a picture's cosine with the
    whole moment."""
    return scored.scores[:, 0] if form == "picture" else total(scored.scores, calibration.weights)


def strength(above: float, form: Form) -> Strength:
    """The word for a moment that lies so many spreads above chance."""
    likely, strong = LINES[form]
    return "strong" if above >= strong else "likely" if above >= likely else "weak"


def _agreed(seen: np.ndarray, line: float, strengths: Sequence[Strength]) -> np.ndarray:
    """(P, k) whether each phrase is found, from standings (P, k), in agreement with the moments' strengths.

    A weak moment shows no phrase; one that is called strong or likely shows at least the phrase that stands highest,
    for a card cannot say "likely" over a row of crosses.
    """
    found = seen >= line
    for row, word in enumerate(strengths):
        if word == "weak":
            found[:, row] = False
        elif len(seen):
            found[int(seen[:, row].argmax()), row] = True
    return found


def qb_norm(scores: np.ndarray, bank: np.ndarray, *, beta: float = QB_BETA) -> np.ndarray:
    """Dynamic inverted softmax (QB-Norm, Bogolin et al., CVPR 2022): hubs among videos lose their lead.

    A video is a hub when it is the best of some bank caption. A query whose best video is a hub has its row replaced by
    exp(beta s_qv) / sum_b exp(beta s_bv), a row of another scale but of a better order; other rows stay as they are.

    Args:
        scores: (Q, V) similarities of queries and videos.
        bank: (B, V) similarities of bank captions and the same videos.
        beta: inverse temperature.

    Returns:
        (Q, V), for ranking within a row.
    """
    hubs = np.zeros(scores.shape[1], bool)
    hubs[bank.argmax(1)] = True
    top = bank.max(0)  # the sum's largest term, for safety
    spread = beta * top + np.log(np.exp(beta * (bank - top)).sum(0))
    normalised = np.exp(beta * scores - spread)
    return np.where(hubs[scores.argmax(1)][:, None], normalised, scores)
