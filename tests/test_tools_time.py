"""Edits in time: frames that must not change, boundaries, order, lengths."""

import math

import numpy as np
import pytest
from emo2.models.audio import frame_count
from emo2.models.errors import EMO2Error
from emo2.models.hands.quaternions import angle
from emo2.models.motion import edit
from emo2.models.types import FRAME_FIELDS, Framing
from hypothesis import given
from hypothesis import strategies as st
from motion_cases import gestures

SEEDS = st.integers(0, 10_000)


def same(a, b, names=FRAME_FIELDS):
    return len(a) == len(b) and all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)


def clock(count, fps=25.0):
    """A motion whose left wrist's x is the time in seconds: it tells which instant each frame of an edit shows."""
    motion = gestures(1, count, fps)
    places = motion.translations.copy()
    places[:, :, 0] = ((np.arange(count) + 0.5) / fps)[:, None]
    return motion.replace(translations=places)


def told(motion):
    return motion.translations[:, 0, 0].astype(np.float64)


@given(
    st.integers(1, 80), st.sampled_from([12, 16, 23.976, 24, 25, 29.97, 30, 50, 60]), st.sampled_from([16, 25, 30, 60])
)
def test_resampling_keeps_duration_and_stays_with_the_sound(count, fps, new):
    motion = clock(count, fps)
    result = edit.resample(motion, new)
    assert len(result) == frame_count(motion.duration, new) and result.fps == new
    assert abs(len(result) - motion.duration * new) < 1 + 1e-6
    wanted = np.clip((np.arange(len(result)) + 0.5) / new, 0.5 / fps, motion.duration - 0.5 / fps)
    assert np.allclose(told(result), wanted, atol=1e-5)
    assert np.abs(np.linalg.norm(result.rotations, axis=-1) - 1).max() < 1e-5


@given(SEEDS)
def test_smooth_motion_survives_resampling_there_and_back(seed):
    motion = gestures(seed, 50)
    back = edit.resample(edit.resample(motion, 50), 25)
    assert len(back) == 50
    inner = slice(2, -2)
    assert np.allclose(back.translations[inner], motion.translations[inner], atol=2e-3)
    assert angle(back.rotations[inner], motion.rotations[inner]).max() < 0.05


def test_resampling_to_the_same_rate_changes_nothing():
    motion = gestures(0, 20)
    assert edit.resample(motion, 25.0) is motion


@given(SEEDS, st.integers(10, 60), st.data())
def test_holding_and_offsetting_touch_only_the_stretch(seed, count, data):
    motion = gestures(seed, count)
    first = data.draw(st.integers(0, count - 2))
    stop = data.draw(st.integers(first + 1, count))
    blend = data.draw(st.floats(0, 1))
    for edited in (
        edit.hold(motion, first / 25, stop / 25, "both", blend, body=True),
        edit.offset(motion, first / 25, stop / 25, (0.1, -0.1, 0.0), (0, 0, 0.3), "both", blend),
    ):
        assert same(edited.frames(0, first), motion.frames(0, first)) if first else True
        assert same(edited.frames(stop, count), motion.frames(stop, count)) if stop < count else True
    held = edit.hold(motion, first / 25, stop / 25, "left", 0.0)
    assert (held.translations[first:stop, 0] == motion.translations[first, 0]).all()
    assert (held.rotations[first:stop, 0] == motion.rotations[first, 0]).all()
    assert np.array_equal(held.rotations[:, 1], motion.rotations[:, 1])


def test_an_offset_is_whole_in_the_middle_and_eased_at_inner_edges():
    motion = gestures(4, 100)
    moved = edit.offset(motion, 1.0, 3.0, (0.05, 0, 0), hands="right", blend_seconds=0.4)
    shift = (moved.translations - motion.translations)[:, 1, 0]
    assert np.allclose(shift[35:65], 0.05, atol=1e-6)
    assert (np.diff(shift[24:35]) > -1e-7).all() and (np.diff(shift[65:76]) < 1e-7).all()
    assert (moved.translations[:, 0] == motion.translations[:, 0]).all()
    whole = edit.offset(motion, 0, 0, (0.05, 0, 0))
    assert np.allclose(whole.translations - motion.translations, [0.05, 0, 0], atol=1e-6)


