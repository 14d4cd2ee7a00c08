"""The pack's own body of 52 joints: SMPL-H's order (22 of the body, 15 a hand), measures of `models/pose/body.py`.

Camera axes: x right in the picture, which is the person's left, y down, z away. The person faces the camera. At rest
the body stands in a T, palms up: so the hands' axes are MANO's, and a wrist's global turn is that of
`Motion.rotations[:, h, 0]`. Places are metres from where the neck root of a resting body is (`Framing.root()`).
"""

from __future__ import annotations

import numpy as np

from ..hands import PARENTS as HAND_PARENTS
from ..hands.anatomy import Measures
from ..hands.anatomy import skeleton as hand_skeleton
from ..pose.body import FOREARM, REST, UPPER_ARM
from ..pose.body import SHOULDERS as SHOULDER_POINTS
from . import kinematics

BODY_JOINTS, FINGERS, JOINTS = 22, 15, 52
PELVIS, CHEST, NECK, HEAD = 0, 9, 12, 15
HIPS, KNEES, ANKLES, FEET = (1, 2), (4, 5), (7, 8), (10, 11)
SPINE = (3, 6, 9)
COLLARS, SHOULDERS, ELBOWS, WRISTS = (13, 14), (16, 17), (18, 19), (20, 21)
"""Joints as (left, right)."""
LEGS = (*HIPS, *KNEES, *ANKLES, *FEET)
BODY_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
"""Pelvis; left and right hip; spine; knees; spine; ankles; spine (9: the chest); feet; neck; collars; head; shoulders;
elbows; wrists. The tree of SMPL, SMPL-H and SMPL-X."""


def fingers(hand: int) -> slice:
    """Where the 15 finger joints of a hand (0 left, 1 right) stand among the 52, in MANO's order."""
    first = BODY_JOINTS + hand * FINGERS
    return slice(first, first + FINGERS)


def _parents() -> tuple[int, ...]:
    tree = list(BODY_PARENTS)
    for hand in (0, 1):
        base = fingers(hand).start - 1  # MANO's joint 1 is the first finger joint
        tree += [WRISTS[hand] if parent == 0 else base + parent for parent in HAND_PARENTS[1:]]
    return tuple(tree)


PARENTS = _parents()
"""For each of the 52 joints its parent, -1 for the pelvis."""

_SIDES = np.array([1.0, -1.0])


def _rest() -> tuple[np.ndarray, np.ndarray]:
    joints = np.zeros((JOINTS, 3))
    joints[[PELVIS, *SPINE]] = [[0, 0.43, 0.01], [0, 0.32, 0.02], [0, 0.19, 0.02], [0, 0.12, 0.01]]
    joints[[NECK, HEAD]] = [[0, -0.05, 0.01], [0, -0.15, 0.0]]
    for pair, points in ((SHOULDERS, SHOULDER_POINTS), (HIPS, (11, 8)), (KNEES, (12, 9)), (ANKLES, (13, 10))):
        joints[list(pair)] = REST[list(points)]
    right, right_tips = hand_skeleton(Measures())
    tips = np.zeros((2, 5, 3))
    for hand, side in enumerate(_SIDES):
        mirror = np.array([side, 1.0, 1.0])
        joints[FEET[hand]] = mirror * [0.14, 1.4, -0.11]
        joints[COLLARS[hand]] = mirror * [0.06, 0.03, 0.01]
        joints[ELBOWS[hand]] = joints[SHOULDERS[hand]] + mirror * [UPPER_ARM, 0, 0]
        joints[WRISTS[hand]] = joints[ELBOWS[hand]] + mirror * [FOREARM, 0, 0]
        flip = np.array([-side, 1.0, 1.0])  # the anatomy is the right hand's
        joints[fingers(hand)] = joints[WRISTS[hand]] + flip * (right[1:] - right[0])
        tips[hand] = joints[WRISTS[hand]] + flip * (right_tips - right[0])
    joints.setflags(write=False)
    tips.setflags(write=False)
    return joints, tips


REST_JOINTS, REST_TIPS = _rest()
"""The resting body: joints (52, 3), and fingertips (2, 5, 3), thumb first. Hips, knees, ankles and shoulders are
those of `models/pose/body.py`, the hands those of the neutral hand."""

LAST_JOINTS = np.array([[fingers(h).start - 1 + j for j in (15, 3, 6, 12, 9)] for h in (0, 1)])
"""(2, 5): the joints that carry the fingertips."""

_FACE = REST[[0, 15, 14, 17, 16]] - REST_JOINTS[HEAD]
_SWAPPED = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20)
MIRRORED = (*_SWAPPED, *range(JOINTS)[fingers(1)], *range(JOINTS)[fingers(0)])
"""For each joint the one on the other side."""


def forward(rotations: np.ndarray, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Global turns (F, 52, 4) and places (F, 52, 3) metres of all joints, camera axes, from the resting neck root.

    rotations (F, 52, 4): local to the parent, joint 0 global. root (F, 3): the pelvis from where a resting body has it.
    """
    start = REST_JOINTS[PELVIS] + np.asarray(root, np.float64)
    return kinematics.chain(np.asarray(rotations, np.float64), start, REST_JOINTS, PARENTS)


def local(turns: np.ndarray) -> np.ndarray:
    """Rotations (F, 52, 4) local to the parents from global turns."""
    return kinematics.local(turns, PARENTS)


def neck_root(turns: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(F, 3): the neck root, carried by the chest: a shrug moves the arms, not the root."""
    return places[:, CHEST] - kinematics.rotate(turns[:, CHEST], REST_JOINTS[CHEST])


def hand_points(turns: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(F, 2, 21, 3): the 16 joints of both hands in MANO's order, wrist first, then the fingertips, thumb first."""
    points = np.empty((len(places), 2, 21, 3))
    for hand in (0, 1):
        points[:, hand, 0] = places[:, WRISTS[hand]]
        points[:, hand, 1:16] = places[:, fingers(hand)]
        last = LAST_JOINTS[hand]
        points[:, hand, 16:] = places[:, last] + kinematics.rotate(turns[:, last], REST_TIPS[hand] - REST_JOINTS[last])
    return points


def body_points(turns: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(F, 18, 3): OpenPose's body points; the neck is the neck root, the face is carried by the head."""
    points = np.empty((len(places), len(REST), 3))
    for sides, joints in (((5, 2), SHOULDERS), ((6, 3), ELBOWS), ((7, 4), WRISTS), ((11, 8), HIPS), ((12, 9), KNEES),
                          ((13, 10), ANKLES)):  # fmt: skip
        points[:, sides] = places[:, joints]
    points[:, 1] = neck_root(turns, places)
    points[:, (0, 15, 14, 17, 16)] = places[:, HEAD, None] + kinematics.rotate(turns[:, HEAD, None], _FACE)
    return points
