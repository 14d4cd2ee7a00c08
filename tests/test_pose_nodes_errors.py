"""What users do wrong with poses, and what they are told."""

import numpy as np
import pytest
import torch
from emo2 import NODE_CLASS_MAPPINGS
from emo2.models.errors import EMO2Error
from emo2.models.hands import load_hands
from emo2.models.pose.pose_keypoint import to_pose_keypoint
from emo2.models.types import Framing
from motion_cases import gestures

NOBODY = [{"people": [], "canvas_width": 512, "canvas_height": 704}]
OFF = {"confidence_gate": 0.0, "outlier_speed": 0.0, "longest_gap": 0.0, "limb_lengths": False, "fix_swaps": False,
       "median_seconds": 0.0, "smoothing_hz": 0.0, "smoothing_speed": 0.0, "zero_phase": True}  # fmt: skip
KEPT = {"contacts": True, "hands_together": True, "keep_in_picture": False, "margin": 0.02}


def node(name):
    cls = NODE_CLASS_MAPPINGS[f"EMO2{name}"]
    return getattr(cls(), cls.FUNCTION)


@pytest.fixture(scope="module")
def poses():
    motion = gestures(5, 4)
    return to_pose_keypoint(motion.replace(keypoint_scores=np.ones_like(motion.keypoint_scores)), load_hands())


@pytest.mark.parametrize("frames", [NOBODY, [{}], [{"people": None}]])
def test_nobody_is_told_as_such(frames):
    for call in (
        lambda: node("CleanPoseKeypoint")(pose_keypoint=frames, fps=25.0, person=0, **OFF),
        lambda: node("RetargetMotion")(motion=gestures(1, 5), reference_pose=frames, **KEPT),
    ):
        with pytest.raises(EMO2Error, match="nobody in them"):
            call()


def test_a_reference_without_shoulders_is_measured_in_the_given_framing(poses):
    side = [dict(frame) for frame in poses[:1]]
    person = dict(side[0]["people"][0])
    points = np.array(person["pose_keypoints_2d"]).reshape(-1, 3)
    points[[2, 5]] = 0
    side[0]["people"] = [person | {"pose_keypoints_2d": points.ravel().tolist()}]
    motion, framing = gestures(1, 5), Framing((0.5, 0.4), 0.3)
    with pytest.raises(EMO2Error, match="both shoulders"):
        node("RetargetMotion")(motion=motion, reference_pose=side, **KEPT)
    moved, _ = node("RetargetMotion")(motion=motion, reference_pose=side, framing=framing, **KEPT)
    assert len(moved) == 5 and moved.framing == framing and np.isfinite(moved.keypoints).all()


def test_one_person_goes_on_even_when_nothing_is_cleaned(poses):
    two = [frame | {"people": [frame["people"][0], frame["people"][0]]} for frame in poses]
    chosen, _ = node("CleanPoseKeypoint")(pose_keypoint=two, fps=25.0, person=1, **OFF)
    assert [len(frame["people"]) for frame in chosen] == [1] * len(poses)
    same, _ = node("CleanPoseKeypoint")(pose_keypoint=poses, fps=25.0, person=0, **OFF)
    assert same is poses


def test_a_rate_at_which_nothing_moves():
    with pytest.raises(EMO2Error, match="at least 1"):
        node("ExtractPose")(images=torch.zeros(2, 64, 64, 3), fps=0.001, person=0, pick_x=-1.0, pick_y=-1.0,
                            pick_second=0.0, start_second=0.0, end_second=0.0, longest_side=1920)  # fmt: skip
