"""A tower joins the data folder: fetched after a person agreed, or copied from a file, with a checkpoint of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.config import ModelConfig, Settings
from explorer.records import Progress

if TYPE_CHECKING:
    from explorer.model.towers.download import Transfer

TOWERS, OWN = "towers", "checkpoints"  # folders of the data folder
PROMPT = "a video of {}"  # how a word or phrase is put to a CLIP
UNTRAINED = "none: the tower's own ranking"


@dataclass(frozen=True)
class Offer:
    """What a person is told before agreeing: the name as it is kept, megabytes to fetch (0 from a file), whether it is
    here already, and how a local file is read."""

    name: str
    megabytes: int
    here: bool
    told: str = ""


def look(wanted: str, settings: Settings) -> Offer:
    """What adding a tower would cost; nothing is fetched and nobody is asked.

    Raises:
        ExplorerError: an unknown name, or a file that cannot be used.
    """
    from explorer.model.towers import folder, names

    path, arch = local_path(wanted)
    if path is not None:
        return Offer(wanted.strip(), 0, True, folder.local_config(path, arch)[1])
    name = names.resolve(wanted)
    here = folder.find(name, settings.data_dir / TOWERS) is not None
    return Offer(name, names.size_mb(name), here)


def local_path(wanted: str) -> tuple[Path | None, str]:
    """'ViT-B-16@/w.safetensors' -> (its path, 'ViT-B-16'); a bare path has no architecture; a name has no path."""
    arch, at, path = wanted.strip().partition("@")
    if at:
        return Path(path).expanduser().absolute(), arch
    looks = wanted.strip().startswith(("/", "~", ".")) or Path(wanted.strip()).suffix in SUFFIXES
    return (Path(wanted.strip()).expanduser().absolute(), "") if looks else (None, "")


SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


def add_tower(wanted: str, settings: Settings) -> Iterator[Progress]:
    """Fetch or copy a tower, and put an untrained hierarchy on it; call it only after the person agreed.

    Yields:
        Progress in megabytes; the last one's summary is {"checkpoint", "tower"}.

    Raises:
        ExplorerError: unknown, refused, no room, or a file that does not hold what it should.
    """
    from explorer.model.device import pick_device
    from explorer.model.towers import clip, folder

    towers, offer = settings.data_dir / TOWERS, look(wanted, settings)
    name, (path, arch) = offer.name, local_path(wanted)
    steps = folder.adopt(path, arch, towers) if path is not None else folder.bring(name, towers)
    for step in () if path is None and offer.here else steps:
        if isinstance(step, str):
            name = step
        else:
            yield _progress(step, name)
    yield Progress("load", current=name)
    tower = clip.load(name, device=pick_device(settings.device), folder=towers)
    yield Progress("done", summary={"checkpoint": _save(name, tower.dim, settings), "tower": name})


def _progress(step: Transfer, name: str) -> Progress:
    megabytes = 1e-6
    return Progress(
        "verify" if step.verifying else "download",
        step.done * megabytes,
        step.total * megabytes,
        name,
        rate=step.rate * megabytes,
        eta=step.eta,
    )


def _save(name: str, dim: int, settings: Settings) -> str:
    """An untrained checkpoint on a tower; its name."""
    from explorer.model.checkpoint import save
    from explorer.model.hcmi import HCMI

    own = settings.data_dir / OWN / checkpoint_name(name)
    if not (own / "model.json").is_file():
        save(own, HCMI(ModelConfig(dim=dim, prompt=PROMPT)), {"tower": name, "data": UNTRAINED})
    return own.name


def checkpoint_name(tower: str) -> str:
    """A folder name for a tower's checkpoint: letters, digits, dots and dashes of its name."""
    kept = "".join(c if c.isalnum() or c in ".-" else "-" for c in Path(tower.replace("@", "-")).as_posix())
    return kept.replace("/", "-").strip(".-")[-120:] or "tower"
