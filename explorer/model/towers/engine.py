"""What runs an image tower: torch on a GPU, OpenVINO on a processor, converted once a model, kept and verified."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
import shutil
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from explorer.disk.atomic import write_bytes
from explorer.records import FrameSize

log = logging.getLogger(__name__)

FORMAT = 1  # of a kept conversion
FILES = ("tower.xml", "tower.bin")  # the graph and its weights
MANIFEST = "manifest.json"
KEPT = 3  # conversions, the newest used: 35 MB for the starter, 1.2 GB for a ViT-L
TOLERANCE = 1e-5  # of a unit vector's numbers against torch's; measured: 4e-7 for the starter
SLICE = 8  # frames a stream takes at once: of 4, 8, 16 the quickest, on a busy machine too
# The same weights in another version of these may be another function.
PACKAGES = ("openvino", "torch", "open_clip_torch", "timm")

Encode = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Pixels:
    """What an image tower takes: the size of its frames, and mean and deviation of rgb in units of 255."""

    size: FrameSize
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Engine:
    """An image tower as it is run.

    encode takes (N, H, W, 3) uint8 and gives (N, D) float32, not of unit length; name says who runs it, and note in
    one sentence why it is not the quickest there is.
    """

    name: str
    encode: Encode
    note: str = ""


class _Images(nn.Module):
    """The image half of a model as a module of its own, which is what tracing takes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) normalised -> (N, D)."""
        return self.model.encode_image(pixels)


def open_engine(model: nn.Module, pixels: Pixels, *, eager: Encode, folder: Path | None) -> Engine:
    """The quickest engine for a model on this processor.

    Args:
        model: float32 on the CPU, with encode_image: (N, 3, H, W) -> (N, D).
        pixels: what it takes.
        eager: the same function as torch computes it: what every engine is held against, and the way back.
        folder: where conversions are kept; None takes torch.
    """
    if folder is None:
        return Engine("torch", eager)
    try:
        return _openvino(model, pixels, eager=eager, folder=folder)
    except ImportError:
        reason = "OpenVINO is not installed"
    except Exception as error:  # a converter raises what it likes; torch can always
        log.debug("no quick engine", exc_info=True)
        reason = f"OpenVINO cannot run it ({(str(error) or type(error).__name__).strip().splitlines()[-1][:120]})"
    note = f"{reason}, so torch encodes frames, several times slower; run: pip install --upgrade openvino"
    log.warning(note)
    return Engine("torch", eager, note)


def _openvino(model: nn.Module, pixels: Pixels, *, eager: Encode, folder: Path) -> Engine:
    """The kept conversion where it is whole and does what torch does, else a new one.

    Raises:
        ImportError: no OpenVINO here.
        ValueError: a new conversion does something else than torch.
    """
    frames = drawn(pixels.size)
    expected = eager(frames)  # first, since an image tower may be made when its first frame comes
    place = folder / name_of(model, pixels)
    graph = read_kept(place)
    if graph is not None:
        encode = compiled(graph, pixels)
        if difference(encode(frames), expected) <= TOLERANCE:
            os.utime(place)
            return Engine("OpenVINO", encode)
        log.warning("the kept conversion in %s does not do what the model does; it is made anew", place)
    graph = convert(model, pixels.size)
    encode = compiled(graph, pixels)
    apart = difference(encode(frames), expected)
    if not apart <= TOLERANCE:  # NaN too
        raise ValueError(f"it differs from torch by {apart:.1e}")
    _keep(graph, place)
    return Engine("OpenVINO", encode)


def name_of(model: nn.Module, pixels: Pixels) -> str:
    """Sixteen hex digits of all that makes a conversion: the weights, the size of frames, the packages at work."""
    digest = hashlib.sha256(repr((FORMAT, pixels.size, [_version(name) for name in PACKAGES])).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def convert(model: nn.Module, size: FrameSize) -> Any:
    """The image half of a model as an OpenVINO graph of any number of frames.

    OpenVINO's own convert_model would do the same and also tell its maker that it was used; the front end under it
    tells nobody.
    """
    import openvino
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    example = torch.zeros(2, 3, size.height, size.width)
    quick_attention = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operator cannot be traced
    try:
        with torch.no_grad(), torch.inference_mode(False), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing is old, and it warns of every shape it fixes
            traced = torch.jit.trace(_Images(model).eval(), example, check_trace=False)
    finally:
        torch.backends.mha.set_fastpath_enabled(quick_attention)
    front_end = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced, example_input=(example,))  # it must outlive the conversion
    graph = front_end.convert(front_end.load(decoder))
    graph.reshape(openvino.PartialShape([-1, 3, size.height, size.width]))
    return graph


def compiled(graph: Any, pixels: Pixels, *, precision: str = "f32", threads: int | None = None) -> Encode:
    """A graph made ready for this processor, taking pixels as they are decoded.

    A stream of one thread each core: they need not wait for each other, so a core that decoding or another program
    takes away holds up one slice of the frames, not all of them; and slices fit the cache.

    Args:
        graph: what `convert` or `read_kept` gave.
        pixels: what the tower takes.
        precision: f32, or bf16 where the processor has it.
        threads: of OpenVINO; None is one a core.
    """
    import openvino

    threads = threads or os.cpu_count() or 1
    hints = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": str(threads),
        "INFERENCE_NUM_THREADS": threads,
    }
    ready = openvino.Core().compile_model(_from_bytes(graph.clone(), pixels), "CPU", hints)
    width, requests, lock = (
        ready.output(0).partial_shape[1].get_length(),
        openvino.AsyncInferQueue(ready),
        threading.Lock(),
    )
    out = np.zeros((0, width), np.float32)

    def put(request: Any, first: int) -> None:
        rows = request.get_output_tensor().data
        out[first : first + len(rows)] = rows

    requests.set_callback(put)

    def encode(frames: np.ndarray) -> np.ndarray:
        nonlocal out
        step = max(1, min(SLICE, -(-len(frames) // threads)))  # few frames are shared out too
        with lock:
            out = np.empty((len(frames), width), np.float32)
            for first in range(0, len(frames), step):
                requests.start_async([np.ascontiguousarray(frames[first : first + step])], first)
            requests.wait_all()
            return out

    return encode


def _from_bytes(graph: Any, pixels: Pixels) -> Any:
    """The graph with what a tower does first put into it: (N, H, W, 3) uint8 to (N, 3, H, W) normalised."""
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(graph)
    steps.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    steps.input().model().set_layout(Layout("NCHW"))
    mean, std = [value * 255 for value in pixels.mean], [value * 255 for value in pixels.std]
    steps.input().preprocess().convert_element_type(Type.f32).mean(mean).scale(std)
    return steps.build()


def drawn(size: FrameSize) -> np.ndarray:
    """(3, H, W, 3) uint8: noise, a slope and grey, on which engines are compared."""
    frames = np.full((3, size.height, size.width, 3), 128, np.uint8)
    frames[0] = np.random.default_rng(0).integers(0, 256, frames[0].shape)
    frames[1] = np.linspace(0, 255, size.width)[None, :, None]
    return frames


def difference(vectors: np.ndarray, others: np.ndarray) -> float:
    """The largest difference of any number of two (N, D) arrays brought to unit length."""
    return float(np.abs(_unit(vectors) - _unit(others)).max())


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def read_kept(place: Path) -> Any | None:
    """The graph kept in a folder; None where there is none, or where one byte of it is not as it was written."""
    import openvino

    try:
        manifest = json.loads((place / MANIFEST).read_bytes())
        whole = all(manifest[name] == _sha256(place / name) for name in FILES)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        log.warning("the kept conversion in %s is damaged; it is made anew", place)
        return None
    return openvino.Core().read_model(place / FILES[0])


def _keep(graph: Any, place: Path) -> None:
    """Write a conversion, last the manifest that vouches for it; a disk that refuses costs the next start a minute."""
    import openvino

    try:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        openvino.save_model(graph, place / FILES[0], compress_to_fp16=False)
        digests = {name: _sha256(place / name) for name in FILES}
        write_bytes(place / MANIFEST, json.dumps(digests).encode())
        _forget_old(place.parent)
    except Exception as error:  # OpenVINO raises a RuntimeError of its own where the disk is full
        log.warning("the conversion of the image tower is not kept: %s", error)
        shutil.rmtree(place, ignore_errors=True)


def _forget_old(folder: Path) -> None:
    places = sorted(folder.iterdir(), key=lambda place: place.stat().st_mtime, reverse=True)
    for place in places[KEPT:]:
        shutil.rmtree(place, ignore_errors=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
