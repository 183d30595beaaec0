"""Towers of the data folder: each in a folder of its own with weights, configuration and tokenizer, or not there."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.config import read_json
from explorer.disk.atomic import open_replacement, write_bytes
from explorer.model.towers import download, names
from explorer.model.towers.download import Transfer
from explorer.model.towers.hub import Remote, look_up
from explorer.records import ExplorerError

WEIGHTS, CONFIG, RECORD = "open_clip_model.safetensors", "open_clip_config.json", "tower.json"
TOKENIZER, TEXT = "tokenizer", "text"  # folders of a tower's folder
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.txt")
BESIDE_VOCABULARY = ("tokenizer_config.json", "special_tokens_map.json", "config.json")
COPIED = 4 << 20  # bytes copied at once


@dataclass(frozen=True)
class TowerFiles:
    """Where a tower's parts lie on this machine, and what it is ({"model_cfg", "preprocess_cfg"})."""

    weights: Path
    config: dict[str, Any]
    tokenizer: Path | None = None  # Hugging Face's files; None: CLIP's own tokenizer, which open_clip carries
    text: Path | None = None  # config.json of a text tower in Hugging Face's form
    digest: str = ""  # sha256 of the weights as they came; '' where nobody noted it


@dataclass(frozen=True)
class OwnTower:
    """A tower of the data folder, for the list of models."""

    name: str
    folder: Path
    size: int  # bytes
    source: str  # repository and commit, or the path it was copied from
    added: float  # seconds since the epoch


def home(name: str, towers: Path) -> Path:
    """The folder of a tower; letters of a name that a file system may not take are marked by a digest."""
    kept = "".join(c if c.isalnum() or c in ".-_" else "-" for c in name).strip(".-")[:80] or "tower"
    return towers / f"{kept}-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def find(name: str, towers: Path) -> TowerFiles | None:
    """The files of a tower by name, or None where it is published and not here.

    Raises:
        ExplorerError: unknown, a local file that is gone or has another form, or a damaged record.
    """
    own = home(name, towers)
    if (own / RECORD).is_file():
        return _own_files(own)
    arch, weights = names.split_name(name)
    if "@" in name:
        path = Path(weights)
        return TowerFiles(path, local_config(path, arch)[0], tokenizer=_beside(path), text=_beside(path))
    repository = names.repository(name)
    old = (
        sorted(towers.glob(f"models--{repository.replace('/', '--')}/snapshots/*/*.safetensors")) if repository else []
    )
    return TowerFiles(old[0], names.published_config(name)) if old else None  # as release 0.1 kept them


def _own_files(folder: Path) -> TowerFiles:
    record, config = read_json(folder / RECORD), read_json(folder / CONFIG)
    if "model_cfg" not in config or not (folder / WEIGHTS).is_file():
        raise ExplorerError(f"{folder} is damaged; remove this model on the Models tab and add it again")
    return TowerFiles(
        folder / WEIGHTS,
        config,
        tokenizer=folder / TOKENIZER if (folder / TOKENIZER).is_dir() else None,
        text=folder / TEXT if (folder / TEXT).is_dir() else None,
        digest=str(record.get("sha256", "")),
    )


def _beside(path: Path) -> Path | None:
    """The folder of a local file, where a tokenizer lies in it."""
    return path.parent if any((path.parent / name).is_file() for name in VOCABULARIES) else None


def list_towers(towers: Path) -> list[OwnTower]:
    """Every tower of the data folder, by name."""
    found = []
    for record in sorted(towers.glob(f"*/{RECORD}")):
        known = read_json(record)
        size = sum(path.stat().st_size for path in record.parent.rglob("*") if path.is_file())
        found.append(
            OwnTower(
                str(known.get("name")), record.parent, size, str(known.get("source", "")), float(known.get("added", 0))
            )
        )
    return sorted(found, key=lambda tower: tower.name)


def remove(name: str, towers: Path) -> None:
    """Delete a tower's folder, parts of a download included; the record first, so that a half is no tower."""
    folder = home(name, towers)
    if folder.is_dir():
        (folder / RECORD).unlink(missing_ok=True)
        shutil.rmtree(folder)


# ---- from the hub


def bring(name: str, towers: Path) -> Iterator[Transfer]:
    """Fetch a published tower: weights, tokenizer and configuration; call it only after the person agreed.

    Raises:
        ExplorerError: it is not offered as safetensors, or the download fails.
    """
    repository, folder, config = names.repository(name), home(name, towers), names.published_config(name)
    weights = look_up(repository, WEIGHTS) if repository else None
    if weights is None:
        raise ExplorerError(
            f"{name} is offered as pickled weights only, which can run code and are not fetched; choose another model"
        )
    text = config["model_cfg"]["text_cfg"]
    if "hf_tokenizer_name" in text:
        _bring_tokenizer(str(text["hf_tokenizer_name"]), folder / TOKENIZER)
    if "hf_model_name" in text:
        _bring_file(str(text["hf_model_name"]), "config.json", folder / TEXT)
    if not (folder / WEIGHTS).is_file():
        yield from download.fetch(weights, folder / WEIGHTS)
    _record(name, folder, config, source=f"{repository}@{weights.revision}", digest=weights.digest)


