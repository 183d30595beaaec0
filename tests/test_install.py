"""The wheel carries all it needs: installed in an empty folder, the checkout out of sight, it knows itself and searches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import explorer
from tests.support.videos import coloured

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel and nothing else of the project."""
    folder = tmp_path_factory.mktemp("install")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        str(PROJECT),
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        folder,
    ]
    subprocess.run(list(map(str, build)), check=True, cwd=folder, timeout=300)
    (wheel,) = folder.glob("hcmi_explorer-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site: Path, *arguments: str, program: str = "from explorer.cli.main import run_console as go") -> str:
    """What the console command prints with only the installed package in sight."""
    empty = site.parent / "empty"
    empty.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(site), "EXPLORER_DATA_DIR": str(site.parent / "data")}
    command = [sys.executable, "-c", f"import sys; {program}; sys.exit(go())", *arguments]
    done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_knows_its_version_its_models_and_itself(site: Path) -> None:
    assert run(site, "--version").split()[-1] == explorer.__version__
    assert {model["name"] for model in json.loads(run(site, "models", "--json"))} >= {"starter"}
    facts = {fact["name"]: fact["value"] for fact in json.loads(run(site, "doctor", "--json"))}
    assert explorer.__version__ in facts["HCMI Explorer"]


def test_the_wheel_indexes_and_searches(site: Path, tmp_path: Path) -> None:
    coloured(tmp_path / "red.mp4", [("red", 4.0)])
    indexed = json.loads(run(site, "index", str(tmp_path), "--json").splitlines()[-1])
    assert indexed["indexed"] == 1 and not indexed["failed"]
    found = json.loads(run(site, "search", "a red picture", "--json"))
    assert [Path(hit["path"]).name for hit in found["hits"]] == ["red.mp4"]


def test_importing_the_package_brings_neither_torch_nor_gradio(site: Path) -> None:
    program = (
        "import explorer; explorer.Settings; import sys;"
        "go = lambda: print(sorted({'torch', 'gradio'} & set(sys.modules)))"
    )
    assert run(site, program=program).strip() == "[]"


def test_the_wheel_asks_for_what_requirements_lists_and_brings_the_command(site: Path) -> None:
    (folder,) = site.glob("hcmi_explorer-*.dist-info")
    wanted = metadata.PathDistribution(folder).requires or []
    listed = [line.split("#")[0].strip() for line in (PROJECT / "requirements.txt").read_text("utf-8").splitlines()]
    assert {Requirement(line) for line in wanted if "extra ==" not in line} == {
        Requirement(line) for line in listed if line
    }
    assert "hcmi-explorer = explorer.cli.main:run_console" in (folder / "entry_points.txt").read_text("utf-8")
