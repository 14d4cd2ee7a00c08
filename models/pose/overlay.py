"""Drawing on a reference picture: where the framing puts a person, and what a motion does there.

Hands are shaded meshes in the two colours of this pack's pictures (left orange, right blue), arms and body thin lines.
Pictures are (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ..hands.layer import HandModel
from ..picture import one_picture as checked_picture
from ..picture import resized
from ..types import Framing, Motion
from .body import FOREARM, LIMBS, REST_WRISTS, SHOULDERS, UPPER_ARM, WRISTS, body_joints, half_body

HAND_COLOURS = np.array([[255, 146, 43], [61, 158, 255]], np.float64)
"""The left and the right hand's colour (RGB)."""
BODY_COLOUR, NECK_COLOUR, SHOULDER_COLOUR = (235, 238, 242), (255, 222, 89), (111, 230, 163)
LIGHT = np.array([-0.35, -0.55, -0.76])
HALO = (14, 17, 22)


def one_picture(image: Any, where: str = "image") -> np.ndarray:
    """The one picture of an IMAGE batch (1, H, W, C) in 0..1 as (H, W, 3) uint8: alpha is dropped, grey repeated."""
    if isinstance(image, torch.Tensor) and image.ndim == 3:
        image = image[None]
    pixels = checked_picture(image, where)[0].float().cpu().clamp(0, 1).numpy()
    return np.ascontiguousarray((pixels * 255 + 0.5).astype(np.uint8))


