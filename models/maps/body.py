"""Body points of a motion in pixels: the given ones where they are known, otherwise arms bent by IK to the wrists."""

from __future__ import annotations

import numpy as np

from ..pose.body import SHOULDERS, arm_keypoints
from ..types import Motion, cover_box
from .rasteriser import NEAR

ARMS = {0: (5, 6, 7), 1: (2, 3, 4)}
"""Shoulder, elbow and wrist of the left (0) and the right (1) arm in OpenPose's body order."""


def to_pixels(motion: Motion, points: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Points (..., 2) normalised to the motion's picture, in its pixels when fitted to `size` (None: as it is)."""
    have = motion.framing.size
    scale, left, top = cover_box(have, size or have)
    return np.asarray(points, np.float64) * np.array(have[::-1]) * scale - np.array([left, top])


def project_body(
    motion: Motion, size: tuple[int, int] | None = None, start: int = 0, count: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Body points (F, 18, 2) in pixels of `size` and scores (F, 18) of frames start..start+count-1, OpenPose order.

    Points with a score come from the motion. Of the others the neck and the arms are known as well: shoulders from the
    framing, elbow and wrist by two-bone IK where the hand is visible. What remains unknown has score 0.
    """
    stop = len(motion) if count is None else start + count
    part = slice(start, stop)
    wrists = motion.wrists()[part]
    points, _ = arm_keypoints(motion.framing, wrists, motion.body_offset[part], motion.body_rotation[part])
    guessed = np.zeros(points.shape[:2], np.float32)
    guessed[:, [1, *SHOULDERS]] = 1
    reachable = motion.visible[part] & (wrists[..., 2] > NEAR)
    for hand, (_, elbow, wrist) in ARMS.items():
        guessed[:, [elbow, wrist]] = reachable[:, hand, None]
    scores = motion.keypoint_scores[part]
    known = scores > 0
    points = np.where(known[..., None], motion.keypoints[part], points)
    return to_pixels(motion, points, size), np.where(known, scores, guessed)
