"""The body behind the hands: a resting OpenPose-18 skeleton for a framing, and arms to given wrists by two-bone IK.

Everything here is in the framing's scale (shoulders 0.38 m apart), so it fits any picture that has a framing.
"""

from __future__ import annotations

import numpy as np

from ..hands.quaternions import to_matrix
from ..types import BODY_POINTS, SHOULDER_METRES, Framing

UPPER_ARM, FOREARM = 0.28, 0.25
"""Arm bones in metres, for shoulders 0.38 m apart."""

LIMBS = (
    (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
"""Pairs of points that OpenPose joins, in its drawing order."""

SHOULDERS, ELBOWS, WRISTS = (5, 2), (6, 3), (7, 4)
"""Indices of the (left, right) points in OpenPose's body order."""

MIRRORED = (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16)
"""For each body point the one on the other side."""

REST_WRISTS = np.array([[0.15, 0.34, -0.2], [-0.15, 0.34, -0.2]])
"""Where relaxed hands lie, relative to the neck root: in front of the belly, left and right, metres, camera axes."""

_HALF = SHOULDER_METRES / 2
REST = np.array([
    [0.0, -0.205, -0.08], [0.0, 0.0, 0.0],
    [-_HALF, 0.01, 0.0], [0.0, 0.0, 0.0], [-0.15, 0.34, -0.2],
    [_HALF, 0.01, 0.0], [0.0, 0.0, 0.0], [0.15, 0.34, -0.2],
    [-0.11, 0.52, 0.0], [-0.12, 0.94, 0.0], [-0.12, 1.34, 0.02],
    [0.11, 0.52, 0.0], [0.12, 0.94, 0.0], [0.12, 1.34, 0.02],
    [-0.034, -0.248, -0.06], [0.034, -0.248, -0.06], [-0.078, -0.228, 0.02], [0.078, -0.228, 0.02],
])  # fmt: skip
"""The resting points (18, 3) from the neck root, metres, camera axes; the elbows' follow from shoulders and wrists."""
ELBOW_TOWARDS = np.array([[0.55, 0.6, 0.6], [-0.55, 0.6, 0.6]]) / np.linalg.norm([0.55, 0.6, 0.6])
"""Where an elbow would rather be: out, down and a little behind. The direction is one that a hand in front of the body
never lies in, so the elbow never flips."""


def elbows(
    shoulders: np.ndarray,
    wrists: np.ndarray,
    towards: np.ndarray,
    upper: float = UPPER_ARM,
    fore: float = FOREARM,
) -> np.ndarray:
    """Elbows (..., 3) of arms from `shoulders` to `wrists` (..., 3), bent to the side `towards` (unit vectors).

    upper, fore: lengths of the two bones, metres.

    A wrist out of reach gets a straight arm, the elbow on the line at the upper arm's share of its length; one nearer
    than the arm can fold gets the fullest bend. Continuous in its arguments: the bend fades out where the arm points
    within a few degrees of `towards` itself and no side is the right one.
    """
    line = wrists - shoulders
    far = np.linalg.norm(line, axis=-1, keepdims=True)
    # A wrist in its own shoulder has no direction: it fades into hanging down.
    line = line + np.array([0.0, 1.0, 0.0]) * np.maximum(0.01 - far, 0)
    direction = line / np.maximum(np.linalg.norm(line, axis=-1, keepdims=True), 1e-9)
    reach = upper + fore
    bent = np.clip(far, abs(upper - fore) + 0.02, reach)
    along = (bent**2 + upper**2 - fore**2) / (2 * bent)
    out = np.sqrt(np.maximum(upper**2 - along**2, 0))
    side = towards - (towards * direction).sum(-1, keepdims=True) * direction
    side = side / np.sqrt((side**2).sum(-1, keepdims=True) + 1e-5)
    along = np.where(far > reach, upper / reach * far, along)
    return shoulders + direction * along + side * out


def body_joints(
    framing: Framing,
    wrists: np.ndarray,
    body_offset: np.ndarray | None = None,
    body_rotation: np.ndarray | None = None,
) -> np.ndarray:
    """The resting body with its arms at given wrists: (F, 18, 3) metres in camera axes, OpenPose body order.

    wrists (F, 2, 3): left and right, camera axes (`Motion.wrists()`). body_offset (F, 3) and body_rotation (F, 4) move
    and turn the trunk about the neck root; the wrists stay where they are asked for.
    """
    wrists = np.asarray(wrists, dtype=np.float64)
    count = wrists.shape[0]
    turn = np.tile(np.eye(3), (count, 1, 1)) if body_rotation is None else to_matrix(np.asarray(body_rotation, float))
    root = framing.root() + (np.zeros((count, 3)) if body_offset is None else np.asarray(body_offset, float))
    joints = np.einsum("fij,pj->fpi", turn, REST) + root[:, None]
    joints[:, WRISTS] = wrists
    towards = np.einsum("fij,hj->fhi", turn, ELBOW_TOWARDS)
    joints[:, ELBOWS] = elbows(joints[:, SHOULDERS], wrists, towards)
    return joints


def half_body(framing: Framing) -> tuple[np.ndarray, np.ndarray]:
    """The resting skeleton of a framing: points (18, 2) normalised, scores (18,) 1 inside the picture, 0 outside.

    In a half-body picture the knees and ankles lie below the edge and so have score 0.
    """
    joints = body_joints(framing, (framing.root() + REST_WRISTS)[None])
    points = framing.project(joints[0])
    inside = ((points >= 0) & (points <= 1)).all(axis=1)
    return points.astype(np.float32), np.asarray(inside, np.float32)


def arm_keypoints(
    framing: Framing,
    wrists: np.ndarray,
    body_offset: np.ndarray | None = None,
    body_rotation: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The skeleton over time with its arms at given wrists: points (F, 18, 2) normalised, scores (F, 18).

    wrists (F, 2, 3) are in camera axes and metres. Shoulders, elbows, wrists and neck always score 1 (limbs that
    leave the picture are cut by it); the other points keep the resting skeleton's score: nothing flickers at the edge.
    """
    joints = body_joints(framing, wrists, body_offset, body_rotation)
    scores = half_body(framing)[1]
    scores[[1, *SHOULDERS, *ELBOWS, *WRISTS]] = 1
    points = framing.project(joints).astype(np.float32)
    assert points.shape[1:] == (BODY_POINTS, 2)
    return points, np.tile(scores, (len(points), 1))
