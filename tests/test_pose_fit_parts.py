"""The parts of the fit: chains of hinges, habits of hands, normal equations, gaps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from emo2.models.hands import finger_pose, load_hands
from emo2.models.hands.quaternions import angle, from_axis_angle, from_matrix, normalise, to_matrix
from emo2.models.pose.fit import _joined, _one_thread, _path, other_tilt
from emo2.models.pose.hand_chain import angles_of, chains_of, derivatives, posed, rotations_of
from emo2.models.pose.hand_gaps import bridged, gaps
from emo2.models.pose.hand_prior import Changes, anatomy
from emo2.models.pose.hand_solver import (
    UNKNOWNS,
    Seen,
    Smooth,
    State,
    _banded_step,
    _clip_equations,
    equations,
    misses,
    solve_clip,
    solve_frames,
)
from emo2.models.types import Framing
from hypothesis import given, settings
from hypothesis import strategies as st

HANDS = load_hands()
CHAINS, PRIOR = chains_of(HANDS), anatomy()
FOCAL = 1400.0
SEEDS = st.integers(0, 1000)
SOME = settings(max_examples=5, deadline=None)


@pytest.fixture(autouse=True)
def one_thread():
    with _one_thread():
        yield


def state_of(seed, count=2, size=0.3):
    rng = np.random.default_rng(seed)
    turn = to_matrix(normalise(rng.normal(size=(1, 2, 4)) + 0.05 * rng.normal(size=(count, 2, 4))))
    place = np.array([0.1, 0.2, 2.7]) + 0.05 * rng.normal(size=(count, 2, 3))
    angles = PRIOR.mean.reshape(5, 6).numpy() + size * rng.normal(size=(count, 2, 5, 6))
    return State(*(torch.from_numpy(a) for a in (turn, place, angles)))


def seen_of(state, seed=0, noise=2.0):
    rng = np.random.default_rng(seed)
    shape = (*state.place.shape[:2], 21, 2)
    blank = Seen(
        torch.zeros(shape, dtype=torch.float64), torch.from_numpy(rng.uniform(0, 1, shape[:-1])),
        torch.full((2,), noise, dtype=torch.float64), FOCAL,
        torch.tensor([2.4, 3.0], dtype=torch.float64).expand(*shape[:2], 2),
        torch.from_numpy(rng.uniform(0, 1, shape[:2])), state,
    )  # fmt: skip
    return replace(blank, points=misses(CHAINS, state, blank))


@SOME
@given(SEEDS)
def test_chains_are_the_hands_own_joints(seed):
    """Forward kinematics of the hinges equals skinning of the mesh."""
    state = state_of(seed)
    rotations = rotations_of(CHAINS, state.angles, from_matrix(state.wrist.numpy()))
    joints = HANDS.pose(rotations, state.place.numpy())[1]
    points = posed(CHAINS, state.wrist, state.angles).points.flatten(2, 3).numpy()
    assert np.allclose(joints[:, :, 1:] - joints[:, :, :1], points, atol=1e-9)


@SOME
@given(SEEDS)
def test_derivatives_are_those_of_small_turns(seed):
    state = state_of(seed, 1)
    exact = derivatives(posed(CHAINS, state.wrist, state.angles))
    for hinge in range(6):
        step = torch.zeros_like(state.angles)
        step[..., hinge] = 1e-6
        ends = [posed(CHAINS, state.wrist, state.angles + s * step).points for s in (1, -1)]
        assert torch.allclose((ends[0] - ends[1]) / 2e-6, exact[..., hinge], atol=1e-7)


@pytest.mark.parametrize("bend", ["flat", "fist", "point", "pinch"])
def test_angles_of_finger_poses_come_back(bend):
    rotations = np.stack([finger_pose(bend, hand) for hand in (0, 1)])[None]
    angles = angles_of(CHAINS, rotations)
    assert torch.allclose(angles[:, 0], angles[:, 1]), "mirrored hands bend by the same angles"
    assert angle(rotations_of(CHAINS, angles, rotations[:, :, 0]), rotations).max() < 1e-6
    prior = anatomy()
    assert (angles.flatten(2) >= prior.low - 1e-6).all() and (angles.flatten(2) <= prior.high + 1e-6).all()


@SOME
@given(SEEDS)
def test_slopes_are_those_of_the_cost(seed):
    state, other = state_of(seed), state_of(seed + 1)
    seen = seen_of(other, seed)
    for function in (
        lambda s: equations(CHAINS, PRIOR, s, seen),
        lambda s: _clip_equations(CHAINS, PRIOR, s, seen, Smooth.at(25.0, Changes())),
    ):
        now = function(state)
        direction = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, 2, UNKNOWNS)))
        up, down = (function(state.moved(sign * 1e-6 * direction)).cost.sum() for sign in (1, -1))
        rate = (now.slope * direction).sum()
        # Pulls and turns are compared in a chart that is exact only where they agree: a few per cent.
        assert abs(float((up - down) / 2e-6 - rate)) < 0.05 * float((now.slope * direction).abs().sum())


def test_the_frames_own_slope_is_exact():
    state = state_of(3)
    seen = seen_of(state_of(4))
    now = equations(CHAINS, PRIOR, state, seen)
    for unknown in range(UNKNOWNS):
        step = torch.zeros(2, 2, UNKNOWNS, dtype=torch.float64)
        step[..., unknown] = 1e-6
        up, down = (equations(CHAINS, PRIOR, state.moved(s * step), seen).cost for s in (1, -1))
        assert torch.allclose((up - down) / 2e-6, now.slope[..., unknown], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_banded_step_is_that_of_the_whole_matrix(count):
    state = state_of(5, count)
    smooth = Smooth.at(25.0, Changes())
    now = _clip_equations(CHAINS, PRIOR, state, seen_of(state_of(6, count)), smooth)
    whole = np.zeros((count * UNKNOWNS,) * 2)
    for i in range(count):
        part = slice(i * UNKNOWNS, (i + 1) * UNKNOWNS)
        whole[part, part] = now.curvature[i, 1].numpy()
    if count > 2:
        second = np.diff(np.eye(count), n=2, axis=0)
        whole += np.kron(second.T @ second, np.diag(smooth.weights.numpy()))
        diagonal = np.kron(np.diag(second.T @ second), smooth.weights.numpy())
    else:
        diagonal = 0.0
    own = np.diagonal(whole) - diagonal
    whole += np.diag(0.1 * own + 1e-6)
    expected = -np.linalg.solve(whole, now.slope[:, 1].reshape(-1).numpy())
    assert np.allclose(_banded_step(now, smooth, 1, 0.1).reshape(-1).numpy(), expected, rtol=1e-6, atol=1e-9)


@SOME
@given(SEEDS)
def test_solving_never_makes_it_worse(seed):
    state, seen = state_of(seed, 4), seen_of(state_of(seed + 1, 4), seed)
    before = equations(CHAINS, PRIOR, state, seen).cost
    after, cost = solve_frames(CHAINS, PRIOR, state, seen, 4)
    assert (cost <= before + 1e-9).all() and torch.allclose(equations(CHAINS, PRIOR, after, seen).cost, cost)
    smooth = Smooth.at(25.0, Changes())
    whole = lambda s: _clip_equations(CHAINS, PRIOR, s, seen, smooth).cost.sum(0)
    assert (whole(solve_clip(CHAINS, PRIOR, state, seen, smooth, 3)) <= whole(state) + 1e-9).all()


@SOME
@given(SEEDS)
def test_the_other_tilt_has_nearly_the_same_picture_of_the_palm(seed):
    state = state_of(seed, 1)
    other = other_tilt(state)
    assert torch.allclose(torch.linalg.det(other.wrist), torch.ones(1, 2, dtype=torch.float64))
    assert torch.allclose(other_tilt(other).wrist, state.wrist, atol=1e-9), "the other one's other is the first"
    # Points of the palm's plane: MANO's x and z axes. A far camera sees no difference.
    plane = torch.tensor([[-0.09, 0.0, 0.02], [-0.09, 0.0, -0.03]], dtype=torch.float64)
    far = state._replace(place=state.place * torch.tensor([1e-6, 1e-6, 1.0], dtype=torch.float64))
    for point in plane:
        a, b = far.wrist @ point, other_tilt(far).wrist @ point
        assert torch.allclose(a[..., :2], b[..., :2], atol=1e-6) and torch.allclose(a[..., 2], -b[..., 2], atol=1e-6)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_gaps_are_the_unknown_frames(known):
    known = np.array(known)
    found = np.zeros(len(known), bool)
    for start, stop in gaps(known):
        assert start < stop and not known[start:stop].any()
        found[start:stop] = True
    assert np.array_equal(found, ~known)


def test_bridges_end_where_the_hand_is_known():
    state = state_of(7, 20)
    known = np.ones((20, 2), bool)
    known[5:15, 0] = known[:3, 1] = False
    arm = np.zeros((20, 2, 2))
    after = bridged(state, known, arm, np.zeros((20, 2), bool), Framing())
    keep = torch.from_numpy(known)
    assert torch.equal(after.place[keep], state.place[keep])
    assert torch.allclose(after.wrist[keep], state.wrist[keep], atol=1e-9)
    assert torch.allclose(after.place[:3, 1], state.place[3, 1].expand(3, 3)), "held before it is first seen"
    middle = (after.place[9, 0] + after.place[10, 0]) / 2
    assert torch.allclose(middle, (state.place[4, 0] + state.place[15, 0]) / 2, atol=1e-9), "half way in the middle"
    steps = torch.linalg.norm(after.place[5:16, 0] - after.place[4:15, 0], dim=-1)
    assert steps[0] < 0.5 * steps[5] and steps[-1] < 0.5 * steps[5], "eases out and in"


def test_the_path_prefers_what_goes_on_smoothly_to_a_cheap_jump():
    turns = np.zeros((10, 2, 2, 3, 3))
    turns[:, :, 0] = np.eye(3)
    turns[:, :, 1] = to_matrix(from_axis_angle(np.array([0.0, 2.0, 0.0])))
    cost = np.zeros((10, 2, 2))
    cost[..., 1] = 1.0
    cost[4:6, 0] = [3.0, 0.0]  # two frames look better the other way: not worth two jumps
    cost[:4, 1], cost[4:, 1] = [0.0, 50.0], [50.0, 0.0]  # here it does
    path = _path(cost, turns, 25.0)
    assert not path[:, 0].any() and path[:, 1].tolist() == [0] * 4 + [1] * 6


def test_windows_fade_into_each_other():
    one, two = state_of(8, 10), state_of(9, 10)
    whole = _joined(one, two, 6)
    assert len(whole.place) == 16
    assert torch.equal(whole.place[:6], one.place[:6]) and torch.equal(whole.place[10:], two.place[4:])
    first, last = (torch.linalg.norm(whole.place[i] - one.place[i], dim=-1) for i in (6, 9))
    assert (first < 0.2 * torch.linalg.norm(two.place[0] - one.place[6], dim=-1)).all() and (last > 0).all()


def test_walls_hold_fingers_in_their_range():
    outside = PRIOR.mean.reshape(5, 6).expand(1, 2, 5, 6).clone()
    price = PRIOR.terms(outside)[0]
    outside[0, 0, 1, 2] = -1.2  # the index finger bent backwards
    worse, slope, wall = PRIOR.terms(outside)
    assert worse[0, 0] > price[0, 0] + 50 and torch.equal(worse[0, 1], price[0, 1])
    assert slope[0, 0, 8] < 0 and wall[0, 0, 8] > 0 and not wall[0, 1].any()
