"""Motions cleaned in space: hands and their rotations, against the truth they were spoilt from; and the nodes."""

from dataclasses import replace

import numpy as np
import pytest
from cleaning_cases import person
from emo2 import NODE_CLASS_MAPPINGS
from emo2.models.errors import EMO2Error
from emo2.models.hands.quaternions import angle, from_axis_angle, multiply, normalise
from emo2.models.motion.clean import clean_motion
from emo2.models.motion.edit import rest_pose
from emo2.models.pose.cleaning import OFF, Cleaning
from emo2.models.pose.pose_keypoint import points_of, pose_keypoint_of
from emo2.models.types import FRAME_FIELDS, Framing
from emo2.training.puppets.performance import perform
from motion_cases import gestures

BARE = Cleaning(smooth_hz=0)


@pytest.fixture(scope="module", params=[1, 2])
def truth(request):
    """A puppet that dances, every frame of it seen."""
    motion = perform(request.param, "held-out", Framing(), seconds=8, style="dance").motion
    return motion.replace(visible=None, confidence=None, hand_scores=None)


def spoil(motion, seed):
    """Trembling, jumps of up to 0.16 s and gaps of up to 0.4 s, with the frames of the last two (F, 2)."""
    rng, count = np.random.default_rng(seed), len(motion)
    places = motion.translations + rng.normal(0, 0.006, motion.translations.shape)
    turns = multiply(from_axis_angle(rng.normal(0, 0.05, (count, 2, 16, 3))), motion.rotations.astype(float))
    bad, seen = np.zeros((count, 2), bool), np.ones((count, 2), bool)
    for at in range(12, count - 20, 24):
        bad[at : at + rng.integers(1, 5), rng.integers(2)] = True
        seen[at + 12 : at + 12 + rng.integers(2, 11), rng.integers(2)] = False
    # A jump is seen by its size: half a metre, any way, and a wrist turned by half a circle at least.
    way = rng.normal(size=(count, 2, 3))
    places[bad] += 0.5 * (way / np.linalg.norm(way, axis=-1, keepdims=True))[bad]
    turns[bad, 0] = multiply(from_axis_angle(np.pi / 2 * way / np.linalg.norm(way, axis=-1, keepdims=True))[bad],
                             turns[bad, 0])  # fmt: skip
    places[~seen] += 0.4
    return motion.replace(translations=places, rotations=normalise(turns), visible=seen), bad, seen


def errors(motion, truth):
    """Root mean square error of the wrists' places (metres) and of all joints' rotations (radians)."""
    places = np.linalg.norm(motion.translations - truth.translations, axis=-1)
    turns = angle(motion.rotations.astype(float), truth.rotations.astype(float))
    return np.sqrt((places**2).mean()), np.sqrt((turns**2).mean())


def identical(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in FRAME_FIELDS)


def test_spoilt_hands_come_back(truth):
    spoilt, bad, seen = spoil(truth, 3)
    cleaned, report = clean_motion(spoilt, Cleaning())
    before, after = errors(spoilt, truth), errors(cleaned, truth)
    assert after[0] < before[0] / 8 and after[0] < 0.02
    assert after[1] < before[1] / 2.5
    assert cleaned.visible.all() and len(cleaned) == len(truth)
    assert report.total("outliers removed", "hands in space") >= bad[seen].sum() * 0.9
    assert "outliers removed" in str(report) and "gaps filled" in str(report)


def test_a_clean_motion_is_hardly_changed_and_comes_in_time(truth):
    bare, report = clean_motion(truth, BARE)
    assert identical(bare, truth) and not report.entries
    assert clean_motion(truth, OFF)[0] is truth
    smooth, _ = clean_motion(truth, Cleaning())
    places, turns = errors(smooth, truth)
    assert places < 0.005 and turns < np.radians(1)
    wave = lambda m: m.translations[:, 1, 1] - m.translations[:, 1, 1].mean()
    a, b = wave(smooth), wave(truth)[8:-8]
    score = [np.corrcoef(a[8 + s : len(a) - 8 + s], b)[0, 1] for s in range(-8, 9)]
    assert int(np.argmax(score)) == 8 and max(score) > 0.995


def test_hands_that_carry_each_others_name_are_put_right():
    motion = gestures(3, 100).replace(visible=None, confidence=None)
    swapped = {name: getattr(motion, name).copy() for name in ("rotations", "translations", "hand_scores")}
    for values in swapped.values():
        values[40:44] = values[40:44, ::-1]
    cleaned, report = clean_motion(motion.replace(**swapped), BARE)
    assert report.total("left and right swapped back", "hands in space") == 4
    assert np.array_equal(cleaned.translations, motion.translations)
    assert angle(cleaned.rotations.astype(float), motion.rotations.astype(float)).max() < 1e-3