@given(st.integers(20, 80), st.data())
def test_retiming_keeps_order_start_end_and_length(count, data):
    motion = clock(count)
    first = data.draw(st.integers(0, count - 4))
    stop = data.draw(st.integers(first + 2, count - 1))
    room = count - first - 1
    new = data.draw(st.integers(1, room))
    blend = data.draw(st.floats(0, 1))
    kept = edit.retime(motion, first / 25, stop / 25, new / 25, True, blend)
    assert len(kept) == count and (np.diff(told(kept)) > -1e-5).all()
    assert same(kept.frames(0, first), motion.frames(0, first)) if first else True
    longer = edit.retime(motion, first / 25, stop / 25, new / 25, False, blend)
    assert len(longer) == count + new - (stop - first) and (np.diff(told(longer)) > -1e-5).all()
    assert told(longer)[-1] == pytest.approx(told(motion)[-1], abs=0.05 + 0.02 * (stop - first) / new)
    assert len(edit.resample(longer, 25)) == len(longer)


def test_retiming_lands_where_it_was_asked_to():
    motion = clock(100)
    slow = edit.retime(motion, 1.0, 2.0, 2.0, False, 0.0)
    times = (np.arange(125) + 0.5) / 25
    wanted = np.interp(times, [0, 1, 3, 5], [0, 1, 2, 4])
    assert len(slow) == 125 and np.abs(told(slow) - wanted).max() < 0.021
    fits = edit.retime(motion, 1.0, 2.0, 2.0, True, 0.0)
    wanted = np.interp(times[:100], [0, 1, 3, 4], [0, 1, 2, 4])
    assert np.abs(told(fits) - wanted).max() < 0.05
    assert same(edit.retime(motion, 1.0, 2.0, 1.0), motion)


def test_retiming_what_nothing_follows():
    motion = clock(50)
    fast = edit.retime(motion, 1.0, 0, 0.5, True, 0.0)
    assert len(fast) == 50 and told(fast)[-1] == pytest.approx(told(motion)[-1], abs=0.03)
    with pytest.raises(EMO2Error, match="new_seconds"):
        edit.retime(motion, 1.0, 0, 1.5, True)
    assert len(edit.retime(motion, 1.0, 0, 1.5, False)) == 63


@given(SEEDS, st.integers(2, 40), st.integers(2, 40), st.data())
def test_splice_boundaries_are_exact(seed, a, b, data):
    first, second = gestures(seed, a), gestures(seed + 1, b)
    cut = data.draw(st.integers(1, a))
    skip = data.draw(st.integers(0, b - 1))
    blend = data.draw(st.integers(0, 10))
    joined = edit.splice(first, second, 0 if cut == a else cut / 25, skip / 25, blend / 25)
    assert len(joined) == cut + b - skip
    assert same(joined.frames(0, cut), first.frames(0, cut))
    clean = min(blend, b - skip)
    if clean < b - skip:
        assert same(joined.frames(cut + clean, len(joined)), second.frames(skip + clean, b))


def test_a_blended_splice_has_no_jump():
    first, second = gestures(1, 60), gestures(2, 60)
    steps = [
        np.linalg.norm(np.diff(edit.splice(first, second, 1.0, 1.0, blend).translations, axis=0), axis=-1).max()
        for blend in (0.0, 0.4)
    ]
    usual = np.linalg.norm(np.diff(first.translations, axis=0), axis=-1).max()
    assert steps[1] < usual * 2.5 < steps[0] + usual * 2.5 and steps[1] <= steps[0]


def test_splicing_brings_rate_and_framing_along():
    first = gestures(1, 25, 25.0)
    second = gestures(2, 60, 60.0, Framing((0.7, 0.3), 0.2, (300, 400)))
    joined = edit.splice(first, second)
    assert joined.fps == 25 and joined.framing == first.framing and len(joined) == 50
    neck = (joined.keypoints[25 + 6 :, 1] - first.framing.neck) * first.framing.size[::-1]
    other = (second.keypoints[:, 1] - second.framing.neck) * second.framing.size[::-1]
    ratio = first.framing.shoulder_width * 512 / (0.2 * 400)
    assert np.abs(neck).max() < np.abs(other).max() * ratio * 1.05


