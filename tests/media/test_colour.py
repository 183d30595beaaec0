"""Colours as a screen shows them: matrix and range told apart, HDR tone-mapped, fields made one; copies of joined films."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from explorer.config import SamplingConfig
from explorer.media import proxies
from explorer.media.child import colour, pictures
from explorer.media.decode import DecodeWorker
from explorer.records import FrameSize
from tests.support import everyday
from tests.support.videos import plain, read_stripes

RED = (200, 60, 40)


@pytest.mark.parametrize("space", [Colorspace.ITU709, Colorspace.ITU601, Colorspace.BT2020])
@pytest.mark.parametrize("reach", [ColorRange.MPEG, ColorRange.JPEG])
def test_matrix_and_range_are_told_apart(space: Colorspace, reach: ColorRange) -> None:
    source = av.VideoFrame.from_ndarray(plain(RED, 96, 64), format="rgb24")
    frame = source.reformat(
        format="yuv420p",
        src_colorspace=space,
        dst_colorspace=space,
        src_color_range=ColorRange.JPEG,
        dst_color_range=reach,
    )
    frame.colorspace, frame.color_range = int(space), int(reach)
    shown = pictures.Pictures(FrameSize(32, 48), 0).pixels(frame)
    assert np.abs(shown.astype(int) - RED).max() <= 4


@pytest.mark.parametrize(("transfer", "code"), [(colour.PQ, 0.58), (colour.HLG, 0.75)])
def test_a_white_page_of_an_hdr_film_is_white(tmp_path: Path, transfer: int, code: float) -> None:
    """Ten bits of H.264 with the tags of HDR, read by the child: 203 nits are a white page (ITU-R BT.2408)."""
    path = tmp_path / "hdr.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = transfer, 9, 9, 1
        for number in range(10):
            luma = np.full((96, 64), 512, np.uint16)
            luma[:64] = round(64 + 876 * code)
            frame = av.VideoFrame.from_ndarray(luma, format="yuv420p10le")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    copy = tmp_path / "copy.mp4"
    with DecodeWorker() as worker:
        info = worker.probe(str(path))
        shown = worker.frames_at(str(path), [0.5], size=FrameSize(32, 32)).pixels[0]
        list(proxies.make_playable(str(path), str(copy), info=info))
        copied = worker.frames_at(str(copy), [0.5], size=FrameSize(32, 32)).pixels[0]
    assert shown.min() > 225 and copied.min() > 220


def test_interlaced_film_shows_no_comb(tmp_path: Path) -> None:
    """Lines of the two fields are black and white: a still or a copy of both would be a comb."""
    path, copy = tmp_path / "fields.mkv", tmp_path / "copy.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"x264-params": "tff=1", "qp": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        picture = np.zeros((64, 64, 3), np.uint8)
        picture[0::2] = 200
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with DecodeWorker() as worker:
        info = worker.probe(str(path))
        shown = worker.frames_at(str(path), [0.5], size=FrameSize(64, 64)).pixels[0].astype(int)
    assert info.interlaced and proxies.playability(info) == "transcode"
    assert np.abs(np.diff(shown[8:-8].mean(axis=(1, 2)))).max() < 40
    list(proxies.make_playable(str(path), str(copy), info=info))
    with av.open(str(copy)) as made:
        frames = list(made.decode(video=0))
    assert len(frames) == 25 and not any(frame.interlaced_frame for frame in frames)


@pytest.mark.parametrize(("suffix", "codec"), [(".ts", "libx264"), (".mpg", "mpeg2video"), (".ts", "mpeg2video")])
def test_the_copy_of_a_joined_film_holds_all_of_it_at_its_place(tmp_path: Path, suffix: str, codec: str) -> None:
    path, copy = everyday.joined_films(tmp_path / f"a{suffix}", codec=codec), tmp_path / "copy.mp4"
    with DecodeWorker() as worker:
        info = worker.probe(str(path))
        list(proxies.make_playable(str(path), str(copy), info=info))
        clip = worker.open(str(copy), sampling=SamplingConfig(fps=1, frames=4, hop=2), size=FrameSize(64, 256))
        numbers = [read_stripes(p) for run in clip for p in run.pixels]
    assert clip.info.duration == pytest.approx(8.0, abs=0.2) and len(numbers) == 8
    assert numbers == pytest.approx([12 + 25 * n for n in range(8)], abs=3)
