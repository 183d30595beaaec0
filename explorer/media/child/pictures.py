"""Turns decoded frames into what is kept: the pixels a tower asks for and a small JPEG. Runs in the child."""

from __future__ import annotations

import io

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from PIL import Image

from explorer.media.child import colour
from explorer.media.child.facts import displayed_size, quarter_turns
from explorer.records import FrameSize

QUALITY = 75  # of JPEG stills: about 10 KB at 320 wide
LONGEST = 4096  # pixels of a scaled side before the centre is cut, against pictures of 1 x 10,000
# Of swscale's filters this one comes closest to the antialiased bicubic of PIL that towers were trained on: mean
# difference
# 0.2 of 255 at 224 x 224 over three real clips, against 0.4 for area, 0.4 for Lanczos and 2.0 for plain bicubic.
# PyAV before 18, the newest for Python 3.10, cannot ask for its exact rounding: area is the next best there.
SCALING = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    if hasattr(Interpolation, "ACCURATE_RND")
    else Interpolation.AREA
)


class Pictures:
    """Scales frames of one file; it lives as long as the file is read, since swscale's tables are worth keeping."""

    def __init__(self, size: FrameSize, still_width: int, pixel_shape: object = None) -> None:
        self.size, self.still_width, self.pixel_shape = size, still_width, pixel_shape
        self._pixels, self._still, self._field = VideoReformatter(), VideoReformatter(), colour.Field()

    def pixels(self, frame: VideoFrame) -> np.ndarray:
        """(H, W, 3) uint8 RGB of the displayed picture, fitted as `size` says."""
        if self.size.fit == "squash":
            return self._scaled(self._pixels, frame, self.size.width, self.size.height)
        width, height = cover(displayed_size(frame, self.pixel_shape), self.size)
        return centre(self._scaled(self._pixels, frame, width, height), self.size)

    def still(self, frame: VideoFrame) -> bytes:
        """A JPEG of the displayed picture, `still_width` wide, never enlarged; b"" where no still is asked for."""
        if not self.still_width:
            return b""
        width, height = still_size(displayed_size(frame, self.pixel_shape), self.still_width)
        return jpeg(self._scaled(self._still, frame, width, height))

    def _scaled(self, reformatter: VideoReformatter, frame: VideoFrame, width: int, height: int) -> np.ndarray:
        """Scale in swscale to (height, width) as displayed, then turn upright: only small pictures are ever turned."""
        turns = quarter_turns(frame)
        wide, high = (height, width) if turns % 2 else (width, height)
        small = rgb(reformatter, self._field.of(frame), wide, high, lines=frame.height)
        return np.ascontiguousarray(np.rot90(small, -turns))


def rgb(reformatter: VideoReformatter, frame: VideoFrame, width: int, height: int, *, lines: int) -> np.ndarray:
    """(height, width, 3) uint8 of a frame, its colours as a screen shows them.

    Args:
        reformatter: swscale and its tables, of one use.
        frame: as it was decoded, or a field of it.
        width: pixels wanted, before the picture is turned upright.
        height: pixels wanted, before it is turned.
        lines: of the whole frame.
    """
    hdr = colour.is_hdr(frame)
    coded = (
        {
            "src_colorspace": colour.matrix(frame, lines),
            "dst_colorspace": colour.matrix(frame, lines),
            "src_color_range": ColorRange.JPEG if colour.full_range(frame) else ColorRange.MPEG,
            "dst_color_range": ColorRange.JPEG,
        }
        if colour.is_coded(frame)
        else {}
    )
    form = "rgb48le" if hdr else "rgb24"
    small = reformatter.reformat(frame, width=width, height=height, format=form, interpolation=SCALING, **coded)
    picture = small.to_ndarray()
    return colour.tone_mapped(picture, int(frame.color_trc)) if hdr else picture


def cover(displayed: tuple[int, int], size: FrameSize) -> tuple[int, int]:
    """(width, height) that covers `size` with the picture's own shape."""
    scale = max(size.width / displayed[0], size.height / displayed[1])
    return (
        min(max(round(displayed[0] * scale), size.width), max(LONGEST, size.width)),
        min(max(round(displayed[1] * scale), size.height), max(LONGEST, size.height)),
    )


def centre(picture: np.ndarray, size: FrameSize) -> np.ndarray:
    """The middle (H, W, 3) of a picture that covers it."""
    top, left = (picture.shape[0] - size.height) // 2, (picture.shape[1] - size.width) // 2
    return np.ascontiguousarray(picture[top : top + size.height, left : left + size.width])


def still_size(displayed: tuple[int, int], still_width: int) -> tuple[int, int]:
    """(width, height) of a still: at most `still_width` wide and three times as high."""
    width = min(still_width, displayed[0])
    return width, min(max(round(displayed[1] * width / displayed[0]), 1), 3 * still_width)


def jpeg(picture: np.ndarray) -> bytes:
    """JPEG bytes of (H, W, 3) uint8 RGB."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
