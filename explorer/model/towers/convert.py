"""A pickled weights file becomes safetensors: its tensors alone are read, in a child process that can be killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from explorer.config import IMPORT_DIR
from explorer.records import ExplorerError

PICKLED = (".pt", ".pth", ".bin", ".ckpt")
LONGEST = 900.0  # seconds a file may take
MEMORY = 48 << 30  # bytes of address space the child may take: the largest published CLIP in single precision needs 20


def convert(source: Path, target: Path) -> int:
    """Write the tensors of a pickled file as safetensors beside it; nothing else of the file is read or run.

    Returns:
        How many tensors there were.

    Raises:
        ExplorerError: no such file, no tensors that can be read without running code, or the target is there already.
    """
    if not source.is_file() or source.suffix not in PICKLED:
        raise ExplorerError(f"{source} is no file of {', '.join(PICKLED)}; check the path")
    if target.exists():
        raise ExplorerError(f"{target} is there already; name another file")
    command = [sys.executable, "-m", "explorer.model.towers.convert", str(source.absolute()), str(target.absolute())]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=IMPORT_DIR, timeout=LONGEST
        )
    except subprocess.TimeoutExpired as error:
        raise ExplorerError(
            f"{source} took longer than {LONGEST:.0f} s and was given up; choose another file"
        ) from error
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    if done.returncode or not said:
        raise ExplorerError(
            f"{source} holds no tensors that can be read without running code "
            f"({said[-1][:200] if said else 'killed'}); take the model from the list, which fetches safetensors"
        )
    return int(said[-1])


def _convert_here(source: str, target: str) -> int:
    """What the child does."""
    import torch
    from safetensors.torch import save_file

    from explorer.disk.atomic import beside

    _limit()
    found = torch.load(source, map_location="cpu", weights_only=True)
    tensors = {name: value.contiguous().clone() for name, value in _tensors(found).items()}
    if not tensors:
        raise ValueError("there is no tensor in it")
    with beside(Path(target)) as part:
        save_file(tensors, str(part))
    return len(tensors)


def _tensors(found: Any) -> dict[str, Any]:
    """The tensors of a state dict, whether bare or inside a training checkpoint, without a data-parallel prefix."""
    import torch

    if not isinstance(found, dict):
        return {}
    inner = next((found[key] for key in ("state_dict", "model") if isinstance(found.get(key), dict)), found)
    kept = {str(name): value for name, value in inner.items() if isinstance(value, torch.Tensor)}
    return {name.removeprefix("module."): value for name, value in kept.items()}


def _limit() -> None:
    """Bound what a file can make this process do: memory, and no child of its own."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{_convert_here(*sys.argv[1:3])}\n")
    except Exception as problem:  # said by the parent in its sentence
        sys.exit((str(problem) or type(problem).__name__).strip().splitlines()[0])
