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


def surface(cones: Sequence[Cone], softness: float, points: np.ndarray) -> np.ndarray:
    """Roughly the signed distance (N,) of points (N, 3) to the blended cones, below zero inside.

    The blend is a smooth minimum; `softness` metres is how far parts reach for each other.
    """
    begin, finish = (np.stack([getattr(cone, name) for cone in cones]) for name in "ab")
    axis = finish - begin
    length = np.linalg.norm(axis, axis=1)
    axis = axis / length[:, None]
    across = np.cross(axis, np.stack([cone.flat for cone in cones]))
    across = across / np.linalg.norm(across, axis=1, keepdims=True)
    narrow = 1 - 1 / np.array([cone.width for cone in cones])
    start, grow = np.array([c.start for c in cones]), np.array([c.end - c.start for c in cones])
    offset = points[None] - begin[:, None]
    along = np.clip(np.einsum("cnk,ck->cn", offset, axis) / length[:, None], 0, 1)
    away = offset - along[..., None] * (axis * length[:, None])[:, None]
    away = away - (narrow[:, None] * np.einsum("cnk,ck->cn", away, across))[..., None] * across[:, None]
    distances = np.linalg.norm(away, axis=-1) - (start[:, None] + along * grow[:, None])
    nearest = distances.min(axis=0)
    return nearest - softness * np.log(np.exp((nearest - distances) / softness).sum(axis=0))


def press(cones: Sequence[Cone], points: np.ndarray, softness: float = 0.002, rounds: int = 12) -> np.ndarray:
    """Points (N, 3) moved onto the surface of the blended cones by Newton's steps, none longer than 4 mm."""
    tiny = 1e-5
    shifts = tiny * np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
    for _ in range(rounds):
        values = surface(cones, softness, (points[None] + shifts[:, None]).reshape(-1, 3)).reshape(7, -1)
        slope = (values[1:4] - values[4:]).T / (2 * tiny)
        step = -(values[0] / np.maximum((slope**2).sum(-1), 0.04))[:, None] * slope
        size = np.linalg.norm(step, axis=-1, keepdims=True)
        points = points + step * np.minimum(1, 0.004 / np.maximum(size, 1e-12))
    return points
