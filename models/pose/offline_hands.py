"""Hands by MediaPipe Hands (Zhang et al., arXiv 2006.10214): where they are, and 21 points of one of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .offline_body import INDEXES, PINKIES, WRISTS, Body
from .offline_boxes import decode, joined
from .offline_networks import Networks
from .offline_regions import Picture, Region, around, upright

RECROP, PALMS, LANDMARKS = "hand_recrop", "palm_detection_full", "hand_landmark_full"
RECROP_SIDE, PALMS_SIDE, SIDE = 256, 192, 224
PALMS_STRIDES = (8, 16, 16, 16)
PRESENT = 0.5
"""A hand less sure than this is none."""

POINTS = 21
KNUCKLES = (5, 9, 13)
STEADY = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
"""Points that set the next region: without the ends of the fingers, which move most."""


class Hand(NamedTuple):
    """One hand. points (21, 2) pixels; score: that there is a hand; right: that it is the person's right one, 0..1."""

    points: np.ndarray
    score: float
    right: float

    @property
    def region(self) -> Region:
        """Where to look for the same hand again."""
        aim = self.points[list(KNUCKLES)].mean(0)
        return around(self.points[list(STEADY)], upright(self.points[0], aim)).scaled(2.0, -0.1)


def region_of_body(body: Body, side: int) -> Region | None:
    """Roughly where the body's wrist and knuckles put a hand (0 left, 1 right)."""
    wrist, index, pinky = (body.points[pair[side]] for pair in (WRISTS, INDEXES, PINKIES))
    middle = (2 * index + pinky) / 3
    size = 2 * float(np.linalg.norm(middle - wrist))
    if size < 1:
        return None
    return Region(float(middle[0]), float(middle[1]), size, upright(wrist, middle)).scaled(2.7, -0.1)


def recropped(networks: Networks, picture: Picture, region: Region) -> Region | None:
    """A rough region made to fit its hand: the network gives the hand's middle and a point below it at its edge."""
    values = networks.run(RECROP, picture.crop(region, RECROP_SIDE))[0]
    middle, below = region.to_picture(values.reshape(2, 2).astype(np.float64) / RECROP_SIDE)
    size = 2 * float(np.linalg.norm(below - middle))
    if size < 2:
        return None
    return Region(float(middle[0]), float(middle[1]), size, upright(below, middle)).scaled(1.0, -0.1)


def find_palms(networks: Networks, picture: Picture, view: Region) -> list[tuple[Region, float]]:
    """Regions of the hands whose palms are seen in a view, and how sure each is, the surest first."""
    pixels = picture.crop(view, PALMS_SIDE, stretch=False)
    values, logits = networks.run(PALMS, pixels)
    boxes = joined(decode(values, logits[:, 0], PALMS_SIDE, PALMS_STRIDES))
    found = []
    for box, points, score in zip(boxes.box, boxes.points, boxes.scores):
        size = float(max(box[2] - box[0], box[3] - box[1])) * view.size
        (x, y), wrist, knuckle = view.to_picture(np.stack([(box[:2] + box[2:]) / 2, points[0], points[2]]))
        if size > 1:
            region = Region(float(x), float(y), size, upright(wrist, knuckle)).scaled(2.6, -0.5)
            found.append((region, float(score)))
    return found


def find_hand(networks: Networks, picture: Picture, region: Region) -> Hand:
    """The 21 points of the hand in a region. They mean nothing where its score is below `PRESENT`."""
    values, present, right, _ = networks.run(LANDMARKS, picture.crop(region, SIDE))
    points = region.to_picture(values.reshape(POINTS, 3)[:, :2].astype(np.float64) / SIDE)
    return Hand(points, float(present[0]), float(right[0]))
