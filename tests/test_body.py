"""The whole body: skeleton, its way to `Motion` and back, resampling and blending, and its vector."""

import numpy as np
import pytest
from emo2.models.body import BODY_JOINTS, JOINTS, PARENTS, WholeBody, forward, skeleton, vector
from emo2.models.body.skeleton import LEGS, WRISTS, body_points, fingers, hand_points, local
from emo2.models.body.whole_body import from_head, join, standing, to_head
from emo2.models.errors import EMO2Error
from emo2.models.hands.quaternions import angle, from_axis_angle, normalise, rotate, to_matrix
from emo2.models.hands.rest import FINGERS, PALM
from emo2.models.pose.body import FOREARM, REST, UPPER_ARM, body_joints
from emo2.models.types import Framing
from emo2.training.readers.smplx_skeleton import approximate_skeleton, body_motion
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import gestures
from readers_cases import poses


def random_body(seed=0, count=12, fps=25.0):
    rng = np.random.default_rng(seed)
    turns = from_axis_angle(0.5 * rng.normal(size=(count, JOINTS, 3)))
    return WholeBody(turns, 0.1 * rng.normal(size=(count, 3)), rng.random((count, 2)) > 0.3, fps)


def rest(count=1):
    rotations = np.zeros((count, JOINTS, 4))
    rotations[..., 0] = 1
    return WholeBody(rotations, np.zeros((count, 3)))


# --- skeleton


def test_the_tree_is_smpl_h_s():
    assert len(PARENTS) == JOINTS and PARENTS[0] == -1
    assert all(parent < child for child, parent in enumerate(PARENTS))
    assert [PARENTS[fingers(h).start] for h in (0, 1)] == list(WRISTS)
    # Five chains of three on each wrist.
    for hand in (0, 1):
        own = PARENTS[fingers(hand)]
        assert own.count(WRISTS[hand]) == 5
        assert [p - i for i, p in enumerate(own, fingers(hand).start) if p != WRISTS[hand]] == [-1] * 10


def test_the_resting_body_is_a_t_with_palms_up_in_body_py_s_measures():
    turns, places = rest().forward()
    assert np.allclose(places[0], skeleton.REST_JOINTS) and np.allclose(turns[0], [1, 0, 0, 0])
    mirrored = places[0, list(skeleton.MIRRORED)] * [-1, 1, 1]
    assert np.allclose(mirrored, places[0])
    points = body_points(turns, places)[0]
    same = [0, 1, 2, 5, *range(8, 18)]
    assert np.allclose(points[same], REST[same])
    arm = places[0, list(skeleton.SHOULDERS)] - places[0, list(skeleton.ELBOWS)]
    assert np.allclose(np.linalg.norm(arm, axis=-1), UPPER_ARM)
    assert np.allclose(places[0, WRISTS[0]] - places[0, skeleton.ELBOWS[0]], [FOREARM, 0, 0])
    hands = hand_points(turns, places)[0]
    for hand in (0, 1):
        middle = hands[hand, 18] - hands[hand, 0]
        assert middle @ FINGERS[hand] / np.linalg.norm(middle) > 0.99 and 0.17 < np.linalg.norm(middle) < 0.22
        assert (hands[hand, 16, 2] - hands[hand, 0, 2]) > 0.04, "the thumb is on the +z side"


def test_hands_are_where_the_neutral_hand_has_them():
    from emo2.evaluation.motion import hand_points as mesh_points

    motion = gestures(3, 10)
    body = WholeBody.from_motion(motion)
    own = hand_points(*body.forward()) - body.forward()[1][:, WRISTS][:, :, None]
    mesh = mesh_points(motion) - motion.translations[:, :, None]
    # The evaluation's points are in OpenPose's order.
    from emo2.models.hands import OPENPOSE

    assert np.linalg.norm(own[:, :, list(OPENPOSE)] - mesh, axis=-1).max() < 0.012


def test_local_undoes_forward():
    body = random_body()
    turns, _ = body.forward()
    assert angle(local(turns), body.rotations.astype(float)).max() < 1e-6


# --- Motion and back


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.floats(0, 0.3))
def test_a_motion_comes_back(seed, sway):
    motion = gestures(seed, 20, sway=sway)
    shoulders = body_joints(motion.framing, motion.wrists(), motion.body_offset, motion.body_rotation)[:, [5, 2]]
    reach = np.linalg.norm(shoulders - motion.wrists(), axis=-1)
    inside = (reach < UPPER_ARM + FOREARM - 0.005) & (reach > 0.06)
    back = WholeBody.from_motion(motion).to_motion(motion.framing)
    assert np.linalg.norm(back.wrists() - motion.wrists(), axis=-1)[inside].max() < 1e-3
    assert angle(back.rotations.astype(float), motion.rotations.astype(float)).max() < 1e-3
    assert np.abs(back.body_offset - motion.body_offset).max() < 1e-5
    assert angle(back.body_rotation.astype(float), motion.body_rotation.astype(float)).max() < 1e-3
    assert np.abs(back.keypoints - motion.keypoints)[inside.all(1)].max() < 1e-3
    assert np.array_equal(back.keypoint_scores, motion.keypoint_scores)
    assert not (back.visible & ~motion.visible).any() and np.array_equal(back.confidence > 0, back.visible)


