"""Boxes and points from single-shot detectors (Liu et al., SSD, arXiv 1512.02325) with one anchor shape.

The three detectors of BlazeFace's family (arXiv 1907.05047) differ in their strides and their number of points only.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

SURE = 0.5
OVERLAP = 0.3
"""Boxes that share more than this of their union are one."""


class Boxes(NamedTuple):
    """What a detector found, the surest first, in the crop's own units (0..1).

    box (N, 4): left, top, right, bottom; points (N, K, 2); scores (N,).
    """

    box: np.ndarray
    points: np.ndarray
    scores: np.ndarray


@functools.lru_cache(maxsize=8)
def anchors(side: int, strides: tuple[int, ...]) -> np.ndarray:
    """Centres (A, 2) of the anchors in 0..1 of a square picture of `side` pixels: two at each cell of each stride.

    Equal strides that follow each other share a grid, so their anchors stand together at each cell.
    """
    rows, at = [], 0
    while at < len(strides):
        stride = strides[at]
        same = next((n for n in range(at, len(strides)) if strides[n] != stride), len(strides)) - at
        cells = -(-side // stride)
        centres = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)
        rows.append(np.repeat(grid, 2 * same, axis=0))
        at += same
    return np.concatenate(rows)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Logits as shares 0..1."""
    return 1 / (1 + np.exp(-np.clip(values, -60, 60)))


def decode(values: np.ndarray, logits: np.ndarray, side: int, strides: tuple[int, ...], sure: float = SURE) -> Boxes:
    """Boxes at least `sure`, before any are joined, from a network's output.

    values (A, 4 + 2 K): centre, width and height of the box and its points, pixels relative to the anchor (x before
    y). logits (A,).
    """
    scores = sigmoid(logits.astype(np.float64))
    kept = np.flatnonzero(scores >= sure)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    at = anchors(side, strides)[kept]
    values = values[kept].astype(np.float64) / side
    centre, half = values[:, :2] + at, values[:, 2:4] / 2
    points = values[:, 4:].reshape(len(kept), (values.shape[1] - 4) // 2, 2) + at[:, None]
    return Boxes(np.concatenate([centre - half, centre + half], axis=1), points, scores[kept])


def shared(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union (N,) of one box (4,) with others (N, 4)."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.maximum(high - low, 0).prod(1)
    area = lambda b: np.maximum(b[..., 2:] - b[..., :2], 0).prod(-1)
    return common / np.maximum(area(box) + area(others) - common, 1e-12)


def joined(found: Boxes) -> Boxes:
    """Overlapping boxes as one: their mean weighted by score, with the best one's score (BlazeFace, section 4)."""
    box, points, scores = [], [], []
    left = np.arange(len(found.scores))
    while len(left):
        same = shared(found.box[left[0]], found.box[left]) > OVERLAP
        same[0] = True
        group = left[same]
        weight = found.scores[group] / found.scores[group].sum()
        box.append(weight @ found.box[group])
        points.append(np.einsum("n,nkc->kc", weight, found.points[group]))
        scores.append(found.scores[group[0]])
        left = left[~same]
    if not box:
        return found
    return Boxes(np.stack(box), np.stack(points), np.array(scores))
