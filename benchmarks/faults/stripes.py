"""Right frame, right time: numbered videos in many containers, codecs and rates, sampled and asked for single frames.

    python -m benchmarks.faults.stripes [--short] [--decoder pyav|decord|both]
Prints the share within one frame last; exits 1 below 100 % or below 1,000 samples.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np

from explorer.config import SamplingConfig
from explorer.media.decode import DecodeWorker
from explorer.records import Frames, FrameSize
from tests.support.videos import Recipe, numbered, read_stripes

SIZE = FrameSize(64, 256)
SAMPLES = 24  # sampled frames a file; 6 more are asked for singly
ROUNDING = 0.1  # frames: clocks of a millisecond at 60 frames a second
NTSC = Fraction(30000, 1001)
_PAIRS = {
    "libx264": ".mp4 .mov .mkv .avi .ts .mpg .wmv .flv .3gp",
    "libx265": ".mp4 .mov .mkv .ts",
    "libvpx": ".webm .mkv .ogv",
    "libvpx-vp9": ".webm .mp4 .mkv .avi",
    "libsvtav1": ".mp4 .mkv .webm",
    "mpeg4": ".mp4 .avi .mkv .ts .3gp",
    "mpeg2video": ".mpg .ts .mkv .mp4 .avi",
    "mpeg1video": ".mpg .avi",
    "mjpeg": ".avi .mov .mkv",
    "prores_ks": ".mov .mkv",
    "wmv2": ".wmv .avi",
    "wmv1": ".wmv",
    "msmpeg4": ".avi .wmv",
    "flv": ".flv",
    "gif": ".gif",
    "ffv1": ".mkv .avi",
}
_FORMATS = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le", "gif": "rgb8"}
_RATES = (25, 30, NTSC, 24, 50, 60, 15, 10)


def recipes() -> list[Recipe]:
    """One recipe a pair of codec and container, rates taken in turn, and some with B-frames, late starts, few key frames."""
    made = []
    for codec, suffixes in _PAIRS.items():
        for suffix in suffixes.split():
            rate = 25 if suffix in (".mpg", ".gif") or codec.startswith("mpeg1") else _RATES[len(made) % len(_RATES)]
            made.append(
                Recipe(
                    codec=codec,
                    suffix=suffix,
                    fps=rate,
                    frames=72,
                    gop=12 if codec in ("libvpx", "flv") else 24,
                    pixel_format=_FORMATS.get(codec, "yuv420p"),
                    height=64,
                )
            )
    plain = {"frames": 96, "height": 64}
    for suffix in (".mp4", ".mkv", ".ts", ".avi"):
        made.append(Recipe(suffix=suffix, b_frames=3, gop=48, **plain))
    made += [
        Recipe(suffix=".mp4", fps=240, **plain),
        Recipe(suffix=".mkv", fps=1, frames=24, height=64),
        Recipe(suffix=".ts", start=5.0, **plain),
        Recipe(suffix=".mkv", start=2.0, **plain),
        Recipe(codec="libx265", suffix=".mp4", b_frames=2, gop=200, **plain),
    ]
    return made


def shift_of(found: Frames, recipe: Recipe) -> float:
    """Seconds by which the muxer moved the stream."""
    return float(found.times[0]) - read_stripes(found.pixels[0]) / float(recipe.fps)


def judge(found: Frames, targets: np.ndarray, recipe: Recipe, *, shift: float) -> list[bool]:
    """For each wanted moment and each frame given: stripes, time and moment agree within one frame; a missing one is False.

    A muxer that cannot write times before 0 moves the whole stream, by up to a frame; where a recipe starts late, some
    containers keep the wait and others drop it. That one shift of the file is read off its first frame.
    """
    rate = float(recipe.fps)
    numbers = np.array([read_stripes(picture) for picture in found.pixels])
    if not -ROUNDING <= shift * rate <= 1 + ROUNDING + recipe.start * rate:
        return [False] * (len(targets) + len(numbers))
    shown = [
        bool((np.abs(numbers + 0.5 - (target - shift) * rate) <= 1 + ROUNDING).any())
        for target in targets
        if target >= shift
    ]
    timed = (np.abs((found.times - shift) * rate - numbers) <= 1 + ROUNDING) & (numbers >= 0)
    return shown + [bool(x) for x in timed]


def try_recipe(worker: DecodeWorker, recipe: Recipe, folder: Path) -> tuple[list[bool], str]:
    """(verdicts, decoder at work) of one recipe, sampled and by single frames in a mixed order."""
    path = numbered(folder / f"{recipe.codec}_{float(recipe.fps):.0f}_{recipe.b_frames}{recipe.suffix}", recipe)
    sampling = SamplingConfig(fps=min(float(recipe.fps), 60.0), frames=min(SAMPLES, recipe.frames), hop=1)
    clip = worker.open(str(path), sampling=sampling, size=SIZE, still_width=0)
    runs = list(clip)
    whole = Frames(np.concatenate([r.times for r in runs]), np.concatenate([r.pixels for r in runs]))
    shift = shift_of(whole, recipe)
    length = recipe.frames / float(recipe.fps)
    inside = (np.random.default_rng(0).permutation(SAMPLES)[:6] + 0.5) * length / SAMPLES
    end = clip.info.duration
    verdicts = judge(
        whole, np.clip((np.arange(sampling.frames) + 0.5) * end / sampling.frames, 0, None), recipe, shift=shift
    )
    verdicts += judge(worker.frames_at(str(path), inside, size=SIZE), np.sort(inside), recipe, shift=shift)
    path.unlink()
    return verdicts, clip.decoder


def run(decoder: str, *, short: bool = False) -> tuple[int, int, int, list[str]]:
    """(right, checks, files that `decoder` itself decoded, lines about what was wrong) over all recipes."""
    chosen = recipes()[::5] if short else recipes()
    right, total, itself, wrong = 0, 0, 0, []
    with tempfile.TemporaryDirectory() as folder, DecodeWorker(decoder) as worker:
        for recipe in chosen:
            try:
                verdicts, used = try_recipe(worker, recipe, Path(folder))
            except Exception as error:  # a recipe that fails as a whole is told, not skipped
                verdicts, used = [False] * SAMPLES, f"{type(error).__name__}: {error}"
            itself += used == decoder
            right, total = right + sum(verdicts), total + len(verdicts)
            if not all(verdicts):
                wrong.append(
                    f"{recipe.codec} {recipe.suffix} {float(recipe.fps):g} fps by {used}: {sum(verdicts)} of {len(verdicts)}"
                )
    return right, total, itself, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--decoder", choices=("pyav", "decord", "both"), default="both")
    chosen = parser.parse_args()
    good = True
    for decoder in ("pyav", "decord") if chosen.decoder == "both" else (chosen.decoder,):
        right, total, itself, wrong = run(decoder, short=chosen.short)
        for line in wrong:
            print(line)
        print(
            f"R3 {decoder}: {right} of {total} checks within one frame ({100 * right / total:.2f} %), {itself} files by {decoder} itself"
        )
        good &= right == total and (chosen.short or total >= 1000)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
