"""Moments from windows, on numbers one can check in the head."""

from __future__ import annotations

import numpy as np

from explorer.search.moments import FileCurve, file_curve, frame_spans, grow, moments, order, same_film
from explorer.search.retrieve import VideoRow, WindowBatch


def batch(firsts: list[int], videos: list[int], *, frames: int = 4) -> WindowBatch:
    count, first = len(firsts), np.array(firsts, np.int64)
    features = np.zeros((count, frames, 4), np.float16)
    features[np.arange(count), :, np.array(videos) % 4] = 1
    return WindowBatch(
        ids=np.arange(count),
        video_ids=np.array(videos, np.int64),
        first=first,
        start=first.astype(float),
        end=first + float(frames),
        features=features,
        mask=np.ones((count, frames), bool),
    )


TIMES = np.arange(20) + 0.5


def test_frames_stand_for_half_the_way_to_their_neighbours() -> None:
    assert frame_spans(np.array([0.5, 1.5, 4.5]), 0.0, 6.0).tolist() == [[0, 1], [1, 3], [3, 6]]


def test_windows_of_a_file_make_one_curve() -> None:
    curve = file_curve(
        batch([2, 0], [1, 1]), np.array([[0.3, 0.4, 0.5, 0.6], [0.1, 0.2, 0.9, 0.4]]), np.array([0, 1]), TIMES
    )
    assert curve.frames.tolist() == [0, 1, 2, 3, 4, 5]
    assert curve.values.tolist() == [0.1, 0.2, 0.9, 0.4, 0.5, 0.6]
    assert curve.starts.tolist() == [0, 1, 2, 3, 4, 5] and curve.ends.tolist() == [1, 2, 3, 4, 5, 6]


def test_a_moment_never_crosses_frames_that_no_candidate_covers() -> None:
    curve = FileCurve(np.array([0, 1, 5, 6]), np.ones(4), np.zeros(4), np.ones(4))
    assert grow(curve, 1, baseline=0.0) == (0, 1)


def test_ties_by_path_then_start_and_removed_rows_left_out() -> None:
    totals = np.array([0.5, 0.5 + 1e-9, 0.5, -np.inf])
    assert order(totals, ["b", "a", "a", "a"], np.array([0.0, 9.0, 3.0, 0.0])).tolist() == [2, 1, 0]


def test_overlapping_windows_give_one_moment_and_far_ones_two() -> None:
    curve = np.full((3, 4), 0.1)
    curve[0, 1:3] = 1  # frames 1, 2: the same as frames 0..1 of the second window
    curve[1, :1] = 1
    curve[2, 2:] = 0.8
    rows = {7: VideoRow(7, "p", "/a", 20.0)}
    found, copies = moments(
        batch([0, 2, 12], [7, 7, 7]),
        np.array([0.9, 0.8, 0.7]),
        curve,
        rows,
        times_of=lambda _: TIMES,
        spread=lambda video_id: batch([0], [video_id]),
        k=10,
        baseline=0.0,
    )
    assert [(m.start, m.end, m.still, m.row) for m in found] == [(1.0, 3.0, 1, 0), (14.0, 16.0, 14, 2)] and copies == {}


def test_equal_frames_in_files_of_equal_length_are_copies_and_of_other_length_are_not() -> None:
    rows = {1: VideoRow(1, "p", "/b", 20.0), 5: VideoRow(5, "q", "/a", 20.05), 9: VideoRow(9, "r", "/c", 30.0)}
    found, copies = moments(
        batch([0, 0, 0], [1, 5, 9]),
        np.array([0.5, 0.5, 0.5]),
        np.ones((3, 4)),
        rows,
        times_of=lambda _: TIMES,
        spread=lambda video_id: batch([0], [video_id]),
        k=10,
        baseline=0.0,
    )
    assert [m.video_id for m in found] == [5, 9] and copies == {5: ["/b"]}


def film(frames: np.ndarray) -> WindowBatch:
    """Frames (N, D) as one window."""
    count, zero = len(frames), np.array([0])
    unit = frames / np.linalg.norm(frames, axis=1, keepdims=True)
    return WindowBatch(zero, zero, zero, zero * 1.0, zero + 1.0, unit[None], np.ones((1, count), bool))


def test_another_day_of_a_fixed_camera_is_not_a_copy_and_another_encoding_is() -> None:
    rng = np.random.default_rng(0)
    place, changes = rng.standard_normal(64), rng.standard_normal((2, 20, 64))
    monday, tuesday = place + 0.1 * changes[0], place + 0.1 * changes[1]
    again = monday + 0.02 * rng.standard_normal((20, 64))
    assert same_film(film(monday), film(again))
    assert not same_film(film(monday), film(tuesday))
    still = np.repeat(place[None], 20, 0)
    assert same_film(film(still), film(still + 1e-4)) and not same_film(film(still), film(monday))
