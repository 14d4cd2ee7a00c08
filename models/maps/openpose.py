"""OpenPose / DWPose drawing, as ControlNets, MimicMotion, Wan-Animate and VACE were trained on it.

Body limbs are coloured ellipses at six tenths of their joints' colour, hands are lines of twenty hues with blue joints,
the face is white dots; black background. Widths were made for a short side of 512 pixels and grow with the picture.
"""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

from ..hands.layer import HandModel
from ..types import Motion
from .body import project_body, to_pixels
from .mano import frame_range
from .rasteriser import NEAR

LIMBS = ((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
         (1, 0), (0, 14), (14, 16), (0, 15), (15, 17))  # fmt: skip
COLOURS = tuple(
    tuple(round(c * 255 / 3) for c in colour)
    for colour in ((3, 0, 0), (3, 1, 0), (3, 2, 0), (3, 3, 0), (2, 3, 0), (1, 3, 0), (0, 3, 0), (0, 3, 1), (0, 3, 2),
                   (0, 3, 3), (0, 2, 3), (0, 1, 3), (0, 0, 3), (1, 0, 3), (2, 0, 3), (3, 0, 3), (3, 0, 2), (3, 0, 1))
)  # fmt: skip
"""The rainbow of the 18 joints; limb number i has the colour of joint number i."""
BONES = tuple((0 if k == 0 else 4 * finger + k, 4 * finger + k + 1) for finger in range(5) for k in range(4))
HUES = tuple(tuple(round(255 * c) for c in colorsys.hsv_to_rgb(i / 20, 1, 1)) for i in range(20))
POINT_BLUE, WHITE = (0, 0, 255), (255, 255, 255)
FAR = 30_000.0


def openpose_maps(
    motion: Motion,
    hands: HandModel | None,
    size: tuple[int, int] | None = None,
    start: int = 0,
    count: int | None = None,
    *,
    body: bool = True,
    draw_hands: bool = True,
    face: bool = True,
    stick_width: float = 4.0,
    threshold: float = 0.3,
) -> np.ndarray:
    """Pictures (F, H, W, 3) uint8 of frames start..start+count-1 in OpenPose's colours (RGB).

    hands: the hand model whose joints are drawn; None draws no hands. stick_width: limb half-thickness in pixels at a
    short side of 512. threshold: points with a lower score, or none, are not drawn.
    """
    framing = motion.framing if size is None else motion.framing.fitted(size)
    first, last = frame_range(motion, start, count)
    part = slice(first, last)
    scale = min(framing.size) / 512
    threshold = max(threshold, 1e-6)
    maps = np.zeros((last - first, *framing.size, 3), np.uint8)
    if body:
        points, scores = project_body(motion, framing.size, first, last - first)
        for picture, place, known in zip(maps, points, _usable(points, scores, threshold)):
            _draw_body(picture, place, known, stick_width * scale)
    if draw_hands and hands is not None and last > first:
        _, joints = hands.pose(motion.rotations[part], motion.wrists()[part])
        points = framing.project(joints) * np.array(framing.size[::-1])
        known = _usable(points, motion.hand_scores[part], threshold) & motion.visible[part][..., None]
        known &= joints[..., 2] > NEAR
        for picture, places, marks in zip(maps, points, known):
            for place, mark in zip(places, marks):
                _draw_hand(picture, place, mark, stick_width * scale)
    if face:
        points = to_pixels(motion, motion.face[part], framing.size)
        for picture, place, mark in zip(maps, points, _usable(points, motion.face_scores[part], threshold)):
            for p in place[mark]:
                cv2.circle(picture, _pixel(p), max(1, round(0.75 * stick_width * scale)), WHITE, -1)
    return maps


def _usable(points: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    return (scores >= threshold) & (np.abs(points) < FAR).all(-1)


def _pixel(point: np.ndarray) -> tuple[int, int]:
    return int(np.floor(point[0])), int(np.floor(point[1]))


def _draw_body(picture: np.ndarray, place: np.ndarray, known: np.ndarray, stick: float) -> None:
    """Limbs as filled ellipses, then joints as discs."""
    for (a, b), colour in zip(LIMBS, COLOURS):
        if known[a] and known[b]:
            middle, along = (place[a] + place[b]) / 2, place[b] - place[a]
            half = int(np.hypot(*along) / 2), max(1, round(stick))
            angle = int(np.degrees(np.arctan2(along[1], along[0])))
            ellipse = np.asarray(cv2.ellipse2Poly(_pixel(middle), half, angle, 0, 360, 1))
            cv2.fillConvexPoly(picture, ellipse, tuple(int(c * 0.6) for c in colour))
    for point, ok, colour in zip(place, known, COLOURS):
        if ok:
            cv2.circle(picture, _pixel(point), max(1, round(stick)), colour, -1)


def _draw_hand(picture: np.ndarray, place: np.ndarray, known: np.ndarray, stick: float) -> None:
    """Bones as lines in twenty hues, joints as blue discs."""
    for (a, b), colour in zip(BONES, HUES):
        if known[a] and known[b]:
            cv2.line(picture, _pixel(place[a]), _pixel(place[b]), colour, max(1, round(stick / 2)))
    for point in place[known]:
        cv2.circle(picture, _pixel(point), max(1, round(stick)), POINT_BLUE, -1)
