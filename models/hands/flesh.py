"""Flesh of the neutral hand: round cones that melt into each other, and pressing points onto their common surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cone:
    """A bone's flesh: spheres of radius `start`..`end` swept from `a` to `b`, wider by `width` across `flat`."""

    a: np.ndarray
    b: np.ndarray
    start: float
    end: float
    flat: np.ndarray
    width: float = 1.0

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Roughly the signed distance (...) of points (..., 3); below zero inside."""
        axis = self.b - self.a
        length = np.linalg.norm(axis)
        axis = axis / length
        offset = points - self.a
        along = np.clip(offset @ axis / length, 0, 1)
        away = offset - along[..., None] * axis * length
        if self.width != 1.0:
            across = np.cross(axis, self.flat)
            across = across / np.linalg.norm(across)
            away = away - (1 - 1 / self.width) * (away @ across)[..., None] * across
        return np.linalg.norm(away, axis=-1) - (self.start + along * (self.end - self.start))


def blend(distances: np.ndarray, softness: float) -> np.ndarray:
    """A smooth minimum over the first axis; `softness` metres is how far parts reach for each other."""
    nearest = distances.min(axis=0)
    return nearest - softness * np.log(np.exp((nearest - distances) / softness).sum(axis=0))


def surface(cones: Sequence[Cone], softness: float, points: np.ndarray) -> np.ndarray:
    """Signed distance (...) of points (..., 3) to the blended cones."""
    return blend(np.stack([cone.distance(points) for cone in cones]), softness)


def gradient(cones: Sequence[Cone], softness: float, points: np.ndarray) -> np.ndarray:
    """Direction (..., 3) in which the distance grows, by central differences."""
    step = 1e-5
    return np.stack(
        [surface(cones, softness, points + d) - surface(cones, softness, points - d) for d in step * np.eye(3)], axis=-1
    ) / (2 * step)


def press(cones: Sequence[Cone], points: np.ndarray, softness: float = 0.002, rounds: int = 12) -> np.ndarray:
    """Points (N, 3) moved onto the surface of the blended cones by Newton's steps, none longer than 4 mm."""
    for _ in range(rounds):
        slope = gradient(cones, softness, points)
        steep = np.maximum((slope**2).sum(-1), 0.04)
        step = -(surface(cones, softness, points) / steep)[:, None] * slope
        size = np.linalg.norm(step, axis=-1, keepdims=True)
        points = points + step * np.minimum(1, 0.004 / np.maximum(size, 1e-12))
    return points
