"""Keypoint maps: arms and legs as limbs and discs, the second picture shown to the video model (EMO2 section 3.4).

A model that is led by videos is shown head and lips as well.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..types import Motion
from .body import project_body, to_pixels
from .face import draw_face
from .head import draw_head, head_centres
from .mano import frame_range

LIMBS = (
    (8, 9, (40, 90, 255)), (9, 10, (0, 190, 255)), (11, 12, (255, 40, 170)), (12, 13, (190, 60, 255)),
    (2, 3, (255, 60, 30)), (3, 4, (255, 170, 0)), (5, 6, (40, 210, 40)), (6, 7, (0, 230, 170)),
)  # fmt: skip
"""From point, to point, colour (RGB): legs, then arms over them; right before left, each limb its own colour."""
THICKNESS, RADIUS = 0.10, 0.08
"""A limb's thickness and a joint's radius, in shoulder widths."""
SHIFT = 4
FAR = 50_000.0


def keypoint_maps(
    motion: Motion,
    size: tuple[int, int] | None = None,
    start: int = 0,
    count: int | None = None,
    face: bool = False,
    head_mask: bool = False,
) -> np.ndarray:
    """Maps (F, H, W, 3) uint8 of frames start..start+count-1, black where there is nothing.

    size (H, W): None means the framing's; another size covers the picture. A limb is drawn when both its ends are
    known, a joint when it is known itself; hands are the MANO maps' business. face: head and lips are drawn too,
    behind the arms, where the motion knows them. head_mask: a disc of one size stands for the head in every frame, and
    of a face the lips alone are drawn over it. Anti-aliased; sizes follow the shoulders.
    """
    framing = motion.framing if size is None else motion.framing.fitted(size)
    first, last = frame_range(motion, start, count)
    points, scores = project_body(motion, framing.size, first, last - first)
    shoulders = framing.shoulder_width * framing.size[1]
    thickness = max(1, round(THICKNESS * shoulders))
    radius = max(1.0, RADIUS * shoulders)
    maps = np.zeros((last - first, *framing.size, 3), np.uint8)
    for picture, centre in zip(maps, head_centres(motion, framing.size, first, last - first) if head_mask else ()):
        draw_head(picture, centre, shoulders)
    faces = to_pixels(motion, motion.face[first:last], framing.size) if face else ()
    for index, place in enumerate(faces):
        seen = (motion.face_scores[first + index] > 0) & (np.abs(place) < FAR).all(-1)
        draw_face(maps[index], place, seen, shoulders, head=not head_mask)
    for picture, place, known in zip(maps, points, (scores > 0) & (np.abs(points) < FAR).all(-1)):
        at = [tuple(int(v) for v in np.rint(p * (1 << SHIFT))) if k else (0, 0) for p, k in zip(place - 0.5, known)]
        for a, b, colour in LIMBS:
            if known[a] and known[b]:
                cv2.line(picture, at[a], at[b], colour, thickness, cv2.LINE_AA, SHIFT)
        for a, b, colour in LIMBS:
            # Upper limbs have white upper joints, so that a shoulder and a wrist never look alike.
            for point, fill in ((a, (255, 255, 255)), (b, colour)):
                if known[point]:
                    cv2.circle(picture, at[point], round(radius * (1 << SHIFT)), fill, -1, cv2.LINE_AA, SHIFT)
    return maps
