"""Edits of a motion: what must stay, what must change, and by how much."""

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.hands import load_hands
from emo2.models.hands.quaternions import angle
from emo2.models.motion import edit
from emo2.models.pose.body import ELBOWS, WRISTS
from emo2.models.types import FRAME_FIELDS, Framing
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import gestures

HANDS = load_hands()
SEEDS = st.integers(0, 10_000)
COUNTS = st.integers(2, 40)


def same(a, b, names=FRAME_FIELDS):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def close(a, b, tolerance):
    return all(
        np.allclose(getattr(a, n), getattr(b, n), atol=tolerance) for n in FRAME_FIELDS if n != "rotations"
    ) and (angle(a.rotations.astype(float), b.rotations.astype(float)).max() < max(tolerance, 2e-3))


@given(SEEDS, COUNTS)
def test_mirroring_twice_gives_the_original(seed, count):
    motion = gestures(seed, count)
    once = edit.mirror(motion)
    assert once.framing.neck[0] == pytest.approx(1 - motion.framing.neck[0])
    assert not np.allclose(once.translations, motion.translations)
    back = edit.mirror(once)
    assert close(back, motion, 1e-6) and back.framing.neck == pytest.approx(motion.framing.neck)


@settings(max_examples=8)
@given(SEEDS)
def test_a_mirrored_motion_is_the_mirror_image_in_the_picture(seed):
    motion = gestures(seed, 4)
    mirrored = edit.mirror(motion)
    pictures = [m.framing.project(HANDS.pose(m.rotations, m.wrists())[1]) for m in (motion, mirrored)]
    expected = pictures[0][:, ::-1] * [-1, 1] + [1, 0]
    assert np.allclose(pictures[1], expected, atol=1e-6)
    assert np.allclose(mirrored.keypoints[:, 4], motion.keypoints[:, 7] * [-1, 1] + [1, 0], atol=1e-6)
    # Jaw ends, outer eye corners and mouth corners of the 70 face points.
    for right, left in ((0, 16), (36, 45), (48, 54), (60, 64), (68, 69), (17, 26), (31, 35)):
        assert np.allclose(mirrored.face[:, right], motion.face[:, left] * [-1, 1] + [1, 0], atol=1e-6)
        assert np.array_equal(mirrored.face_scores[:, right], motion.face_scores[:, left])
    assert np.array_equal(mirrored.visible[:, 0], motion.visible[:, 1])
    assert np.array_equal(mirrored.confidence[:, 0], motion.confidence[:, 1])
    assert np.array_equal(mirrored.hand_scores[:, 0], motion.hand_scores[:, 1])


def test_mirroring_in_place_keeps_the_framing():
    motion = edit.apply_framing(gestures(1, 5), Framing((0.3, 0.4), 0.3))
    kept = edit.mirror(motion, keep_place=True)
    assert kept.framing == motion.framing
    assert np.allclose(kept.keypoints[:, 1, 0] - 0.3, 0.3 - motion.keypoints[:, 1, 0], atol=1e-5)


@given(SEEDS, COUNTS)
def test_amplitude_one_is_the_identity_and_zero_is_still(seed, count):
    motion = gestures(seed, count)
    assert same(edit.scale(motion, 1, 1), motion)
    still = edit.scale(motion, 0, 1)
    assert np.ptp(still.translations[:, 0], axis=0).max() == 0
    assert angle(still.rotations[:, 0], still.rotations[:1, 0]).max() < 1e-3
    assert np.array_equal(still.translations[:, 1], motion.translations[:, 1])
    assert np.array_equal(still.rotations[:, 1], motion.rotations[:, 1])


@given(SEEDS, st.floats(0.1, 3))
def test_amplitude_scales_displacement_about_the_visible_mean(seed, factor):
    motion = gestures(seed, 30)
    scaled = edit.scale(motion, 1, factor)
    seen = motion.visible[:, 1] if motion.visible[:, 1].any() else slice(None)
    mean = motion.translations[seen, 1].mean(0)
    assert np.allclose(scaled.translations[:, 1] - mean, factor * (motion.translations[:, 1] - mean), atol=1e-5)
    assert np.array_equal(edit.scale(motion, 1, factor, turns=False).rotations, motion.rotations)


@given(SEEDS, COUNTS, st.floats(0.02, 3.0))
def test_smoothing_keeps_ends_and_units_and_never_roughens(seed, count, seconds):
    motion = gestures(seed, count, noise=0.05)
    smooth = edit.smooth(motion, seconds, body=True)
    for name in ("rotations", "translations"):
        assert np.array_equal(getattr(smooth, name)[[0, -1]], getattr(motion, name)[[0, -1]])
    assert np.abs(np.linalg.norm(smooth.rotations, axis=-1) - 1).max() < 1e-5
    if count > 3 and seconds >= 0.2:
        rough = [np.square(np.diff(m.translations, 2, axis=0)).sum() for m in (motion, smooth)]
        assert rough[1] < rough[0]


