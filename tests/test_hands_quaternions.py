"""Quaternions: the algebra holds, and conversions agree with SciPy."""

import numpy as np
import pytest
from emo2.models.hands import quaternions as Q
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

number = st.floats(-1, 1, width=64)
quaternion = arrays(np.float64, (4,), elements=number).filter(lambda q: np.linalg.norm(q) > 0.1).map(Q.normalise)
vector = arrays(np.float64, (3,), elements=number)


def to_scipy(q):
    return Rotation.from_quat(np.roll(q, -1, axis=-1))


def same(a, b, within=1e-9):
    """The same rotation, whatever the sign."""
    return np.all(Q.angle(a, b) < within)


@given(quaternion, quaternion, vector)
def test_multiplication_is_composition(a, b, v):
    assert np.allclose(Q.rotate(Q.multiply(a, b), v), Q.rotate(a, Q.rotate(b, v)), atol=1e-12)
    assert np.allclose(Q.rotate(a, v), to_scipy(a).apply(v), atol=1e-12)
    assert same(Q.multiply(a, Q.conjugate(a)), Q.IDENTITY)


@given(quaternion)
def test_matrices_and_rotation_vectors_lead_back(q):
    assert np.allclose(Q.to_matrix(q), to_scipy(q).as_matrix(), atol=1e-12)
    assert same(Q.from_matrix(Q.to_matrix(q)), q)
    assert Q.from_matrix(Q.to_matrix(q))[0] >= 0
    turn = Q.to_axis_angle(q)
    assert np.linalg.norm(turn) <= np.pi + 1e-9
    assert same(Q.from_axis_angle(turn), q)


@given(vector.map(lambda v: v * 1e-7))
def test_tiny_rotations_keep_their_size(v):
    assert np.allclose(Q.to_axis_angle(Q.from_axis_angle(v)), v, rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("axis", np.eye(3))
def test_half_turns_survive_the_matrix(axis):
    q = np.concatenate([[0.0], axis])
    assert same(Q.from_matrix(Q.to_matrix(q)), q)


@given(quaternion, quaternion, st.floats(0, 1))
def test_slerp_goes_the_short_way_at_constant_speed(a, b, t):
    middle = Q.slerp(a, b, t)
    whole = Q.angle(a, b)
    assert Q.angle(a, middle) == pytest.approx(t * whole, abs=1e-6)
    assert Q.angle(middle, b) == pytest.approx((1 - t) * whole, abs=1e-6)
    assert same(Q.slerp(a, -b, t), middle, 1e-6) or whole > np.pi - 1e-3


@given(arrays(np.float64, (7, 2, 4), elements=number).filter(lambda q: np.linalg.norm(q, axis=-1).min() > 0.1))
def test_continuous_changes_signs_only_and_never_jumps(q):
    q = Q.normalise(q)
    smooth = Q.continuous(q)
    assert np.all((smooth[1:] * smooth[:-1]).sum(-1) >= 0)
    assert np.array_equal(np.abs(smooth), np.abs(q)) and np.array_equal(smooth[0], q[0])
    assert np.array_equal(Q.continuous(np.swapaxes(q, 0, 1), axis=1), np.swapaxes(smooth, 0, 1))


@given(quaternion, vector)
def test_mirror_is_the_reflection_at_the_sagittal_plane(q, v):
    flip = np.array([-1.0, 1.0, 1.0])
    assert np.allclose(Q.rotate(Q.mirror(q), v * flip), Q.rotate(q, v) * flip, atol=1e-12)
    assert np.array_equal(Q.mirror(Q.mirror(q)), q)


@given(
    quaternion,
    arrays(np.float64, (5, 3), elements=st.floats(-0.4, 0.4)),
    st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_average_ignores_signs_and_lies_in_the_middle(q, turns, flips):
    both = np.concatenate([turns, -turns])
    around = Q.multiply(q, Q.from_axis_angle(both))
    around *= np.where(np.array(flips + flips), -1, 1)[:, None]
    assert same(Q.average(around), q, 1e-6)


def test_weights_pull_the_average():
    a, b = Q.IDENTITY, Q.from_axis_angle(np.array([0.0, 0.0, 1.0]))
    near_b = Q.average(np.stack([a, b]), weights=np.array([1.0, 9.0]))
    assert Q.angle(near_b, b) < Q.angle(near_b, a)


def test_zero_becomes_identity_and_float32_stays():
    assert np.array_equal(Q.normalise(np.zeros(4, np.float32)), Q.IDENTITY.astype(np.float32))
    q = Q.normalise(np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32))
    for result in (Q.multiply(q, q), Q.slerp(q, q[::-1], 0.3), Q.to_matrix(q), Q.to_axis_angle(q), Q.continuous(q),
                   Q.mirror(q), Q.average(q), Q.from_matrix(Q.to_matrix(q)), Q.conjugate(q)):  # fmt: skip
        assert result.dtype == np.float32
