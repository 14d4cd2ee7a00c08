"""A face cut out of a picture as recognition networks want it: aligned by five points, or by the person's framing."""

from __future__ import annotations

import cv2
import numpy as np

from ..maps.face import EYES, NOSE
from ..types import Framing

SIDE = 112
"""Pixels of the square that ArcFace's networks and their successors take."""
FIVE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
"""Where their eyes, nose and corners of the mouth are in it, the picture's left first (InsightFace's template)."""
CORNERS = (48, 54)
"""The mouth's corners among the 70 points of a face."""
HEAD_UP, HEAD_REACH = 0.19, 0.21
"""Metres from the neck root up to a head's centre, and from there to each side of the cut-out."""


def five_points(face: np.ndarray) -> np.ndarray:
    """Eyes, nose and corners of the mouth (5, 2) of a face's 70 points (70, 2), in the order of FIVE."""
    eyes = [face[eye].mean(0) for eye in EYES]
    return np.stack([*eyes, face[NOSE], *face[list(CORNERS)]])


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The turn, scale and shift (2, 3) that brings points (K, 2) nearest to `target` (Umeyama 1991), never a mirror.

    In the plane this is one complex number times each point: least squares in closed form. Points that all coincide
    are only shifted.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    here, there = source.mean(0), target.mean(0)
    a, b = ((points - middle) @ np.array([1, 1j]) for points, middle in ((source, here), (target, there)))
    extent = float((np.abs(a) ** 2).sum())
    factor = np.vdot(a, b) / extent if extent > 1e-12 else 1.0 + 0j
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.concatenate([turn, (there - turn @ here)[:, None]], axis=1)


def aligned(picture: np.ndarray, face: np.ndarray, side: int = SIDE) -> np.ndarray:
    """The face with points (70, 2) in pixels cut out of a picture (H, W, 3) uint8: (side, side, 3) uint8."""
    return _cut(picture, similarity(five_points(face), FIVE * (side / SIDE)), side)


def head_cut(
    picture: np.ndarray, framing: Framing, side: int, shift: tuple[float, float, float] = (0, 0, 1)
) -> np.ndarray:
    """Where a framing has the head, cut out of a picture (H, W, 3) uint8: (side, side, 3) uint8.

    shift: x and y in metres and a factor on the size, by which the cut-out is off (training).
    """
    framing = framing.fitted((picture.shape[0], picture.shape[1]))
    scale = framing.pixels_per_metre
    neck = np.array(framing.neck) * np.array([picture.shape[1], picture.shape[0]])
    centre = neck + np.array([shift[0], shift[1] - HEAD_UP]) * scale
    reach = HEAD_REACH * scale * shift[2]
    factor = side / (2 * reach)
    matrix = np.array([[factor, 0, side / 2 - factor * centre[0]], [0, factor, side / 2 - factor * centre[1]]])
    return _cut(picture, matrix, side)


def _cut(picture: np.ndarray, matrix: np.ndarray, side: int) -> np.ndarray:
    """Warp by `matrix` (2, 3), between pixels' outer edges; what becomes much smaller is blurred first."""
    scale = float(np.sqrt(max(abs(np.linalg.det(matrix[:, :2])), 1e-12)))
    if scale < 0.6:
        picture = cv2.GaussianBlur(picture, (0, 0), 0.4 / scale)
    # A pixel's centre lies at + 0.5 here and at 0 in OpenCV.
    moved = matrix.copy()
    moved[:, 2] += moved[:, :2] @ np.array([0.5, 0.5]) - 0.5
    return cv2.warpAffine(picture, moved, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
