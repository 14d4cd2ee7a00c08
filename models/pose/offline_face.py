"""Faces by MediaPipe's face mesh (Kartynnik et al., arXiv 1907.06724): 468 points, of which 68 are iBUG's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..types import FACE_POINTS
from .offline_body import Body
from .offline_boxes import sigmoid
from .offline_networks import Networks
from .offline_pupils import pupil
from .offline_regions import Picture, Region, around

LANDMARKS, SIDE, POINTS = "face_landmark", 192, 468
PRESENT = 0.5
HEAD = slice(0, 11)
"""BlazePose's points of the head: nose, eyes, ears, mouth."""

JAW = (
    (127, 127), (234, 234), (93, 132), (132, 58), (58, 172), (136, 136), (150, 149), (176, 148), (152, 152),
    (400, 377), (379, 378), (365, 365), (288, 397), (361, 288), (323, 361), (454, 454), (356, 356),
)  # fmt: skip
"""Mesh points whose middles part the face's outline from ear to ear into sixteen equal lengths, as iBUG's do."""

BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
NOSE = (168, 197, 5, 4, 98, 97, 2, 326, 327)
EYES = (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
LIPS = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 81, 13, 311, 308, 402, 14, 178)
IBUG = (*JAW, *((point, point) for point in BROWS + NOSE + EYES + LIPS))
"""For each of iBUG's 68 points the two of the mesh between which it lies."""


class Face(NamedTuple):
    """One face. points (468, 2) pixels; score: that it is there."""

    points: np.ndarray
    score: float

    @property
    def region(self) -> Region:
        """Where to look for the same face again."""
        return around(self.points, _level(self.points[33], self.points[263])).scaled(1.5)


def _level(right: np.ndarray, left: np.ndarray) -> float:
    """The angle of a region in which the way from the right eye to the left one is level."""
    return float(np.arctan2(left[1] - right[1], left[0] - right[0]))


def region_of_body(body: Body, scale: float = 2.0, down: float = 0.0) -> Region:
    """Where the body's eyes, ears and mouth put the face."""
    head = body.points[HEAD]
    return around(head, _level(head[5], head[2])).scaled(scale, down)


def find_face(networks: Networks, picture: Picture, region: Region) -> Face | None:
    """The 468 points of the face in a region; None where there is none."""
    values, present = networks.run(LANDMARKS, picture.crop(region, SIDE))
    score = float(sigmoid(present.ravel().astype(np.float64))[0])
    if not score >= PRESENT:
        return None
    return Face(region.to_picture(values.reshape(POINTS, 3)[:, :2].astype(np.float64) / SIDE), score)


def ibug_face(face: Face, picture: Picture) -> np.ndarray:
    """iBUG's 68 points and the pupils, the right eye's first: (70, 2) pixels."""
    points = face.points[np.array(IBUG)].mean(1)
    pupils = [pupil(picture, points[eye]) for eye in (slice(36, 42), slice(42, 48))]
    found = np.concatenate([points, pupils])
    assert found.shape == (FACE_POINTS, 2)
    return found
