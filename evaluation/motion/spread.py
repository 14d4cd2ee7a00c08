"""DIV: how much the hands move away from their average pose, and how much clips differ from each other."""

from __future__ import annotations

import numpy as np


def diversity(points: np.ndarray) -> float:
    """DIV of one clip, metres a point: mean over frames and points of |x_t - mean_t(x)|_1.

    The L1 divergence of BEAT2's benchmark (Liu et al. 2024, EMAGE, section 5; Li et al. 2021, Audio2Gestures), divided
    by the number of points so that it reads as a distance: a tenth of a metre is lively. points (F, ..., 3) metres; NaN
    (hidden hands) is left out. Higher is more varied, and neither rest nor trembling is the aim: compare with the
    truth's. NaN where nothing is visible.
    """
    points = np.asarray(points, np.float64)
    flat = points.reshape(len(points), -1, 3)
    seen = np.isfinite(flat).all(axis=-1)
    if not seen.any():
        return float("nan")
    count = seen.sum(axis=0)
    mean = np.where(seen[..., None], flat, 0.0).sum(axis=0) / np.maximum(count, 1)[:, None]
    away = np.abs(np.where(seen[..., None], flat - mean, 0.0)).sum(axis=-1)
    return float(away.sum() / seen.sum())


def pairwise_diversity(features: np.ndarray) -> float:
    """Mean Euclidean distance of all pairs of clips' features (n, D) (Lee et al. 2019, Dancing to Music, section 4.2).

    In the features' own unit; higher is more varied: a model with one gesture for every sound scores 0. NaN for n < 2.
    """
    features = np.asarray(features, np.float64)
    if len(features) < 2:
        return float("nan")
    square = np.sum(features**2, axis=1)
    distance = np.sqrt(np.maximum(square[:, None] + square[None] - 2 * features @ features.T, 0))
    return float(distance[np.triu_indices(len(features), 1)].mean())
