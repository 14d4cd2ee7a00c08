"""The hand layer against smplx, its conventions, and named poses."""

import numpy as np
import pytest
import torch
from emo2.models.hands import FINGER_JOINTS, PARENTS, finger_pose, load_hands, rest
from emo2.models.hands import quaternions as Q
from emo2.models.hands.layer import CHUNK
from emo2.models.hands.poses import POSES
from hands_cases import mano_arrays, random_rotations

FLIP = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def neutral():
    return load_hands()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A folder with two different synthetic MANO files."""
    folder = tmp_path_factory.mktemp("mano")
    np.savez(folder / "MANO_LEFT.npz", **mano_arrays(1))
    np.savez(folder / "MANO_RIGHT.npz", **mano_arrays(2))
    return folder


@pytest.mark.parametrize("hand, side", [(0, "LEFT"), (1, "RIGHT")])
@pytest.mark.parametrize("with_shape", [False, True])
def test_equals_smplx(pair, hand, side, with_shape):
    import smplx

    rng = np.random.default_rng(3)
    rotations = random_rotations(rng, 9, bend=0.8)
    shift = rng.normal(0, 0.5, (9, 2, 3))
    betas = rng.normal(0, 1, (9, 2, 10)) if with_shape else None
    model = load_hands(pair)
    reference = smplx.MANO(
        str(pair / f"MANO_{side}.npz"), is_rhand=side == "RIGHT", use_pca=False, flat_hand_mean=True, ext="npz",
        dtype=torch.float64, batch_size=9,
    )  # fmt: skip
    turns = torch.from_numpy(Q.to_axis_angle(rotations))
    with torch.no_grad():
        want = reference(
            betas=torch.zeros(9, 10, dtype=torch.float64) if betas is None else torch.from_numpy(betas[:, hand]),
            global_orient=turns[:, hand, 0], hand_pose=turns[:, hand, 1:].flatten(1),
            transl=torch.from_numpy(shift[:, hand]),
        )  # fmt: skip
    # smplx moves MANO's origin, we place the wrist joint: the resting wrist lies between.
    wrists = np.zeros((9, 2, 3))
    wrists[:, hand] = want.joints[:, 0].numpy()
    vertices, joints = model.pose(rotations, wrists, betas)
    assert np.abs(vertices[:, hand] - want.vertices.numpy()).max() < 1e-5
    assert (
        np.abs(joints[:, hand][:, [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3]] - want.joints.numpy()).max()
        < 1e-5
    )
    tips = [744, 320, 443, 554, 671]
    assert np.allclose(joints[:, hand][:, [4, 8, 12, 16, 20]], vertices[:, hand][:, tips])


def test_translations_are_the_wrist_joint(pair):
    rng = np.random.default_rng(0)
    wrists = rng.normal(size=(4, 2, 3))
    _, joints = load_hands(pair).pose(random_rotations(rng, 4), wrists)
    assert np.allclose(joints[:, :, 0], wrists, atol=1e-12)


def test_tensors_and_arrays_agree_and_gradients_flow(neutral):
    rng = np.random.default_rng(5)
    rotations, wrists, betas = random_rotations(rng, 3), rng.normal(size=(3, 2, 3)), rng.normal(size=(1, 2, 10))
    vertices, joints = neutral.pose(rotations, wrists, betas)
    q, t, b = (torch.tensor(a, dtype=torch.float32, requires_grad=True) for a in (rotations, wrists, betas))
    v, j = neutral.pose(q, t, b)
    assert v.dtype == torch.float32 and np.abs(v.detach().numpy() - vertices).max() < 1e-5
    assert np.abs(j.detach().numpy() - joints).max() < 1e-5
    j.square().sum().backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in (q, t, b))
    exact = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in (rotations[:1], wrists[:1])]
    assert torch.autograd.gradcheck(lambda q, t: neutral.pose(q, t)[1], exact, atol=1e-6, fast_mode=True)


def test_long_motion_in_stretches_is_the_same(neutral):
    rng = np.random.default_rng(6)
    rotations, wrists = random_rotations(rng, CHUNK + 3), rng.normal(size=(CHUNK + 3, 2, 3))
    whole, _ = neutral.pose(rotations, wrists)
    alone, _ = neutral.pose(rotations[CHUNK:], wrists[CHUNK:])
    assert np.allclose(whole[CHUNK:], alone, atol=1e-14)
    assert neutral.pose(rotations[:0], wrists[:0])[1].shape == (0, 2, 21, 3)


@pytest.mark.parametrize("source", ["neutral", "mano"])
def test_the_left_hand_is_the_right_one_in_the_mirror(neutral, tmp_path, source):
    if source == "mano":
        np.savez(tmp_path / "MANO_RIGHT.npz", **mano_arrays(7))
    model = neutral if source == "neutral" else load_hands(tmp_path / "MANO_RIGHT.npz")
    rng = np.random.default_rng(8)
    rotations, wrists = random_rotations(rng, 5, 0.7), rng.normal(size=(5, 2, 3))
    rotations[:, 0], wrists[:, 0] = Q.mirror(rotations[:, 1]), wrists[:, 1] * FLIP
    vertices, joints = model.pose(rotations, wrists, rng.normal(size=(1, 1, 10)))
    assert np.allclose(vertices[:, 0], vertices[:, 1] * FLIP, atol=1e-12)
    assert np.allclose(joints[:, 0], joints[:, 1] * FLIP, atol=1e-12)


def test_resting_axes_are_as_written(neutral):
    """Fingers to -x (right) and +x (left), palm to -y, thumb to +z."""
    identity = np.tile(Q.IDENTITY, (1, 2, 16, 1))
    _, joints = neutral.pose(identity, np.zeros((1, 2, 3)))
    for hand in (rest.LEFT, rest.RIGHT):
        middle, thumb = joints[0, hand, 12], joints[0, hand, 4]
        assert middle @ rest.FINGERS[hand] > 0.17 and thumb @ rest.THUMB[hand] > 0.05
        bent = identity.copy()
        bent[0, hand] = finger_pose("fist", hand)
        tip = neutral.pose(bent, np.zeros((1, 2, 3)))[1][0, hand, 12]
        assert (tip - middle) @ rest.PALM[hand] > 0.01, "a fist closes to the palm's side"


@pytest.mark.parametrize("hand", [rest.LEFT, rest.RIGHT])
def test_wrist_rotation_points_where_asked(hand):
    rng = np.random.default_rng(1)
    fingers, palm = rng.normal(size=(2, 50, 3))
    q = rest.wrist_rotation(fingers, palm, hand)
    seen = Q.rotate(q, np.tile(rest.FINGERS[hand], (50, 1)))
    assert np.allclose(seen, fingers / np.linalg.norm(fingers, axis=1, keepdims=True), atol=1e-9)
    assert np.all((Q.rotate(q, np.tile(rest.PALM[hand], (50, 1))) * palm).sum(1) > 0)
    assert np.allclose(Q.to_matrix(q) @ np.swapaxes(Q.to_matrix(q), 1, 2), np.eye(3), atol=1e-9)


def test_named_directions():
    down, up, camera = (0, 1, 0), (0, -1, 0), (0, 0, -1)
    point = lambda q, hand: Q.rotate(q[hand], rest.FINGERS[hand])
    for hand in (0, 1):
        assert np.allclose(point(rest.HANGING, hand), down) and np.allclose(point(rest.RAISED, hand), up)
        assert np.allclose(Q.rotate(rest.RAISED[hand], rest.PALM[hand]), camera)
        assert np.allclose(Q.rotate(rest.HANGING[hand], rest.THUMB[hand]), camera), (
            "thumbs of hanging hands point forwards"
        )
    for name in ("HANGING", "RAISED", "PALMS_IN", "SPEAKING", "PALMS_UP"):
        pair = getattr(rest, name)
        assert pair.shape == (2, 4) and Q.angle(Q.mirror(pair[0]), pair[1]) < 1e-9
    # The person's right hand (1) is on the picture's left; palms that face each other look inwards.
    assert Q.rotate(rest.PALMS_IN[1], rest.PALM[1])[0] > 0.99


@pytest.mark.parametrize("name", POSES)
def test_finger_poses_are_unit_and_mirror_each_other(name):
    left, right = finger_pose(name, rest.LEFT, 0.2), finger_pose(name, rest.RIGHT, 0.2)
    assert np.allclose(np.linalg.norm(right, axis=-1), 1) and np.array_equal(left, Q.mirror(right))
    assert np.array_equal(right[0], Q.IDENTITY)


def test_spreading_moves_fingers_apart(neutral):
    gaps = []
    for spread in (0.0, 0.2):
        pose = np.stack([finger_pose("flat", hand, spread) for hand in (0, 1)])[None]
        tips = neutral.pose(pose, np.zeros((1, 2, 3)))[1][0, :, [8, 12, 16, 20]]
        gaps.append(np.linalg.norm(np.diff(tips, axis=0), axis=-1).min(0))
    assert np.all(gaps[1] > gaps[0] + 0.005)


def test_joint_tree():
    assert len(PARENTS) == 16 and sorted(sum(FINGER_JOINTS.values(), ())) == list(range(1, 16))
    for chain in FINGER_JOINTS.values():
        assert [PARENTS[j] for j in chain] == [0, *chain[:2]]


@pytest.mark.shared
def test_real_captured_fingers_bend_to_the_palm(neutral, shared):
    """45 s of a real speaker in SMPL-X's axes: our hands take them as they are, and curl the natural way."""
    with np.load(shared / "data" / "motion" / "smplx_speaker_45s.npz") as capture:
        poses = capture["poses"][::15]
    rotations = np.tile(Q.IDENTITY, (len(poses), 2, 16, 1))
    for hand, columns in ((rest.LEFT, slice(75, 120)), (rest.RIGHT, slice(120, 165))):
        rotations[:, hand, 1:] = Q.from_axis_angle(poses[:, columns].reshape(-1, 15, 3))
    _, joints = neutral.pose(rotations, np.zeros((len(poses), 2, 3)))
    _, flat = neutral.pose(np.tile(Q.IDENTITY, (1, 2, 16, 1)), np.zeros((1, 2, 3)))
    moved = joints[:, :, [8, 12, 16, 20]] - flat[:, :, [8, 12, 16, 20]]
    to_the_palm = np.einsum("fhtc,hc->fht", moved, rest.PALM)
    assert (to_the_palm > 0).mean() > 0.9
