"""Clips, windows and ranges on the numbers: what is carried, what is new, and every boundary."""

import itertools
import math

import numpy as np
import pytest
import torch
from emo2.models.errors import EMO2Error
from emo2.models.video.clips import carry, frame_noise, plan_clips
from emo2.models.video.conditions import frame_range
from emo2.models.video.windows import WindowOptions, context_windows, window_weights
from hypothesis import given
from hypothesis import strategies as st

lengths = st.integers(1, 400)


@given(st.integers(0, 1000), lengths, st.integers(1, 40), st.integers(0, 40), st.integers(0, 60))
def test_clips_hold_every_frame_once_in_order(start, count, clip, motion, previous):
    plans = plan_clips(start, count, clip, motion, previous)
    frames = [frame for plan in plans for frame in range(plan.start, plan.stop)]
    assert frames == list(range(start, start + count))
    assert [plan.index for plan in plans] == list(range(math.ceil(count / clip)))
    assert all(plan.count == clip for plan in plans[:-1]) and 1 <= plans[-1].count <= clip


@given(lengths, st.integers(1, 40), st.integers(0, 40), st.integers(0, 60))
def test_what_is_carried_are_the_last_frames_made_before(count, clip, motion, previous):
    """The plan's numbers and the tensors that are carried agree, frame number by frame number."""
    numbers = torch.arange(-previous, 0).float().reshape(-1, 1, 1, 1)
    before = carry(None, numbers, motion)
    for plan in plan_clips(0, count, clip, motion, previous):
        assert len(before) == plan.carried == min(motion, previous + plan.start)
        assert before.flatten().tolist() == list(range(plan.start - plan.carried, plan.start))
        before = carry(before, torch.arange(plan.start, plan.stop).float().reshape(-1, 1, 1, 1), motion)


@pytest.mark.parametrize(
    "count, expected",
    [
        (1, [(0, 1, 0)]),
        (23, [(0, 23, 0)]),
        (24, [(0, 24, 0)]),
        (25, [(0, 24, 0), (24, 1, 12)]),
        (48, [(0, 24, 0), (24, 24, 12)]),
        (49, [(0, 24, 0), (24, 24, 12), (48, 1, 12)]),
    ],
)
def test_the_papers_clips_at_their_boundaries(count, expected):
    assert [(plan.start, plan.count, plan.carried) for plan in plan_clips(0, count, 24, 12)] == expected


def test_no_frames_is_an_error():
    with pytest.raises(EMO2Error, match="at least 1 frame"):
        plan_clips(0, 0, 24, 12)


@given(st.integers(0, 2**64 - 1), st.integers(0, 500), st.integers(1, 8))
def test_noise_belongs_to_the_frame(seed, start, count):
    whole = frame_noise(seed, start, count, (2, 3, 2))
    assert torch.equal(whole[-1:], frame_noise(seed, start + count - 1, 1, (2, 3, 2)))


def test_noise_is_normal_and_differs_between_frames_and_seeds():
    noise = frame_noise(0, 0, 200, (4, 8, 8))
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 1) < 0.01
    flat = noise.flatten(1)
    assert (torch.corrcoef(flat) - torch.eye(200)).abs().max() < 0.35
    assert not torch.equal(noise, frame_noise(1, 0, 200, (4, 8, 8)))


options = st.builds(
    lambda length, overlap, closed, shift: WindowOptions(length, overlap % length, closed, shift),
    st.integers(1, 30), st.integers(0, 29), st.booleans(), st.integers(0, 40),
)  # fmt: skip


@given(lengths, options, st.integers(0, 60))
def test_windows_cover_every_frame_at_every_step(count, windows, step):
    found = context_windows(count, windows, step)
    assert set(np.concatenate(found).tolist()) == set(range(count))
    assert all(len(window) == min(count, windows.length) for window in found)
    for window in found:
        assert len(set(window.tolist())) == len(window), "a window must not hold a frame twice"
        assert set(np.diff(window)) <= ({1, 1 - count} if windows.closed_loop else {1})


