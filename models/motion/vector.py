"""The motion vector of EMO2 section 3.3: a `Motion` as (F, 170) numbers a network can learn, and back.

Per hand 16 quaternions (64) and a translation (3): left hand 0..66, right hand 67..133. Then 18 body keypoints as
(x, y) pairs, 134..169, measured from the framing's neck in shoulder widths, so that they mean the same in any picture.
"""

from __future__ import annotations

import numpy as np

from ..hands.quaternions import continuous, normalise
from ..types import BODY_POINTS, HANDS, JOINTS, Framing, Motion

HAND_SIZE = JOINTS * 4 + 3
KEYPOINTS = slice(HANDS * HAND_SIZE, HANDS * HAND_SIZE + BODY_POINTS * 2)
SIZE = KEYPOINTS.stop

_HOME = np.zeros((HANDS, JOINTS, 4))
_HOME[:, :, 0] = 1
_HOME[:, 0] = [[0.43, 0.06, 0.55, -0.71], [0.43, 0.06, -0.55, 0.71]]
# A rotation has two quaternions. The first frame takes the one nearer to these (a speaker's wrists, straight fingers),
# rather than w >= 0: wrists turned by about half a circle would change sign from clip to clip and spoil the statistics.


def hand(index: int) -> slice:
    """Where one hand's 67 numbers stand in the vector; 0 left, 1 right."""
    return slice(index * HAND_SIZE, (index + 1) * HAND_SIZE)


def pack(motion: Motion) -> np.ndarray:
    """(F, 170) float32, not normalised by mean and deviation. Quaternions are hemisphere-continuous along time.

    Keypoints with score 0 become 0 (the neck); `known` tells which numbers mean something.
    """
    count = len(motion)
    vector = np.zeros((count, SIZE), np.float32)
    rotations = motion.rotations.astype(np.float64)
    signs = np.where((rotations[:1] * _HOME).sum(-1, keepdims=True) < 0, -1, 1)
    rotations = continuous(np.concatenate([rotations[:1] * signs, rotations[1:]]))
    for index in range(HANDS):
        values = [rotations[:, index].reshape(count, -1), motion.translations[:, index]]
        vector[:, hand(index)] = np.concatenate(values, axis=-1)
    points = to_shoulders(motion.keypoints, motion.framing) * (motion.keypoint_scores[..., None] > 0)
    vector[:, KEYPOINTS] = points.reshape(count, -1)
    return vector


def known(motion: Motion) -> np.ndarray:
    """(F, 170) bool: the numbers of `pack(motion)` that are annotated; hands that are not visible are not."""
    marks = np.repeat(motion.visible, HAND_SIZE, axis=1)
    return np.concatenate([marks, np.repeat(motion.keypoint_scores > 0, 2, axis=1)], axis=1)


def unpack(
    vector: np.ndarray,
    fps: float,
    framing: Framing | None = None,
    *,
    visible: np.ndarray | None = None,
    body_offset: np.ndarray | None = None,
    body_rotation: np.ndarray | None = None,
    keypoint_scores: np.ndarray | None = None,
) -> Motion:
    """The `Motion` of a vector (F, 170). Quaternions are brought back to unit length, keypoints placed in `framing`.

    visible (F, 2), body_offset (F, 3), body_rotation (F, 4), keypoint_scores (F, 18) as in `Motion`; scores: 1.
    """
    framing = framing or Framing()
    vector = np.asarray(vector, np.float64)
    count = len(vector)
    hands = vector[:, : KEYPOINTS.start].reshape(count, HANDS, HAND_SIZE)
    points = vector[:, KEYPOINTS].reshape(count, BODY_POINTS, 2)
    return Motion(
        rotations=normalise(hands[..., :-3].reshape(count, HANDS, JOINTS, 4)),
        translations=hands[..., -3:],
        fps=fps,
        framing=framing,
        keypoints=from_shoulders(points, framing),
        keypoint_scores=np.ones((count, BODY_POINTS)) if keypoint_scores is None else keypoint_scores,
        visible=visible,
        body_offset=body_offset,
        body_rotation=body_rotation,
    )


def unit(vector: np.ndarray) -> np.ndarray:
    """The same vectors (F, 170) with every quaternion at length 1; signs stay, so continuity does."""
    vector = np.array(vector, np.float64)
    for index in range(HANDS):
        quaternions = vector[:, hand(index)][:, :-3].reshape(-1, JOINTS, 4)
        start = hand(index).start
        vector[:, start : start + JOINTS * 4] = normalise(quaternions).reshape(len(vector), -1)
    return vector


def to_shoulders(points: np.ndarray, framing: Framing) -> np.ndarray:
    """Image-normalised points (..., 2) to shoulder widths from the neck: (px - neck_px) / shoulder_px."""
    size = np.array([framing.size[1], framing.size[0]], np.float64)
    return (np.asarray(points, np.float64) - framing.neck) * size / (framing.shoulder_width * framing.size[1])


def from_shoulders(points: np.ndarray, framing: Framing) -> np.ndarray:
    """The inverse of `to_shoulders`."""
    size = np.array([framing.size[1], framing.size[0]], np.float64)
    return np.asarray(points, np.float64) * (framing.shoulder_width * framing.size[1]) / size + framing.neck


def hand_variance(translations: np.ndarray) -> np.ndarray:
    """The speed w of EMO2 section 3.3: variance over time of each hand's translation, (F, 2, 3) metres to (2,) m^2.

    The mean squared distance from the hand's average place; its root is how far the hand typically is from there.
    """
    away = translations - np.mean(translations, axis=0, keepdims=True)
    return np.mean(np.sum(np.square(away, dtype=np.float64), axis=-1), axis=0)


def rest() -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation, (170,) each, of a natural half-body rest pose: what an untrained network jitters around."""
    from ..hands.poses import finger_pose
    from ..hands.rest import SPEAKING
    from ..pose.body import REST_WRISTS, arm_keypoints

    framing = Framing()
    rotations = np.stack([finger_pose("relaxed", index) for index in range(HANDS)])
    rotations[:, 0] = SPEAKING
    points, _ = arm_keypoints(framing, (framing.root() + REST_WRISTS)[None])
    still = Motion(
        rotations[None], REST_WRISTS[None], 25.0, framing, keypoints=points, keypoint_scores=np.ones((1, BODY_POINTS))
    )
    deviation = np.full(SIZE, 0.003, np.float32)
    for index in range(HANDS):
        deviation[hand(index).stop - 3 : hand(index).stop] = 0.0008
    deviation[KEYPOINTS] = 0.001
    return pack(still)[0], deviation