@pytest.mark.parametrize("split", ["train", "held-out"])
def test_a_puppet_comes_back(split):
    from emo2.training.puppets.world import Puppet

    for seed in range(2):
        puppet = Puppet.draw(seed, split)
        motion, head = puppet.motion, puppet.performance.head
        body = WholeBody.from_motion(motion, head)
        assert np.linalg.norm(body.to_motion(motion.framing).wrists() - motion.wrists(), axis=-1).max() < 1e-3
        assert np.abs(body.head() - head).max() < 1e-5


def test_an_arm_that_is_too_short_points_at_its_wrist():
    motion = gestures(0, 5)
    far = motion.replace(translations=motion.translations * 2.5)
    body = WholeBody.from_motion(far)
    _, places = body.forward()
    wanted, shoulder = far.wrists() - far.framing.root(), places[:, skeleton.SHOULDERS]
    line, arm = wanted - shoulder, places[:, WRISTS] - shoulder
    out = np.linalg.norm(line, axis=-1) > UPPER_ARM + FOREARM
    cosine = (line * arm).sum(-1) / np.linalg.norm(line, axis=-1) / np.linalg.norm(arm, axis=-1)
    assert out.any() and cosine[out].min() > 1 - 1e-6
    assert np.allclose(np.linalg.norm(arm, axis=-1)[out], UPPER_ARM + FOREARM, atol=1e-5)


def test_a_wrist_turns_as_smplx_motion_has_it():
    fingers_still = np.zeros((60, 2, 15, 4))
    fingers_still[..., 0] = 1
    values = poses(size=0.4)[:, :66].reshape(-1, 22, 3)
    motion = body_motion(values, np.zeros((60, 3)), fingers_still, 30, approximate_skeleton())
    body = WholeBody.from_motion(motion)
    turns, _ = body.forward()
    assert angle(turns[:, WRISTS], motion.rotations[:, :, 0].astype(float)).max() < 1e-3
    for hand in (0, 1):
        seen = rotate(motion.rotations[:, hand, 0].astype(float), np.broadcast_to(PALM[hand], (60, 3)))
        assert np.abs(rotate(turns[:, WRISTS[hand]], np.broadcast_to(PALM[hand], (60, 3))) - seen).max() < 1e-3


def test_head_legs_and_pelvis():
    motion = gestures(1, 30)
    head = 0.5 * np.random.default_rng(0).normal(size=(30, 3)).clip(-2, 2)
    legs = from_axis_angle(0.4 * np.random.default_rng(1).normal(size=(30, len(LEGS), 3)))
    upright = np.tile([1.0, 0, 0, 0], (30, 1))
    body = WholeBody.from_motion(motion, head, legs, upright)
    assert np.abs(body.head() - head).max() < 1e-4
    assert angle(body.rotations[:, list(LEGS)].astype(float), legs).max() < 1e-3
    turns, _ = body.forward()
    assert angle(turns[:, 0], upright).max() < 1e-3
    back = body.to_motion(motion.framing)
    assert np.linalg.norm(back.wrists() - motion.wrists(), axis=-1).max() < 1e-3
    assert angle(back.body_rotation.astype(float), motion.body_rotation.astype(float)).max() < 1e-3


def test_a_head_that_nods_and_turns_is_seen_to():
    points = lambda head: body_points(*WholeBody.from_motion(gestures(0, 1, sway=0).replace(
        body_rotation=None), np.array([head])).forward())[0]  # fmt: skip
    still = points([0.0, 0, 0])
    assert points([0.3, 0, 0])[0, 1] > still[0, 1] + 0.02, "a nod brings the nose down"
    assert points([0, 0.3, 0])[0, 0] > still[0, 0] + 0.02, "a turn brings it to the picture's right"
    tilted = points([0, 0, 0.3])
    assert tilted[15, 1] > tilted[14, 1] + 0.01, "a tilt brings the picture's right eye down"


@given(st.tuples(*[st.floats(-1.4, 1.4)] * 3))
def test_head_angles_come_back(head):
    assert np.allclose(to_head(from_head(np.array(head))), head, atol=1e-6)


# --- time


@settings(max_examples=20)
@given(st.integers(1, 60), st.sampled_from([10.0, 20.0, 25.0, 29.97, 30.0, 60.0]))
def test_resampling_keeps_length_and_instants(count, fps):
    body = random_body(1, count, 20.0)
    other = body.resampled(fps)
    assert other.fps == fps and len(other) == int(np.ceil(round(count / 20 * fps, 6)))
    steady = body.replace(root=np.arange(count)[:, None] / 20 * np.ones(3))
    moved = steady.resampled(fps)
    when = ((np.arange(len(moved)) + 0.5) / fps).clip(0.5 / 20, (count - 0.5) / 20) - 0.5 / 20
    assert np.allclose(moved.root[:, 0], when, atol=1e-4)


