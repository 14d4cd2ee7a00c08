"""Legs of a body that stands on its feet: hips go with the trunk, feet stay where they stand, knees bend forwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...models.hands.quaternions import IDENTITY, conjugate, from_matrix, multiply, rotate
from ...models.pose.body import arm_keypoints, body_joints, elbows
from ...models.types import Framing, Motion
from .performance import Performance

HIPS, KNEES, ANKLES = (11, 8), (12, 9), (13, 10)
"""Indices of the (left, right) points in OpenPose's body order."""
KNEE_TOWARDS = np.array([[0.25, 0.0, -0.97], [-0.25, 0.0, -0.97]])
"""Where knees bend: forwards, a little outwards; unit vectors for the left and the right leg, camera axes."""


def standing(
    joints: np.ndarray, framing: Framing, feet: np.ndarray, body_rotation: np.ndarray | None = None
) -> np.ndarray:
    """`joints` (F, 18, 3) of `body_joints` with legs that reach the feet; metres, camera axes.

    feet (F, 2, 3): how far the left and the right ankle are from where the resting body has them. A foot out of the
    leg's reach is drawn in by it. body_rotation (F, 4): knees bend to where the trunk faces, seen from above.
    """
    rest = body_joints(framing, framing.root() + np.zeros((1, 2, 3)))[0]
    joints = np.array(joints, np.float64)
    hips, ankles = joints[:, HIPS], rest[list(ANKLES)] + np.asarray(feet, np.float64)
    upper = np.linalg.norm(rest[KNEES[0]] - rest[HIPS[0]])
    fore = np.linalg.norm(rest[ANKLES[0]] - rest[KNEES[0]])
    towards = np.broadcast_to(KNEE_TOWARDS, hips.shape)
    if body_rotation is not None:
        towards = rotate(_heading(np.asarray(body_rotation, np.float64))[:, None], towards)
    line = ankles - hips
    far = np.linalg.norm(line, axis=-1, keepdims=True)
    ankles = hips + line * np.minimum(1.0, (upper + fore) / np.maximum(far, 1e-9))
    joints[:, KNEES] = elbows(hips, ankles, towards, upper, fore)
    joints[:, ANKLES] = ankles
    return joints


def full_keypoints(motion: Motion, feet: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (F, 18, 2) and scores (F, 18) as of `arm_keypoints`, with legs that stand on `feet` (F, 2, 3)."""
    points, scores = arm_keypoints(motion.framing, motion.wrists(), motion.body_offset, motion.body_rotation)
    joints = body_joints(motion.framing, motion.wrists(), motion.body_offset, motion.body_rotation)
    joints = standing(joints, motion.framing, feet, motion.body_rotation)
    points[:, 8:14] = motion.framing.project(joints[:, 8:14])
    return points, scores


def on_its_feet(performance: Performance) -> Performance:
    """The performance with feet that stay where they stand while the body sways above them."""
    feet = np.zeros((len(performance.motion), 2, 3), np.float32)
    points, scores = full_keypoints(performance.motion, feet)
    motion = performance.motion.replace(keypoints=points, keypoint_scores=scores)
    return replace(performance, motion=motion, feet=feet)


def leg_turns(motion: Motion, feet: np.ndarray) -> np.ndarray:
    """Turns (F, 8, 4) of hips, knees, ankles and feet, left before right, as `WholeBody.from_motion` takes legs.

    The pelvis goes with the trunk; feet (F, 2, 3) as in `standing`, flat on the ground and facing where the trunk does.
    """
    trunk = np.array(motion.body_rotation, np.float64)
    joints = body_joints(motion.framing, motion.wrists(), motion.body_offset, trunk)
    joints = standing(joints, motion.framing, feet, trunk)
    rest = body_joints(motion.framing, motion.framing.root() + np.zeros((1, 2, 3)))
    heading = _heading(trunk)[:, None]
    bones = ((HIPS, KNEES), (KNEES, ANKLES))
    hinge = np.cross(joints[:, ANKLES] - joints[:, HIPS], rotate(heading, KNEE_TOWARDS))
    rest_hinge = np.cross(rest[:, ANKLES] - rest[:, HIPS], KNEE_TOWARDS)
    thigh, shin = (
        multiply(
            _frame(joints[:, end] - joints[:, start], hinge),
            conjugate(_frame(rest[:, end] - rest[:, start], rest_hinge)),
        )
        for start, end in bones
    )
    flat = np.broadcast_to(heading, thigh.shape)
    toes = np.broadcast_to(IDENTITY, thigh.shape)
    local = (multiply(conjugate(trunk)[:, None], thigh), multiply(conjugate(thigh), shin),
             multiply(conjugate(shin), flat), toes)  # fmt: skip
    return np.concatenate(local, axis=1)


def _frame(line: np.ndarray, hinge: np.ndarray) -> np.ndarray:
    """Turns (..., 4) whose first axis lies along `line` and whose second is as near to `hinge` as it can be."""
    first = line / np.linalg.norm(line, axis=-1, keepdims=True)
    second = hinge - (hinge * first).sum(-1, keepdims=True) * first
    second = second / np.maximum(np.linalg.norm(second, axis=-1, keepdims=True), 1e-9)
    return from_matrix(np.stack([first, second, np.cross(first, second)], axis=-1))


def _heading(rotation: np.ndarray) -> np.ndarray:
    """The part of rotations (F, 4) that is a turn about the upright axis."""
    upright = rotation * np.array([1.0, 0.0, 1.0, 0.0])
    return upright / np.maximum(np.linalg.norm(upright, axis=-1, keepdims=True), 1e-9)