def _bring_tokenizer(repository: str, folder: Path) -> None:
    """The first vocabulary that is offered, and what belongs to it.

    Raises:
        ExplorerError: none is offered.
    """
    if not any(_bring_file(repository, file, folder, must=False) for file in VOCABULARIES):
        raise ExplorerError(f"{repository} offers no tokenizer that can be used here; choose another model")
    for file in BESIDE_VOCABULARY:
        _bring_file(repository, file, folder, must=False)


def _bring_file(repository: str, file: str, folder: Path, *, must: bool = True) -> bool:
    """Fetch a small file; whether there is one."""
    found: Remote | None = look_up(repository, file)
    if found is None and must:
        raise ExplorerError(f"{repository} does not offer {file}; choose another model")
    if found is not None and not (folder / file).is_file():
        download.fetch_small(found, folder / file)
    return found is not None


def _record(name: str, folder: Path, config: dict[str, Any], *, source: str, digest: str) -> None:
    """Say that a folder is a whole tower: the last file written."""
    write_bytes(folder / CONFIG, json.dumps(config, indent=1).encode())
    known = {"name": name, "source": source, "sha256": digest, "added": time.time()}
    write_bytes(folder / RECORD, json.dumps(known, indent=1).encode())


# ---- from a local file


def local_config(path: Path, arch: str = "") -> tuple[dict[str, Any], str]:
    """What a local file's model is, and a sentence on how that was found out: the open_clip_config.json beside it
    decides, else the architecture that was named.

    Raises:
        ExplorerError: the file is not there, of another form, or nothing says what it is.
    """
    refuse_other_forms(path)
    beside = read_json(path.parent / CONFIG)
    if isinstance(beside.get("model_cfg"), dict):
        pixels = beside.get("preprocess_cfg")
        config = {"model_cfg": beside["model_cfg"], "preprocess_cfg": pixels if isinstance(pixels, dict) else {}}
        return config, f"It is read as the {CONFIG} beside it says."
    if not arch:
        raise ExplorerError(
            f"nothing says what {path.name} is; write ARCHITECTURE@{path}, such as ViT-B-32@{path}, or put the "
            f"{CONFIG} it came with beside it"
        )
    return names.usual_config(arch)


def refuse_other_forms(path: Path) -> None:
    """Only safetensors are read; the sentence says what to do with others.

    Raises:
        ExplorerError: not there, or of another form.
    """
    if path.suffix in (".pt", ".pth", ".bin", ".ckpt"):
        raise ExplorerError(
            f"{path} is a pickled file, which can run code when it is read; convert it first: "
            f"python -m explorer convert {path}"
        )
    if not path.is_file():
        raise ExplorerError(f"there is no file {path}; look whether its drive is connected and the path is right")
    if path.suffix != ".safetensors":
        raise ExplorerError(f"{path} is not a safetensors file; choose another file")


def adopt(path: Path, arch: str, towers: Path) -> Iterator[Transfer | str]:
    """Copy a local file with what belongs to it into the data folder, so that it is there when its drive is not.

    Yields:
        Transfer while it is copied; last the tower's name, which names the file's content.

    Raises:
        ExplorerError: as `local_config`, no room, or the disk refuses.
    """
    config, _ = local_config(path, arch)
    size = path.stat().st_size
    free = shutil.disk_usage(towers.parent if not towers.exists() else towers).free
    if free < size + download.ROOM:
        raise ExplorerError(f"{path.name} needs {size / 1e6:,.0f} MB in {towers} and {free / 1e6:,.0f} MB are free")
    digest = hashlib.sha256()
    waiting = towers / ".arriving.safetensors"
    with open_replacement(waiting) as target, open(path, "rb") as source:
        while block := source.read(COPIED):
            digest.update(block)
            target.write(block)
            yield Transfer(target.tell(), size)
    name = f"{arch or path.parent.name}@{path.stem}-{digest.hexdigest()[:12]}"
    folder = home(name, towers)
    folder.mkdir(parents=True, exist_ok=True)
    waiting.replace(folder / WEIGHTS)
    _copy_texts(path.parent, folder, config)
    _record(name, folder, config, source=str(path), digest=digest.hexdigest())
    yield name


def _copy_texts(source: Path, folder: Path, config: dict[str, Any]) -> None:
    """Tokenizer files from beside a local file, where its model reads any."""
    text = config["model_cfg"].get("text_cfg", {})
    wanted: dict[str, tuple[str, ...]] = {}
    if "hf_tokenizer_name" in text:
        wanted[TOKENIZER] = (*VOCABULARIES, *BESIDE_VOCABULARY)
    if "hf_model_name" in text:
        wanted[TEXT] = ("config.json",)
    for place, files in wanted.items():
        for file in files:
            if (source / file).is_file():
                (folder / place).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / file, folder / place / file)
