"""Points in the picture for another body: head, face and trunk by their sizes, arms with the wrists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..hands.quaternions import rotate
from ..pose.body import ELBOW_TOWARDS, ELBOWS, SHOULDERS, WRISTS, elbows
from ..pose.proportions import NECK, NOSE
from ..types import SHOULDER_METRES, Framing, Motion
from .vector import from_shoulders, to_shoulders

HEAD = (14, 15, 16, 17)
LEGS = (9, 10, 12, 13)
HIPS = (8, 11)
ROUNDS = 16
"""Times that an elbow is brought within reach of its shoulder and of its wrist in turn."""
LARGEST_GAP = 0.2
"""Shoulder widths that a wrist point may be away from the hand's own wrist."""


def head_and_trunk(
    motion: Motion, framing: Framing, factor: Callable[[str], float], turn: float
) -> tuple[np.ndarray, np.ndarray]:
    """Body points (F, 18, 2) and face (F, 70, 2) in `framing`, arms not yet: each part scaled about its own joint.

    The neck moves with the framing; shoulders and hips are scaled from the neck, legs from the hips, the nose from the
    neck, the face from the nose. turn: radians by which all of it turns about the framing's neck.
    """
    points = to_shoulders(motion.keypoints, motion.framing)
    face = to_shoulders(motion.face, motion.framing)
    neck, known = points[:, NECK], motion.keypoint_scores > 0
    # Where the neck is unknown, the framing's is; where the nose is, the head goes with the neck.
    neck = np.where(known[:, NECK, None], neck, motion.body_offset[:, :2] / SHOULDER_METRES)
    wide, torso = factor("shoulders"), factor("torso")
    result = points.copy()
    from_neck = lambda which, size: neck[:, None] + (points[:, which] - neck[:, None]) * size
    result[:, SHOULDERS] = from_neck(SHOULDERS, wide)
    result[:, HIPS] = from_neck(HIPS, np.array([wide, torso]))
    hip = list(HIPS) * 2
    order = [9, 12, 10, 13]
    result[:, order] = result[:, hip] + (points[:, order] - points[:, hip]) * torso
    has_nose = known[:, NOSE, None]
    nose = np.where(has_nose, points[:, NOSE], neck)
    new_nose = neck + (nose - neck) * factor("nose")
    size = np.where(has_nose, factor("head"), factor("nose"))[:, None]
    result[:, NOSE] = new_nose
    result[:, HEAD] = new_nose[:, None] + (points[:, HEAD] - nose[:, None]) * size
    face = new_nose[:, None] + (face - nose[:, None]) * size
    spin = _spin(turn)
    return from_shoulders(result @ spin.T, framing), from_shoulders(face @ spin.T, framing)


@dataclass(frozen=True)
class Arms:
    """Both arms in space: shoulders (F, 2, 3) camera metres, bones in metres, the motion's wrists, elbows by IK."""

    motion: Motion
    shoulders: np.ndarray
    upper: float
    fore: float

    def shown(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(elbows, wrists (F, 2, 2) in shoulder widths from the framing's neck; how much nearer to the camera (F, 2, 1)
        than the neck root either of them is: lengths look longer by that)."""
        wrists, framing = self.motion.wrists(), self.motion.framing
        towards = rotate(self.motion.body_rotation.astype(np.float64)[:, None], ELBOW_TOWARDS[None])
        bent = elbows(self.shoulders, wrists, towards, self.upper, self.fore)
        depth = framing.root()[2]
        nearer = np.minimum(np.minimum(bent[..., 2:], wrists[..., 2:]), depth)
        flat = lambda points: to_shoulders(framing.project(points), framing)
        return flat(bent), flat(wrists), depth / np.maximum(nearer, 0.1 * depth)


def moved_arms(motion: Motion, keypoints: np.ndarray, old: Arms, new: Arms, turn: float) -> np.ndarray:
    """`keypoints` (F, 18, 2) with elbows and wrists for the arms `new`.

    What the points of `motion` have beside the arms `old` (an elbow held out, a wrist seen elsewhere) stays, in
    proportion. Then elbows are drawn in until no bone looks longer than it is.
    """
    framing = new.motion.framing
    was = to_shoulders(motion.keypoints, motion.framing)
    points = to_shoulders(keypoints, framing)
    spin = _spin(turn)
    (elbow_was, wrist_was, _), (elbow, wrist, nearer) = old.shown(), new.shown()
    beside = lambda joints, ik, size: (was[:, joints] - ik) @ spin.T * size
    gap = beside(WRISTS, wrist_was, (new.upper + new.fore) / (old.upper + old.fore))
    far = np.linalg.norm(gap, axis=-1, keepdims=True)
    wrist = wrist + gap * np.minimum(1, LARGEST_GAP / np.maximum(far, 1e-9))
    elbow = elbow + beside(ELBOWS, elbow_was, new.upper / old.upper)
    shoulder = points[:, SHOULDERS]
    upper, fore = new.upper / SHOULDER_METRES * nearer, new.fore / SHOULDER_METRES * nearer
    wrist = _within(wrist, shoulder, upper + fore)
    for _ in range(ROUNDS):
        elbow = _within(_within(elbow, wrist, fore), shoulder, upper)
    points[:, ELBOWS], points[:, WRISTS] = elbow, wrist
    return from_shoulders(points, framing)


def _within(points: np.ndarray, middle: np.ndarray, radius: np.ndarray) -> np.ndarray:
    line = points - middle
    far = np.linalg.norm(line, axis=-1, keepdims=True)
    return np.where(far > radius, middle + line * (radius / np.maximum(far, 1e-9)), points)


def _spin(turn: float) -> np.ndarray:
    return np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])


__all__ = ["Arms", "head_and_trunk", "moved_arms"]
