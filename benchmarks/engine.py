"""Image towers by every engine there is, interleaved in one run: ratios to torch, largest differences, and whether bf16
moves a ranking.

Run: python -m benchmarks.engine [--clips DIR] [--towers starter MobileCLIP-S1 ViT-B-32] [--rounds 7]. Towers other than
the starter have random weights: their speed is that of the real ones. Exit 1 where f32 is further than 1e-5 from torch.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from explorer.config import Settings
from explorer.index.embed import stack
from explorer.media.decode import DecodeWorker
from explorer.media.sampling import windows as cut_windows
from explorer.model.encoder import Encoder
from explorer.model.towers import clip, engine
from explorer.model.towers.tower import Tower
from explorer.records import FrameFeatures
from explorer.service.encoders import Encoders
from explorer.training.captions import read_captions

BATCH, QUERIES, TOP = 16, 500, 10
NEAR, GOAL_TOP = 1e-5, 99.0  # largest difference of a unit vector; percent of queries
Encode = Callable[[np.ndarray], np.ndarray]


def starter() -> Encoder:
    """The shipped encoder, its image tower made."""
    encoder = Encoders(Settings()).encoder("starter")
    encoder.tower.engines = None
    return encoder


def random_tower(name: str) -> Tower:
    """An open_clip architecture with random weights."""
    import open_clip

    torch.manual_seed(0)
    return clip.wrap(open_clip.create_model(name), None, name=name, device=torch.device("cpu"))


def frozen(tower: Tower, eager: Encode) -> Encode:
    """torch.jit: traced and frozen."""
    example = tower.preprocess(engine.drawn(tower.frame_size))
    eager(engine.drawn(tower.frame_size))
    with torch.no_grad():
        graph = torch.jit.freeze(torch.jit.trace(engine._Images(tower.model).eval(), example, check_trace=False))
    return lambda pixels: graph(tower.preprocess(pixels)).numpy()


def onnx_runtime(tower: Tower, folder: Path) -> Encode:
    """ONNX Runtime with its own choice of threads; ImportError where it is not installed."""
    import onnxruntime

    path, size = folder / "tower.onnx", tower.frame_size
    example = torch.zeros(2, 3, size.height, size.width)
    torch.onnx.export(
        engine._Images(tower.model).eval(),
        (example,),
        str(path),
        dynamo=False,
        input_names=["pixels"],
        dynamic_axes={"pixels": {0: "n"}},
    )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"pixels": tower.preprocess(pixels).contiguous().numpy()})[0]


def engines(tower: Tower, folder: Path) -> dict[str, Encode]:
    """Every way to run an image tower here; one that cannot be made is left out, with the reason."""
    eager, pixels = tower._eager, tower._pixels
    eager(engine.drawn(tower.frame_size))
    graph = engine.convert(tower.model, tower.frame_size)
    makers: dict[str, Callable[[], Encode]] = {
        "torch": lambda: eager,
        "torch.jit, frozen": lambda: frozen(tower, eager),
        "ONNX Runtime": lambda: onnx_runtime(tower, folder),
        "OpenVINO f32": lambda: engine.compiled(graph, pixels),
        "OpenVINO bf16": lambda: engine.compiled(graph, pixels, precision="bf16"),
    }
    made = {}
    for name, make in makers.items():
        try:
            made[name] = make()
        except Exception as error:  # exporters raise what they like
            print(f"{tower.name}: no {name}: {str(error).splitlines()[0][:90]}")
    return made


@torch.inference_mode()
def compare(tower: Tower, ways: dict[str, Encode], rounds: int) -> tuple[list[str], float]:
    """Rows of the table, and the largest difference of f32."""
    size = tower.frame_size
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, size.height, size.width, 3), np.uint8)
    expected, spent = ways["torch"](pixels).copy(), {name: [] for name in ways}
    apart = {name: engine.difference(encode(pixels), expected) for name, encode in ways.items()}
    for _ in range(rounds):
        for name, encode in ways.items():
            start = time.perf_counter()
            encode(pixels)
            spent[name].append(time.perf_counter() - start)
    slow = np.array(spent["torch"])
    rows = [
        f"| {tower.name.split(':')[0]} | {name} | {np.median(slow / np.array(spent[name])):.1f} x | "
        f"{BATCH / np.median(spent[name]):.0f}/s | {apart[name]:.1e} |"
        for name in ways
    ]
    return rows, apart.get("OpenVINO f32", np.inf)


def rankings(encoder: Encoder, ways: dict[str, Encode], folder: Path) -> str:
    """In how many of 500 captions of real clips the ten best windows are the same in bf16 as in f32."""
    texts = [pair.caption for pair in read_captions(folder / "captions.jsonl").pairs]
    chosen = [*dict.fromkeys(texts)][:QUERIES]
    features = encoder.texts(chosen)
    sampling = Settings().sampling
    tables = {}
    pixels, places = {}, []
    with DecodeWorker() as worker:
        for path in sorted(path for path in folder.iterdir() if path.suffix in (".mp4", ".mkv", ".avi")):
            opened = worker.open(str(path), sampling=sampling, size=encoder.frame_size, still_width=0)
            runs = list(opened)
            pixels[path] = np.concatenate([run.pixels for run in runs])
            places.append((path, np.concatenate([run.times for run in runs]), opened.info.duration))
    for name in ("OpenVINO f32", "OpenVINO bf16"):
        parts = []
        for path, times, duration in places:
            raw = ways[name](pixels[path])
            kept = FrameFeatures(times, (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float16))
            windows = cut_windows(times, duration, sampling)
            parts.append(encoder.score(features, *stack(kept, windows))["total"])
        tables[name] = np.argsort(-np.concatenate(parts, axis=1), axis=1, kind="stable")[:, :TOP]
    same = (tables["OpenVINO f32"] == tables["OpenVINO bf16"]).all(1).mean() * 100
    as_sets = np.mean([set(a) == set(b) for a, b in zip(*tables.values())]) * 100
    first = (tables["OpenVINO f32"][:, 0] == tables["OpenVINO bf16"][:, 0]).mean() * 100
    return (
        f"bf16 against f32, {len(chosen)} captions of real clips: the ten best equal in {same:.1f} % (goal "
        f"{GOAL_TOP:g}), as sets in {as_sets:.1f} %, the first in {first:.1f} %"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--towers", nargs="+", default=["starter", "MobileCLIP-S1", "ViT-B-32"])
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    rows, worst, said = [], 0.0, ""
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen.towers:
            encoder = starter() if name == "starter" else None
            tower = encoder.tower if encoder else random_tower(name)
            ways = engines(tower, Path(folder))
            found, apart = compare(tower, ways, chosen.rounds)
            rows, worst = rows + found, max(worst, apart)
            print("\n".join(found), flush=True)
            if encoder and chosen.clips and "OpenVINO bf16" in ways:
                said = rankings(encoder, ways, chosen.clips)
                print(said, flush=True)
    print("\n| tower | engine | against torch | images | largest difference |\n|---|---|---|---|---|")
    print("\n".join(rows))
    print(f"{said}\nlargest difference of f32: {worst:.1e} (goal {NEAR:g})")
    return int(not worst <= NEAR)


if __name__ == "__main__":
    sys.exit(main())
