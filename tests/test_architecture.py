"""The arrows of the house point one way, torch stays in its rooms, and nothing unsafe is called anywhere."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
FILES = sorted((PROJECT / "explorer").rglob("*.py"))
CODE = [*FILES, *sorted((PROJECT / "benchmarks").rglob("*.py")), *PROJECT.glob("app.py")]

# Each layer is a folder (or one of two files) and may import itself and those named; equals do not know each other.
BASE = {"records", "config", "disk"}
ALLOWED = {
    "records": set(),
    "disk": {"records"},
    "config": {"records", "disk"},
    "language": BASE,
    "media": BASE,
    "model": BASE | {"language"},
    "store": BASE | {"language"},
    "index": BASE | {"media", "store"},
    "search": BASE | {"language", "model", "store"},
    "training": BASE | {"language", "model", "store"},
}
ALLOWED |= {"service": {*ALLOWED}}
ALLOWED |= {"ui": BASE | {"service"}}
ALLOWED |= {"web": BASE | {"service", "ui"}}
EVERYTHING = {*ALLOWED}
TOP = {"__init__", "__main__", "cli"}  # the command line, which alone prints
ALLOWED |= dict.fromkeys(TOP, EVERYTHING | TOP)

TORCH_ROOMS = ("model/", "training/", "search/score.py", "search/calibrate.py")
TORCH = {"torch", "torchvision", "open_clip", "timm", "transformers", "safetensors"}
VERIFIED = (
    "model/towers/starter.py",
    "model/towers/convert.py",
)  # read a package's weights, checked by sha256 just before; or a person's, in a child process, when they ask for it
BOMBS = PROJECT / "benchmarks" / "faults" / "unsafe.py"  # writes pickles, to see that the app refuses them
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "shelve", "marshal", "joblib", "cloudpickle"}
UNSAFE_CALLS = {
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "yaml.load",
    "__import__",
}
VAGUE = {"utils", "util", "helpers", "helper", "misc", "stuff"}


def room(path: Path) -> str:
    """Where a file stands in the house, as the path under explorer/."""
    return path.relative_to(PROJECT / "explorer").as_posix()


def layer(place: str) -> str:
    """The layer of a module given as a path or a dotted name under explorer."""
    return place.removesuffix(".py").replace("/", ".").split(".")[0]


TREES: dict[Path, list[ast.AST]] = {}


def nodes_of(path: Path) -> list[ast.AST]:
    """Every node of a file, parsed once."""
    if path not in TREES:
        TREES[path] = list(ast.walk(ast.parse(path.read_text("utf-8"), str(path))))
    return TREES[path]


def only_for_types(path: Path) -> set[int]:
    """The ids of what stands under `if TYPE_CHECKING`, which never runs."""
    guarded = [node for node in nodes_of(path) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    return {id(inner) for node in guarded for part in node.body for inner in ast.walk(part)}


def imports(path: Path, *, types_too: bool = True) -> Iterator[str]:
    """Dotted names of all a file imports, wherever in it."""
    skipped = set() if types_too else only_for_types(path)
    for node in nodes_of(path):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relative to itself"
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("path", FILES, ids=room)
def test_lower_layers_do_not_import_higher_ones(path: Path) -> None:
    own = layer(room(path))
    assert own in ALLOWED, f"{room(path)} stands in no layer: give it one here"
    for name in imports(path, types_too=False):
        if name.startswith("explorer."):
            other = layer(name.removeprefix("explorer."))
            reached = other in ALLOWED[own] or other == own or other not in EVERYTHING | TOP
            assert reached, f"{room(path)} ({own}) imports {name} ({other})"


def test_no_circle_of_imports() -> None:
    names = {
        path: "explorer." + room(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in FILES
    }
    known = {name: path for path, name in names.items()}
    graph: dict[str, set[str]] = {}
    for path, name in names.items():
        found = {part if part in known else part.rpartition(".")[0] for part in imports(path, types_too=False)}
        graph[name] = {other for other in found if other in known and other != name}
    while ends := {name for name, others in graph.items() if not others & graph.keys()}:
        graph = {name: others for name, others in graph.items() if name not in ends}
    assert not graph, f"these import each other in a circle: {sorted(graph)}"


@pytest.mark.parametrize("path", FILES, ids=room)
def test_torch_stays_in_its_rooms(path: Path) -> None:
    if not room(path).startswith(TORCH_ROOMS):
        found = {name.split(".")[0] for name in imports(path, types_too=False)} & TORCH
        assert not found, f"{room(path)} imports {found}"


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_nothing_unsafe_is_called(path: Path) -> None:
    unsafe = {name.split(".")[0] for name in imports(path)} & UNSAFE_MODULES
    assert not unsafe or (path == BOMBS and unsafe == {"pickle"}), f"{path.name} imports {unsafe}"
    for node in nodes_of(path):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        where = f"{path.name}:{node.lineno} calls {called}"
        if called == "torch.load":
            weights_only = [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "weights_only"]
            assert room(path) in VERIFIED and weights_only == ["True"], where
        assert called not in UNSAFE_CALLS, where
        if path == BOMBS and called in ("np.save", "np.savez"):
            continue
        for argument in node.keywords:
            true = isinstance(argument.value, ast.Constant) and argument.value.value is True
            assert not (argument.arg in ("shell", "allow_pickle", "trust_remote_code") and true), where


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_files_say_their_job_and_have_a_name_of_their_own(path: Path) -> None:
    tree = nodes_of(path)
    assert isinstance(tree[0], ast.Module) and ast.get_docstring(tree[0]), f"{path} does not say its job"
    assert path.stem not in VAGUE and not (path.stem in sys.stdlib_module_names and not path.stem.startswith("__"))
    named = {node.name for node in tree if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    assert not named & VAGUE


@pytest.mark.parametrize("path", FILES, ids=room)
def test_only_the_command_line_prints(path: Path) -> None:
    if layer(room(path)) not in TOP:
        printed = [
            node.lineno
            for node in nodes_of(path)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        ]
        assert not printed, f"{room(path)} prints in lines {printed}"


@pytest.mark.parametrize(
    "module",
    [
        "explorer.ui.page",
        "explorer.web.server",
        "explorer.records",
        "explorer.media.samples",
        "explorer.store.store",
        "explorer.language.phrases",
        "explorer.search.query",
    ],
)
def test_the_page_opens_before_torch_has_loaded(module: str) -> None:
    program = f"import sys, {module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=PROJECT, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "False", f"{module} brings torch in"
