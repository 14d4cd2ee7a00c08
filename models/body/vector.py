"""The vector that the motion tokenizer reads: a `WholeBody` as (F, 384) numbers, and back.

Rotations as 6D (Zhou et al. 2019, section 4: the first two columns of the matrix), root, and velocities in metres a
second, so that the numbers mean the same at any frame rate. Going back uses rotations and root alone.
"""

from __future__ import annotations

import numpy as np

from ..hands.quaternions import continuous, from_matrix, to_matrix
from .skeleton import BODY_JOINTS, JOINTS, WRISTS, fingers
from .whole_body import WholeBody

ROTATIONS = slice(0, JOINTS * 6)
ROOT = slice(ROTATIONS.stop, ROTATIONS.stop + 3)
ROOT_VELOCITY = slice(ROOT.stop, ROOT.stop + 3)
VELOCITIES = slice(ROOT_VELOCITY.stop, ROOT_VELOCITY.stop + BODY_JOINTS * 3)
SIZE = VELOCITIES.stop

parts: dict[str, slice] = {
    "rotations": ROTATIONS, "root": ROOT, "root_velocity": ROOT_VELOCITY, "velocities": VELOCITIES,
}  # fmt: skip
"""Where the parts stand in the vector: 6D rotations of the 52 joints (312 numbers), root (3), root velocity (3), and
the velocities of the 22 body joints (66)."""


def joint(index: int) -> slice:
    """Where the six numbers of a joint's rotation stand."""
    return slice(ROTATIONS.start + index * 6, ROTATIONS.start + index * 6 + 6)


def hand_numbers(hand: int) -> np.ndarray:
    """The numbers that say a hand's pose (0 left, 1 right): the turns of its wrist and of its 15 finger joints."""
    joints = [WRISTS[hand], *range(JOINTS)[fingers(hand)]]
    return np.concatenate([np.arange(SIZE)[joint(j)] for j in joints])


def to_vector(body: WholeBody) -> np.ndarray:
    """(F, 384) float32, not normalised. The first frame's velocity is that of the second; a single frame has none."""
    _, places = body.forward()
    points = np.concatenate([body.root[:, None], places[:, :BODY_JOINTS]], axis=1)
    speed = np.zeros_like(points)
    if len(body) > 1:
        speed[1:] = np.diff(points, axis=0) * body.fps
        speed[0] = speed[1]
    sixes = to_six(body.rotations.astype(np.float64))
    values = [sixes.reshape(len(body), -1), body.root, speed.reshape(len(body), -1)]
    return np.concatenate(values, axis=1).astype(np.float32)


def from_vector(vectors: np.ndarray, fps: float, hands: np.ndarray | None = None) -> WholeBody:
    """The body of vectors (F, 384), which need not be exact rotations. hands (F, 2): which are known; None: both."""
    vectors = np.asarray(vectors, np.float64)
    rotations = from_six(vectors[:, ROTATIONS].reshape(len(vectors), JOINTS, 6))
    return WholeBody(continuous(rotations), vectors[:, ROOT], hands, fps)


def mask(body: WholeBody) -> np.ndarray:
    """(F, 384) bool: the numbers of `to_vector(body)` that are known; those of an unknown hand are not."""
    return known_numbers(body.hands)


def known_numbers(hands: np.ndarray) -> np.ndarray:
    """(F, 384) bool of known hands (F, 2): all but the numbers of an unknown hand."""
    known = np.ones((len(hands), SIZE), bool)
    if hands.all():
        return known
    for hand in (0, 1):
        known[:, hand_numbers(hand)] = hands[:, hand, None]
    return known


def to_six(q: np.ndarray) -> np.ndarray:
    """Quaternions (..., 4) to the first two columns of their matrices, one after the other, (..., 6)."""
    matrix = to_matrix(q)
    return np.concatenate([matrix[..., 0], matrix[..., 1]], axis=-1)


def from_six(six: np.ndarray) -> np.ndarray:
    """Any (..., 6) to quaternions (..., 4): Gram-Schmidt, the first column keeps its direction.

    Columns that are zero or parallel have no rotation; such ones become an arbitrary but finite one.
    """
    a, b = np.asarray(six, np.float64)[..., :3], np.asarray(six, np.float64)[..., 3:]
    first = _direction(a, np.broadcast_to([1.0, 0.0, 0.0], a.shape))
    rest = b - (b * first).sum(-1, keepdims=True) * first
    # Any direction at right angles: the axis that `first` is least along, less its part along `first`.
    spare = np.eye(3)[np.abs(first).argmin(-1)]
    spare = spare - (spare * first).sum(-1, keepdims=True) * first
    second = _direction(rest, spare)
    second = _direction(second - (second * first).sum(-1, keepdims=True) * first, spare)
    return from_matrix(np.stack([first, second, np.cross(first, second)], axis=-1))


def _direction(v: np.ndarray, instead: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    chosen = np.where(length < 1e-8, instead, v)
    return chosen / np.linalg.norm(chosen, axis=-1, keepdims=True)
