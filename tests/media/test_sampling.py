"""Sampling and windows: checked by hand on small numbers, and against the contract on 200 seeded lengths."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.config import SamplingConfig
from explorer.media.sampling import LOOK_EVERY, Looks, frame_times, windows


def test_a_short_file_gives_segment_centres() -> None:
    assert frame_times(6.0, SamplingConfig(fps=1, frames=12, hop=6)).tolist() == pytest.approx(
        np.arange(0.25, 6, 0.5).tolist()
    )


def test_a_long_file_gives_a_grid() -> None:
    assert frame_times(13.2, SamplingConfig(fps=1, frames=12, hop=6)).tolist() == [i + 0.5 for i in range(13)]


@pytest.mark.parametrize("duration", [-1.0, float("nan"), float("inf")])
def test_a_length_that_is_none_is_refused(duration: float) -> None:
    with pytest.raises(ValueError, match="duration"):
        frame_times(duration, SamplingConfig())


def test_windows_by_hand() -> None:
    found = windows(np.arange(15) + 0.5, 15.0, SamplingConfig(fps=1, frames=12, hop=6))
    assert [(w.start, w.end, w.first, w.count) for w in found] == [(0.0, 12.0, 0, 12), (3.0, 15.0, 3, 12)]


def test_windows_of_nothing_and_of_one_frame() -> None:
    assert windows(np.empty(0), 3.0, SamplingConfig()) == ()
    (only,) = windows(np.array([0.0]), 0.04, SamplingConfig())
    assert (only.start, only.end, only.first, only.count) == (0.0, 0.04, 0, 1)


def test_times_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(ValueError, match="ascend"):
        windows(np.array([1.0, 1.0]), 2.0, SamplingConfig())


def test_contract_on_many_lengths() -> None:
    rng = np.random.default_rng(7)
    for _ in range(200):
        frames = int(rng.integers(1, 20))
        sampling = SamplingConfig(
            fps=float(rng.choice([0.2, 0.5, 1, 2, 7.5])), frames=frames, hop=int(rng.integers(1, frames + 1))
        )
        duration = float(rng.uniform(0.01, 100))
        times = frame_times(duration, sampling)
        assert len(times) >= 1 and times[0] >= 0 and times[-1] < duration and (np.diff(times) > 0).all()
        found = windows(times, duration, sampling)
        covered = {i for w in found for i in range(w.first, w.first + w.count)}
        assert covered == set(range(len(times)))
        assert [w.ordinal for w in found] == list(range(len(found)))
        assert found[0].start == 0 and found[-1].end == duration
        assert all(w.count == min(frames, len(times)) and w.start < w.end for w in found)
        steps = np.diff([w.first for w in found])
        assert (steps[:-1] == sampling.hop).all() and (steps <= sampling.hop).all() and (steps > 0).all()


def looked_at(pictures: list[np.ndarray], *, every: float = 1.0) -> list[int]:
    """The numbers of the frames that are looked at, `every` seconds apart."""
    looks = Looks()
    return [number for number, picture in enumerate(pictures) if looks.fresh(number * every, picture)]


def scene(shift: int = 0, *, side: int = 96) -> np.ndarray:
    """(side, side, 3) uint8: soft waves, moved to the left by `shift` pixels."""
    across = 128 + 20 * np.sin((np.arange(side) + shift) / 9.0)
    return np.repeat(np.repeat(across[None, :, None], side, 0), 3, 2).astype(np.uint8)


def test_a_still_scene_is_looked_at_once_in_a_while() -> None:
    noise = np.random.default_rng(0)
    still = [np.clip(scene() + noise.normal(0, 4, (96, 96, 3)), 0, 255).astype(np.uint8) for _ in range(20)]
    assert looked_at(still) == [0, 8, 16] and LOOK_EVERY == 8.0
    assert looked_at(still, every=4.0) == [*range(0, 20, 2)]


def test_a_cut_is_looked_at_at_once_also_one_of_colour_alone() -> None:
    assert looked_at([scene()] * 3 + [scene(30)] * 3) == [0, 3]
    red, green = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)
    red[..., 0], green[..., 1] = 150, 76  # equally bright
    assert looked_at([red, red, green, green, red]) == [0, 2, 4]


def test_a_slow_pan_adds_up_until_it_is_seen() -> None:
    pan = [scene(step) for step in range(7)]
    found = looked_at(pan)
    assert found == [0, 2, 4, 6], "no step is large, and none is forgotten"


def test_something_small_that_comes_into_sight_is_looked_at() -> None:
    visitor = scene()
    visitor[48:60, 48:60] = 0
    assert looked_at([scene(), scene(), visitor, visitor, scene()]) == [0, 2, 4]


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (33, 70), (224, 224), (336, 336)])
def test_frames_of_any_size_are_compared(size: tuple[int, int]) -> None:
    black, white = np.zeros((*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8)
    assert looked_at([black, black, white, white]) == [0, 2]
