"""Sampling and windows: checked by hand on small numbers, and against the contract on 200 seeded lengths."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.config import SamplingConfig
from explorer.media.sampling import frame_times, windows


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
