"""Drawing on a picture in metres: capsules, ellipses and polygons with smooth edges, in sub-pixel positions."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .identity import Colour

SHIFT = 4
"""Bits of the fixed-point positions that OpenCV takes: a sixteenth of a pixel."""


@dataclass
class Canvas:
    """A picture (H, W, 3) uint8 to draw on; positions (x, y) and lengths in its pixels, as floats."""

    pixels: np.ndarray

    def polygon(self, points: np.ndarray, colour: Colour) -> None:
        """A filled polygon; it need not be convex."""
        cv2.fillPoly(self.pixels, [_fixed(np.asarray(points))], colour, cv2.LINE_AA, SHIFT)

    def ellipse(self, centre: np.ndarray, radii: tuple[float, float], angle: float, colour: Colour,
                span: tuple[float, float] = (0.0, 360.0), line: float = 0.0) -> None:  # fmt: skip
        """A filled ellipse or, where `line` is above 0, its outline that wide; angles in degrees, clockwise."""
        axes = (max(round(radii[0] * 16), 1), max(round(radii[1] * 16), 1))
        middle = tuple(int(v) for v in _fixed(np.asarray(centre)))
        thickness = max(round(line), 1) if line > 0 else -1
        cv2.ellipse(self.pixels, middle, axes, angle, *span, colour, thickness, cv2.LINE_AA, SHIFT)

    def circle(self, centre: np.ndarray, radius: float, colour: Colour) -> None:
        self.ellipse(centre, (radius, radius), 0, colour)

    def capsule(self, start: np.ndarray, end: np.ndarray, radii: tuple[float, float], colour: Colour) -> None:
        """A limb: two discs and what lies between them; `radii` at the start and at the end."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        self.circle(start, radii[0], colour)
        self.circle(end, radii[1], colour)
        along = end - start
        length = float(np.hypot(*along))
        if length > 1e-6:
            side = np.array([-along[1], along[0]]) / length
            corners = [start + side * radii[0], end + side * radii[1], end - side * radii[1], start - side * radii[0]]
            self.polygon(np.array(corners), colour)

    def line(self, points: np.ndarray, width: float, colour: Colour) -> None:
        """An open line through the points."""
        cv2.polylines(
            self.pixels, [_fixed(np.asarray(points))], False, colour, max(round(width), 1), cv2.LINE_AA, SHIFT
        )


def shade(colour: Colour, factor: float) -> Colour:
    """Darker (below 1) or lighter (above 1)."""
    red, green, blue = (int(min(max(round(c * factor), 0), 255)) for c in colour)
    return red, green, blue


def _fixed(points: np.ndarray) -> np.ndarray:
    # Pixel centres are whole numbers in OpenCV; ours lie at + 0.5.
    return np.rint((np.clip(points, -4000, 4000) - 0.5) * (1 << SHIFT)).astype(np.int32)
