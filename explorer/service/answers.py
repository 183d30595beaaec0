"""What the service answers: frozen records that the page, the web side and the command line read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from explorer.records import LevelWeights

MODEL_STATES = ("loading", "ready", "failed")
PLAYABLE_STATES = ("ready", "making", "failed")


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class Status:
    """What the head of the page says: the model's state, the library in numbers, news for the person."""

    model: str = "loading"  # one of MODEL_STATES
    message: str = ""  # why the model failed
    device: str = ""  # what runs the model, once it is loaded
    checkpoint: str = ""
    videos: int = 0  # files that can be searched
    windows: int = 0
    folders: int = 0
    seconds: float = 0.0  # length of all searchable videos
    failed: int = 0
    missing: int = 0
    offline: int = 0
    new: int = 0
    damaged: int = 0
    notices: tuple[str, ...] = ()  # a sentence each

    def __post_init__(self) -> None:
        _check(self.model in MODEL_STATES, f"model must be one of {MODEL_STATES}, not {self.model!r}")


@dataclass(frozen=True)
class Folder:
    """A folder of the library: its state is online or offline, and `reason` says why it is offline."""

    id: int
    path: str
    state: str
    reason: str = ""
    videos: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Video:
    """A file of the library: its state is new, indexed, damaged, failed or missing; sizes are 0 until it was probed."""

    public_id: str
    path: str
    state: str = "indexed"
    reason: str = ""
    windows: int = 0
    duration: float = 0.0  # seconds
    width: int = 0
    height: int = 0
    codec: str = ""

    @property
    def name(self) -> str:
        """The file's own name, without its folders."""
        return self.path.replace("\\", "/").rsplit("/", 1)[-1] or self.path


@dataclass(frozen=True)
class Recalls:
    """Retrieval in percent; None where it was not measured."""

    r1: float | None = None
    r5: float | None = None
    r10: float | None = None
    median_rank: float | None = None


@dataclass(frozen=True)
class Measured:
    """One set of captioned videos that a model was measured on: name of a score -> its recalls, in reading order."""

    data: str  # what it was measured on; empty where the record does not say
    rows: Mapping[str, Recalls]


@dataclass(frozen=True)
class ModelCard:
    """A checkpoint as a person sees it; a broken one has an error and no more than its name and folder."""

    name: str
    id: str = ""  # names these very weights in the store
    folder: str = ""
    kind: str = "hcmi"  # hcmi | hgr
    tower: str = ""
    created: str = ""  # UTC, ISO 8601
    size: int = 0  # bytes of weights, a downloaded tower's among them
    index: int = 0  # bytes of features kept of this tower
    sha256: str = ""  # of its weights
    own: bool = False  # made here, so that it can be removed
    kept: bool = True  # False: it did not beat what it was trained against
    current: bool = False
    level_weights: LevelWeights | None = None
    measured: tuple[Measured, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Fact:
    """A line of what this installation is made of."""

    name: str
    value: str
    ok: bool = True


@dataclass(frozen=True)
class Playable:
    """Where the bytes of a video are that a browser plays: its own file, or a copy that is being made."""

    state: str  # one of PLAYABLE_STATES
    progress: float = 0.0  # share of the copy that is made
    path: str = ""  # where it is ready
    message: str = ""  # why it failed

    def __post_init__(self) -> None:
        _check(self.state in PLAYABLE_STATES, f"state must be one of {PLAYABLE_STATES}, not {self.state!r}")
        _check(0.0 <= self.progress <= 1.0, f"progress must be in [0, 1], not {self.progress}")


@dataclass(frozen=True)
class Lesson:
    """A line of what the person taught: a caption, or a judgement of a search that found the file."""

    kind: str  # caption | video, right | video, wrong | clip, right | ...
    file: str
    text: str
    start: float | None = None  # seconds, of the span a caption is about
    end: float | None = None


@dataclass(frozen=True)
class HeldOut:
    """Captions that a fine-tune never saw: how well the base found their videos, and how well the new model does."""

    name: str  # "" all | taught: of taught videos | untaught: of videos held out whole
    before: Mapping[str, Recalls]
    after: Mapping[str, Recalls]


@dataclass(frozen=True)
class TrainingReport:
    """What a training has done so far: its loss curve, and once it is over the model and how it compares."""

    curve: tuple[tuple[float, float, float], ...] = ()  # (step, loss, learning rate)
    checkpoint: str = ""
    kept: bool = False
    held_out: tuple[HeldOut, ...] = ()
    notices: tuple[str, ...] = ()