@given(lengths, options, st.integers(0, 60))
def test_neighbouring_windows_share_at_least_the_overlap(count, windows, step):
    found = context_windows(count, windows, step)
    for one, other in itertools.pairwise(found):
        assert len(set(one.tolist()) & set(other.tolist())) >= windows.overlap


@given(st.integers(31, 400), options, st.integers(0, 60))
def test_a_closed_loop_treats_its_seam_like_any_other_place(count, windows, step):
    """The first and the last frame meet in a window, and shifting moves all windows round the circle."""
    if not windows.closed_loop:
        windows = WindowOptions(windows.length, windows.overlap, True, windows.shift)
    moved = context_windows(count, windows, step)
    still = context_windows(count, windows, 0)
    assert [w.tolist() for w in moved] == [((w + windows.shift * step) % count).tolist() for w in still]
    if windows.overlap >= 1:
        assert any({0, count - 1} <= set(window.tolist()) for window in still)


def test_echomimic_v2_windows():
    """Windows of 12 with overlap 3 over 24 frames, closed, shifted by 3 a step: starts 0, 9, 18, then 3, 12, 21."""
    windows = WindowOptions()
    assert [w[0] for w in context_windows(24, windows, 0)] == [0, 9, 18]
    assert context_windows(24, windows, 0)[-1].tolist() == [18, 19, 20, 21, 22, 23, 0, 1, 2, 3, 4, 5]
    assert [w[0] for w in context_windows(24, windows, 1)] == [3, 12, 21]


def test_an_open_video_keeps_its_windows_inside():
    windows = WindowOptions(12, 3, closed_loop=False, shift=3)
    assert [w[0] for w in context_windows(30, windows, 0)] == [0, 9, 18]
    assert [w[0] for w in context_windows(30, windows, 1)] == [0, 6, 15, 18]
    assert [w[0] for w in context_windows(13, windows, 0)] == [0, 1]


def test_pyramid_weights_rise_to_the_middle_and_are_never_zero():
    assert window_weights(5, "pyramid").tolist() == [1, 2, 3, 2, 1]
    assert window_weights(4, "uniform").tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "values, name",
    [
        ({"length": 0, "overlap": 0}, "length"),
        ({"length": 4, "overlap": 4}, "overlap"),
        ({"overlap": -1}, "overlap"),
        ({"shift": -1}, "shift"),
        ({"weights": "gauss"}, "weights"),
    ],
)
def test_wrong_window_options(values, name):
    with pytest.raises(EMO2Error) as caught:
        WindowOptions(**values)
    assert caught.value.input == name


@given(st.integers(1, 3000), st.sampled_from([24, 25, 29.97, 30, 12.5]), st.data())
def test_ranges_tile_the_video(total, fps, data):
    """[0, a), [a, b), [b, end) together are every frame once, wherever a and b lie."""
    one, other = sorted(data.draw(st.tuples(*[st.floats(0.001, total / fps)] * 2)))
    edges = [0.0, one, other, 0.0]
    frames = []
    for first, last in itertools.pairwise(edges):
        try:
            start, count = frame_range(total, fps, first, last)
        except EMO2Error:
            continue  # an empty stretch
        frames += range(start, start + count)
    assert frames == list(range(total))


@given(st.integers(0, 500), st.integers(1, 500), st.sampled_from([24, 25, 30]))
def test_a_range_between_frame_times_is_exact(start, count, fps):
    assert frame_range(1000, fps, start / fps, (start + count) / fps) == (start, count)


@pytest.mark.parametrize(
    "start, end, name",
    [(4.0, 0, "start_second"), (-1, 0, "start_second"), (float("nan"), 0, "start_second"), (0, 4.2, "end_second"),
     (2, 1, "end_second"), (2, 2, "end_second"), (0, -3, "end_second"), (0, float("inf"), "end_second")],
)  # fmt: skip
def test_ranges_outside_the_video_are_refused(start, end, name):
    with pytest.raises(EMO2Error) as caught:
        frame_range(100, 25.0, start, end)
    assert caught.value.input == name and "\n" not in str(caught.value)
