"""Puppets whose hands are known, seen as points, and how far a fit is from them."""

import numpy as np
from emo2.models.hands import load_hands
from emo2.models.pose.fit import fit_hands
from emo2.models.types import Framing
from emo2.training.puppets.performance import perform

HANDS = load_hands()
FRAMING = Framing((0.5, 0.41), 0.38, (704, 512))
SIZE = 0.18753
"""The neutral hand's size, wrist to the middle finger's tip, metres: errors are parts of it."""


def puppet(seed, count=40, start=0, style=None):
    """Frames of a held-out puppet's motion at 704 x 512, where a hand is about 90 pixels long."""
    whole = perform(seed, "held-out", FRAMING, seconds=max((start + count) / 25, 1.0), style=style).motion
    return whole.frames(start, start + count)


def seen(motion, noise=0.0, missing=0.0, seed=0):
    """The 21 joints (F, 2, 21, 3), their points with `noise` pixels, and scores with a share of points missing."""
    joints = HANDS.pose(motion.rotations, motion.wrists())[1]
    points = motion.framing.project(joints)
    rng = np.random.default_rng(seed)
    points = points + rng.normal(0, 1, points.shape) * noise / np.array(motion.framing.size[::-1])
    scores = (rng.random(points.shape[:-1]) >= missing).astype(float)
    return joints, points * scores[..., None], scores


def fitted(motion, points, scores, fps=None, **options):
    return fit_hands(points, scores, motion.keypoints, motion.keypoint_scores, motion.framing, fps or motion.fps, HANDS,
                     motion.body_offset, **options)  # fmt: skip


def errors(motion, joints, fit):
    """Mean distance (F, 2) of the 21 joints in hand sizes: relative to the wrist, and where they are in space; and of
    their projections, pixels."""
    found = HANDS.pose(fit.rotations, fit.wrists)[1]
    relative = lambda j: j - j[:, :, :1]
    pixels = (motion.framing.project(found) - motion.framing.project(joints)) * np.array(motion.framing.size[::-1])
    mean = lambda values: np.linalg.norm(values, axis=-1).mean(-1)
    return mean(relative(found) - relative(joints)) / SIZE, mean(found - joints) / SIZE, mean(pixels)


def jumps(rotations, wrists, fps):
    """The greatest changes from frame to frame: wrist turns (radians a second) and places (metres a second)."""
    dots = np.abs((rotations[1:] * rotations[:-1]).sum(-1)).clip(0, 1)
    return 2 * np.arccos(dots).max(initial=0) * fps, np.linalg.norm(np.diff(wrists, axis=0), axis=-1).max(
        initial=0
    ) * fps
