"""The body behind the hands, and POSE_KEYPOINT in all the forms it is met in."""

import copy
import functools
import json

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.hands import load_hands
from emo2.models.hands.quaternions import angle
from emo2.models.pose import body
from emo2.models.pose.pose_keypoint import from_pose_keypoint as read_pose_keypoint
from emo2.models.pose.pose_keypoint import to_pose_keypoint
from emo2.models.types import Framing
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import gestures

HANDS = load_hands()
from_pose_keypoint = functools.partial(read_pose_keypoint, fit=False)
"""What is read, and the first estimate; test_pose_fit.py has the fit."""
PLACES = st.tuples(*[st.floats(-0.6, 0.6)] * 3)


@given(PLACES, PLACES)
def test_arms_keep_their_bones_within_reach_and_stretch_beyond(left, right):
    framing = Framing()
    wrists = framing.root() + np.array([[left, right]])
    joints = body.body_joints(framing, wrists)[0]
    for hand in (0, 1):
        shoulder, elbow = joints[body.SHOULDERS[hand]], joints[body.ELBOWS[hand]]
        wrist = joints[body.WRISTS[hand]]
        assert np.array_equal(wrist, wrists[0, hand])
        far = np.linalg.norm(wrist - shoulder)
        upper, lower = np.linalg.norm(elbow - shoulder), np.linalg.norm(wrist - elbow)
        # Straight out, down and behind, where the elbow would rather be, there is no side to bend to.
        away = np.linalg.norm(
            np.cross((wrist - shoulder) / max(far, 1e-9), np.array([0.545 - 1.09 * hand, 0.594, 0.594]))
        )
        if 0.05 < far < 0.52 and away > 0.06:
            assert upper == pytest.approx(body.UPPER_ARM, abs=6e-3) and lower == pytest.approx(body.FOREARM, abs=6e-3)
        elif far > 0.53:
            assert np.linalg.norm(np.cross(elbow - shoulder, wrist - shoulder)) < 0.02
            assert upper / (upper + lower) == pytest.approx(0.28 / 0.53, abs=0.02)


@given(st.floats(-0.3, 0.3), st.floats(-0.1, 0.5), st.floats(-0.45, -0.05))
def test_elbows_never_jump_where_gesturing_hands_are(x, y, z):
    framing = Framing()
    wrists = framing.root() + np.array([[[x, y, z]] * 2, [[x + 1e-4, y - 1e-4, z + 1e-4]] * 2])
    joints = body.body_joints(framing, wrists)
    assert np.abs(np.diff(joints, axis=0)).max() < 5e-3


def test_elbows_point_out_and_down_at_rest():
    framing = Framing()
    joints = body.body_joints(framing, (framing.root() + body.REST_WRISTS)[None])[0] - framing.root()
    assert joints[6, 0] > joints[5, 0] and joints[3, 0] < joints[2, 0] and joints[6, 1] > 0.2
    assert np.allclose(joints[list(body.MIRRORED)] * [-1, 1, 1], joints, atol=1e-9)


@given(st.floats(0.2, 0.8), st.floats(0.2, 0.6), st.floats(0.1, 0.6))
def test_the_resting_skeleton_has_the_framings_neck_and_shoulders(x, y, width):
    framing = Framing((x, y), width)
    points, scores = body.half_body(framing)
    assert np.allclose(points[1], (x, y), atol=1e-6)
    assert points[5, 0] - points[2, 0] == pytest.approx(width, abs=1e-5)
    inside = ((points >= 0) & (points <= 1)).all(-1)
    assert np.array_equal(scores > 0, inside)


def test_a_turned_and_moved_body_takes_its_shoulders_along():
    framing, wrists = Framing(), (Framing().root() + body.REST_WRISTS)[None]
    half = np.array([[np.cos(np.pi / 4), 0, np.sin(np.pi / 4), 0]])
    joints = body.body_joints(framing, wrists, np.array([[0.1, 0, 0]]), half)[0] - framing.root() - [0.1, 0, 0]
    assert np.allclose(joints[5], [0, 0.01, -0.19], atol=1e-6) and np.allclose(joints[1], 0)


@settings(max_examples=8)
@given(st.integers(0, 200))
def test_keypoints_there_and_back(seed):
    motion = gestures(seed, 15).replace(visible=None, hand_scores=None)
    back = from_pose_keypoint(to_pose_keypoint(motion, HANDS), 25.0, motion.framing, HANDS)
    wrists = [m.framing.project(m.wrists()) for m in (motion, back)]
    assert np.abs(wrists[0] - wrists[1]).max() < 0.01 and back.visible.all()
    assert np.allclose(back.keypoints, motion.keypoints * (motion.keypoint_scores[..., None] > 0), atol=1e-6)
    assert np.allclose(back.face, motion.face, atol=1e-6)
    assert np.allclose(back.face_scores, motion.face_scores, atol=1e-6)


