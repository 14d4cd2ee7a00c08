"""Every person of every frame as flat arrays, measured in a way that does not depend on the picture: what tracking
compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..types import BODY_POINTS
from .detection import Seen
from .keypoint_motion import KNOWN

MIDDLE = BODY_POINTS
"""Place of the box's middle among a candidate's 19 points; the others are OpenPose's 18."""
WEIGHTS = np.array([1, 1.5, 1, 0.5, 0.25, 1, 0.5, 0.25, 1, 0.25, 0.1, 1, 0.25, 0.1, 0.5, 0.5, 0.5, 0.5, 0.25])
"""How much each point says about where somebody is: a trunk goes its way, hands do not."""
FARTHEST = 3.0
"""A point that is this many shoulder widths off is simply wrong; farther away is no worse."""
SAME = 0.08
"""Two people whose points differ by less than this (shoulder widths, on the average) are one, found twice."""


@dataclass(frozen=True)
class Candidates:
    """N people in F frames. frame (N,) and place (N,): whose list, and where in it. points (N, 19, 2) in picture
    heights; weights (N, 19), 0 where unknown; size (N,): the width of the shoulders seen from the front, picture
    heights; looks (N, C): root of a colour histogram, or None. starts (F + 1,): frame f has candidates starts[f] up to
    starts[f + 1]."""

    frame: np.ndarray
    place: np.ndarray
    points: np.ndarray
    weights: np.ndarray
    size: np.ndarray
    looks: np.ndarray | None
    starts: np.ndarray

    def of(self, frame: int) -> np.ndarray:
        """The candidates of a frame."""
        return np.arange(self.starts[frame], self.starts[frame + 1])


def gather(
    people: Sequence[Sequence[Seen]], aspect: float, looks: Sequence[Sequence[np.ndarray]] | None = None
) -> Candidates:
    """The people of each frame, the surest first, in a picture whose width is `aspect` times its height.

    looks: for each of them a histogram (C,) that sums to 1 (`models/pose/appearance.py`). People without a point or a
    box, and those who are another one found twice, are left out.
    """
    frames, places, points, known, boxes = [], [], [], [], []
    scale = np.array([aspect, 1.0])
    for f, crowd in enumerate(people):
        for i, seen in enumerate(crowd):
            box = np.asarray(seen.box, np.float64)
            scores = np.asarray(seen.body_scores, np.float64)
            body = np.asarray(seen.body, np.float64)
            sure = (scores >= KNOWN) & np.isfinite(body).all(-1)
            if not np.isfinite(box).all() or box[2] <= box[0] or box[3] <= box[1]:
                if not sure.any():
                    continue
                box = np.concatenate([body[sure].min(0), body[sure].max(0)])
            frames.append(f)
            places.append(i)
            points.append(np.where(sure[:, None], body, 0) * scale)
            known.append(sure)
            boxes.append(box * np.tile(scale, 2))
    count = len(frames)
    frame, place = np.array(frames, np.int64), np.array(places, np.int64)
    box = np.array(boxes).reshape(count, 4)
    all_points = np.array(points).reshape(count, BODY_POINTS, 2)
    all_points = np.concatenate([all_points, (box[:, None, :2] + box[:, None, 2:]) / 2], axis=1)
    seen_points = np.concatenate([np.array(known, bool).reshape(count, BODY_POINTS), np.ones((count, 1), bool)], axis=1)
    size = _sizes(all_points, seen_points, box)
    keep = _once(frame, all_points, seen_points, size)
    histograms = None
    if looks is not None and count:
        histograms = np.array([np.sqrt(looks[f][i]) for f, i in zip(frames, places)]).reshape(count, -1)[keep]
    return Candidates(
        frame[keep], place[keep], all_points[keep], (seen_points * WEIGHTS)[keep], size[keep], histograms,
        np.searchsorted(frame[keep], np.arange(len(people) + 1)),
    )  # fmt: skip


def _sizes(points: np.ndarray, known: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The widest of what the shoulders, the trunk and the head say; without them, the box."""

    def between(a: int, b: int, ratio: float) -> np.ndarray:
        return np.linalg.norm(points[:, a] - points[:, b], axis=-1) * ratio * (known[:, a] & known[:, b])

    measures = [between(2, 5, 1.0), between(1, 8, 0.7), between(1, 11, 0.7), between(0, 1, 1.7)]
    size = np.max(measures, axis=0, initial=0.0)
    across = np.sqrt(np.maximum((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]), 1e-8)) * 0.5
    return np.maximum(np.where(size > 1e-3, size, across), 1e-3)


def distances(
    points: np.ndarray, weights: np.ndarray, size: np.ndarray, others: np.ndarray, other_weights: np.ndarray
) -> np.ndarray:
    """How far apart people are, (A, B) in shoulder widths: a mean over the points that both have.

    points (A, 19, 2), weights (A, 19), size (A,); others (B, 19, 2), other_weights (B, 19).
    """
    both = np.sqrt(weights[:, None] * other_weights[None])
    gaps = np.linalg.norm(points[:, None] - others[None], axis=-1) / size[:, None, None]
    return (np.minimum(gaps, FARTHEST) * both).sum(-1) / np.maximum(both.sum(-1), 1e-9)


def _once(frame: np.ndarray, points: np.ndarray, known: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(N,) bool: False for whoever is nearly where a surer one of the same frame is."""
    keep = np.ones(len(frame), bool)
    for first in np.flatnonzero(np.diff(frame, prepend=-1)):
        last = np.searchsorted(frame, frame[first], side="right")
        if last - first < 2:
            continue
        part = slice(first, last)
        weights = known[part] * WEIGHTS
        apart = distances(points[part], weights, size[part], points[part], weights)
        for i in range(1, last - first):
            keep[first + i] = not (keep[first : first + i] & (apart[i, :i] < SAME)).any()
    return keep
