"""Goal R24: a pickle that would run a command is refused within a second wherever the app reads a file, and never runs.

Run: python -m benchmarks.faults.unsafe. The last line is the figure; exit 1 if it falls short.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import pickle
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.faults.common import PROJECT, finish
from explorer.config import Settings
from explorer.records import ExplorerError

LIMIT = 1.0
# what reads or writes pickles, or runs text
FORBIDDEN = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
CALLS: dict[str, tuple[str, str] | None] = {
    "torch.load": ("weights_only", "True"),
    "np.load": ("allow_pickle", "False"),
    "numpy.load": ("allow_pickle", "False"),
    "torch.save": None,
    "eval": None,
    "exec": None,
    "yaml.load": None,
}


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.mark), "w")


def bombs(mark: Path) -> dict[str, bytes]:
    """The same pickle as the files that carry pickles: bare, a torch file, a numpy array and archive."""
    bare = pickle.dumps(Bomb(mark))
    torch_file, array, archive = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(torch_file, "w") as file:
        file.writestr("archive/data.pkl", bare)
        file.writestr("archive/version", "3\n")
    np.save(array, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    np.savez(archive, allow_pickle=True, times=np.array([Bomb(mark)], dtype=object))
    return {"bare": bare, "torch": torch_file.getvalue(), "npy": array.getvalue(), "npz": archive.getvalue()}


def vouched(folder: Path, data: bytes) -> None:
    """A checkpoint folder whose manifest vouches for these bytes: only their form can give them away."""
    from explorer.model.tensor_files import BLANK

    folder.mkdir(parents=True)
    digest = hashlib.sha256(data).hexdigest()
    (folder / "weights.safetensors").write_bytes(data)
    entry = {"weights.safetensors": {"file": "weights.safetensors", "sha256": digest, "bytes": len(data)}}
    text = json.dumps(
        {"sha256": BLANK, "files": entry, "name": folder.name, "tower": "t", "config": {"dim": 8, "heads": 2}}, indent=1
    )
    (folder / "model.json").write_text(text.replace(BLANK, hashlib.sha256(text.encode()).hexdigest(), 1))


def readers(folder: Path, data: bytes) -> Iterator[tuple[str, Callable[[], object]]]:
    """Every place where the app reads a file that a person, or another program, may have put there."""
    from explorer.media.gate import check
    from explorer.model.checkpoint import load
    from explorer.model.towers import clip
    from explorer.store.stills import Stills
    from explorer.store.store import Store
    from explorer.training.captions import read_captions
    from explorer.training.state import load_state
    from explorer.training.texts import load_table

    vouched(folder / "checkpoint", data)
    (folder / "manifest").mkdir()
    for name in (
        "settings.json",
        "desk.json",
        "index.db",
        "stills.db",
        "film.mp4",
        "captions.jsonl",
        "captions.csv",
        "bank.npz",
        "tower.pt",
        "tower.safetensors",
        "manifest/model.json",
        "manifest/weights.safetensors",
    ):
        (folder / name).write_bytes(data)
    (folder / "states").mkdir()
    (folder / "states" / "state-00000001.json").write_bytes(data)
    (folder / "states" / "state-00000001.safetensors").write_bytes(data)
    yield "weights of a checkpoint", lambda: load(folder / "checkpoint")
    yield "a checkpoint's manifest", lambda: load(folder / "manifest")
    yield "settings", lambda: Settings.load(data_dir=folder)
    yield "the database", lambda: Store(folder / "index.db")
    yield "stills", lambda: Stills(folder / "stills.db").get("a", 0)
    yield "a film", lambda: check(str(folder / "film.mp4"))
    yield "captions as lines", lambda: read_captions(folder / "captions.jsonl")
    yield "captions as a table", lambda: read_captions(folder / "captions.csv")
    yield "kept text features", lambda: load_table(folder / "bank.npz")
    yield "a saved training", lambda: load_state(folder / "states", run={})
    for suffix in ("pt", "safetensors"):
        yield (
            f"tower.{suffix}",
            lambda s=suffix: clip.load(f"ViT-B-32@{folder / f'tower.{s}'}", device="cpu", folder=folder),
        )  # type: ignore[misc]


def try_reader(name: str, read: Callable[[], object]) -> tuple[str, float]:
    """(what is wrong, seconds): anything but a sentence, or nothing at all to tell, is wrong."""
    began = time.monotonic()
    try:
        read()
    except ExplorerError as error:
        return ("" if "\n" not in str(error) else f"{name}: not one line: {error}"), time.monotonic() - began
    except Exception as error:
        return f"{name}: {type(error).__name__}: {error}", time.monotonic() - began
    return "" if name == "stills" else f"{name}: taken without a word", time.monotonic() - began


def run(folder: Path) -> tuple[int, int, float, list[str]]:
    """(files tried, bombs that ran, longest seconds, what went wrong)."""
    import open_clip  # noqa: F401 - loading the libraries is not what is measured

    from explorer.model import checkpoint  # noqa: F401
    from explorer.model.towers import clip  # noqa: F401
    from explorer.training import state, texts  # noqa: F401

    mark, longest, wrong, tried = folder / "it-ran", 0.0, [], 0
    for kind, data in bombs(mark).items():
        for name, read in readers(folder / kind, data):
            problem, seconds = try_reader(name, read)
            tried, longest = tried + 1, max(longest, seconds)
            wrong += [f"{kind}, {problem}"] if problem else []
    return tried, int(mark.exists()), longest, wrong


def walk(*folders: Path) -> list[str]:
    """Places of the code that import a pickling module, or load without saying that nothing may run."""
    found = []
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            if FORBIDDEN & {name.split(".")[0] for name in names} or (isinstance(node, ast.Call) and _forbidden(node)):
                found.append(f"{path.name}:{node.lineno}")
    return found


def _forbidden(call: ast.Call) -> bool:
    """A call of CALLS without the keyword that keeps it from running what it reads."""
    name, said = ast.unparse(call.func), {word.arg: ast.unparse(word.value) for word in call.keywords}
    return name in CALLS and (CALLS[name] is None or said.get(CALLS[name][0]) != CALLS[name][1])


def main() -> int:
    code = walk(PROJECT / "explorer")
    with tempfile.TemporaryDirectory() as folder:
        tried, ran, longest, wrong = run(Path(folder))
    print(*wrong, *(f"pickling in {place}" for place in code), sep="\n")
    return finish(
        "R24",
        f"{tried} files that would run a command: {ran} ran, refused within {longest:.2f} s, {len(wrong)} without a sentence, "
        f"{len(code)} places in the code that unpickle",
        good=not ran and longest <= LIMIT and not wrong and not code,
    )


if __name__ == "__main__":
    sys.exit(main())
