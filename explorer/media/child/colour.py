"""Turns the colours of a frame into those of a screen: matrix and range, HDR, fields. Runs in the child."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

PQ, HLG = 16, 18  # transfer characteristics of ITU-T H.273
WHITE = 203.0  # nits of a white page in an HDR film (ITU-R BT.2408)
KNEE = 0.8  # share of white up to which light stays as it is; what is brighter is pressed together above
HD_LINES = 576  # a film of more lines that names no matrix has that of HD, as players take it
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
}
_MATRICES |= {9: Colorspace.BT2020, 10: Colorspace.BT2020}
# Linear light of BT.2020's primaries to that of BT.709's (ITU-R BT.2087).
_TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)


def matrix(frame: VideoFrame, lines: int) -> Colorspace:
    """The matrix by which the colours of a frame of so many lines were coded."""
    return _MATRICES.get(int(frame.colorspace), Colorspace.ITU709 if lines > HD_LINES else Colorspace.ITU601)


def full_range(frame: VideoFrame) -> bool:
    """Whether black is 0 and not 16."""
    return int(frame.color_range) == int(ColorRange.JPEG) or frame.format.name.startswith("yuvj")


def is_coded(frame: VideoFrame) -> bool:
    """Whether a frame is of luma and chroma, which have a matrix and a range."""
    return not frame.format.is_rgb and frame.format.name.startswith(("yuv", "nv", "p0", "y2", "uyvy", "yuyv"))


def is_hdr(frame: VideoFrame) -> bool:
    """Whether light is coded by PQ or HLG."""
    return int(frame.color_trc) in (PQ, HLG)


@lru_cache(maxsize=2)
def _light(transfer: int) -> np.ndarray:
    """(65536,) float32: light of each code value, 1 for a white page."""
    code = np.linspace(0, 1, 1 << 16)
    if transfer == PQ:  # SMPTE ST 2084
        root = code ** (4096 / (2523 * 128))
        light = (np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)) ** (16384 / 2610)
        return (light * 10000 / WHITE).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073  # ARIB STD-B67
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return (scene**1.2 * 1000 / WHITE).astype(np.float32)  # as a screen of 1,000 nits shows it


def tone_mapped(picture: np.ndarray, transfer: int) -> np.ndarray:
    """(H, W, 3) uint8 of (H, W, 3) uint16 in BT.2020: a white page becomes white, lamps and sun a little more.

    Example:
        >>> grey = np.full((1, 1, 3), round(0.58 * 65535), np.uint16)  # a white page in PQ
        >>> bool(tone_mapped(grey, PQ).min() > 235)
        True
    """
    light = _light(transfer)[picture]
    peak = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
    pressed = KNEE + (1 - KNEE) * (1 - np.exp(-(peak - KNEE) / (1 - KNEE)))
    light = light * np.where(peak > KNEE, pressed / peak, 1)
    shown = np.clip(light @ _TO_709.T, 0, 1) ** (1 / 2.2)
    return np.rint(shown * 255).astype(np.uint8)


class Field:
    """Takes one of the two half pictures of an interlaced frame: a still needs no more lines, and no comb is seen."""

    def __init__(self) -> None:
        self._graphs: dict[tuple[int, int, str], Graph] = {}

    def of(self, frame: VideoFrame) -> VideoFrame:
        """The frame's first field, half as high; a frame that is not interlaced as it is."""
        if not frame.interlaced_frame or frame.height < 2:
            return frame
        key = (frame.width, frame.height, frame.format.name)
        graph = self._graphs.get(key) or self._make(frame, key)
        graph.push(frame)
        field = graph.pull()
        assert isinstance(field, VideoFrame)  # it is a graph of pictures
        return field

    def _make(self, frame: VideoFrame, key: tuple[int, int, str]) -> Graph:
        self._graphs.clear()
        graph = self._graphs[key] = Graph()
        chain = [
            graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base),
            graph.add("field", "top"),
            graph.add("buffersink"),
        ]
        for before, behind in zip(chain, chain[1:]):
            before.link_to(behind)
        graph.configure()
        return graph
