"""Is a clip fit to learn from? Each question has a measure, a limit and a reason that stands in the report."""

from __future__ import annotations

import numpy as np

from ...models.pose.fit import ENOUGH
from ...models.pose.keypoint_motion import Points
from ...models.types import Framing

REASONS = (
    "broken file", "frame rate too low", "too short", "no sound", "no person", "no shoulders", "person too small",
    "person too close", "person cut off", "several people overlapping", "jump cut", "camera moving",
    "hands never visible", "face never visible", "too blurred",
)  # fmt: skip
"""Why a clip, or a whole video, is left out. Nobody judges whether the sound is in time, or text laid over the
picture."""
SHOULDER_PIXELS = 100
"""Sharpness is measured in pictures in which the shoulders are no wider than this."""
HEAD = (-0.6, 0.6, -1.0, 0.5)
"""Left, right, top and bottom of what is measured, in shoulder widths from the neck."""


class Rejected(Exception):
    """A clip that is left out: one of REASONS, and what was measured."""

    def __init__(self, reason: str, detail: str = ""):
        assert reason in REASONS
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason} ({detail})" if detail else reason)


def hands_seen(points: Points) -> np.ndarray:
    """(F, 2) whether each hand is known, and its middle lies in the picture that points are normalised to."""
    known = points.hand_scores > 0
    count = known.sum(-1)
    middle = (points.hands * known[..., None]).sum(-2) / np.maximum(count, 1)[..., None]
    return np.asarray((count >= ENOUGH) & ((middle > 0) & (middle < 1)).all(-1))


def sharpness(picture: np.ndarray, framing: Framing) -> float:
    """How sharp head and shoulders are in a picture (H, W, 3) uint8: the Laplacian's variance over the grey levels'.

    Measured where `framing` has the person, with shoulders of at most SHOULDER_PIXELS, so that neither the picture's
    size nor its contrast matters. 0 where there is nothing to see.
    """
    import cv2

    height, width = picture.shape[:2]
    shoulder = framing.shoulder_width * width
    x, y = framing.neck[0] * width, framing.neck[1] * height
    left, right, top, bottom = (round(at) for at in (
        x + HEAD[0] * shoulder, x + HEAD[1] * shoulder, y + HEAD[2] * shoulder, y + HEAD[3] * shoulder))  # fmt: skip
    part = picture[max(top, 0) : max(bottom, 1), max(left, 0) : max(right, 1)]
    if min(part.shape[:2]) < 8:
        return 0.0
    grey = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY)
    scale = SHOULDER_PIXELS / shoulder
    if scale < 1:
        size = max(round(grey.shape[1] * scale), 8), max(round(grey.shape[0] * scale), 8)
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    values = grey.astype(np.float32)
    contrast = float(values.var())
    return float(cv2.Laplacian(values, cv2.CV_32F).var()) / contrast if contrast > 1 else 0.0


__all__ = ["REASONS", "Rejected", "hands_seen", "sharpness"]
