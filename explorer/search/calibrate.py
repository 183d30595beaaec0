"""What a score means: a bank of unrelated captions gives each window and level a null distribution to stand out
from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import erf, log, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from explorer.records import ExplorerError, TextFeatures
from explorer.search.rerank import Encoder, array, compare, presence
from explorer.search.retrieve import Library

BANK_FILE = "caption_bank.txt"
SAMPLE = 256  # windows of the library that stand for all: the null's quantiles move by under 0.03
QB_BETA = 20.0  # inverse temperature of QB-Norm (arXiv 2112.12777)
# Standing from which a phrase counts as found. Read in its sentence, a phrase shares the sentence's standing, so the
# line is higher: it
# leaves out 15 % of what Flickr8k's validation photos show (benchmarks/absence.py). As texts of their own, 65 % of a
# clip's own phrases stand above 1 and 17 % of other clips' (46 clips, an earlier tower).
FOUND_Z = {"prompted": 1.0, "contextual": 2.3, "learned": 2.3}
EVIDENCE = 0.8  # spreads above chance; doubts 5 % of present queries on Flickr8k validation (benchmarks/absence.py)
SLOPE = 1.0  # of confidence over evidence, in spreads
MOST_WINDOWS = 1 << 31  # more than any library holds: asks the sample for all
CONFIDENT = 0.5  # confidence from which a result is shown without a warning
FEW_WINDOWS = 32  # below about this many, the library itself is too small to say what is usual


@dataclass(frozen=True)
class Calibration:
    """The null of one encoder over one state of the library.

    texts is the model's TextLevels of the B captions; phrases (N, D) are their phrases' vectors; reference is the
    model's VideoLevels of S sampled windows; null (B, S, 3) are the level scores of captions and sampled windows.
    """

    encoder: str
    generation: int
    texts: Any
    phrases: np.ndarray
    reference: Any
    null: np.ndarray
    windows: int = 0  # of the whole library

    @cached_property
    def chance(self) -> tuple[float, float]:
        """Evidence that an unrelated text finds in the whole library by chance alone: its middle and its spread.

        The bank's best evidence over the sample tells both (median, and median distance x 1.4826: captions that the
        library happens to show do not move them). Beyond the sample the best of N grows like sqrt(2 ln N), as a
        normal's.
        """
        table = evidence(standing(self.null, self.null))  # (B, S)
        best, sampled = table.max(1), table.shape[1]
        middle = float(np.median(best))
        spread = 1.4826 * float(np.median(np.abs(best - middle)))
        growth = sqrt(2 * log(max(self.windows, sampled, 2))) - sqrt(2 * log(max(sampled, 2)))
        return middle + growth * float(table.std()), max(spread, 1e-6)


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


def calibrate(
    encoder: Encoder, bank: Sequence[TextFeatures], library: Library, *, generation: int, sample: int = SAMPLE
) -> Calibration | None:
    """Score the bank against a sample of the library; None where the library is empty.

    Args:
        encoder: the checkpoint that made the index.
        bank: features of the captions, `encoder.texts(read_bank(path))`: they do not change with the library.
        library: where to sample.
        generation: of the library, so that a later one is noticed.
        sample: windows at most.
    """
    ids = library.sample(sample)
    if not len(ids):
        return None
    batch = library.windows(ids)
    texts, reference = encoder.text_levels(bank), encoder.levels(batch.features, batch.mask)
    phrases = array(texts.phrases)[array(texts.phrase_mask)]
    return Calibration(
        encoder=encoder.name,
        generation=generation,
        texts=texts,
        phrases=phrases,
        reference=reference,
        null=compare(encoder, texts, reference),
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


def among_captions(encoder: Encoder, calibration: Calibration, levels: Any, scores: np.ndarray) -> np.ndarray:
    """Level scores (k, 3) of k windows as their standing (k, 3) among what these windows give the bank's captions."""
    return standing(scores, compare(encoder, calibration.texts, levels))


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


def found_line(encoder: Encoder) -> float:
    """The standing from which a phrase counts as found, by how this checkpoint reads phrases."""
    return FOUND_Z[encoder.model.config.text_levels]


def evidence(z: np.ndarray) -> np.ndarray:
    """Level standings (..., 3) -> (...): that of the whole video, which told present from absent best (AUC on 46 real
    clips 0.68, against 0.66 of the three levels' mean and 0.65 of their least)."""
    return z[..., 0]


def confidence(calibration: Calibration, z: np.ndarray) -> float:
    """How sure one can be that the library shows what was asked, in [0, 1]; below CONFIDENT the page warns.

    e = the hits' best evidence; confidence = normal(SLOPE ((e - middle) / spread - EVIDENCE)), middle and spread
    being those
    of unrelated captions in this library (Calibration.chance): the best of many windows is high by chance, and more
    so in a bigger library, which a fixed line would take for a find.

    Args:
        z: (k, 3) standing of the k hits (`among_captions`).
    """
    middle, spread = calibration.chance
    return float(normal(np.array(SLOPE * ((float(evidence(z).max()) - middle) / spread - EVIDENCE))))


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
