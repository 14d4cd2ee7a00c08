"""Finger poses in words: how far each finger is bent and spread, as rotations of MANO's joints.

Made for untrained mean poses, synthetic motion and pictures. MANO's joints have no axes of their own: rotations are
about the axes of the flat hand, so bending is a turn about the axis across the finger, given here for the right hand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .layer import FINGER_JOINTS
from .quaternions import from_axis_angle, mirror, multiply
from .rest import LEFT

FLEXION = {
    "thumb": ((0.62, -0.62, 0.10), (0.55, -0.64, 0.47), (0.55, -0.64, 0.47)),
    "index": ((0.087, 0.0, 1.0),) * 3,
    "middle": ((0.009, 0.0, 1.0),) * 3,
    "ring": ((-0.087, 0.0, 1.0),) * 3,
    "little": ((-0.21, 0.0, 1.0),) * 3,
}
"""The axis about which each finger's joints bend towards the palm, base to tip, right hand."""
SHARE = {"thumb": (0.75, 0.75, 1.0)}
"""How much of a finger's bending each joint takes; the other fingers take (1, 1.2, 0.75)."""
SPREAD = {"thumb": 0.0, "index": 1.0, "middle": 0.25, "ring": -0.6, "little": -1.3}
"""How far each finger moves sideways when the hand spreads by 1 radian."""

POSES: dict[str, tuple[float, ...]] = {
    "flat": (0.0, 0.0, 0.0, 0.0, 0.0),
    "relaxed": (0.15, 0.25, 0.35, 0.45, 0.5),
    "fist": (0.9, 1.46, 1.45, 1.45, 1.38),
    "point": (0.9, 0.05, 1.45, 1.45, 1.38),
    "thumb up": (-0.2, 1.46, 1.45, 1.45, 1.38),
    "victory": (0.9, 0.0, 0.0, 1.45, 1.38),
    "pinch": (0.45, 0.75, 0.5, 0.45, 0.45),
}
"""Bending in radians a joint of thumb, index, middle, ring and little finger."""


def finger_pose(bend: str | Sequence[float], hand: int, spread: float = 0.0) -> np.ndarray:
    """Rotations (16, 4) of one hand; joint 0 (the wrist) is the identity.

    bend: a name in POSES, or radians a joint for thumb, index, middle, ring and little finger. hand: LEFT or RIGHT.
    spread: radians by which the index finger moves away from the middle one, the others in proportion.
    """
    amounts = POSES[bend] if isinstance(bend, str) else tuple(bend)
    rotations = np.zeros((16, 4))
    rotations[:, 0] = 1
    for (finger, joints), amount in zip(FINGER_JOINTS.items(), amounts):
        shares = SHARE.get(finger, (1.0, 1.2, 0.75))
        for joint, axis, share in zip(joints, FLEXION[finger], shares):
            axis = np.array(axis) / np.linalg.norm(axis)
            rotations[joint] = from_axis_angle(axis * amount * share)
        sideways = from_axis_angle(np.array([0.0, spread * SPREAD[finger], 0.0]))
        rotations[joints[0]] = multiply(sideways, rotations[joints[0]])
    return mirror(rotations) if hand == LEFT else rotations
