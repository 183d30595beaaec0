"""The nouns that cross borders between layers: plain, frozen, numpy only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

LEVELS = ("video_sentence", "clip_phrase", "frame_word")  # coarse to fine


class ExplorerError(Exception):
    """A person's problem in one sentence: what happened, to which file or value, what to do next."""


# ---- media


@dataclass(frozen=True)
class VideoFile:
    """A video file as found on disk. `path` is absolute; odd bytes travel as surrogate escapes (os.fsdecode)."""

    path: str
    size: int  # bytes
    mtime_ns: int
    fingerprint: str = ""  # content key; empty until asked for


@dataclass(frozen=True)
class VideoInfo:
    """What a probe learned of a file, as a viewer sees it (rotation and pixel shape applied)."""

    duration: float  # seconds
    width: int
    height: int
    fps: float  # mean; 0.0 where unknown
    codec: str
    container: str
    rotation: int = 0  # degrees clockwise already applied to width and height
    audio_codec: str = ""
    pixel_format: str = ""
    created: float | None = None  # seconds since the epoch at which it was recorded, as the container says
    timecode: str = ""  # of the first frame, as the container says: HH:MM:SS:FF, a ; before FF where frames are dropped
    interlaced: bool = False  # pictures of two half pictures each, which a browser does not put right
    plain: bool = True  # a player that opens the file itself shows what was read: no other track, no restarting clock

    def __post_init__(self) -> None:
        if not (math.isfinite(self.duration) and self.duration >= 0):
            raise ValueError(f"duration must be finite and not negative, not {self.duration}")


@dataclass(frozen=True)
class Recorded:
    """When a file was recorded, in seconds since the epoch, and what says so: container, name or file (its time)."""

    time: float
    by: str


@dataclass(frozen=True)
class FrameSize:
    """The pixels a tower asks for. fit 'squash' ignores the shape; 'crop' scales the short side, then cuts the
    centre."""

    height: int
    width: int
    fit: str = "squash"


@dataclass(frozen=True)
class Frames:
    """A run of decoded frames of one file: times (N,) seconds ascending, pixels (M, H, W, 3) uint8 RGB, stills N JPEGs.

    fresh (N,) is True for the M frames that have pixels; another looks like the last fresh one before it, which may
    be in the run before. None: all are fresh.
    """

    times: np.ndarray
    pixels: np.ndarray
    stills: tuple[bytes, ...] = ()
    fresh: np.ndarray | None = None

    def __post_init__(self) -> None:
        looked = len(self.times) if self.fresh is None else int(self.fresh.sum())
        if looked != len(self.pixels) or (self.fresh is not None and len(self.fresh) != len(self.times)):
            raise ValueError(f"{len(self.times)} times, {looked} of them fresh, for {len(self.pixels)} frames")

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class Window:
    """A stretch of a file that the model sees as one video: frames [first, first + count) of the file's kept frames."""

    ordinal: int
    start: float  # seconds
    end: float
    first: int
    count: int


# ---- features and embeddings


@dataclass(frozen=True)
class FrameFeatures:
    """A frozen tower's outputs for one file: times (N,) seconds, vectors (N, D) float16, unit length."""

    times: np.ndarray
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class Phrase:
    """A phrase of a query: its text, characters [start, end) of the query, its weight (0 is off)."""

    text: str
    start: int
    end: int
    weight: float = 1.0


@dataclass(frozen=True)
class TextFeatures:
    """A tower's outputs for one text, before the hierarchy. All vectors float32, unit length.

    words (W, D) and phrases (P, D) are texts of their own where text_levels is 'prompted', means of the text's token
    outputs where it is 'contextual'; where it is 'learned' words are token outputs and phrases is (0, D): the model
    makes them.
    """

    text: str
    sentence: np.ndarray  # (D,)
    words: np.ndarray  # (W, D)
    word_texts: tuple[str, ...]
    phrases: np.ndarray  # (P, D)
    phrase_spans: tuple[Phrase, ...] = ()


@dataclass(frozen=True)
class LevelWeights:
    """How much each level counts in the total; scaled to sum 1 where used."""

    video: float = 1.0
    clip: float = 1.0
    frame: float = 1.0

    def __post_init__(self) -> None:
        values = (self.video, self.clip, self.frame)
        if not all(math.isfinite(v) and v >= 0 for v in values) or sum(values) <= 0:
            raise ValueError(f"level weights must be finite, not negative and not all 0, not {values}")

    def normalised(self) -> tuple[float, float, float]:
        """(video, clip, frame) scaled to sum 1, in the order of LEVELS."""
        total = self.video + self.clip + self.frame
        return self.video / total, self.clip / total, self.frame / total