def test_smoothing_one_hand_leaves_the_other_and_follows_with_its_arm():
    motion = gestures(3, 30, noise=0.03)
    smooth = edit.smooth(motion, 0.3, hands="left")
    assert np.array_equal(smooth.translations[:, 1], motion.translations[:, 1])
    assert np.array_equal(smooth.rotations[:, 1], motion.rotations[:, 1])
    left, right = [WRISTS[0], ELBOWS[0]], [WRISTS[1], ELBOWS[1]]
    assert not np.allclose(smooth.keypoints[:, left], motion.keypoints[:, left])
    assert np.array_equal(smooth.keypoints[:, right], motion.keypoints[:, right])
    moved = smooth.framing.project(smooth.wrists()) - motion.framing.project(motion.wrists())
    shift = smooth.keypoints[:, WRISTS[0]] - motion.keypoints[:, WRISTS[0]]
    assert np.allclose(shift, moved[:, 0], atol=1e-5)


def test_smoothing_is_blind_to_the_sign_of_quaternions():
    motion = gestures(5, 20)
    flipped = motion.rotations.copy()
    flipped[::2] *= -1
    a, b = edit.smooth(motion, 0.4), edit.smooth(motion.replace(rotations=flipped), 0.4)
    assert angle(a.rotations, b.rotations).max() < 2e-3


@pytest.mark.parametrize("how", ["rest", "still"])
def test_muting_brings_the_hand_to_one_pose_inside_the_stretch_only(how):
    motion = gestures(2, 50)
    muted = edit.mute(motion, "right", how, 0.4, 1.6, 0.2)
    assert same(muted.frames(0, 10), motion.frames(0, 10)) and same(muted.frames(40, 50), motion.frames(40, 50))
    middle = muted.translations[16:34, 1]
    assert np.ptp(middle, axis=0).max() < 1e-6
    assert np.array_equal(muted.translations[:, 0], motion.translations[:, 0])
    if how == "rest":
        assert middle[0, 1] > 0.2 and middle[0, 0] < 0


def test_hiding_marks_only_the_stretch_and_moves_nothing():
    motion = gestures(2, 50).replace(visible=None, confidence=None)
    hidden = edit.mute(motion, "left", "hide", 1.0, 0)
    assert not hidden.visible[25:, 0].any() and hidden.visible[:25].all() and hidden.visible[:, 1].all()
    assert (hidden.confidence[25:, 0] == 0).all()
    assert same(hidden, motion, ("rotations", "translations", "keypoints"))


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1)), min_size=1, max_size=6, unique_by=lambda p: p[0]))
def test_a_curve_goes_through_its_pairs(pairs):
    text = ", ".join(f"{t}:{v}" for t, v in pairs)
    values = edit.parse_track(text, 25, 300)
    order = sorted(pairs)
    assert np.allclose(values, np.interp((np.arange(300) + 0.5) / 25, *zip(*order)))


@pytest.mark.parametrize("text", ["", "1", "a:b", "0:1, 2", "-1:0.5", "0:nan", "0:1:2"])
def test_a_bad_curve_is_refused_with_the_pair_that_is_wrong(text):
    with pytest.raises(EMO2Error, match="curve_left"):
        edit.parse_track(text, 25, 10, "curve_left")


def test_confidence_of_each_frame_and_its_errors():
    motion = gestures(0, 6)
    track = np.linspace(0, 1, 6)
    assert np.allclose(edit.set_confidence(motion, 0.25, track).confidence, np.stack([np.full(6, 0.25), track], 1))
    with pytest.raises(EMO2Error, match="6 frames"):
        edit.set_confidence(motion, 1.0, np.ones(5))
    with pytest.raises(EMO2Error, match="confidence_left"):
        edit.set_confidence(motion, 1.5)


@given(SEEDS, st.floats(0.2, 0.8), st.floats(0.2, 0.8), st.floats(0.1, 0.9))
def test_framing_there_and_back(seed, x, y, width):
    motion = gestures(seed, 3)
    there = edit.apply_framing(motion, Framing((x, y), width, (480, 640)))
    assert np.array_equal(there.translations, motion.translations)
    back = edit.apply_framing(there, motion.framing)
    assert np.allclose(back.keypoints, motion.keypoints, atol=1e-5) and back.framing == motion.framing


def test_framing_moves_the_neck_to_the_new_neck():
    motion = gestures(0, 3)
    keypoints = motion.keypoints.copy()
    keypoints[:, 1] = motion.framing.neck
    keypoints[:, 2] = np.array(motion.framing.neck) - [motion.framing.shoulder_width / 2, 0]
    moved = edit.apply_framing(motion.replace(keypoints=keypoints), Framing((0.25, 0.7), 0.5, (300, 900)))
    assert np.allclose(moved.keypoints[:, 1], (0.25, 0.7), atol=1e-6)
    assert np.allclose(moved.keypoints[:, 2], (0.0, 0.7), atol=1e-6)
