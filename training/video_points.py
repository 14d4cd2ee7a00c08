"""Where body and hands are in a record's pictures: what the pose discriminator learns to see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..models.maps import project_body
from ..models.types import BODY_POINTS, HAND_POINTS, HANDS

POINTS = BODY_POINTS + HANDS * HAND_POINTS


def record_points(record: Any, frames: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 60, 2) normalised to the picture and scores (n, 60): 18 of the body, 21 of each hand.

    The score of a hand's points is the hand's confidence; out of sight, or outside the picture, it is 0.
    """
    frames = list(frames)
    first, count = min(frames), max(frames) - min(frames) + 1
    size = record.size
    pixels, known = project_body(record.motion, size, first, count)
    places = np.array(frames) - first
    body = pixels[places] / np.array([size[1], size[0]], np.float64)
    hands = record.hands[frames].reshape(len(frames), HANDS * HAND_POINTS, 2)
    sure = np.where(record.visible[frames], record.confidence[frames], 0)
    points = np.concatenate([body, hands], axis=1).astype(np.float32)
    scores = np.concatenate([known[places] > 0, np.repeat(sure, HAND_POINTS, axis=1)], axis=1).astype(np.float32)
    inside = ((points >= 0) & (points < 1)).all(-1)
    return np.where(inside[..., None], points, 0.0).astype(np.float32), scores * inside
