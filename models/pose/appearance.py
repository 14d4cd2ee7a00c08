"""What somebody looks like, in few numbers: the colours of their trunk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .detection import Seen
from .keypoint_motion import KNOWN

HUES, SHADES = 12, 6
PLAIN = 0.15
"""Saturation below which a colour counts as grey, by its brightness alone."""
MOST_PIXELS = 64
SMOOTH = 1e-3


def colours(picture: np.ndarray, seen: Seen) -> np.ndarray:
    """A histogram (18,) that sums to 1: 12 hues of the coloured pixels and 6 brightnesses of the grey ones.

    picture (H, W, 3) uint8. The pixels are those between shoulders and hips, or of the box's middle.
    """
    import cv2

    height, width = picture.shape[:2]
    left, top, right, bottom = _trunk(seen) * np.array([width, height, width, height])
    x0, x1 = int(np.clip(left, 0, width - 1)), int(np.clip(np.ceil(right), 1, width))
    y0, y1 = int(np.clip(top, 0, height - 1)), int(np.clip(np.ceil(bottom), 1, height))
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    part = picture[y0 : y1 : max((y1 - y0) // MOST_PIXELS, 1), x0 : x1 : max((x1 - x0) // MOST_PIXELS, 1)]
    pixels = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2HSV_FULL).reshape(-1, 3).astype(np.float64) / 256
    hue, saturation, value = pixels.T
    coloured = (saturation > PLAIN) & (value > 0.12)
    place = np.where(coloured, (hue * HUES).astype(int), HUES + (value * SHADES).astype(int))
    counts = np.bincount(place, minlength=HUES + SHADES).astype(np.float64)
    # A colour between two bins does not jump when the light changes a little.
    ring, greys = counts[:HUES], np.pad(counts[HUES:], 1, mode="edge")
    counts[:HUES] = 0.5 * ring + 0.25 * (np.roll(ring, 1) + np.roll(ring, -1))
    counts[HUES:] = 0.5 * greys[1:-1] + 0.25 * (greys[:-2] + greys[2:])
    counts += SMOOTH * counts.sum()
    return counts / counts.sum()


def colours_of(pictures: np.ndarray, people: Sequence[Sequence[Seen]]) -> list[list[np.ndarray]]:
    """`colours` of everybody in a block of frames (N, H, W, 3)."""
    return [[colours(picture, seen) for seen in crowd] for picture, crowd in zip(pictures, people)]


def _trunk(seen: Seen) -> np.ndarray:
    """(left, top, right, bottom) of what is most likely clothes, normalised."""
    known = np.asarray(seen.body_scores) >= KNOWN
    body = np.asarray(seen.body, np.float64)
    left, top, right, bottom = np.asarray(seen.box, np.float64)
    if known[2] and known[5]:
        (xa, ya), (xb, yb) = body[2], body[5]
        hips = [body[i, 1] for i in (8, 11) if known[i]]
        low = float(np.mean(hips)) if hips else min(bottom, max(ya, yb) + 1.2 * abs(xa - xb))
        high = min(ya, yb)
        if low > high and abs(xa - xb) > 1e-3:
            inset = 0.15 * abs(xa - xb)
            return np.array([min(xa, xb) + inset, high + 0.1 * (low - high), max(xa, xb) - inset, low])
    width, height = right - left, bottom - top
    return np.array([left + 0.3 * width, top + 0.3 * height, right - 0.3 * width, top + 0.7 * height])
