"""Arms as joint turns: upper arm and forearm from a shoulder to a wrist, bent as `pose.body.elbows` bends them."""

from __future__ import annotations

import numpy as np

from ..hands.quaternions import conjugate, from_matrix, multiply, rotate
from ..pose.body import ELBOW_TOWARDS, elbows

_ALONG = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
"""The resting arms' direction, left and right."""


def turns(shoulders: np.ndarray, wrists: np.ndarray, chest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Global turns (F, 2, 4) of the upper arms and of the forearms.

    shoulders, wrists (F, 2, 3): metres, camera axes. chest (F, 4): its global turn, which carries the side that elbows
    keep to. Both bones turn about one hinge, at right angles to the plane that they bend in; twisting the forearm is
    left to the wrist. An arm that is too short points at its wrist.
    """
    towards = rotate(chest[:, None], ELBOW_TOWARDS)
    at = elbows(shoulders, wrists, towards)
    hinge = np.cross(wrists - shoulders, towards)
    rest = _frames(_ALONG, np.cross(_ALONG, ELBOW_TOWARDS))
    found = [multiply(_frames(line, hinge), conjugate(rest)) for line in (at - shoulders, wrists - at)]
    return found[0], found[1]


def _frames(line: np.ndarray, hinge: np.ndarray) -> np.ndarray:
    """Turns (..., 4) of frames whose first axis is `line` and whose second is as near to `hinge` as it can be."""
    first = line / np.maximum(np.linalg.norm(line, axis=-1, keepdims=True), 1e-9)
    second = hinge - (hinge * first).sum(-1, keepdims=True) * first
    second = second / np.maximum(np.linalg.norm(second, axis=-1, keepdims=True), 1e-9)
    return from_matrix(np.stack([first, second, np.cross(first, second)], axis=-1))
