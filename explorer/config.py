"""What a person or a checkpoint can set: frozen, checked dataclasses that travel as JSON."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from explorer.disk.atomic import write_bytes
from explorer.disk.sealed import NO_FILE, digest_of, read_json
from explorer.records import ExplorerError, LevelWeights

T = TypeVar("T")

PACKAGE_DIR = Path(__file__).resolve().parent
IMPORT_DIR = PACKAGE_DIR.parent  # what a child process must see to import this package
# An installed package carries assets/ and checkpoints/ inside; a checkout has them beside it.
_RESOURCES = PACKAGE_DIR if (PACKAGE_DIR / "assets").is_dir() else PACKAGE_DIR.parent
ASSETS = _RESOURCES / "assets"
SHIPPED_CHECKPOINTS = _RESOURCES / "checkpoints"
SETTINGS, SEEN = "settings.json", "settings.seen"  # written by a person; its checksum at the last start, by the app
HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
TEXT_LEVELS = ("prompted", "contextual", "learned")


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class SamplingConfig:
    """How a file becomes frames and windows (TSN: one frame a segment, the centre at test)."""

    fps: float = 1.0  # frames kept a second of a file longer than one window
    frames: int = 12  # F, frames a window; a shorter file gives F equal-segment centres
    hop: int = 6  # frames between the starts of two windows: half overlap
    adaptive: bool = True  # a frame that looks like the one before shares its features; its time is kept all the same

    def __post_init__(self) -> None:
        _check(0 < self.fps <= 60, f"fps must be in (0, 60], not {self.fps}")
        _check(1 <= self.frames <= 256, f"frames must be in 1..256, not {self.frames}")
        _check(1 <= self.hop <= self.frames, f"hop must be in 1..frames, not {self.hop}")

    @property
    def key(self) -> str:
        """Short text that names this sampling in the store: features of another sampling never mix.

        Adaptive or not, the same frames are kept at the same times, so these two may.
        """
        return f"{self.fps:g}fps-{self.frames}x{self.hop}"


@dataclass(frozen=True)
class ModelConfig:
    """Every choice of the hierarchy; the fields marked derived are ours to ablate."""

    model: str = "hcmi"  # hcmi | hgr
    dim: int = 512  # D, width of every vector
    aggregator: str = "dpc_knn"  # dpc_knn | attention (derived)
    text_levels: str = "prompted"  # prompted: parsed words and phrases, each a text of its own | contextual: the same
    # as means of token outputs of the whole text (ours) | learned: tokens, phrases of them
    prompt: str = "{}"  # how a word or phrase is put to the text tower: CLIP wants "a video of {}"
    clips: int = 4  # C at most, clips a window (derived: F/4 .. F/2)
    phrases: int = 6  # P at most, learned phrases a sentence (derived)
    words: int = 32  # W at most, words a sentence (derived)
    frame_layers: int = 0  # depth of frame self-attention; 0 leaves frames as the tower made them
    heads: int = 8  # attention heads
    positions: int = 64  # learned time positions; later frames share the last one (derived)
    learned_merge: bool = False  # dpc_knn: learned merge weights and cross-attention; False is plain means
    adapter: int = 0  # hidden width of a zero-started residual at every level; 0 is none (ours)
    token_weights: bool = False  # learned a_i, b_j in late interaction; False is the plain mean
    level_weights: LevelWeights = field(default_factory=LevelWeights)
    graph_layers: int = 1  # HGR: attention graph layers
    recurrent_text: bool = False  # HGR: bidirectional GRU over words in place of the tower's outputs
    residual: bool = True  # HGR: starts as the tower itself (ours); False is the paper's plain form

    def __post_init__(self) -> None:
        _check(self.model in ("hcmi", "hgr"), f"model must be hcmi or hgr, not {self.model!r}")
        _check(
            self.aggregator in ("dpc_knn", "attention"),
            f"aggregator must be dpc_knn or attention, not {self.aggregator!r}",
        )
        _check(
            self.text_levels in TEXT_LEVELS,
            f"text_levels must be one of {', '.join(TEXT_LEVELS)}, not {self.text_levels!r}",
        )
        _check(self.prompt.count("{}") == 1, f"prompt must hold one {{}}, not {self.prompt!r}")
        for name in ("dim", "clips", "phrases", "words", "heads", "positions"):
            _check(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        _check(self.frame_layers >= 0, f"frame_layers must not be negative, not {self.frame_layers}")
        _check(self.adapter >= 0, f"adapter must not be negative, not {self.adapter}")


FINE_TUNE_EPOCHS = 30  # of a person's captions, by page and command line alike


@dataclass(frozen=True)
class TrainConfig:
    """One training run (values derived from CLIP4Clip and DRL where the paper is silent)."""

    epochs: int = 5
    batch_size: int = 128
    lr: float = 1e-4  # new modules
    tower_lr: float = 1e-7  # towers, when unfrozen
    weight_decay: float = 0.2
    warmup: float = 0.1  # share of all steps
    clip_grad: float = 1.0
    margin: float = 0.1  # theta of marginal sample enhancement (derived)
    margin_weight: float = 1.0
    denoise: bool = True  # adaptive label denoising
    objective: str = (
        "levels"  # HCMI: levels, contrastive at each (the paper's) | total, the hinge over their mean (ours)
    )
    unfreeze: str = "none"  # none | last | all
    seed: int = 0
    precision: str = "auto"  # auto | fp32 | bf16

    def __post_init__(self) -> None:
        _check(self.epochs >= 1, f"epochs must be at least 1, not {self.epochs}")
        _check(self.batch_size >= 2, f"batch_size must be at least 2, not {self.batch_size}")
        _check(
            self.lr > 0 and self.tower_lr >= 0, f"learning rates must be positive, not {self.lr} and {self.tower_lr}"
        )
        _check(self.objective in ("levels", "total"), f"objective must be levels or total, not {self.objective!r}")
        _check(self.unfreeze in ("none", "last", "all"), f"unfreeze must be none, last or all, not {self.unfreeze!r}")


@dataclass(frozen=True)
class Settings:
    """Where this app keeps its data and how it runs. The data folder is the only place it writes to."""

    data_dir: Path = field(default_factory=lambda: Path(platformdirs.user_data_dir("hcmi-explorer")))
    checkpoint: str = "starter"  # a folder under checkpoints/ or data_dir/checkpoints
    decoder: str = "pyav"  # pyav | decord
    device: str = "auto"  # auto | cpu | cuda | cuda:N | mps
    pace: str = "normal"  # of indexing: gently | normal | full; see index.pace
    port: int = 7860  # the first one tried
    listen: str = "127.0.0.1"  # the address listened on; a container whose port is published needs 0.0.0.0
    hosts: str = ""  # names, with commas, that the page may be asked by besides this machine's own: nas.local
    sampling: SamplingConfig = field(default_factory=SamplingConfig)

    def __post_init__(self) -> None:
        _check(self.decoder in ("pyav", "decord"), f"decoder must be pyav or decord, not {self.decoder!r}")
        _check(self.pace in ("gently", "normal", "full"), f"pace must be gently, normal or full, not {self.pace!r}")
        _check(0 <= self.port <= 65535, f"port must be in 0..65535, not {self.port}")
        _check(_is_address(self.listen), f"listen must be an IPv4 address such as 127.0.0.1, not {self.listen!r}")
        odd = [name for name in self.host_names if not HOST_NAME.fullmatch(name)]
        _check(not odd, f"hosts must be plain names without a port, such as nas.local, not {', '.join(odd)}")

    @classmethod
    def load(cls, **overrides: Any) -> Settings:
        """Defaults, then data_dir/settings.json, then EXPLORER_* variables, then overrides that are not None.

        Raises:
            ExplorerError: the settings file is not readable JSON, or a value is out of range.
        """
        chosen = dict(_environment().items())
        chosen.update({name: value for name, value in overrides.items() if value is not None})
        data_dir = Path(chosen.get("data_dir", cls().data_dir)).expanduser().absolute()
        try:
            return from_dict(cls, {**read_json(data_dir / SETTINGS), **chosen, "data_dir": data_dir})
        except ValueError as error:
            raise ExplorerError(f"settings: {error}") from error

    @property
    def host_names(self) -> tuple[str, ...]:
        """The names in `hosts`, in lower case."""
        return tuple(name.strip().lower() for name in self.hosts.split(",") if name.strip())

    @property
    def database(self) -> Path:
        return self.data_dir / "index.db"


def _is_address(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 4
    except ValueError:
        return False


def _environment() -> dict[str, Any]:
    names = {f.name: f for f in dataclasses.fields(Settings) if f.name != "sampling"}
    given = ((name, os.environ.get(f"EXPLORER_{name.upper()}")) for name in names)
    found = {name: value for name, value in given if value}
    try:
        return {name: int(value) if name == "port" else value for name, value in found.items()}
    except ValueError as error:
        raise ExplorerError(f"EXPLORER_PORT must be a whole number: {error}") from error


def tell_changed_settings(data_dir: Path) -> str:
    """Say once that settings.json is not what it was at the last start; '' where it is. A person writes it, the app
    never does.

    What it is now is remembered, for the writer of the data folder to ask at each start; where the disk refuses that,
    it is told again, and where it gives neither file, that is told: it keeps nobody from searching.
    """
    path, seen = data_dir / SETTINGS, data_dir / SEEN
    try:
        now = digest_of(path)
        before = seen.read_bytes().decode("ascii", "replace") if seen.exists() else ""
    except OSError as error:
        why = f"{error.filename} cannot be read ({error.strerror}); make it readable"
        return f"whether {path} was changed cannot be told: {why}"
    if now == before or (not before and now == NO_FILE):
        return ""
    with contextlib.suppress(ExplorerError):
        write_bytes(seen, now.encode("ascii"))
    return (
        f"{path} was {'removed' if now == NO_FILE else 'changed'} since the last start; if that was not you, look at it"
        if before
        else ""
    )


def to_dict(record: Any) -> dict[str, Any]:
    """A dataclass as plain JSON values."""
    return json.loads(json.dumps(dataclasses.asdict(record), default=str))


def from_dict(cls: type[T], data: dict[str, Any]) -> T:
    """A config dataclass from JSON values.

    Raises:
        ValueError: an unknown field, a value of the wrong type, or one out of range; the message names it.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - set(fields))
    _check(not unknown, f"unknown setting {', '.join(unknown)} for {cls.__name__}")
    return cls(**{name: _convert(cls, name, value) for name, value in data.items()})


def _convert(cls: type, name: str, value: Any) -> Any:
    nested = {"sampling": SamplingConfig, "level_weights": LevelWeights}.get(name)
    if nested is not None:
        return value if isinstance(value, nested) else from_dict(nested, value)
    kind = str(cls.__dataclass_fields__[name].type)  # type: ignore[attr-defined]
    if kind == "Path":
        return Path(value)
    allowed: dict[str, tuple[type, ...]] = {
        "int": (int,),
        "float": (int, float),
        "bool": (bool,),
        "str": (str,),
        "str | None": (str, type(None)),
        "int | None": (int, type(None)),
        "float | None": (int, float, type(None)),
    }
    wanted = allowed.get(kind, (object,))
    _check(
        isinstance(value, wanted) and (bool in wanted or object in wanted or not isinstance(value, bool)),
        f"{name} must be {kind}, not {value!r}",
    )
    return value
