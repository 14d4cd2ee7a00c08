"""Turned squares in a picture: where a network looks, how the pixels get there, how its points come back.

All positions are pixels of the picture, x right and y down, (0, 0) the outer corner of the first pixel.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Region(NamedTuple):
    """A square of `size` pixels about (x, y), turned by `angle` radians: clockwise, as one sees it."""

    x: float
    y: float
    size: float
    angle: float

    def scaled(self, factor: float, down: float = 0.0) -> Region:
        """`factor` times as large, after a shift along its own downward side by `down` of its size."""
        shift = self.size * down
        x, y = self.x - shift * math.sin(self.angle), self.y + shift * math.cos(self.angle)
        return Region(x, y, self.size * factor, self.angle)

    def axes(self) -> np.ndarray:
        """(2, 2): its unit vectors to the right and downward, in the picture."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        return np.array([[c, s], [-s, c]])

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) in the region, (0, 0) its first corner and (1, 1) the last, as pixels of the picture."""
        return (np.asarray(points, np.float64) - 0.5) * self.size @ self.axes() + (self.x, self.y)

    def from_picture(self, points: np.ndarray) -> np.ndarray:
        """The inverse of `to_picture`."""
        return (np.asarray(points, np.float64) - (self.x, self.y)) @ self.axes().T / self.size + 0.5

    def moved(self, by: np.ndarray) -> Region:
        return self._replace(x=self.x + float(by[0]), y=self.y + float(by[1]))


def upright(start: np.ndarray, end: np.ndarray) -> float:
    """The angle of a region in which the way from `start` to `end` (x, y) points up."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    return math.atan2(dx, -dy)


def around(points: np.ndarray, angle: float) -> Region:
    """The smallest region with this angle, centred on the points' box along its sides, that holds (P, 2) points."""
    axes = Region(0, 0, 1, angle).axes()
    along = points @ axes.T
    low, high = along.min(0), along.max(0)
    x, y = (low + high) / 2 @ axes
    return Region(float(x), float(y), max(float((high - low).max()), 1e-3), angle)


class Picture:
    """One picture (H, W, 3) uint8 with its halves, quarters, ..., made when a region needs them (no aliasing)."""

    def __init__(self, pixels: np.ndarray):
        self._levels = [np.ascontiguousarray(pixels)]
        self.height, self.width = pixels.shape[:2]

    @property
    def size(self) -> np.ndarray:
        """(width, height)."""
        return np.array([self.width, self.height], np.float64)

    def _level(self, shrink: float) -> tuple[np.ndarray, float]:
        """The smallest level that still has more pixels than wanted, and its scale."""
        import cv2

        wanted = max(int(math.log2(max(shrink, 1.0))), 0)
        while len(self._levels) <= wanted and min(self._levels[-1].shape[:2]) >= 4:
            height, width = self._levels[-1].shape[:2]
            half = cv2.resize(self._levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            self._levels.append(half)
        level = min(wanted, len(self._levels) - 1)
        return self._levels[level], 0.5**level

    def crop(self, region: Region, side: int, stretch: bool = True) -> np.ndarray:
        """The region as (side, side, 3) uint8. Outside the picture its edge repeats, or is black without `stretch`."""
        import cv2

        pixels, _ = self._level(region.size / side)
        # A half drops the last odd row or column, so each axis has a scale of its own.
        scale = np.array([pixels.shape[1], pixels.shape[0]]) / self.size
        # Pixel centres lie at halves: the matrix takes centres of the crop to centres of the level.
        corner = region.to_picture(np.array([[0.5, 0.5], [side + 0.5, 0.5], [0.5, side + 0.5]]) / side)
        corner = corner * scale - 0.5
        matrix = np.stack([(corner[1] - corner[0]) / side, (corner[2] - corner[0]) / side, corner[0]], axis=1)
        border = cv2.BORDER_REPLICATE if stretch else cv2.BORDER_CONSTANT
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(pixels, matrix, (side, side), flags=flags, borderMode=border)

    def whole(self) -> Region:
        """The upright square that holds all of the picture, centred."""
        return Region(self.width / 2, self.height / 2, float(max(self.width, self.height)), 0.0)
