"""From a `Motion` to what the metrics measure: points in metres relative to the neck root."""

from __future__ import annotations

import numpy as np

from ...models.hands import HandModel, load_hands
from ...models.types import Motion


def hand_points(motion: Motion, hands: HandModel | None = None) -> np.ndarray:
    """(F, 2, 21, 3) metres, camera axes, relative to the neck root: 16 joints and 5 fingertips, OpenPose order.

    A hand is NaN in the frames where it is not visible. hands: None means the pack's own neutral hand.
    """
    model = hands or load_hands(None)
    joints = model.pose(motion.rotations, motion.translations)[1]
    return np.where(motion.visible[:, :, None, None], joints, np.nan)


def wrist_points(motion: Motion) -> np.ndarray:
    """(F, 2, 1, 3) metres: the wrists alone, with NaN as in `hand_points`."""
    wrists = motion.translations.astype(np.float64)
    return np.where(motion.visible[:, :, None], wrists, np.nan)[:, :, None]


def speeds(points: np.ndarray, fps: float) -> np.ndarray:
    """Speed (F, ...) in m/s of points (F, ..., 3) by central differences, one-sided at the ends. NaN spreads."""
    points = np.asarray(points, np.float64)
    if len(points) < 2:
        return np.where(np.isnan(points).any(axis=-1), np.nan, 0.0)
    return np.linalg.norm(np.gradient(points, 1 / fps, axis=0), axis=-1)


def smoothed(curves: np.ndarray, frames: float) -> np.ndarray:
    """Curves (F, ...) under a Gaussian of `frames` standard deviation along time, mirrored at the ends."""
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(np.asarray(curves, np.float64), frames, axis=0, mode="reflect") if frames > 0 else curves


def filled(curves: np.ndarray) -> np.ndarray:
    """Curves (F, K) whose NaN are replaced on straight lines from their neighbours; a curve of NaN alone becomes 0."""
    curves = np.array(curves, np.float64)
    index = np.arange(len(curves))
    for k in range(curves.shape[1]):
        known = np.isfinite(curves[:, k])
        curves[:, k] = np.interp(index, index[known], curves[known, k]) if known.any() else 0.0
    return curves
