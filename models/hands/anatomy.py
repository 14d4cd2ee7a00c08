"""What the neutral hand is made of: measures of an adult's right hand, its skeleton, and the flesh around the bones.

Axes are MANO's for the right hand: fingers to -x, palm to -y, thumb to +z; metres; the wrist joint at the origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .flesh import Cone
from .layer import FINGER_JOINTS

FINGERS = ("index", "middle", "ring", "little")


@dataclass(frozen=True)
class Measures:
    """An average adult hand in metres (bone lengths, half-thicknesses), and factors that the shape directions vary."""

    size: float = 1.0
    finger_length: float = 1.0
    finger_thickness: float = 1.0
    palm_width: float = 1.0
    palm_length: float = 1.0
    palm_thickness: float = 1.0
    thumb_length: float = 1.0
    thumb_thickness: float = 1.0
    tip_taper: float = 1.0
    little_length: float = 1.0


SHAPE_STEPS = (0.06, 0.06, 0.08, 0.05, 0.05, 0.08, 0.06, 0.08, 0.10, 0.06)
"""What one unit of each shape number (beta) adds to the measures, in their order."""

KNUCKLES = {"index": (-0.088, 0.003, 0.0245), "middle": (-0.0915, 0.0045, 0.0025),
            "ring": (-0.0855, 0.003, -0.0185), "little": (-0.077, -0.001, -0.0375)}  # fmt: skip
SPLAY = {"index": 5.0, "middle": 0.5, "ring": -5.0, "little": -12.0}
"""Degrees by which each straight finger points to the thumb's side."""
LENGTHS = {"index": (0.0405, 0.0235, 0.0225), "middle": (0.0450, 0.0275, 0.0235),
           "ring": (0.0420, 0.0265, 0.0230), "little": (0.0335, 0.0190, 0.0210)}  # fmt: skip
RADII = {"index": (0.0106, 0.0096, 0.0085, 0.0072), "middle": (0.0108, 0.0098, 0.0087, 0.0074),
         "ring": (0.0102, 0.0092, 0.0082, 0.0070), "little": (0.0092, 0.0080, 0.0072, 0.0061)}  # fmt: skip
THUMB_BASE = (-0.0200, -0.0095, 0.0200)
THUMB_BONES = ((-0.0320, -0.0120, 0.0290), (-0.0260, -0.0055, 0.0190), (-0.0230, -0.0030, 0.0145))
THUMB_RADII = (0.0135, 0.0117, 0.0104, 0.0084)
THUMB_NAIL = (0.30, 0.70, 0.60)
"""Where the thumb's nail faces."""


def skeleton(m: Measures) -> tuple[np.ndarray, np.ndarray]:
    """Joints (16, 3) in MANO's order and fingertip points (5, 3), thumb first."""
    joints, tips = np.zeros((16, 3)), np.zeros((5, 3))
    palm = np.array([m.palm_length, m.palm_thickness, m.palm_width])
    for number, finger in enumerate(FINGERS, start=1):
        turn = np.radians(SPLAY[finger])
        direction = np.array([-np.cos(turn), 0.0, np.sin(turn)])
        stretch = m.finger_length * (m.little_length if finger == "little" else 1.0)
        place = np.array(KNUCKLES[finger]) * palm
        for joint, length in zip(FINGER_JOINTS[finger], LENGTHS[finger]):
            joints[joint] = place
            # A straight finger still sinks a little towards the palm.
            place = place + (direction - np.array([0, 0.03, 0])) * length * stretch
        tips[number] = place
    place = np.array(THUMB_BASE) * palm
    for joint, bone in zip(FINGER_JOINTS["thumb"], THUMB_BONES):
        joints[joint] = place
        place = place + np.array(bone) * m.thumb_length
    tips[0] = place
    return joints * m.size, tips * m.size


def chain(m: Measures, finger: str, joints: np.ndarray, tips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints and tip (4, 3) of a finger, and its half-thickness (4,) there."""
    number = list(FINGER_JOINTS).index(finger)
    points = np.concatenate([joints[list(FINGER_JOINTS[finger])], tips[number : number + 1]])
    radii = np.array(THUMB_RADII if finger == "thumb" else RADII[finger]) * m.size
    radii = radii * (m.thumb_thickness if finger == "thumb" else m.finger_thickness)
    radii[3] *= m.tip_taper
    return points, radii


def _finger_flesh(points: np.ndarray, radii: np.ndarray, flat: np.ndarray) -> list[Cone]:
    """Three round cones along a finger; the last ends so that its round end reaches the tip."""
    last = points[3] - points[2]
    end = points[3] - last / np.linalg.norm(last) * radii[3]
    ends = [points[0], points[1], points[2], end]
    return [Cone(ends[i], ends[i + 1], radii[i], radii[i + 1], flat, 1.08 if i == 2 else 1.0) for i in range(3)]


def flesh(m: Measures, joints: np.ndarray, tips: np.ndarray) -> dict[str, list[Cone]]:
    """The cones of each finger and of the palm (which holds the wrist, the balls of thumb and little finger)."""
    up = np.array([0.0, 1.0, 0.0])
    s, w, t, n = m.size, m.palm_width * m.size, m.palm_thickness * m.size, m.palm_length * m.size
    at = lambda x, y, z: np.array([x * n, y * t, z * w])
    palm = [
        Cone(at(0.030, 0.0, 0.009), at(-0.012, 0.0, 0.010), 0.0185 * t, 0.0170 * t, up),
        Cone(at(0.030, 0.0, -0.009), at(-0.012, 0.0, -0.011), 0.0185 * t, 0.0165 * t, up),
    ]
    heads = {"index": 0.0118, "middle": 0.0120, "ring": 0.0114, "little": 0.0106}
    for finger, z in zip(FINGERS, (0.0145, 0.005, -0.005, -0.0145)):
        head = joints[FINGER_JOINTS[finger][0]]
        palm.append(Cone(at(-0.012, 0.001, z), head, 0.0135 * t, heads[finger] * t, up))
    palm.append(Cone(at(-0.014, -0.0085, -0.0175), at(-0.058, -0.0075, -0.0345), 0.0125 * t, 0.0095 * t, up))
    palm.append(Cone(at(-0.062, -0.009, 0.022), at(-0.066, -0.009, -0.030), 0.0085 * t, 0.0080 * t, up))
    parts = {}
    for finger in FINGER_JOINTS:
        points, radii = chain(m, finger, joints, tips)
        nail = np.array(THUMB_NAIL) if finger == "thumb" else up
        parts[finger] = _finger_flesh(points, radii, nail)
    thumb = joints[list(FINGER_JOINTS["thumb"])]
    ball = thumb[0] + np.array([-0.004, -0.004, -0.002]) * s
    palm.append(Cone(ball, thumb[1], 0.0150 * t, THUMB_RADII[1] * s * m.thumb_thickness, up))
    palm.append(Cone(ball, at(-0.045, -0.006, 0.012), 0.0140 * t, 0.0100 * t, up))
    # The fold of skin between thumb and index finger.
    palm.append(Cone((thumb[0] * 0.45 + thumb[1] * 0.55), at(-0.052, -0.003, 0.023), 0.0100 * t, 0.0100 * t, up))
    palm.append(Cone((thumb[0] * 0.05 + thumb[1] * 0.95), at(-0.070, -0.003, 0.025), 0.0070 * t, 0.0080 * t, up))
    return parts | {"palm": palm}
