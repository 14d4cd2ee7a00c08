"""POSE_KEYPOINT of other packs' detectors with several people in it: the chosen one is followed through everything."""

import numpy as np
import pytest
from emo2.models.hands import load_hands
from emo2.models.pose.pose_keypoint import from_pose_keypoint, points_to_pose_keypoint, to_pose_keypoint
from motion_cases import gestures
from test_pose_tracking import real_points

HANDS = load_hands()
PARTS = ("pose_keypoints_2d", "face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d")


def moved(frames, offsets):
    """The only person of each frame moved by offsets (F, 2) pixels."""
    people = []
    for frame, offset in zip(frames, offsets):
        rows = {part: np.array(frame["people"][0][part]).reshape(-1, 3) for part in PARTS}
        people.append(
            {k: np.where(v[:, 2:] > 0, v + np.array([*offset, 0]), 0).ravel().tolist() for k, v in rows.items()}
        )
    return people


def crossing(first, second, width=1000, seed=0, hidden=(), reach=400.0):
    """Two people of OpenPose frames walk through each other; (frames, who is where in each list)."""
    rng = np.random.default_rng(seed)
    count = min(len(first), len(second))
    x = np.linspace(-reach, reach, count)
    left, right = moved(first, np.stack([x, 0 * x], 1)), moved(second, np.stack([-x, 0 * x], 1))
    frames, orders = [], []
    for f in range(count):
        order = [p for p in rng.permutation(2).tolist() if not (p == 1 and f in hidden)]
        frames.append({**first[f], "canvas_width": width, "people": [(left[f], right[f])[p] for p in order]})
        orders.append(order)
    return frames, orders, x


def test_a_crossing_is_survived():
    count = 120
    sources = [
        to_pose_keypoint(gestures(s, count, sway=0.005).replace(visible=None, hand_scores=None), HANDS) for s in (1, 2)
    ]
    for hidden in ((), range(55, 66)):
        frames, orders, x = crossing(*sources, hidden=hidden)
        for person in (0, 1):
            motion = from_pose_keypoint(frames, 25.0, None, HANDS, person)
            way = x if orders[0][person] == 0 else -x
            neck = motion.keypoints[:, 1, 0] * 1000
            there = motion.keypoint_scores[:, 1] > 0
            # Within a tenth of the shoulders the two are one to the eye.
            apart = np.abs(x) > 15
            np.testing.assert_allclose((neck - way)[there & apart] / 170, (neck - way)[0] / 170, atol=0.2)
            assert there[apart].mean() > 0.9


def test_a_person_who_is_away_is_missing_and_not_somebody_else():
    sources = [
        to_pose_keypoint(gestures(s, 60, sway=0.005).replace(visible=None, hand_scores=None), HANDS) for s in (1, 2)
    ]
    other = moved(sources[1], np.tile([450.0, 0.0], (60, 1)))
    frames = [{**f, "canvas_width": 1000, "people": [*f["people"], o]} for f, o in zip(sources[0], other)]
    for f in range(20, 40):
        frames[f]["people"] = frames[f]["people"][1:]
    motion = from_pose_keypoint(frames, 25.0, None, HANDS, 0)
    assert (motion.keypoint_scores[20:40] == 0).all() and motion.visible[:20].all() and motion.visible[40:].all()
    assert np.abs(motion.keypoints[[19, 40], 1, 0] - motion.keypoints[0, 1, 0]).max() < 0.05


def test_points_as_they_are_there_and_back():
    truth = real_points(12)
    truth.body_scores[4], truth.hand_scores[4], truth.face_scores[4] = 0, 0, 0
    frames = points_to_pose_keypoint(truth, (704, 512))
    assert [len(frame["people"]) for frame in frames] == [1] * 4 + [0] + [1] * 7
    motion = from_pose_keypoint(frames, 25.0, None, HANDS)
    there = np.arange(12) != 4
    np.testing.assert_allclose(motion.keypoints[there], truth.body[there], atol=1e-5)
    assert motion.visible.all(1).tolist() == there.tolist()


@pytest.mark.shared
def test_two_real_people_cross(shared):
    """Real points of two speakers, of equal size, one of them not seen around the crossing, as behind the other."""
    flat = lambda p, s: np.concatenate([p * 768, s[..., None]], -1).reshape(len(p), -1).tolist()
    sources = []
    for name in ("01", "02"):
        with np.load(shared / "data" / "pose" / f"echomimic_v2_{name}.npz") as arrays:
            data = {key: arrays[key][:150] for key in arrays.files}
        parts = {"pose_keypoints_2d": flat(data["body"], data["body_score"]),
                 "face_keypoints_2d": flat(data["face"], data["face_score"]),
                 "hand_left_keypoints_2d": flat(data["hands"][:, 0], data["hands_score"][:, 0]),
                 "hand_right_keypoints_2d": flat(data["hands"][:, 1], data["hands_score"][:, 1])}  # fmt: skip
        sources.append([
            {"canvas_width": 768, "canvas_height": 768, "people": [{k: v[i] for k, v in parts.items()}]}
            for i in range(150)
        ])  # fmt: skip
    still = [np.array(source[0]["people"][0]["pose_keypoints_2d"])[3] for source in sources]
    for hidden in ((), range(68, 82)):
        frames, orders, x = crossing(*sources, width=2000, hidden=hidden, reach=600)
        for person in (0, 1):
            who = orders[0][person]
            motion = from_pose_keypoint(frames, 24.0, None, HANDS, person)
            there = (motion.keypoint_scores[:, 1] > 0) & (np.abs(x) > 30)
            off = motion.keypoints[:, 1, 0] * 2000 - (x if who == 0 else -x) - still[who]
            assert there.mean() > 0.85 and np.abs(off[there]).max() < 80, (hidden, person)