@dataclass(frozen=True)
class LevelScores:
    """Similarity of one text and one window at each level, in [-1, 1], and their weighted mean."""

    video_sentence: float
    clip_phrase: float
    frame_word: float
    total: float


# ---- search


@dataclass(frozen=True)
class Query:
    """A parsed search: the words to encode and the filters beside them. after, before and on name periods as written:
    2023, 2023-05, "last summer"."""

    text: str  # what is encoded, filters taken out
    phrases: tuple[Phrase, ...] = ()  # phrases the person quoted and weighed; empty: found by the parser
    excluded: tuple[str, ...] = ()  # -"phrase"
    folders: tuple[str, ...] = ()  # in:
    after: str | None = None
    before: str | None = None
    longer: float | None = None  # seconds
    shorter: float | None = None
    on: str | None = None
    files: tuple[str, ...] = ()  # file:
    alternatives: tuple[Query, ...] = ()  # text and phrases of each choice ("dog or cat"), searched in the text's place
    notes: tuple[str, ...] = field(default=(), compare=False)  # sentences on how the words were read


@dataclass(frozen=True)
class Match:
    """One phrase of the query in one hit: the span of its best clip, its similarity, and whether that stands out."""

    phrase: str
    start: float
    end: float
    score: float
    found: bool


Strength = Literal["strong", "likely", "weak"]


@dataclass(frozen=True)
class Hit:
    """A ranked moment.

    `strength` is the one word to show of it, from `percentile`: "strong" and "likely" moments stand out from what
    chance gives in this library, "weak" ones do not. `percentile` in [0, 1] is the share of unrelated descriptions of
    the same form (a noun, a phrase, a sentence; pictures for a picture) whose best moment of this library fits them
    less than this moment fits the query. `agreement` in [0, 1] is how unusual the moment is among what unrelated
    descriptions reach in the same moment, over the levels; `calibrated` gives that level by level.
    """

    video_id: int
    public_id: str  # opaque, for /media and /still
    path: str
    start: float
    end: float
    still: int  # index of the kept frame to show
    scores: LevelScores
    agreement: float
    matches: tuple[Match, ...] = ()
    duration: float = 0.0
    window: int = 0  # window id in the store
    calibrated: dict[str, float] = field(default_factory=dict)  # level -> percentile among unrelated captions
    copies: tuple[str, ...] = ()  # paths of near-identical files, shown once
    in_order: bool | None = None  # phrases met in the order the query asks; None: it asks for none
    first: int = 0  # first kept frame of the window, for the hover preview
    count: int = 0  # kept frames of the window; 0 where unknown
    judged: bool | None = None  # the person called it right or wrong for these words; None: not judged
    judged_by: str = ""  # what they judged: video, clip or frame
    recorded: float | None = None  # seconds since the epoch, UTC; None where unknown
    recorded_by: str = ""  # where that comes from: container, name or file (its time)
    strength: Strength = "likely"
    percentile: float = 0.0

    @property
    def weak(self) -> bool:
        """Whether chance alone would give a moment like this: the page folds it."""
        return self.strength == "weak"


@dataclass(frozen=True)
class Verdict:
    """What is known of a whole answer, from the strength of its best moment.

    "found": a moment is strong; "unsure": the best is likely, and may be what was asked; "nothing": all are weak, or
    there is none. `sentence` says so to a person ("Nothing here looks like ..."); empty for "found".
    """

    state: Literal["found", "unsure", "nothing"]
    sentence: str = ""


FOUND = Verdict("found")


@dataclass(frozen=True)
class SearchResult:
    """Everything the page needs of one search: hits grouped by file are hits with one video_id."""

    query: Query
    phrases: tuple[Phrase, ...]
    hits: tuple[Hit, ...]
    verdict: Verdict = FOUND
    seconds: float = 0.0
    checkpoint: str = ""
    reads: tuple[str, str] = (
        "phrases",
        "words",
    )  # what the middle and the fine level compare; HGR's: actions, entities
    unrelated: str = "descriptions"  # or "pictures": what the hits' percentiles are shares of

    @property
    def confident(self) -> bool:
        """False: nothing here looks like what was asked, or nothing is here."""
        return self.verdict.state != "nothing"

    @property
    def reason(self) -> str:
        """Why the answer is doubtful or empty, in one sentence; empty where it is neither."""
        return self.verdict.sentence


