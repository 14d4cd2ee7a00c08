"""Which way a hand points: wrist rotations from directions, and a few natural ones.

With the identity as wrist rotation (camera axes x right, y down, z away) the flat right hand points its fingers to -x,
faces -y with its palm and keeps its thumb on the +z side: MANO's own axes. The left hand is its mirror image at x = 0:
fingers to +x, palm to -y, thumb to +z. So the identity shows arms stretched sideways, palms up.
"""

from __future__ import annotations

import numpy as np

from .quaternions import from_matrix

LEFT, RIGHT = 0, 1
FINGERS = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
"""Where the fingers of the unrotated left and right hand point, (2, 3)."""
PALM = np.array([[0.0, -1.0, 0.0], [0.0, -1.0, 0.0]])
"""Where the palm of the unrotated left and right hand faces, (2, 3)."""
THUMB = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
"""The thumb's side of the unrotated left and right hand, (2, 3)."""


def wrist_rotation(fingers: np.ndarray, palm: np.ndarray, hand: int) -> np.ndarray:
    """Quaternions (..., 4) that point a hand's fingers along `fingers` (..., 3) with its palm facing `palm` (..., 3).

    Camera axes; neither needs length 1. Where the two are not at right angles, the fingers win. `hand`: LEFT or RIGHT.
    """
    f = np.asarray(fingers, np.float64)
    f = f / np.linalg.norm(f, axis=-1, keepdims=True)
    p = np.asarray(palm, np.float64)
    p = p - np.sum(p * f, axis=-1, keepdims=True) * f
    p = p / np.linalg.norm(p, axis=-1, keepdims=True)
    x, y = f * FINGERS[hand, 0], p * PALM[hand, 1]
    x, y = np.broadcast_arrays(x, y)
    return from_matrix(np.stack([x, y, np.cross(x, y)], axis=-1))


def both(fingers: tuple[float, float, float], palm: tuple[float, float, float]) -> np.ndarray:
    """Wrist rotations (2, 4), left and right, of a pose given for the right hand; the left one is its mirror image.

    The person faces the camera: the right hand is on the picture's left side, so +x points to the body's middle.
    """
    flip = np.array([-1.0, 1.0, 1.0])
    return np.stack([wrist_rotation(np.array(d) * s, np.array(p) * s, h) for h, d, p, s in
                     ((LEFT, fingers, palm, flip), (RIGHT, fingers, palm, np.ones(3)))])  # fmt: skip


HANGING = both((0, 1, 0), (1, 0, 0))
"""Arms hang: fingers down, palms to the thighs, thumbs to the camera. (2, 4)"""
RAISED = both((0, -1, 0), (0, 0, -1))
"""Fingers up, palms to the camera. (2, 4)"""
PALMS_IN = both((0, -1, 0), (1, 0, 0))
"""Fingers up, palms to each other, backs outwards. (2, 4)"""
SPEAKING = both((0.62, -0.55, -0.55), (0.55, 0.1, 0.75))
"""A speaker's hands before the belly: fingers inwards, up and forwards, palms to the body and to each other. (2, 4)"""
PALMS_UP = both((-0.1, -0.25, -0.95), (0.2, -1, 0))
"""An open, offering gesture: fingers to the camera, palms up. (2, 4)"""
for _rotation in (FINGERS, PALM, THUMB, HANGING, RAISED, PALMS_IN, SPEAKING, PALMS_UP):
    _rotation.setflags(write=False)
