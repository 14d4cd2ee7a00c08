"""Puppets as real footage has them: hands that are often unsharp, and then found in wrong places and turned wrongly.

A detector's confidence falls with both (EMO2 section 3.4): what a network that is told it can learn from is here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ...models.errors import EMO2Error
from ...models.hands.quaternions import from_axis_angle, multiply
from ...models.pose.body import arm_keypoints
from ...models.types import HAND_POINTS, Motion
from .identity import split_rng
from .performance import FPS, Performance
from .world import Puppet

STRETCH = (0.3, 1.2)
"""Seconds that a hand stays unsharp."""
BLUR = (2.0, 5.5)
"""Pixels at width 96: how unsharp it becomes."""
ASTRAY, TURNED = 0.09, 0.7
"""Deviation of where a hand of no confidence at all is found (metres, each axis of the picture) and of how it is turned
(radians). Errors grow with what is lacking in confidence."""
SLOWNESS = 3.0
"""Frames: errors of a detector on frames in a row are alike."""


def as_footage(puppet: Puppet, unsure: float) -> tuple[Puppet, Motion]:
    """The puppet with unsharp hands in a share `unsure` of the time, and the motion that a detector finds in it.

    The puppet's own motion stays what is painted; the other has its hands and arms where they are found, with the
    confidence that goes with it. Raises EMO2Error for a share outside 0 to 0.9.
    """
    if not 0 <= unsure <= 0.9:
        raise EMO2Error("unsure", "0 to 0.9", unsure, "Give the share of the time in which hands are unsharp.")
    if unsure == 0:
        return puppet, puppet.motion
    rng = split_rng(puppet.identity.seed, puppet.identity.split, 6)
    before = puppet.performance
    blur = np.maximum(before.blur, _stretches(len(before.motion), unsure, rng))
    # What the sharper hand lost for other reasons (a pocket, a missed one) it loses here too.
    loss = 0.16 * (blur - before.blur)
    confidence = np.where(before.motion.visible, np.clip(before.motion.confidence - loss, 0.05, 1), 0)
    performance = replace(before, blur=blur.astype(np.float32))
    return replace(puppet, performance=performance), _found(performance, confidence.astype(np.float32), rng)


def _stretches(count: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Blur (F, 2): stretches of it that cover about `share` of the frames of each hand, with sharp ones between."""
    blur = np.zeros((count, 2))
    for hand in range(2):
        at = 0 if rng.random() < share else _frames(rng, 1 / share - 1)
        while at < count:
            length = _frames(rng)
            blur[at : at + length, hand] = rng.uniform(*BLUR)
            at += length + _frames(rng, 1 / share - 1)
    return gaussian_filter1d(blur, 1.0, axis=0, mode="nearest")


def _frames(rng: np.random.Generator, times: float = 1.0) -> int:
    return max(1, round(rng.uniform(*STRETCH) * times * FPS))


def _found(performance: Performance, confidence: np.ndarray, rng: np.random.Generator) -> Motion:
    """The motion with each hand's error, which grows as its confidence falls."""
    motion = performance.motion
    lacking = np.where(motion.visible, 1 - confidence, 0)[..., None]
    slow = lambda: _slow(rng.normal(size=(len(motion), 2, 3)))
    astray = slow() * lacking * ASTRAY * np.array([1.0, 1.0, 0.3])
    turned = from_axis_angle(slow() * lacking * TURNED)
    rotations = motion.rotations.copy()
    rotations[:, :, 0] = multiply(turned, rotations[:, :, 0])
    found = motion.replace(
        translations=motion.translations + astray, rotations=rotations, confidence=confidence,
        hand_scores=np.repeat(confidence[..., None], HAND_POINTS, axis=2),
    )  # fmt: skip
    points, scores = arm_keypoints(motion.framing, found.wrists(), motion.body_offset, motion.body_rotation)
    return found.replace(keypoints=points, keypoint_scores=scores)


def _slow(noise: np.ndarray) -> np.ndarray:
    """Noise (F, ...) of deviation 1 made slow; it still has deviation 1."""
    slow = gaussian_filter1d(noise, SLOWNESS, axis=0, mode="nearest")
    return slow * np.sqrt(2 * SLOWNESS * np.sqrt(np.pi))
