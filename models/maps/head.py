"""The composite pose picture's head: a disc of one size, wherever the face is (VersaAnimator, arXiv 2503.08714).

It says where the head is, and nothing of its size, shape or features: those are the reference's, not the driver's.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..types import Motion
from .body import project_body, to_pixels

RADIUS, COLOUR = 0.42, (150, 150, 150)
"""In shoulder widths, about as far as a head reaches with its hair; RGB."""
NOSE_POINT = 0
"""In OpenPose's body order."""
CONTOUR = slice(0, 68)
"""The points of a face without the pupils."""
SHIFT = 4


def head_centres(
    motion: Motion, size: tuple[int, int] | None = None, start: int = 0, count: int | None = None
) -> np.ndarray:
    """The face's middle (F, 2) in pixels of `size` in frames start..start+count-1.

    The middle of the known face points' box where there are some; else the body's nose, found or, as arms are, where
    the resting head would have it.
    """
    points, _ = project_body(motion, size, start, count)
    part = slice(start, start + len(points))
    face = to_pixels(motion, motion.face[part], size)[:, CONTOUR]
    known = (motion.face_scores[part, CONTOUR] > 0)[..., None]
    low = np.where(known, face, np.inf).min(1)
    high = np.where(known, face, -np.inf).max(1)
    seen = known.any(1)
    middle = (np.where(seen, low, 0) + np.where(seen, high, 0)) / 2
    return np.where(seen, middle, points[:, NOSE_POINT])


def draw_head(picture: np.ndarray, centre: np.ndarray, shoulders: float) -> None:
    """Draw the disc over `picture` (H, W, 3) uint8, in place. centre (2,) and the shoulder width in pixels."""
    at = np.rint((centre - 0.5) * (1 << SHIFT)).clip(-(1 << 24), 1 << 24).astype(np.int64)
    radius = round(max(1.0, RADIUS * shoulders) * (1 << SHIFT))
    cv2.circle(picture, (int(at[0]), int(at[1])), radius, COLOUR, -1, cv2.LINE_AA, SHIFT)
