"""A puppet's hands: the posed meshes, shaded in skin colour, on exactly the pixels where MANO maps have them."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from ...models.hands import HandModel, load_hands
from ...models.maps import mano_maps
from ...models.maps.mano import decode
from ...models.types import Motion
from .identity import Colour

LIGHT = np.array([-0.35, -0.6, -0.72]) / np.linalg.norm([-0.35, -0.6, -0.72])


@lru_cache(maxsize=1)
def neutral_hands() -> HandModel:
    """The pack's own hand, read once."""
    return load_hands(None)


def hand_maps(motion: Motion, size: tuple[int, int], start: int, count: int) -> np.ndarray:
    """MANO maps (F, H, W, 3) of the frames with both hands drawn, hidden from the annotation or not."""
    seen = motion.frames(start, start + count)
    return mano_maps(seen.replace(visible=np.ones_like(seen.visible)), neutral_hands(), size)


def paint_hands(
    pixels: np.ndarray, maps: np.ndarray, skin: Colour, blur: np.ndarray, travel: np.ndarray, outline: float = 0.74
) -> None:
    """Draw one frame's hands over `pixels` (H, W, 3) uint8, from its map (H, W, 3) of the same size.

    blur (2,): length of each hand's motion blur in pixels, along `travel` (2, 2), its movement over the picture.
    """
    drawn = maps[..., 2] > 0
    if not drawn.any():
        return
    # Only the rectangle that the hands and their streaks can reach is worked on.
    margin = int(np.ceil(blur.max())) + 2
    box = tuple(
        slice(max(int(line.argmax()) - margin, 0), len(line) - max(int(line[::-1].argmax()) - margin, 0))
        for line in (drawn.any(1), drawn.any(0))
    )
    pixels = pixels[box]
    side, part, normals = decode(maps[box])
    depth = np.sqrt(np.clip(1 - (normals**2).sum(-1), 0, 1))
    light = np.clip(normals @ LIGHT[:2] - depth * LIGHT[2], 0, 1)
    tone = 0.6 + 0.5 * light
    # Where one finger passes before another, and at the rim, a darker line keeps them apart.
    finger = np.where(part > 0, (part - 1) // 3 + 1, 0) + 6 * (side + 1)
    edge = np.zeros(side.shape, bool)
    edge[:, 1:] |= finger[:, 1:] != finger[:, :-1]
    edge[1:] |= finger[1:] != finger[:-1]
    tone = np.where(edge & (part > 0), tone * outline, tone)
    colour = np.clip(np.array(skin) * tone[..., None], 0, 255)
    for hand in range(2):
        alpha = (side == hand).astype(np.float32)[..., None]
        if not alpha.any():
            continue
        layer = colour * alpha
        if blur[hand] > 0.5:
            kernel = _streak(float(blur[hand]), travel[hand])
            layer = cv2.filter2D(layer, -1, kernel, borderType=cv2.BORDER_REPLICATE)
            alpha = cv2.filter2D(alpha, -1, kernel, borderType=cv2.BORDER_REPLICATE)[..., None]
        pixels[:] = np.rint(pixels * (1 - alpha) + layer).clip(0, 255).astype(np.uint8)


def _streak(length: float, travel: np.ndarray) -> np.ndarray:
    """A line of that length along `travel` as a filter of sum 1; two pixels wide, so that still hands soften too."""
    reach = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * reach + 1,) * 2, np.float32)
    norm = np.hypot(*travel)
    along = travel / norm * length / 2 if norm > 1e-6 else np.array([length / 2, 0.0])
    ends = [tuple(round(float(reach + s * v) * 16) for v in along) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
    kernel = cv2.GaussianBlur(kernel, (0, 0), max(length / 8, 0.5))
    return kernel / kernel.sum()
