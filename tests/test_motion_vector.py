"""The motion vector: what stands where, there and back again, signs of quaternions, units of keypoints."""

import numpy as np
import pytest
from emo2.models.motion import vector
from emo2.models.types import Framing, Motion
from hypothesis import given
from hypothesis import strategies as st


def random_motion(rng, count, framing=None, keypoint_scores=None, visible=None):
    quaternions = rng.standard_normal((count, 2, 16, 4))
    return Motion(
        quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True),
        rng.normal(0, 0.3, (count, 2, 3)),
        25.0,
        framing or Framing(),
        keypoints=rng.uniform(-0.5, 1.5, (count, 18, 2)),
        keypoint_scores=np.ones((count, 18)) if keypoint_scores is None else keypoint_scores,
        visible=visible,
    )


framings = st.builds(
    Framing,
    neck=st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)),
    shoulder_width=st.floats(0.05, 0.9),
    size=st.tuples(st.integers(16, 1200), st.integers(16, 1200)),
)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 20), framing=framings)
def test_there_and_back_is_the_same_motion(seed, count, framing):
    motion = random_motion(np.random.default_rng(seed), count, framing)
    back = vector.unpack(vector.pack(motion), motion.fps, framing, visible=motion.visible)
    np.testing.assert_allclose(back.translations, motion.translations, atol=1e-6)
    np.testing.assert_allclose(back.keypoints, motion.keypoints, atol=2e-5)
    same = np.abs((back.rotations * motion.rotations).sum(-1))
    np.testing.assert_allclose(same, 1, atol=1e-5)  # the same rotation, whichever of its two quaternions
    assert back.fps == motion.fps and back.framing == framing


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 30))
def test_signs_do_not_matter_and_never_jump(seed, count):
    rng = np.random.default_rng(seed)
    motion = random_motion(rng, count)
    flipped = motion.replace(rotations=motion.rotations * rng.choice([-1, 1], (count, 2, 16, 1)))
    packed = vector.pack(motion)
    np.testing.assert_array_equal(packed, vector.pack(flipped))
    for hand in range(2):
        quaternions = packed[:, vector.hand(hand)][:, :64].reshape(count, 16, 4)
        assert ((quaternions[1:] * quaternions[:-1]).sum(-1) >= -1e-6).all()


def test_the_layout_is_left_hand_right_hand_keypoints():
    motion = random_motion(np.random.default_rng(0), 3)
    packed = vector.pack(motion)
    assert packed.shape == (3, 170) and packed.dtype == np.float32
    np.testing.assert_allclose(np.abs(packed[:, 0:64]), np.abs(motion.rotations[:, 0].reshape(3, 64)), atol=1e-6)
    np.testing.assert_array_equal(packed[:, 64:67], motion.translations[:, 0])
    np.testing.assert_allclose(np.abs(packed[:, 67:131]), np.abs(motion.rotations[:, 1].reshape(3, 64)), atol=1e-6)
    np.testing.assert_array_equal(packed[:, 131:134], motion.translations[:, 1])
    assert (vector.hand(0), vector.hand(1)) == (slice(0, 67), slice(67, 134))
    assert (vector.KEYPOINTS.start, vector.KEYPOINTS.stop, vector.SIZE) == (134, 170, 170)


def test_keypoints_are_pixels_from_the_neck_in_shoulder_widths():
    framing = Framing(neck=(0.5, 0.4), shoulder_width=0.25, size=(200, 100))  # neck at pixel (50, 80), shoulders 25
    points = np.tile([[0.75, 0.9]], (18, 1))[None]  # pixel (75, 180)
    motion = random_motion(np.random.default_rng(0), 1, framing).replace(keypoints=points)
    np.testing.assert_allclose(vector.pack(motion)[0, 134:136], [1.0, 4.0], atol=1e-5)


@given(seed=st.integers(0, 2**32 - 1), a=framings, b=framings)
def test_the_same_vector_in_another_framing_moves_the_points_with_the_person(seed, a, b):
    packed = vector.pack(random_motion(np.random.default_rng(seed), 2, a))
    again = vector.pack(vector.unpack(packed, 25.0, b))
    np.testing.assert_allclose(again, packed, atol=1e-3)


def test_unknown_points_and_hidden_hands_are_marked():
    scores, visible = np.ones((2, 18)), np.ones((2, 2), bool)
    scores[1, 4], visible[0, 1] = 0, False
    motion = random_motion(np.random.default_rng(0), 2, keypoint_scores=scores, visible=visible)
    known, packed = vector.known(motion), vector.pack(motion)
    expected = np.ones((2, 170), bool)
    expected[0, 67:134] = False
    expected[1, 134 + 8 : 134 + 10] = False
    np.testing.assert_array_equal(known, expected)
    assert (packed[1, 142:144] == 0).all() and (packed[0, 142:144] != 0).any()


def test_sampled_quaternions_come_back_to_unit_length():
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((5, 170)) * 3
    raw[2, :4] = 0  # no direction at all
    motion = vector.unpack(raw, 25.0)
    np.testing.assert_allclose(np.linalg.norm(motion.rotations, axis=-1), 1, atol=1e-6)
    np.testing.assert_array_equal(motion.rotations[2, 0, 0], [1, 0, 0, 0])
    unit = vector.unit(raw)
    np.testing.assert_allclose(np.linalg.norm(unit[:, 67:131].reshape(5, 16, 4), axis=-1), 1)
    np.testing.assert_array_equal(unit[:, 64:67], raw[:, 64:67])
    np.testing.assert_array_equal(unit[:, 131:], raw[:, 131:])
    assert (np.sign(unit[:, 4:64]) == np.sign(raw[:, 4:64])).all()


def test_variance_is_the_mean_squared_distance_from_the_mean():
    places = np.zeros((4, 2, 3))
    places[:, 0, 0] = [0.1, -0.1, 0.1, -0.1]  # left: 10 cm either way along x
    places[:, 1] = [0.3, 0.2, 0.1]  # right: still, away from the origin
    np.testing.assert_allclose(vector.hand_variance(places), [0.01, 0.0], atol=1e-12)
    places[:, 1, 1] += [0.02, -0.02, 0.02, -0.02]
    places[:, 1, 2] += [0.02, 0.02, -0.02, -0.02]
    np.testing.assert_allclose(vector.hand_variance(places)[1], 2 * 0.02**2, atol=1e-12)


def test_the_rest_pose_is_a_person_with_hands_before_the_belly():
    mean, deviation = vector.rest()
    motion = vector.unpack(mean[None], 25.0)
    left, right = motion.translations[0]
    assert left[0] > 0.05 and right[0] < -0.05  # the person's left hand is on the picture's right
    assert 0.15 < left[1] < 0.5 and left[2] < 0  # below the neck, in front of the body
    np.testing.assert_allclose(left * [-1, 1, 1], right, atol=1e-6)
    # The 2D wrists (OpenPose 4 right, 7 left) are where the 3D wrists are.
    np.testing.assert_allclose(motion.keypoints[0, [7, 4]], motion.framing.project(motion.wrists()[0]), atol=1e-4)
    shoulders = np.linalg.norm((motion.keypoints[0, 2] - motion.keypoints[0, 5]) * [512, 704])
    assert shoulders == pytest.approx(0.36 * 512, rel=0.02)
    assert (deviation > 0).all() and deviation.max() < 0.01