def test_the_estimate_of_the_hands_is_close_on_clean_points():
    worst = []
    for seed in range(4):
        motion = gestures(seed, 40, sway=0.0).replace(visible=None, hand_scores=None)
        back = from_pose_keypoint(to_pose_keypoint(motion, HANDS), 25.0, motion.framing, HANDS)
        turned = np.degrees(angle(back.rotations[:, :, 0].astype(float), motion.rotations[:, :, 0].astype(float)))
        joints = [m.framing.project(HANDS.pose(m.rotations, m.wrists())[1]) * [512, 704] for m in (motion, back)]
        size = np.linalg.norm(np.ptp(joints[0], axis=2), axis=-1).mean()
        worst.append((np.median(turned), np.linalg.norm(joints[0] - joints[1], axis=-1).mean() / size))
    turned, missed = np.array(worst).T
    assert np.median(turned) < 15 and missed.max() < 0.12, worst


def frames(motion=None):
    return to_pose_keypoint(motion or gestures(1, 8).replace(visible=None, hand_scores=None), HANDS)


def test_certain_points_have_score_one_and_hidden_hands_zeros():
    motion = gestures(0, 4).replace(visible=np.array([[True, False]] * 4), hand_scores=np.full((4, 2, 21), 0.4))
    person = to_pose_keypoint(motion, HANDS, certain=True)[0]["people"][0]
    assert set(person["hand_left_keypoints_2d"][2::3]) == {1.0} and not any(person["hand_right_keypoints_2d"])
    assert to_pose_keypoint(motion, HANDS)[0]["people"][0]["hand_left_keypoints_2d"][2] == pytest.approx(0.4)
    json.dumps(person)


@pytest.mark.parametrize("change", [
    lambda f: json.dumps(f),
    lambda f: [f],
    lambda f: tuple(f),
    lambda f: [{**x, "people": [{k: np.array(v).reshape(-1, 3) for k, v in x["people"][0].items()}]} for x in f],
    lambda f: [{**x, "people": [{k: normal(v, x) for k, v in x["people"][0].items()}]} for x in f],
    lambda f: [{**x, "people": [{**x["people"][0], "face_keypoints_2d": x["people"][0]["face_keypoints_2d"][:204]}]}
               for x in f],
    lambda f: [{**x, "people": [{k: louder(v) for k, v in x["people"][0].items()}]} for x in f],
    lambda f: [{**x, "people": [swapped(x["people"][0])]} for x in f],
    lambda f: [{**x, "people": [{**x["people"][0], "pose_keypoints_2d": body_25(x["people"][0])}]} for x in f],
    lambda f: [{**x, "people": [*x["people"], far(x["people"][0])][:: -1 if i else 1]} for i, x in enumerate(f)],
], ids=["json", "nested", "tuple", "rows", "normalised", "68 face points", "scores above 1", "sides swapped", "body 25",
        "second person, order changing"])  # fmt: skip
def test_other_forms_give_the_same_motion(change):
    plain = from_pose_keypoint(frames(), 25.0, None, HANDS)
    other = from_pose_keypoint(change(frames()), 25.0, None, HANDS)
    assert np.allclose(other.framing.neck, plain.framing.neck, atol=1e-4)
    assert np.allclose(other.keypoints, plain.keypoints, atol=1e-4)
    assert np.allclose(other.translations, plain.translations, atol=1e-3) and other.visible.all()


def normal(values, frame):
    rows = np.array(values).reshape(-1, 3) / [frame["canvas_width"], frame["canvas_height"], 1]
    return rows.ravel().tolist()


def louder(values):
    return (np.array(values).reshape(-1, 3) * [1, 1, 3.5]).ravel().tolist()


def far(person):
    return {k: (np.array(v).reshape(-1, 3) + np.array([300, 10, 0])).ravel().tolist() for k, v in person.items()}


def swapped(person):
    left, right = "hand_left_keypoints_2d", "hand_right_keypoints_2d"
    return {**person, left: person[right], right: person[left]}


def body_25(person):
    rows = np.array(person["pose_keypoints_2d"]).reshape(-1, 3)
    return np.concatenate([rows[:8], rows[[8]], rows[8:], np.zeros((6, 3))]).ravel().tolist()