def covered(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture (H, W, 3) uint8 scaled to cover `size` (H, W) and cut at its centre, as the model will see it."""
    if picture.shape[:2] == tuple(size):
        return picture
    return np.asarray(resized(Image.fromarray(picture), size)).copy()


def draw_framing(picture: np.ndarray, framing: Framing) -> np.ndarray:
    """The picture with its framing on it: neck, shoulders, resting skeleton, reach of the arms, hands at rest."""
    height, width = picture.shape[:2]
    framing = framing if framing.size == (height, width) else framing.fitted((height, width))
    canvas = Lines(picture)
    pixels = np.array([width, height])
    neck = np.array(framing.neck) * pixels
    half = framing.shoulder_width * width / 2
    joints = framing.project(body_joints(framing, (framing.root() + REST_WRISTS)[None])[0]) * pixels
    inside = half_body(framing)[1] > 0
    for a, b in LIMBS:
        if inside[a] or inside[b]:
            canvas.line(joints[a], joints[b], BODY_COLOUR, 1.2, 0.55)
    reach = (UPPER_ARM + FOREARM) * framing.pixels_per_metre
    for hand in (0, 1):
        colour = tuple(int(c) for c in HAND_COLOURS[hand])
        canvas.circle(joints[SHOULDERS[hand]], reach, colour, 1.4, 0.8)
        box = framing.project(framing.root() + REST_WRISTS[hand] + np.array([0, 0.04, 0])) * pixels
        side = 0.085 * framing.pixels_per_metre
        canvas.box(box - side, box + side, colour, 1.6)
    bar = np.array([half, 0.0])
    canvas.line(neck - bar, neck + bar, SHOULDER_COLOUR, 2.4)
    for end in (neck - bar, neck + bar):
        canvas.dot(end, SHOULDER_COLOUR, 4.5)
    arm = 9 * canvas.unit
    for way in (np.array([arm, 0]), np.array([0, arm])):
        canvas.line(neck - way, neck + way, NECK_COLOUR, 2.2)
    result = canvas.finished()
    lines = [
        (f"neck  {framing.neck[0]:.3f}, {framing.neck[1]:.3f}", NECK_COLOUR),
        (f"shoulders  {framing.shoulder_width:.3f} of the width = 38 cm", SHOULDER_COLOUR),
        ("left arm's reach, hand at rest", tuple(int(c) for c in HAND_COLOURS[0])),
        ("right arm's reach, hand at rest", tuple(int(c) for c in HAND_COLOURS[1])),
    ]
    return legend(result, lines)


def draw_motion(
    picture: np.ndarray,
    motion: Motion,
    hands: HandModel,
    start: int,
    count: int,
    opacity: float = 0.85,
    style: str = "mesh",
) -> np.ndarray:
    """Frames start..start+count-1 of a motion over a picture that has the motion's size: (count, H, W, 3) uint8.

    style: "mesh" shaded hands, arms and body as thin lines; "openpose" OpenPose's sticks. A hand grows fainter with
    less confidence and is not drawn where it is not visible.
    """
    from ..maps import mano_maps, openpose_maps, project_body

    size = picture.shape[:2]
    if style == "openpose":
        sticks = openpose_maps(motion, hands, size, start, count)
        alpha = (sticks.max(-1, keepdims=True) > 0) * opacity
        return (picture * (1 - alpha) + sticks * alpha + 0.5).astype(np.uint8)
    maps = mano_maps(motion, hands, size, start, count)
    points, scores = project_body(motion, size, start, count)
    frames = np.empty((count, *size, 3), np.uint8)
    for i in range(count):
        canvas = Lines(picture)
        for a, b in LIMBS:
            if scores[i, a] > 0 and scores[i, b] > 0:
                colour: tuple[int, ...] = BODY_COLOUR
                for hand in (0, 1):
                    if WRISTS[hand] in (a, b):
                        colour = tuple(int(c) for c in HAND_COLOURS[hand] * 0.5 + 118)
                canvas.line(points[i, a], points[i, b], colour, 2.0, opacity)
        for point in points[i][scores[i] > 0]:
            canvas.dot(point, BODY_COLOUR, 2.6, opacity)
        layer, alpha = _shaded(maps[i], motion.confidence[start + i])
        frames[i] = canvas.finished(layer, alpha * opacity)
    return frames


def _shaded(maps: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour (H, W, 3) and opacity (H, W, 1) of the hands of one MANO map, lit from above."""
    from ..maps.mano import decode

    side, part, normals = decode(maps)
    z = -np.sqrt(np.maximum(1 - (normals**2).sum(-1), 0))
    light = np.maximum(normals[..., 0] * LIGHT[0] + normals[..., 1] * LIGHT[1] + z * LIGHT[2], 0)
    # Facing away from the viewer darkens: it draws the outline of fingers that lie over each other.
    tone = 0.30 + 0.62 * light + 0.12 * np.abs(z) ** 2
    tone = tone * np.where(part % 2 == 1, 0.94, 1.0)
    colour = HAND_COLOURS[np.maximum(side, 0)] * tone[..., None]
    shine = np.maximum(light - 0.86, 0)[..., None] * 480
    alpha = np.where(side >= 0, 0.3 + 0.7 * confidence[np.maximum(side, 0)], 0.0)
    # Half a pixel of softness at the edge.
    alpha = np.minimum(alpha, cv2.blur(alpha, (3, 3)) * 1.25) if (side >= 0).any() else alpha
    return np.clip(colour + shine, 0, 255), alpha[..., None]


class Lines:
    """Anti-aliased lines with a dark halo, readable on any picture; widths in units of the picture's size."""

    def __init__(self, picture: np.ndarray):
        self.picture = picture.astype(np.float32)
        self.unit = max(min(picture.shape[:2]) / 512, 0.5)

    def _paint(self, draw: Any, colour: tuple[int, ...], width: float, opacity: float) -> None:
        for paint, thickness, share in ((HALO, width + 2.2, 0.45 * opacity), (colour, width, opacity)):
            mask = np.zeros(self.picture.shape[:2], np.uint8)
            draw(mask, max(round(thickness * self.unit), 1))
            x, y, w, h = cv2.boundingRect(mask)
            if w and h:
                part = self.picture[y : y + h, x : x + w]
                alpha = mask[y : y + h, x : x + w, None] / 255 * share
                part += (np.array(paint, np.float32) - part) * alpha.astype(np.float32)

    def line(self, a: np.ndarray, b: np.ndarray, colour: tuple[int, ...], width: float, opacity: float = 1.0) -> None:
        ends = _fixed(a), _fixed(b)
        self._paint(lambda m, t: cv2.line(m, *ends, 255, t, cv2.LINE_AA, 4), colour, width, opacity)

    def circle(
        self, middle: np.ndarray, radius: float, colour: tuple[int, ...], width: float, opacity: float = 1.0
    ) -> None:
        at, r = _fixed(middle), round(min(radius, 3e4) * 16)
        self._paint(lambda m, t: cv2.circle(m, at, r, 255, t, cv2.LINE_AA, 4), colour, width, opacity)

    def box(self, a: np.ndarray, b: np.ndarray, colour: tuple[int, ...], width: float) -> None:
        ends = _fixed(a), _fixed(b)
        self._paint(lambda m, t: cv2.rectangle(m, *ends, 255, t, cv2.LINE_AA, 4), colour, width, 1.0)

    def dot(self, at: np.ndarray, colour: tuple[int, ...], radius: float, opacity: float = 1.0) -> None:
        place = _fixed(at)
        grow = lambda t: round(t * 8)
        self._paint(lambda m, t: cv2.circle(m, place, grow(t), 255, -1, cv2.LINE_AA, 4), colour, radius * 2, opacity)

    def finished(self, colour: np.ndarray | None = None, alpha: np.ndarray | None = None) -> np.ndarray:
        """The picture as uint8, with a layer laid over everything if one is given."""
        picture = self.picture
        if colour is not None and alpha is not None:
            picture = picture + (colour - picture) * alpha
        return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """A place in OpenCV's sixteenths of a pixel; far away ones are brought to where lines still come out right."""
    x, y = np.clip(np.asarray(point, np.float64), -3e4, 3e4)
    return round((x - 0.5) * 16), round((y - 0.5) * 16)


@functools.lru_cache(maxsize=16)
def font(size: int) -> Any:
    """Pillow's own typeface at a size in pixels."""
    return ImageFont.load_default(size=size)


def legend(picture: np.ndarray, lines: list[tuple[str, tuple[int, ...]]]) -> np.ndarray:
    """The picture with lines of text on a dark plate in its upper left corner, where hands seldom are.

    Left as it is where there is no room.
    """
    height, width = picture.shape[:2]
    size = max(round(min(height, width) / 40), 9)
    type_face = font(size)
    longest = max(type_face.getlength(text) for text, _ in lines)
    plate = (round(longest + size * 2.2), round(len(lines) * size * 1.35 + size * 0.8))
    if plate[0] > width * 0.9 or plate[1] > height * 0.4:
        return picture
    left, top = size // 2, size // 2
    picture = picture.copy()
    part = picture[top : top + plate[1], left : left + plate[0]]
    part[:] = (part * 0.3 + np.array(HALO) * 0.7).astype(np.uint8)
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for i, (text, colour) in enumerate(lines):
        y = top + size * 0.4 + i * size * 1.35
        draw.rectangle([left + size * 0.5, y + size * 0.3, left + size * 1.1, y + size * 0.9], fill=colour)
        draw.text((left + size * 1.5, y), text, font=type_face, fill=(240, 242, 245))
    return np.asarray(image).copy()