def test_a_long_gap_is_left_unknown_or_sent_to_rest():
    motion = gestures(1, 150).replace(confidence=None, hand_scores=None)
    seen = np.ones((150, 2), bool)
    seen[50:100, 0] = False
    seen[140:, 1] = False
    motion = motion.replace(visible=seen)
    away, report = clean_motion(motion, BARE)
    assert np.array_equal(away.visible, seen) and identical(away, motion)
    rested, report = clean_motion(motion, replace(BARE, long_gaps="rest"))
    assert rested.visible.all() and report.total("sent to rest") == 60
    turn, place = rest_pose(0)
    assert np.allclose(rested.translations[75, 0], place, atol=1e-6)
    assert angle(rested.rotations[75, 0].astype(float), turn).max() < 1e-3
    assert np.array_equal(rested.translations[seen], motion.translations[seen])
    assert np.linalg.norm(np.diff(rested.translations[48:102, 0], axis=0), axis=-1).max() * 25 < 2.0


def test_hands_below_the_gate_are_bridged():
    motion = gestures(2, 60).replace(visible=None, confidence=None)
    confidence = np.ones((60, 2))
    confidence[20:25, 1] = 0.1
    places = motion.translations.copy()
    places[20:25, 1] += 0.05
    spoilt = motion.replace(confidence=confidence, translations=places)
    cleaned, report = clean_motion(spoilt, BARE)
    assert report.total("too unsure") == 5 and (cleaned.confidence[20:25, 1] == 1).all()
    assert np.abs(cleaned.translations - motion.translations).max() < 0.03
    gone, _ = clean_motion(spoilt, replace(BARE, longest_gap=0))
    assert not gone.visible[20:25, 1].any() and not gone.confidence[20:25, 1].any()


def test_one_frame_and_unseen_hands_are_no_trouble():
    one = gestures(0, 1).replace(visible=None, confidence=None)
    assert identical(clean_motion(one, Cleaning())[0], one)
    hidden = gestures(0, 20).replace(visible=np.zeros((20, 2), bool))
    cleaned, _ = clean_motion(hidden, Cleaning())
    assert not cleaned.visible.any() and np.array_equal(cleaned.rotations, hidden.rotations)
    assert clean_motion(hidden, Cleaning(long_gaps="rest"))[0].visible.all()
    with pytest.raises(EMO2Error, match="long_gaps"):
        clean_motion(one, Cleaning(long_gaps="gone"))


def call(class_id, **given):
    cls = NODE_CLASS_MAPPINGS[class_id]
    required = cls.INPUT_TYPES()["required"]
    values = {name: spec[1]["default"] for name, spec in required.items() if "default" in spec[1]}
    return getattr(cls(), cls.FUNCTION)(**{**values, **given})


OFF_DIALS = {"confidence_gate": 0.0, "outlier_speed": 0.0, "longest_gap": 0.0, "limb_lengths": False,
             "fix_swaps": False, "smoothing_hz": 0.0}  # fmt: skip


def test_the_motion_node_cleans_and_tells():
    spoilt, _, _ = spoil(gestures(0, 100).replace(confidence=None), 1)
    cleaned, report = call("EMO2CleanMotion", motion=spoilt)
    assert len(cleaned) == 100 and "100 frames, 4.00 s at 25 fps" in report and "hands in space" in report
    same, report = call("EMO2CleanMotion", motion=spoilt, **OFF_DIALS)
    assert same is spoilt and "nothing to clean" in report


def test_the_keypoint_node_gives_other_packs_what_they_take():
    truth, size, _ = person(0, 60)
    body = truth.body.copy()
    body[30, 4] += 0.5
    frames = pose_keypoint_of(truth._replace(body=body), size)
    cleaned, report = call("EMO2CleanPoseKeypoint", pose_keypoint=frames, smoothing_hz=0.0)
    back, back_size = points_of(cleaned)
    assert back_size == size and "outliers removed: body 1 in 1 frames (0.04 s)" in report
    assert np.abs(back.body - truth.body).max() < 0.01 and np.allclose(back.hands, truth.hands, atol=1e-9)
    same, _ = call("EMO2CleanPoseKeypoint", pose_keypoint=frames, **OFF_DIALS)
    assert same is frames
    with pytest.raises(EMO2Error, match="EMO2 Clean Pose Keypoint, person"):
        call("EMO2CleanPoseKeypoint", pose_keypoint=frames, person=3)