@given(st.floats(0.1, 5), st.floats(0.1, 5), st.sampled_from(edit.ENDINGS))
def test_each_hand_plays_at_its_own_speed(left, right, ending):
    motion = clock(50)
    result = edit.change_speed(motion, left, right, ending)
    frames = np.arange(50)
    for hand, speed in ((0, left), (1, right)):
        place = frames * speed
        place = np.clip(place, 0, 49) if ending == "hold" else 49 - np.abs(place % 98 - 49)
        assert np.allclose(result.translations[:, hand, 0], (place + 0.5) / 25, atol=1e-4)
    assert np.array_equal(result.face, motion.face) and np.array_equal(result.body_offset, motion.body_offset)


def test_padding_and_cutting():
    motion = gestures(0, 10)
    longer = edit.pad_to(motion, 14)
    assert (
        len(longer) == 14 and same(longer.frames(0, 10), motion) and same(longer.frames(13, 14), motion.frames(9, 10))
    )
    assert same(edit.pad_to(motion, 4), motion.frames(0, 4))


def test_unknown_points_do_not_pull_known_ones():
    motion = gestures(0, 2)
    scores = motion.keypoint_scores.copy()
    points = motion.keypoints.copy()
    scores[1, 4], points[1, 4] = 0, 0
    between = edit.resample(motion.replace(keypoint_scores=scores, keypoints=points), 100.0)
    half = between.keypoint_scores[:, 4]
    assert (np.diff(half) <= 0).all() and 0 < half[3] < 1
    assert np.allclose(between.keypoints[half > 0, 4], motion.keypoints[0, 4], atol=1e-6)


@pytest.mark.parametrize("start, end, name", [
    (-1, 0, "start_second"), (5, 0, "start_second"), (1, 1, "end_second"), (1.5, 1.0, "end_second"),
    (0, 99, "end_second"), (math.nan, 0, "start_second"), (0, math.nan, "end_second"),
])  # fmt: skip
def test_impossible_times_are_named(start, end, name):
    motion = gestures(0, 50)
    for act in (lambda: edit.hold(motion, start, end), lambda: edit.mute(motion, "left", "rest", start, end),
                lambda: edit.offset(motion, start, end), lambda: edit.retime(motion, start, end, 1.0)):  # fmt: skip
        with pytest.raises(EMO2Error) as caught:
            act()
        assert caught.value.input == name and "\n" not in str(caught.value)


@pytest.mark.parametrize("act, name", [
    (lambda m: edit.smooth(m, -1), "seconds"), (lambda m: edit.smooth(m, 1, "feet"), "hands"),
    (lambda m: edit.scale(m, 11), "amplitude_left"), (lambda m: edit.scale(m, 1, -0.1), "amplitude_right"),
    (lambda m: edit.change_speed(m, math.inf), "speed_left"), (lambda m: edit.change_speed(m, 1, 2, "x"), "ending"),
    (lambda m: edit.resample(m, 0), "fps"), (lambda m: edit.pad_to(m, 0), "frame_count"),
    (lambda m: edit.mute(m, "left", "away"), "how"), (lambda m: edit.splice(m, m, 9), "at_second"),
    (lambda m: edit.splice(m, m, 0, 9), "from_second"), (lambda m: edit.splice(m, m, 0, 2.0), "from_second"),
    (lambda m: edit.splice(m, m, 0.001), "at_second"), (lambda m: edit.retime(m, 0, 1, 0), "new_seconds"),
    (lambda m: edit.offset(m, move=(math.nan, 0, 0)), "move"),
    (lambda m: edit.hold(m, 0, 1, blend_seconds=-1), "blend_seconds"),
])  # fmt: skip
def test_values_out_of_range_are_named(act, name):
    with pytest.raises(EMO2Error) as caught:
        act(gestures(0, 50))
    assert caught.value.input == name and "\n" not in str(caught.value)


def test_one_frame_is_a_motion_too():
    motion = gestures(0, 1)
    for result in (
        edit.smooth(motion, 1), edit.mirror(motion), edit.scale(motion, 2, 0), edit.change_speed(motion, 3, 0.5),
        edit.mute(motion, "both"), edit.offset(motion, move=(0.1, 0, 0)), edit.hold(motion, 0),
        edit.resample(motion, 30), edit.splice(motion, motion), edit.retime(motion, 0, 0, 0.2, False),
    ):  # fmt: skip
        assert len(result) >= 1
