"""What the service is asked to do: frozen records with checked fields, kept with a job as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from explorer.records import ExplorerError, LevelWeights

MODELS = ("hcmi", "hgr")
UNFREEZE = ("none", "last", "all")


@dataclass(frozen=True)
class IndexRequest:
    """Bring the index up to date with the folders and the current model."""

    retry: bool = False  # failed files once more
    trust_smaller: bool = False  # believe a folder that has suddenly become empty or much smaller


@dataclass(frozen=True)
class SamplesRequest:
    """Make the sample library in the data folder, and index it."""


@dataclass(frozen=True)
class TowerRequest:
    """Fetch a tower, and make a checkpoint of it."""

    tower: str


@dataclass(frozen=True)
class SwitchRequest:
    """Let another model answer: a checkpoint of this machine, or a tower that is fetched or copied first."""

    checkpoint: str = ""
    tower: str = ""

    def __post_init__(self) -> None:
        if bool(self.checkpoint) == bool(self.tower):
            raise ValueError("name a checkpoint or a tower, one of them")


@dataclass(frozen=True)
class MeasureRequest:
    """Measure how quickly each CLIP of the list would encode on this machine."""


@dataclass(frozen=True)
class FineTuneRequest:
    """The choices of a fine-tune, the same for the page and the command line; None takes the default."""

    base: str = ""  # the checkpoint to start from; empty is the current one
    model: str = "hcmi"  # hgr trains its own hierarchy anew on the base's tower
    epochs: int | None = None
    lr: float | None = None
    seed: int = 0
    name: str = ""  # of the new checkpoint; empty names it by the time

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"model must be one of {MODELS}, not {self.model!r}")
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, not {self.epochs}")


@dataclass(frozen=True)
class TrainRequest:
    """Train on a captions file and the folder of its videos."""

    captions: Path
    videos: Path
    choices: FineTuneRequest = FineTuneRequest()
    unfreeze: str = "none"  # last | all: the towers learn too

    def __post_init__(self) -> None:
        if self.unfreeze not in UNFREEZE:
            raise ValueError(f"unfreeze must be one of {UNFREEZE}, not {self.unfreeze!r}")


@dataclass(frozen=True)
class EvaluateRequest:
    """Measure retrieval on a captions file or on one of the field's benchmarks."""

    videos: Path
    captions: Path | None = None
    benchmark: str = ""
    annotations: Path | None = None  # folder of the benchmark's annotation files
    checkpoint: str = ""  # empty is the current one
    weights: LevelWeights | None = None
    binary_selection: bool = False  # true sentence against altered ones

    def __post_init__(self) -> None:
        if (self.captions is None) == (not self.benchmark):
            raise ExplorerError(
                "say what to measure on: either --captions FILE, or --benchmark NAME with --annotations DIR"
            )
        if self.benchmark and self.annotations is None:
            raise ExplorerError("a benchmark needs --annotations DIR, the folder of its annotation files")


Request = (
    IndexRequest | SamplesRequest | TowerRequest | SwitchRequest | MeasureRequest | FineTuneRequest
)  # what a job can be asked to do
KINDS: dict[type[Request], str] = {  # as the table of jobs names them
    IndexRequest: "index",
    SamplesRequest: "samples",
    TowerRequest: "download",
    SwitchRequest: "switch",
    MeasureRequest: "measure",
    FineTuneRequest: "train",
}
