"""MANO maps: both posed hands as a picture that tells side, part and shape (EMO2 section 3.4).

Red and green hold the surface normal's x and y in camera axes (-1..1 as 0..255; the side that faces the camera has
normals with z < 0, so two numbers suffice). Blue holds side and part: LABEL_BASE + LABEL_STEP * (16 side + part), the
left hand 32 .. 137, the right hand 144 .. 249, the part being the MANO joint that moves the surface there. Where there
is no hand all three are 0. Values are seven apart, so that a part can still be told after compression.
"""

from __future__ import annotations

import numpy as np

from ..errors import EMO2Error
from ..hands.layer import HandModel
from ..types import Motion
from .rasteriser import rasterise

LABEL_BASE, LABEL_STEP = 32, 7
CHUNK = 64


def mano_maps(
    motion: Motion, hands: HandModel, size: tuple[int, int] | None = None, start: int = 0, count: int | None = None
) -> np.ndarray:
    """Maps (F, H, W, 3) uint8 of frames start..start+count-1; count None: to the end.

    size (H, W): None means the motion's framing's; another size covers the picture as `Framing.fitted` says. A hand
    that is not visible in a frame is not drawn.
    """
    framing = motion.framing if size is None else motion.framing.fitted(size)
    first, last = frame_range(motion, start, count)
    labels = (LABEL_BASE + LABEL_STEP * (16 * np.arange(2)[:, None] + hands.face_parts)).astype(np.uint8)
    wrists = motion.wrists()
    pieces = [np.zeros((0, *framing.size, 3), np.uint8)]
    for at in range(first, last, CHUNK):
        part = slice(at, min(at + CHUNK, last))
        vertices, _ = hands.pose(motion.rotations[part], wrists[part])
        pieces.append(rasterise(vertices, hands.faces, motion.visible[part], labels, framing.size, framing.focal))
    return pieces[1] if len(pieces) == 2 else np.concatenate(pieces)


def frame_range(motion: Motion, start: int, count: int | None) -> tuple[int, int]:
    """First and one past the last frame that are asked for; an EMO2Error when the motion has not got them."""
    last = len(motion) if count is None else start + count
    if not 0 <= start <= last <= len(motion):
        raise EMO2Error("motion", f"frames {start} to {last - 1}", f"{len(motion)} frames", "Give a longer motion.")
    return start, last


def decode(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a map says: side (...) 0 left, 1 right, -1 background; part (...) 0..15 or -1; normals (..., 2) -1..1."""
    code = np.rint((maps[..., 2].astype(np.float64) - LABEL_BASE) / LABEL_STEP).astype(np.int64)
    hand = (code >= 0) & (code < 32) & (maps[..., 2] > 0)
    normals = np.where(hand[..., None], maps[..., :2] / 127.5 - 1, 0.0)
    return np.where(hand, code // 16, -1), np.where(hand, code % 16, -1), normals
