"""Motion as BVH, for Blender, Maya, MotionBuilder: neck, arms and both hands with all finger joints.

Axes: x to the picture's right, y up, z towards the camera (the camera's axes turned half round x). The neck root starts
at the origin. Rotation channels are Z X Y, in degrees: R = Rz Rx Ry. The rest pose is a T with the palms up, as in
MANO: arms out, hands flat. Joint names are those of Mixamo's skeletons.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import EMO2Error
from ..hands.layer import FINGER_JOINTS, PARENTS, HandModel
from ..hands.quaternions import conjugate, multiply, normalise, rotate, to_matrix
from ..pose.body import ELBOWS, FOREARM, SHOULDERS, UPPER_ARM, body_joints
from ..types import SHOULDER_METRES, Motion
from .files import write_whole

UNITS = {"centimetres": 100.0, "metres": 1.0}
_SIDES = ("Left", "Right")
_FINGERS = {"thumb": "Thumb", "index": "Index", "middle": "Middle", "ring": "Ring", "little": "Pinky"}
_FLIP = np.array([1.0, -1.0, -1.0])
_TURNS = "Zrotation Xrotation Yrotation"


def export_bvh(
    motion: Motion, path: Path | str, hands: HandModel, arms: bool = True, units: str = "centimetres"
) -> Path:
    """Write `motion` as a BVH file, whole or not at all.

    arms: shoulders, elbows and wrists are a chain of bones of fixed length that bends by IK; a hand beyond the arm's
    reach (0.53 m from the shoulder) is then drawn in to it. Without arms the hands hang on the neck by position
    channels (their OFFSET is zero) and are exactly where the motion has them. `units` of offsets and positions.
    """
    if units not in UNITS:
        raise EMO2Error("units", f"one of {', '.join(UNITS)}", repr(units), "Choose one of them.")
    scale = UNITS[units]
    lines: list[str] = ["HIERARCHY", "ROOT Neck", "{", "\tOFFSET 0.000000 0.000000 0.000000",
                        f"\tCHANNELS 6 Xposition Yposition Zposition {_TURNS}"]  # fmt: skip
    body = normalise(motion.body_rotation.astype(np.float64))
    columns = [motion.body_offset * _FLIP * scale, _euler(body)]
    for hand in (0, 1):
        rest = _rest(hands, hand)
        if arms:
            columns += _arm(lines, motion, body, hand, scale)
        else:
            wrist = rotate(conjugate(body), motion.translations[:, hand].astype(np.float64))
            columns.append(wrist * _FLIP * scale)
            columns.append(_euler(multiply(conjugate(body), motion.rotations[:, hand, 0].astype(np.float64))))
            _open(lines, 1, f"{_SIDES[hand]}Hand", np.zeros(3), f"6 Xposition Yposition Zposition {_TURNS}")
        depth = 4 if arms else 2
        columns += _fingers(lines, motion, hand, rest, depth, scale)
        lines += ["\t" * level + "}" for level in range(depth - 1, 0, -1)]
    lines += ["}", "MOTION", f"Frames: {len(motion)}", f"Frame Time: {1 / motion.fps:.9f}"]
    table = np.concatenate(columns, axis=1)

    def write(stream) -> None:
        stream.write(("\n".join(lines) + "\n").encode("ascii"))
        np.savetxt(stream, table, fmt="%.6f")

    return write_whole(path, write)


def _rest(hands: HandModel, hand: int) -> np.ndarray:
    """The flat hand's 16 joints and 5 fingertips (21, 3), wrist at the origin, MANO's order and axes."""
    side = hands.left if hand == 0 else hands.right
    points = np.concatenate([side.joints, side.v_template[side.tips]])
    return points - points[0]


def _open(lines: list[str], depth: int, name: str, offset: np.ndarray, channels: str = f"3 {_TURNS}") -> None:
    tabs = "\t" * depth
    place = " ".join(f"{value:.6f}" for value in offset)
    lines += [f"{tabs}JOINT {name}", tabs + "{", f"{tabs}\tOFFSET {place}", f"{tabs}\tCHANNELS {channels}"]


def _arm(lines: list[str], motion: Motion, body: np.ndarray, hand: int, scale: float) -> list[np.ndarray]:
    """Shoulder, elbow and wrist joints, and the angles of all three."""
    side = 1.0 if hand == 0 else -1.0
    out = np.array([side, 0.0, 0.0])
    joints = body_joints(motion.framing, motion.wrists(), motion.body_offset, motion.body_rotation)
    shoulder, elbow = joints[:, SHOULDERS[hand]], joints[:, ELBOWS[hand]]
    wrist = motion.wrists()[:, hand]
    # Everything in the trunk's own axes, in which the shoulder never moves.
    local = lambda v: rotate(conjugate(body), v)
    upper = _swing(out, local(elbow - shoulder))
    lower = _swing(out, local(wrist - elbow))
    turn = multiply(conjugate(body), motion.rotations[:, hand, 0].astype(np.float64))
    at = local(shoulder - joints[:, 1])[0]
    name = _SIDES[hand]
    _open(lines, 1, f"{name}Arm", at * _FLIP * scale)
    _open(lines, 2, f"{name}ForeArm", out * UPPER_ARM * scale)
    _open(lines, 3, f"{name}Hand", out * FOREARM * scale)
    assert abs(abs(at[0]) - SHOULDER_METRES / 2) < 1e-6
    return [_euler(upper), _euler(multiply(conjugate(upper), lower)), _euler(multiply(conjugate(lower), turn))]


def _fingers(
    lines: list[str], motion: Motion, hand: int, rest: np.ndarray, depth: int, scale: float
) -> list[np.ndarray]:
    """The five chains of a hand with their end sites, and the angles of their joints in the order of the file."""
    columns = []
    for number, (finger, joints) in enumerate(FINGER_JOINTS.items()):
        for place, joint in enumerate(joints):
            offset = (rest[joint] - rest[PARENTS[joint]]) * _FLIP * scale
            _open(lines, depth + place, f"{_SIDES[hand]}Hand{_FINGERS[finger]}{place + 1}", offset)
            columns.append(_euler(motion.rotations[:, hand, joint].astype(np.float64)))
        tabs = "\t" * (depth + 3)
        tip = " ".join(f"{value:.6f}" for value in (rest[16 + number] - rest[joints[-1]]) * _FLIP * scale)
        lines += [f"{tabs}End Site", tabs + "{", f"{tabs}\tOFFSET {tip}", tabs + "}"]
        lines += ["\t" * level + "}" for level in range(depth + 2, depth - 1, -1)]
    return columns


def _swing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The shortest rotations (F, 4) that turn the direction `start` (3,) into the directions `end` (F, 3)."""
    end = end / np.maximum(np.linalg.norm(end, axis=-1, keepdims=True), 1e-9)
    w = 1 + end @ start
    # Half a turn has no shortest way: take the one about the vertical.
    axis = np.where((w < 1e-6)[:, None], [0.0, 1.0, 0.0], np.cross(start[None], end))
    return normalise(np.concatenate([np.maximum(w, 0)[:, None], axis], axis=-1))


def _euler(q: np.ndarray) -> np.ndarray:
    """Angles (F, 3) about z, x, y in degrees, in BVH's axes, without jumps of a whole turn along time."""
    m = to_matrix(normalise(q)) * np.outer(_FLIP, _FLIP)
    z = np.arctan2(-m[:, 0, 1], m[:, 1, 1])
    x = np.arcsin(np.clip(m[:, 2, 1], -1, 1))
    y = np.arctan2(-m[:, 2, 0], m[:, 2, 2])
    return np.degrees(np.unwrap(np.stack([z, x, y], axis=1), axis=0))
