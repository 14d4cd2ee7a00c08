"""Points from heatmaps, as ViTPose gives them (arXiv 2204.12484): the maximum, refined between the cells.

The refinement is DARK's (arXiv 1910.06278): the logarithm of a blurred heatmap is a paraboloid around its maximum, and
one step of Newton's finds its top.
"""

from __future__ import annotations

import cv2
import numpy as np

BLUR = 11
"""Cells of the Gaussian that evens the heatmap out, as ViTPose's authors took it."""
FURTHEST = 2.0
"""Cells that a point is moved at the most: a heatmap without a clear top gives nonsense."""


def decode(maps: np.ndarray, middle: np.ndarray, sides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heatmaps (P, K, h, w) as points (P, K, 2) in the picture's pixels, NaN where nothing is above 0, scores (P, K).

    middle, sides (P, 2): what was cut out. The outermost cells lie on its edges.
    """
    people, count, rows, columns = maps.shape
    maps = maps.astype(np.float32)
    best = maps.reshape(people, count, -1).argmax(-1)
    y, x = best // columns, best % columns
    scores = np.take_along_axis(maps.reshape(people, count, -1), best[..., None], -1)[..., 0]
    # OpenCV blurs many maps at once as the channels of one picture, but only four: one by one, then.
    even = np.stack([cv2.GaussianBlur(one, (BLUR, BLUR), 0) for one in maps.reshape(-1, rows, columns)])
    even = np.log(np.clip(even, 0.001, 50)).reshape(maps.shape)
    places = np.stack([x, y], -1) + _to_the_top(even, x, y)
    cells = np.array([columns - 1, rows - 1])
    points = places / cells * sides[:, None] + (middle - sides / 2)[:, None]
    return np.where((scores > 0)[..., None], points, np.nan), scores.astype(np.float64)


def _to_the_top(maps: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The step (P, K, 2) from the cells x, y (P, K) to the top of the paraboloid through them and their neighbours."""
    padded = np.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge").astype(np.float64)
    people, points = np.ogrid[: maps.shape[0], : maps.shape[1]]
    at = lambda right, down: padded[people, points, y + 1 + down, x + 1 + right]
    here = at(0, 0)
    slope_x, slope_y = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    bend_x, bend_y = at(1, 0) - 2 * here + at(-1, 0), at(0, 1) - 2 * here + at(0, -1)
    twist = (at(1, 1) - at(1, 0) - at(0, 1) + 2 * here - at(-1, 0) - at(0, -1) + at(-1, -1)) / 2
    volume = bend_x * bend_y - twist**2
    safe = np.where(np.abs(volume) < 1e-12, np.inf, volume)
    step = np.stack([bend_y * slope_x - twist * slope_y, bend_x * slope_y - twist * slope_x], -1) / safe[..., None]
    return np.clip(-step, -FURTHEST, FURTHEST)