@dataclass(frozen=True)
class Explanation:
    """Why a moment met a query: the moment exactly, from start to end.

    phrase_clip (P, C) and word_frame (W, F) are cosines; clips stand in the order of time, and clip_spans lists for
    each every [start, end] it covers; assignment (F, C) is the share of each frame in each clip; curve is (times,
    totals) over the file's windows. scale gives for each level two cosines, the same for every query and moment of a
    library: what an unrelated pair has on average (chance: white on a heatmap), and what one in a thousand reaches.
    """

    phrases: tuple[str, ...]
    words: tuple[str, ...]
    phrase_clip: np.ndarray
    word_frame: np.ndarray
    clip_spans: tuple[tuple[tuple[float, float], ...], ...]
    frame_times: np.ndarray
    frame_indices: tuple[int, ...]  # kept-frame numbers, for stills
    assignment: np.ndarray
    curve_times: np.ndarray
    curve: np.ndarray
    learned_phrases: tuple[tuple[tuple[str, float], ...], ...] = ()  # each learned phrase as (word, weight)
    reads: tuple[str, str] = ("phrases", "words")  # what its rows are; HGR's: actions, entities
    start: float = 0.0  # seconds
    end: float = 0.0
    scale: dict[str, tuple[float, float]] = field(default_factory=dict)  # level -> chance, one in a thousand


@dataclass(frozen=True)
class WhyNot:
    """Where an expected file came and what held it back; rank and of count files, rank 1 being the best, 0 none."""

    rank: int
    of: int
    level: str
    phrase: str
    sentence: str


@dataclass(frozen=True)
class DrawnNode:
    """A node of a query's role graph: characters [start, end) of the query, and where asked the frame nearest to it."""

    id: int
    label: str
    kind: str  # event | action | entity
    role: str
    start: int
    end: int
    score: float | None = None  # cosine
    frame: int | None = None  # number of the kept frame
    time: float | None = None  # seconds


@dataclass(frozen=True)
class DrawnEdge:
    """An edge of a role graph, from one node's id to another's."""

    source: int
    target: int
    role: str


@dataclass(frozen=True)
class DrawnGraph:
    """The role graph of a query, for drawing."""

    nodes: tuple[DrawnNode, ...]
    edges: tuple[DrawnEdge, ...]


# ---- long work


@dataclass(frozen=True)
class Failure:
    """A file that could not be indexed, with the sentence a person is shown."""

    path: str
    reason: str


@dataclass(frozen=True)
class Note:
    """A file or folder that was read otherwise than one would expect, with the sentence a person is shown."""

    path: str
    note: str


@dataclass(frozen=True)
class Cue:
    """Words said in a film as its subtitles write them down, [start, end) seconds; source names the file or track."""

    start: float
    end: float
    text: str
    source: str


@dataclass(frozen=True)
class FoundCue:
    """A cue that holds the words asked for; rank is FTS5's bm25, lower is better."""

    video_id: int
    public_id: str
    path: str
    cue: Cue
    rank: float


@dataclass(frozen=True)
class Progress:
    """One step of long work, as shown, printed or stored."""

    stage: str  # scan | decode | encode | subtitles | train | proxy | sample | done
    done: float = 0.0
    total: float = 0.0  # 0 where unknown
    current: str = ""  # file or step in hand
    rate: float = 0.0  # units of done a second
    eta: float | None = None  # seconds left
    failures: tuple[Failure, ...] = ()  # new since the last record
    summary: Mapping[str, object] = field(default_factory=dict)  # JSON values, on the last record


@dataclass(frozen=True)
class Job:
    """Long work as kept in the table of jobs, so that it outlives a page."""

    id: int
    kind: str  # index | train | proxy | samples | download
    state: str  # queued | running | paused | cancelled | failed | done | interrupted
    arguments: Mapping[str, object]  # the fields of the request it answers, as JSON values
    progress: Progress
    created: float  # seconds since the epoch
    finished: float | None = None
    error: str = ""


# ---- training


@dataclass(frozen=True)
class CaptionPair:
    """A caption of a video, or of a span of it."""

    file: str
    caption: str
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class TrainStep:
    """One optimiser step: named losses, learning rate, time left."""

    epoch: int
    step: int
    steps: int
    losses: dict[str, float]
    lr: float
    eta: float
    metrics: dict[str, Any] = field(default_factory=dict)  # after a validation


@dataclass(frozen=True)
class RetrievalMetrics:
    """Recalls in percent, ranks from 1."""

    r1: float
    r5: float
    r10: float
    median_rank: float
    mean_rank: float

    def as_json(self) -> dict[str, float]:
        return {
            "R@1": self.r1,
            "R@5": self.r5,
            "R@10": self.r10,
            "median_rank": self.median_rank,
            "mean_rank": self.mean_rank,
        }
