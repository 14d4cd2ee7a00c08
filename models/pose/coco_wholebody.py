"""COCO-WholeBody's 133 points (arXiv 2007.11858) as OpenPose's body, hands and face.

Body 0..16 (COCO's 17), feet 17..22, face 23..90 (68), left hand 91..111, right hand 112..132. Left and right are the
person's in both.
"""

from __future__ import annotations

import numpy as np

from .keypoint_motion import Points

COCO_IN_OPENPOSE = (0, 0, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""Which of COCO's 17 points each of OpenPose's 18 is; the neck, 1, is none of them."""
NECK, SHOULDERS = 1, (2, 5)
FACE, HANDS = slice(23, 91), (slice(91, 112), slice(112, 133))
LIDS = (slice(36, 42), slice(42, 48))
"""Points of the face around the person's right eye and the left one, in the order of OpenPose's pupils 68 and 69."""


def to_openpose(points: np.ndarray, scores: np.ndarray) -> Points:
    """Points (P, 133, 2) with scores (P, 133), 0 for unknown; the people P stand where `Points` has frames.

    The neck is midway between the shoulders, and known as well as the worse of them. The pupils are the middle of the
    eyelids' six points, and known as well as the worst of those: where a person looks ahead they are there, and who
    draws OpenPose's faces expects points there. Feet are left out.
    """
    body, body_scores = points[:, list(COCO_IN_OPENPOSE)], scores[:, list(COCO_IN_OPENPOSE)]
    body[:, NECK], body_scores[:, NECK] = body[:, list(SHOULDERS)].mean(1), body_scores[:, list(SHOULDERS)].min(1)
    face, face_scores = points[:, FACE], scores[:, FACE]
    pupils = np.stack([face[:, lids].mean(1) for lids in LIDS], 1)
    pupil_scores = np.stack([face_scores[:, lids].min(1) for lids in LIDS], 1)
    parts = [
        (body, body_scores),
        (np.stack([points[:, hand] for hand in HANDS], 1), np.stack([scores[:, hand] for hand in HANDS], 1)),
        (np.concatenate([face, pupils], 1), np.concatenate([face_scores, pupil_scores], 1)),
    ]
    known = [(np.where((part_scores > 0)[..., None], part, 0.0), part_scores) for part, part_scores in parts]
    return Points(*known[0], *known[1], *known[2])
