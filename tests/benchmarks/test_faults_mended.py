"""Faults that the goals found, each with the test that failed before it was mended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults import common, unsafe
from explorer.disk import atomic
from explorer.media.child_process import Clock
from explorer.model import checkpoint
from explorer.model.towers import clip
from explorer.records import ExplorerError
from explorer.service import desk
from explorer.store.store import Store
from explorer.store.vectors import VectorCache
from explorer.training.texts import load_table

pytestmark = pytest.mark.fault


def full(_: int) -> None:
    """An fsync that finds the disk full."""
    raise OSError(28, "No space left on device")


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or not os.path.exists("/proc/self/schedstat"),
    reason="needs Linux's scheduler figures",
)
def test_time_in_line_for_a_processor_is_not_the_childs() -> None:
    """A decoder on a busy processor was killed as hung: by the clock it takes long, though it hardly runs."""
    cpu = min(os.sched_getaffinity(0))
    spin = "import os\nos.sched_setaffinity(0, [CPU])\nos.nice(NICE)\nwhile True: pass".replace("CPU", str(cpu))
    busy = [subprocess.Popen([sys.executable, "-c", spin.replace("NICE", "0")]) for _ in range(2)]
    starved, asleep = (
        subprocess.Popen([sys.executable, "-c", spin.replace("NICE", "19")]),
        subprocess.Popen(["sleep", "60"]),
    )
    try:
        time.sleep(1.0)
        waiting, hung = Clock(starved.pid), Clock(asleep.pid)
        seen = common.until(lambda: waiting.seconds() < 0.5 * waiting.passed() and waiting.passed() > 0.5, 30)
        assert seen is not None and hung.seconds() > 0.9 * hung.passed()
        assert any(waiting.in_line() for _ in range(20)) and not hung.in_line()
    finally:
        for process in (*busy, starved, asleep):
            process.kill()
            process.wait()


def test_a_search_is_answered_though_the_history_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with common.open_app(tmp_path) as app:
        monkeypatch.setattr(os, "fsync", full)
        assert app.searches.search("red").hits == () and app.desk.history() == ["red"]


def test_closing_on_a_full_disk_lets_the_next_one_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = common.make_library(tmp_path / "library", videos=1)
    app = common.open_app(tmp_path / "data")
    common.stands_still(app, app.library.add_folder(str(library)))
    app.searches.search("red")
    with monkeypatch.context() as patch:
        patch.setattr(VectorCache, "save", lambda self: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        app.close()
    common.open_app(tmp_path / "data").close()


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of a file")
def test_half_a_search_cache_is_never_kept(tmp_path: Path) -> None:
    """FAISS printed that the disk was full, and the half file was vouched for."""
    import resource

    from benchmarks.index_size import fill

    with Store(tmp_path / "index.db") as store:
        fill(store, files=4, windows=2)
        cache = VectorCache(store, tmp_path / "vectors.faiss", encoder="synthetic")
        cache.refresh()
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
        try:
            with pytest.raises(ExplorerError, match="cannot write .*vectors.faiss: File too large"):
                cache.save()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert sorted(path.name for path in tmp_path.iterdir() if "vectors" in path.name) == []


def test_a_flipped_bit_of_the_desk_is_noticed_and_told(tmp_path: Path) -> None:
    one = desk.Desk(tmp_path)
    one.save("a red car \udcff")
    assert desk.Desk(tmp_path).saved() == ["a red car \udcff"] and not desk.Desk(tmp_path).notice
    one.path.write_text(one.path.read_text().replace("red", "rel"))
    again = desk.Desk(tmp_path)
    assert again.saved() == [] and "desk.damaged" in again.notice and (tmp_path / "desk.damaged").exists()


def test_a_desk_without_its_seal_is_not_trusted(tmp_path: Path) -> None:
    atomic.write_bytes(tmp_path / "desk.json", json.dumps({"current": "other"}).encode())
    assert desk.Desk(tmp_path).current() is None


def test_vouched_bytes_that_are_no_tensors_are_told_in_a_sentence(tmp_path: Path) -> None:
    unsafe.vouched(tmp_path / "mine", b"\x80\x04no tensors at all")
    with pytest.raises(ExplorerError, match="holds no tensors"):
        checkpoint.load(tmp_path / "mine")


def test_a_tower_file_is_looked_at_before_a_model_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip

    monkeypatch.setattr(
        open_clip, "create_model", lambda *_, **__: pytest.fail("a model was built for a file that is none")
    )
    (tmp_path / "w.safetensors").write_bytes(b"PK\x03\x04" + bytes(400))
    with pytest.raises(ExplorerError, match="is not a safetensors file"):
        clip.load(f"ViT-B-32@{tmp_path / 'w.safetensors'}", device="cpu", folder=tmp_path)


def test_kept_text_features_that_are_cut_are_told_in_a_sentence(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", words=np.arange(3))
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:60])
    with pytest.raises(ExplorerError, match="cannot read the text features"):
        load_table(tmp_path / "a.npz")