def test_blending_and_joining():
    a, b = random_body(1), random_body(2)
    assert np.array_equal(a.blend(b, 0.0).root, a.root) and np.allclose(a.blend(b, 1.0).root, b.root)
    assert angle(a.blend(b, 1.0).rotations.astype(float), b.rotations.astype(float)).max() < 1e-3
    half = a.blend(b, np.full(12, 0.5)).rotations.astype(float)
    assert np.allclose(angle(a.rotations.astype(float), half), angle(half, b.rotations.astype(float)), atol=1e-3)
    assert len(join(a, b)) == 24 and np.array_equal(join(a, b).frames(12, 24).root, b.root)
    with pytest.raises(EMO2Error, match="12 frames"):
        a.blend(b.frames(0, 5), 0.5)
    with pytest.raises(EMO2Error, match="frames a second"):
        join(a, b.replace(fps=30.0))


def test_a_mirror_shows_the_other_side():
    body = random_body(4)
    mirrored = body.mirrored()
    _, places = body.forward()
    assert np.allclose(mirrored.forward()[1], places[:, list(skeleton.MIRRORED)] * [-1, 1, 1], atol=1e-6)
    assert np.array_equal(mirrored.mirrored().rotations, body.rotations)
    assert np.array_equal(mirrored.hands, body.hands[:, ::-1])


def test_standing_is_still_with_hands_before_the_belly():
    motion = standing(7).to_motion(Framing())
    assert len(motion) == 7 and np.ptp(motion.translations, axis=0).max() == 0
    assert (motion.translations[0, :, 2] < -0.15).all() and (motion.translations[0, :, 1] > 0.2).all()


BAD = {
    "joints": ({"rotations": np.ones((3, 22, 4)), "root": np.zeros((3, 3))}, r"rotations.*\(F, 52, 4\)"),
    "unit": ({"rotations": np.ones((3, 52, 4)), "root": np.zeros((3, 3))}, "unit quaternions"),
    "nothing": ({"rotations": np.ones((0, 52, 4)), "root": np.zeros((0, 3))}, "no frames"),
    "root": ({"rotations": rest(3).rotations, "root": np.zeros((2, 3))}, r"root.*\(3, 3\)"),
    "nan": ({"rotations": rest(1).rotations, "root": np.full((1, 3), np.nan)}, "finite"),
    "hands": ({"rotations": rest(2).rotations, "root": np.zeros((2, 3)), "hands": np.ones(2)}, r"hands"),
    "fps": ({"rotations": rest(2).rotations, "root": np.zeros((2, 3)), "fps": 0}, "fps"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_body_is_refused(case):
    values, words = BAD[case]
    with pytest.raises(EMO2Error, match=words):
        WholeBody(**values)


# --- vector


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 20))
def test_a_vector_comes_back(seed, count):
    body = random_body(seed, count)
    values = vector.to_vector(body)
    assert values.shape == (count, vector.SIZE) and values.dtype == np.float32
    back = vector.from_vector(values, body.fps, body.hands)
    assert angle(back.rotations.astype(float), body.rotations.astype(float)).max() < 1e-3
    assert np.abs(back.root - body.root).max() < 1e-6


def test_the_parts_fill_the_vector():
    assert vector.SIZE == 312 + 3 + 3 + 66
    covered = np.concatenate([np.arange(vector.SIZE)[s] for s in vector.parts.values()])
    assert np.array_equal(covered, np.arange(vector.SIZE))
    body = random_body(0, 9, 20.0)
    values = vector.to_vector(body)
    _, places = forward(body.rotations, body.root)
    speed = values[:, vector.parts["velocities"]].reshape(9, BODY_JOINTS, 3)
    assert np.allclose(speed[1:], np.diff(places[:, :22], axis=0) * 20, atol=1e-3)
    assert np.allclose(values[1:, vector.parts["root_velocity"]], np.diff(body.root, axis=0) * 20, atol=1e-4)
    six = values[:, vector.joint(18)]
    assert np.allclose(six, to_matrix(body.rotations[:, 18])[..., :2].swapaxes(1, 2).reshape(9, 6), atol=1e-5)


def test_unknown_hands_are_masked_and_nothing_else():
    body = random_body(5)
    known = vector.mask(body)
    for hand in (0, 1):
        joints = [WRISTS[hand], *range(*fingers(hand).indices(JOINTS))]
        for j in joints:
            assert (known[:, vector.joint(j)] == body.hands[:, hand, None]).all()
    assert known.sum() == known.size - (~body.hands).sum() * 16 * 6


@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6))
def test_any_six_numbers_make_a_rotation(six):
    q = vector.from_six(np.array(six))
    assert np.isfinite(q).all() and abs(np.linalg.norm(q) - 1) < 1e-6
    assert angle(vector.from_six(vector.to_six(q)), q) < 1e-6
    first = np.array(six[:3])
    if np.linalg.norm(first) > 1e-3:
        assert np.allclose(to_matrix(q)[:, 0], first / np.linalg.norm(first), atol=1e-5)


def test_nothing_at_all_is_the_nearest_rotation_there_is():
    q = vector.from_six(np.zeros((2, 6)))
    assert np.allclose(q, normalise(q)) and np.isfinite(q).all()
