"""The face in a keypoint map: where the head is and how it turns, and the lips' shape, for videos that lead them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..types import Motion

JAW, NOSE, EYES, OUTER_LIPS, INNER_LIPS = slice(0, 17), 30, (slice(36, 42), slice(42, 48)), slice(48, 60), slice(60, 68)
"""Places of the parts among the 70 points of a face."""
HEAD, LIPS = [*range(48), 68, 69], list(range(48, 68))
"""The points that say how the head is held, and those that say what the mouth does."""
JAW_COLOUR, NOSE_COLOUR, EYE_COLOURS = (150, 150, 150), (255, 0, 255), ((255, 255, 0), (0, 255, 255))
LIP_COLOURS = ((255, 140, 140), (90, 0, 255))
"""RGB; the outer contour's, then the inner one's."""
LINE, DISC = 0.045, 0.04
"""The jaw's thickness and the discs' radius, in shoulder widths."""
SHIFT = 4


def draw_face(picture: np.ndarray, points: np.ndarray, known: np.ndarray, shoulders: float, head: bool = True) -> None:
    """Draw a face over `picture` (H, W, 3) uint8, in place.

    points (70, 2) pixels and known (70,) bool: the jaw's line, a disc at the nose and at each eye where all of a part's
    points are known; then both contours of the lips, filled. shoulders: the shoulder width in pixels. head: False draws
    the lips alone.
    """
    at = np.rint((points - 0.5) * (1 << SHIFT)).astype(np.int64).clip(-(1 << 24), 1 << 24).astype(np.int32)
    radius = max(1.0, DISC * shoulders) * (1 << SHIFT)
    disc = lambda place, colour: cv2.circle(
        picture, tuple(int(v) for v in place), round(radius), colour, -1, cv2.LINE_AA, SHIFT
    )
    if head and known[JAW].all():
        cv2.polylines(picture, [at[JAW]], False, JAW_COLOUR, max(1, round(LINE * shoulders)), cv2.LINE_AA, SHIFT)
    for eye, colour in zip(EYES, EYE_COLOURS):
        if head and known[eye].all():
            disc(at[eye].mean(0), colour)
    if head and known[NOSE]:
        disc(at[NOSE], NOSE_COLOUR)
    if known[LIPS].all():
        for lips, colour in zip((OUTER_LIPS, INNER_LIPS), LIP_COLOURS):
            cv2.fillPoly(picture, [at[lips]], colour, cv2.LINE_AA, SHIFT)


def hidden(motion: Motion, points: Sequence[int]) -> Motion:
    """The motion with some of the face's 70 points unknown."""
    scores = motion.face_scores.copy()
    scores[:, list(points)] = 0
    return motion if np.array_equal(scores, motion.face_scores) else motion.replace(face_scores=scores)
