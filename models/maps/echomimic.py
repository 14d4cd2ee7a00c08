"""EchoMimicV2's pose pictures: both hands and nothing else, as its public checkpoint was trained on them.

Bones are lines of twenty hues whose brightness is the product of their ends' scores, points are discs in the strength
of their own score; red and blue are the other way round than in OpenPose's drawing (the original hands a picture made
as RGB to a conversion from BGR, and the network has learned that).
"""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

from ..errors import EMO2Error
from ..hands.layer import HandModel
from ..types import HAND_POINTS, Motion
from .mano import frame_range
from .openpose import BONES
from .rasteriser import NEAR

DRAWN = 800
"""The short side on which it is drawn before it is scaled to the picture."""
LINE, DOT = 2, 4
"""Thickness of a bone and radius of a point, in pixels there."""
FAR = 30_000
HUES = tuple(colorsys.hsv_to_rgb(bone / len(BONES), 1, 1) for bone in range(len(BONES)))


def echomimic_maps(
    motion: Motion, hands: HandModel, size: tuple[int, int] | None = None, start: int = 0, count: int | None = None
) -> np.ndarray:
    """Pose pictures (F, H, W, 3) uint8 RGB of frames start..start+count-1 of a motion.

    The hands are the hand model's joints as the camera sees them, with the motion's scores; hidden hands are not drawn.
    """
    framing = motion.framing if size is None else motion.framing.fitted(size)
    first, last = frame_range(motion, start, count)
    if first == last:
        return np.zeros((0, *framing.size, 3), np.uint8)
    part = slice(first, last)
    _, joints = hands.pose(motion.rotations[part], motion.wrists()[part])
    points = framing.project(joints)
    shown = motion.visible[part][..., None] & (joints[..., 2] > NEAR)
    return draw_hands(np.where(shown[..., None], points, -1), motion.hand_scores[part] * shown, framing.size)


def draw_hands(points: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pictures (F, H, W, 3) uint8 RGB of hand points (F, hands, 21, 2), 0..1 of the picture, OpenPose order.

    scores (F, hands, 21): 0 draws black, 1 in full brightness, above as 1. A point that lies on or beyond the left or
    upper edge is not drawn, nor are its bones; beyond the other edges the picture cuts them.
    """
    points, scores = np.asarray(points, np.float64), np.asarray(scores, np.float64)
    if points.ndim != 4 or points.shape[2:] != (HAND_POINTS, 2) or scores.shape != points.shape[:3]:
        given = f"points {points.shape} and scores {scores.shape}"
        raise EMO2Error("points", f"(F, hands, {HAND_POINTS}, 2) and scores (F, hands, {HAND_POINTS})", given,
                        "Give both hands of every frame.")  # fmt: skip
    height, width = size
    enlarged = DRAWN / min(size)
    canvas_size = int(height * enlarged), int(width * enlarged)
    places = np.nan_to_num(points, nan=-1) * np.array(canvas_size[::-1])
    places = places.clip(-FAR, FAR).astype(np.int64)  # towards zero, as the original has it
    inside = (places > 0).all(-1)
    pictures = np.empty((len(points), height, width, 3), np.uint8)
    for picture, at, known, sure in zip(pictures, places, inside, np.nan_to_num(scores)):
        canvas = np.zeros((*canvas_size, 3), np.uint8)
        for hand in zip(at, known, sure):
            _draw_hand(canvas, *hand)
        cv2.resize(canvas, (width, height), dst=picture)
    return pictures


def _draw_hand(canvas: np.ndarray, at: np.ndarray, known: np.ndarray, sure: np.ndarray) -> None:
    for (a, b), hue in zip(BONES, HUES):
        if known[a] and known[b]:
            light = int(sure[a] * sure[b] * 255)
            # Blue first: the picture's channels are swapped (see above).
            cv2.line(canvas, at[a].tolist(), at[b].tolist(), tuple(c * light for c in hue[::-1]), LINE)
    for place, here, score in zip(at, known, sure):
        if here:
            cv2.circle(canvas, place.tolist(), DOT, (int(score * 255), 0, 0), -1)


__all__ = ["draw_hands", "echomimic_maps"]
