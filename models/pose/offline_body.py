"""Bodies by BlazePose (Bazarevsky et al., arXiv 2006.10204): where people are, and 33 points of one of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..types import BODY_POINTS
from .offline_boxes import Boxes, decode, joined, sigmoid
from .offline_networks import Networks
from .offline_regions import Picture, Region, upright

DETECTOR, LANDMARKS = "pose_detection", "pose_landmark_full"
DETECTOR_SIDE, DETECTOR_STRIDES = 224, (8, 16, 32, 32, 32)
SIDE, POINTS, WITH_HELPERS = 256, 33, 39
PRESENT = 0.5
"""A body less sure than this is none."""

OPENPOSE = (0, -1, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
"""BlazePose's point for each of OpenPose's 18; the neck (-1) lies between the shoulders."""

SHOULDERS, ELBOWS, WRISTS = (11, 12), (13, 14), (15, 16)
PINKIES, INDEXES = (17, 18), (19, 20)
"""BlazePose's points of the person's left and right."""


class Body(NamedTuple):
    """One person's body. points (33, 2) pixels, scores (33,) 0..1: that it is there and visible.

    score: that there is a person at all. region: where to look in the next picture.
    """

    points: np.ndarray
    scores: np.ndarray
    score: float
    region: Region

    @property
    def shoulder_width(self) -> float:
        """Pixels; seen from the side, at least what the body's region lets expect."""
        width = float(np.linalg.norm(self.points[SHOULDERS[0]] - self.points[SHOULDERS[1]]))
        return max(width, 0.08 * self.region.size)


def find_people(networks: Networks, picture: Picture, most: int) -> list[tuple[Region, float]]:
    """Regions in which a body is to be sought and how sure each is, the surest first.

    A picture much wider than high is looked at whole and in overlapping squares: people who stand side by side are too
    small in the whole. So is a tall one in whose whole nobody is found. A square that cuts a person in two gives a box
    beside the one of the square that does not; their regions are joined.
    """
    found: list[tuple[Region, float]] = []
    for view in _views(picture):
        if found and picture.height > picture.width:
            break  # a tall picture seldom holds more than the whole shows
        pixels = picture.crop(view, DETECTOR_SIDE, stretch=False)
        values, logits = networks.run(DETECTOR, pixels, low=-1.0)
        boxes = joined(decode(values, logits[:, 0], DETECTOR_SIDE, DETECTOR_STRIDES))
        found.extend(_regions(boxes, view))
    found.sort(key=lambda pair: -pair[1])
    people: list[tuple[Region, float]] = []
    for region, score in found:
        if all(not same_person(region, other) for other, _ in people):
            people.append((region, score))
    return people[:most]


def _views(picture: Picture) -> list[Region]:
    whole = picture.whole()
    long, short = max(picture.height, picture.width), min(picture.height, picture.width)
    if long < 1.5 * short:
        return [whole]
    count = min(math.ceil((long - short) / (short / 2)) + 1, 16)
    views = [whole]
    for start in np.linspace(0, long - short, count):
        middle = float(start) + short / 2
        x, y = (middle, short / 2) if picture.width > picture.height else (short / 2, middle)
        views.append(Region(x, y, float(short), 0.0))
    return views


def _regions(boxes: Boxes, view: Region) -> list[tuple[Region, float]]:
    """The detector's points are the middle of the hips and one that sets the size and the way up of the person."""
    regions = []
    for points, score in zip(view.to_picture(boxes.points), boxes.scores):
        size = 2 * float(np.linalg.norm(points[1] - points[0]))
        if size > 1:
            region = Region(float(points[0, 0]), float(points[0, 1]), size, upright(points[0], points[1]))
            regions.append((region.scaled(1.25), float(score)))
    return regions


def same_person(a: Region, b: Region) -> bool:
    """Whether two bodies' regions are of one person: middles nearer than a fifth of the size, sizes alike."""
    larger, smaller = max(a.size, b.size), min(a.size, b.size)
    return math.hypot(a.x - b.x, a.y - b.y) < 0.2 * larger and smaller > 0.5 * larger


def find_body(networks: Networks, picture: Picture, region: Region) -> Body | None:
    """The 33 points of the person in a region; None where there is none."""
    values, present, heat = networks.run(LANDMARKS, picture.crop(region, SIDE))
    if not float(present[0]) >= PRESENT:
        return None
    rows = values.reshape(WITH_HELPERS, 5).astype(np.float64)
    points = refined(rows[:, :2] / SIDE, heat)
    points = region.to_picture(points)
    scores = sigmoid(rows[:POINTS, 3]) * sigmoid(rows[:POINTS, 4])
    # Two helpers after the 33 points give the next region as the detector's two do.
    middle, top = points[POINTS], points[POINTS + 1]
    size = 2 * float(np.linalg.norm(top - middle))
    if not size > 2:
        return None
    after = Region(float(middle[0]), float(middle[1]), size, upright(middle, top)).scaled(1.25)
    return Body(points[:POINTS], scores, float(present[0]), after)


def refined(points: np.ndarray, heat: np.ndarray, reach: int = 3, sure: float = 0.5) -> np.ndarray:
    """Points (P, 2) in 0..1 moved to the middle of their own heat (h, w, P) logits within `reach` cells about them.

    A point whose heat is nowhere `sure` there stays.
    """
    height, width, count = heat.shape
    cells = np.floor(points * (width, height)).astype(int)
    inside = ((cells >= 0) & (cells < (width, height))).all(1)
    steps = np.arange(-reach, reach + 1)
    x, y = cells[:, 0, None, None] + steps, cells[:, 1, None, None] + steps[:, None]
    there = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = np.arange(count)[:, None, None]
    weight = sigmoid(heat[y.clip(0, height - 1), x.clip(0, width - 1), index]) * there
    total = weight.sum((1, 2))
    moved = np.stack([(weight * x).sum((1, 2)) / width, (weight * y).sum((1, 2)) / height], axis=1)
    moved /= np.maximum(total, 1e-9)[:, None]
    use = inside & (weight.max((1, 2)) >= sure)
    return np.where(use[:, None], moved, points)


def openpose_body(body: Body) -> tuple[np.ndarray, np.ndarray]:
    """OpenPose's 18 points (18, 2) pixels and scores (18,)."""
    order = np.array(OPENPOSE)
    points, scores = body.points[order], body.scores[order]
    points[1] = body.points[list(SHOULDERS)].mean(0)
    scores[1] = body.scores[list(SHOULDERS)].min()
    assert points.shape == (BODY_POINTS, 2)
    return points, scores
