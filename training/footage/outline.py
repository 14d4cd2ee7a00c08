"""A mask of a person from their points: limbs as thick lines, trunk and hands as hulls, the head as an ellipse.

Cheap, and in step with the pose; it needs no further network. It is a few centimetres too large rather than too small:
what is outside is background.
"""

from __future__ import annotations

import numpy as np

from ...models.pose.body import ELBOWS, LIMBS, SHOULDERS, WRISTS
from ...models.pose.keypoint_motion import Points
from ...models.types import SHOULDER_METRES, Framing

ARM, LEG, TRUNK, MARGIN = 0.05, 0.09, 0.03, 0.02
"""Half the thickness of an arm and of a leg with clothes, how far a trunk goes beyond its joints, and what
everything is widened by, metres."""
HEAD = (0.13, 0.17)
"""Half axes of a head with its hair, metres: where no face says how large it is."""
HAIR = (1.3, 1.75)
"""The same in halves of a face's width."""
COLLAR = ((-0.09, -0.07), (0.09, -0.07))
"""Where the neck leaves the trunk, metres from the middle of the shoulders."""
HEAD_UP = 0.2
"""Metres from the neck up to the middle of a head whose nose is not seen."""
_TRUNK = (2, 5, 11, 8)
_ARMS = {*SHOULDERS, *ELBOWS, *WRISTS}


def person_masks(points: Points, framing: Framing, size: tuple[int, int]) -> np.ndarray:
    """(F, H, W) uint8, 255 on the person; points are normalised to the picture."""
    import cv2

    count = len(points.body)
    masks = np.zeros((count, *size), np.uint8)
    extent = np.array([size[1], size[0]], np.float64)
    metre = framing.shoulder_width * size[1] / SHOULDER_METRES
    thick = lambda metres: max(round(2 * metres * metre), 1)
    at = lambda place: tuple(int(v) for v in np.clip(place, -3e4, 3e4).round())
    grow = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (thick(MARGIN) | 1, thick(MARGIN) | 1))
    for f in range(count):
        mask, body, known = masks[f], points.body[f] * extent, points.body_scores[f] > 0
        for a, b in LIMBS[:12]:
            if known[a] and known[b]:
                cv2.line(mask, at(body[a]), at(body[b]), 255, thick(ARM if {a, b} & _ARMS else LEG))
        for hip, knee in ((8, 9), (11, 12)):
            if known[hip] and not known[knee]:  # a half-body picture: the legs go on to its lower edge
                cv2.line(mask, at(body[hip]), at((body[hip, 0], size[0])), 255, thick(LEG))
        if known[2] and known[5]:
            corners = [body[i] for i in _TRUNK if known[i]]
            corners += [(body[2] + body[5]) / 2 + np.array(place) * metre for place in COLLAR]
            if not (known[8] or known[11]):
                corners += [np.array([body[i, 0], size[0] + thick(LEG)]) for i in (2, 5)]
            hull = cv2.convexHull(np.array(corners, np.float32)).round().astype(np.int32)
            cv2.fillConvexPoly(mask, hull, 255)
            cv2.polylines(mask, [hull], True, 255, thick(TRUNK))
        head = _head(points, f, body, known, extent, metre)
        if head is not None:
            middle, axes = head
            cv2.ellipse(mask, at(middle), at(axes), 0, 0, 360, 255, -1)
        for hand in (0, 1):
            seen = points.hand_scores[f, hand] > 0
            if seen.sum() >= 3:
                hull = cv2.convexHull((points.hands[f, hand][seen] * extent).astype(np.float32))
                cv2.fillConvexPoly(mask, hull.round().astype(np.int32), 255)
        masks[f] = cv2.dilate(mask, grow)
    return masks


def _head(
    points: Points, frame: int, body: np.ndarray, known: np.ndarray, extent: np.ndarray, metre: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """The head's middle and half axes in pixels."""
    up, axes = np.array([0, 0.03 * metre]), np.array(HEAD) * metre
    if (points.face_scores[frame, :27] > 0).all():
        face = points.face[frame, :27] * extent
        return face.mean(0) - up, np.array(HAIR) * np.linalg.norm(face[16] - face[0]) / 2
    if known[0]:
        return body[0] - up, axes
    return (body[1] - np.array([0, HEAD_UP * metre]), axes) if known[1] else None


__all__ = ["person_masks"]
