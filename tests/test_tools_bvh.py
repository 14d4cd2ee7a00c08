"""BVH read back by a small parser of its own: forward kinematics must give the hand model's joints."""

import re

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.hands import load_hands
from emo2.models.hands.layer import FINGER_JOINTS, PARENTS
from emo2.models.motion.bvh import export_bvh
from emo2.models.pose.body import FOREARM, SHOULDERS, UPPER_ARM, body_joints
from motion_cases import gestures

HANDS = load_hands()
FLIP = np.array([1, -1, -1])
FINGERS = {"Thumb": "thumb", "Index": "index", "Middle": "middle", "Ring": "ring", "Pinky": "little"}


def parse(path):
    """(joints: name -> (parent, offset, channels), frames (F, C), frame time)."""
    text = path.read_text()
    head, tail = text.split("MOTION\n")
    joints, stack, name, order = {}, [], None, []
    for line in head.splitlines()[1:]:
        words = line.split()
        if words[0] in ("ROOT", "JOINT"):
            name = words[1]
            joints[name] = [stack[-1] if stack else None, None, []]
            order.append(name)
        elif words[0] == "End":
            name = f"{stack[-1]}_end"
            joints[name] = [stack[-1], None, []]
        elif words[0] == "{":
            stack.append(name)
        elif words[0] == "}":
            stack.pop()
        elif words[0] == "OFFSET":
            joints[name][1] = np.array(words[1:], float)
        elif words[0] == "CHANNELS":
            joints[name][2] = words[2:]
            assert len(words) - 2 == int(words[1])
    assert not stack
    lines = tail.splitlines()
    count, step = int(lines[0].split()[1]), float(lines[1].split()[2])
    frames = np.array([line.split() for line in lines[2:]], float)
    assert frames.shape == (count, sum(len(joints[n][2]) for n in order))
    return joints, order, frames, step


def turn(axis, degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rows = {"X": [[1, 0, 0], [0, c, -s], [0, s, c]], "Y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            "Z": [[c, -s, 0], [s, c, 0], [0, 0, 1]]}  # fmt: skip
    return np.array(rows[axis])


def kinematics(joints, order, row):
    """World place of every joint of one frame: position channels stand instead of the offset."""
    places, turns, at = {}, {}, 0
    for name in order + [n for n in joints if n.endswith("_end")]:
        parent, offset, channels = joints[name]
        place, rotation = offset.copy(), np.eye(3)
        for channel in channels:
            if channel.endswith("position"):
                place["XYZ".index(channel[0])] = row[at]
            else:
                rotation = rotation @ turn(channel[0], row[at])
            at += 1
        if parent is None:
            places[name], turns[name] = place, rotation
        else:
            places[name] = places[parent] + turns[parent] @ place
            turns[name] = turns[parent] @ rotation
    return places


@pytest.mark.parametrize("arms", [True, False])
@pytest.mark.parametrize("units, scale", [("centimetres", 100), ("metres", 1)])
def test_forward_kinematics_gives_the_hand_models_joints(tmp_path, arms, units, scale):
    motion = gestures(5, 12, 30.0)
    joints, order, frames, step = parse(export_bvh(motion, tmp_path / "a.bvh", HANDS, arms, units))
    assert len(frames) == 12 and step == pytest.approx(1 / 30, abs=1e-8)
    # The 16 joints in MANO's order, relative to the framing's neck root.
    posed = HANDS.pose(motion.rotations, motion.translations.astype(float) + motion.body_offset[:, None])[1]
    openpose = {"thumb": 1, "index": 5, "middle": 9, "ring": 13, "little": 17}
    for f in range(len(frames)):
        places = kinematics(joints, order, frames[f])
        for hand, side in enumerate(("Left", "Right")):
            assert np.allclose(places[f"{side}Hand"] / scale * FLIP, posed[f, hand, 0], atol=2e-5)
            for name, finger in FINGERS.items():
                for k in range(3):
                    place = places[f"{side}Hand{name}{k + 1}"] / scale * FLIP
                    assert np.allclose(place, posed[f, hand, openpose[finger] + k], atol=3e-5)


def test_arms_are_bones_of_fixed_length_from_the_bodys_shoulders(tmp_path):
    motion = gestures(2, 6)
    joints, order, frames, _ = parse(export_bvh(motion, tmp_path / "a.bvh", HANDS))
    body = body_joints(motion.framing, motion.wrists(), motion.body_offset, motion.body_rotation)
    body = body - motion.framing.root()
    for f in range(len(frames)):
        places = {name: place / 100 * FLIP for name, place in kinematics(joints, order, frames[f]).items()}
        for hand, side in enumerate(("Left", "Right")):
            assert np.allclose(places[f"{side}Arm"], body[f, SHOULDERS[hand]], atol=1e-5)
            upper = np.linalg.norm(places[f"{side}ForeArm"] - places[f"{side}Arm"])
            lower = np.linalg.norm(places[f"{side}Hand"] - places[f"{side}ForeArm"])
            assert (upper, lower) == (pytest.approx(UPPER_ARM, abs=1e-5), pytest.approx(FOREARM, abs=1e-5))


def test_angles_run_on_without_whole_turns(tmp_path):
    motion = gestures(7, 100)
    spin = np.linspace(0, 4 * np.pi, 100)
    rotations = motion.rotations.copy()
    rotations[:, 0, 0] = np.stack([np.cos(spin / 2), 0 * spin, 0 * spin, np.sin(spin / 2)], -1)
    joints, order, frames, _ = parse(
        export_bvh(motion.replace(rotations=rotations), tmp_path / "a.bvh", HANDS, arms=False)
    )
    assert np.abs(np.diff(frames, axis=0)).max() < 90
    assert sum(len(joints[n][2]) for n in order) == 6 + 2 * (6 + 15 * 3)


def test_a_hand_out_of_reach_is_drawn_in_and_without_arms_is_not(tmp_path):
    motion = gestures(1, 3)
    far = motion.replace(translations=motion.translations + np.float32([0, 1.0, 0]))
    for arms, held in ((True, True), (False, False)):
        joints, order, frames, _ = parse(export_bvh(far, tmp_path / "a.bvh", HANDS, arms))
        place = kinematics(joints, order, frames[0])["LeftHand"] / 100 * FLIP
        gap = np.linalg.norm(place - (far.translations[0, 0] + far.body_offset[0]))
        assert (gap > 0.3) == held


def test_unknown_units_and_names(tmp_path):
    with pytest.raises(EMO2Error, match="units"):
        export_bvh(gestures(0, 2), tmp_path / "a.bvh", HANDS, units="feet")
    assert not list(tmp_path.iterdir())
    joints, order, *_ = parse(export_bvh(gestures(0, 2), tmp_path / "a.bvh", HANDS))
    assert {n for n in order if re.fullmatch(r"LeftHand(Thumb|Index|Middle|Ring|Pinky)[123]", n)} and len(order) == 37
    assert len([n for n in joints if n.endswith("_end")]) == 10 and len(FINGER_JOINTS) == 5 and len(PARENTS) == 16