def test_coco_has_its_neck_between_the_shoulders():
    source = frames()
    for frame in source:
        rows = np.array(frame["people"][0]["pose_keypoints_2d"]).reshape(-1, 3)
        frame["people"][0]["pose_keypoints_2d"] = rows[
            [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]
        ].tolist()
    motion, plain = from_pose_keypoint(source, 25.0, None, HANDS), from_pose_keypoint(frames(), 25.0, None, HANDS)
    others = [i for i in range(18) if i != 1]
    assert np.allclose(motion.keypoints[:, others], plain.keypoints[:, others], atol=1e-6)
    assert np.allclose(motion.keypoints[:, 1], motion.keypoints[:, [2, 5]].mean(1), atol=1e-6)


def test_missing_hands_are_filled_in_and_marked():
    source = frames(gestures(1, 20).replace(visible=None, hand_scores=None))
    for i in (0, 1, 7, 8, 9, 19):
        source[i]["people"][0]["hand_left_keypoints_2d"] = None
    source[12] = None
    source[13]["people"] = []
    motion = from_pose_keypoint(source, 25.0, None, HANDS)
    assert not motion.visible[[0, 1, 7, 8, 9, 12, 13, 19], 0].any() and motion.visible[:, 0].sum() == 12
    assert motion.visible[:, 1].sum() == 18 and (motion.confidence[~motion.visible] == 0).all()
    assert np.linalg.norm(np.diff(motion.wrists(), axis=0), axis=-1).max() < 0.15


def test_nobody_has_hands():
    source = frames()
    for frame in source:
        del frame["people"][0]["hand_left_keypoints_2d"], frame["people"][0]["hand_right_keypoints_2d"]
    motion = from_pose_keypoint(source, 25.0)
    wrists = motion.framing.project(motion.wrists())
    assert not motion.visible.any() and np.allclose(wrists, motion.keypoints[:, [7, 4]], atol=1e-5)


@pytest.mark.parametrize("value, said", [
    (None, "a list"), ([], "a list"), ([None], "a list"), ("{", "JSON"), (3, "a list"), ([1, 2], "a list"),
    ([{"people": []}], "person"), ([{"people": [{"pose_keypoints_2d": [1.0] * 10}]}], "54 or"),
    ([{"people": [{"pose_keypoints_2d": ["a"] * 54}]}], "54 or"),
    ([{"people": [{"pose_keypoints_2d": [0.0] * 54}], "canvas_width": 10, "canvas_height": 10}], "known points"),
    ([{"people": [{"pose_keypoints_2d": [50.0, 60.0, 1.0] * 18}]}], "canvas_width"),
    ([{"people": [{"pose_keypoints_2d": [50.0, 60.0, 1.0] + [0.0] * 51}], "canvas_width": 99, "canvas_height": 99}],
     "shoulders"),
])  # fmt: skip
def test_what_cannot_be_read_says_why(value, said):
    with pytest.raises(EMO2Error) as caught:
        from_pose_keypoint(copy.deepcopy(value), 25.0)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_person_that_is_not_there():
    with pytest.raises(EMO2Error, match="person"):
        from_pose_keypoint(frames(), 25.0, person=1)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["01", "02", "good"])
def test_real_keypoints_become_hands_that_lie_on_them(shared, name):
    """The first estimate; fitting by optimisation has stricter aims."""
    with np.load(shared / "data" / "pose" / f"echomimic_v2_{name}.npz") as arrays:
        data = {key: arrays[key][:100] for key in arrays.files}
    flat = lambda p, s: np.concatenate([p * 768, s[..., None]], -1).reshape(len(p), -1).tolist()
    parts = {"pose_keypoints_2d": flat(data["body"], data["body_score"]),
             "face_keypoints_2d": flat(data["face"], data["face_score"]),
             "hand_left_keypoints_2d": flat(data["hands"][:, 0], data["hands_score"][:, 0]),
             "hand_right_keypoints_2d": flat(data["hands"][:, 1], data["hands_score"][:, 1])}  # fmt: skip
    source = [
        {"canvas_width": 768, "canvas_height": 768, "people": [{k: v[i] for k, v in parts.items()}]} for i in range(100)
    ]
    motion = from_pose_keypoint(source, 25.0, None, HANDS)
    assert 0.3 < motion.framing.shoulder_width < 0.5 and motion.visible.mean() > 0.9
    joints = motion.framing.project(HANDS.pose(motion.rotations, motion.wrists())[1])
    known = data["hands_score"] >= 0.3
    size = np.linalg.norm(np.ptp(data["hands"], axis=2), axis=-1)
    missed = (np.linalg.norm(joints - data["hands"], axis=-1) * known).sum(-1) / known.sum(-1).clip(1) / size
    assert np.median(missed[motion.visible]) < 0.1
    jumps = np.degrees(angle(motion.rotations[1:, :, 0].astype(float), motion.rotations[:-1, :, 0].astype(float)))
    assert np.percentile(jumps, 99) < 30
