"""A reference picture cut and scaled so that its person stands where a model expects it; whether hands stay in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ..errors import EMO2Error
from ..hands.quaternions import rotate
from ..hands.rest import FINGERS
from ..types import Framing, Motion

ECHOMIMIC_V2 = ((0.5, 0.47), 0.41)
"""Neck and shoulder width in EchoMimicV2's own pose sets: neck centred, a sixth of the height above the brows, the arms
down to seven eighths of it (measured on its published poses)."""
PALM = 0.07
"""Metres from the wrist to the middle of the hand."""
LARGEST = 16.0
"""Times that a side of the picture may be too short for the cut: beyond it the framing must be wrong."""


@dataclass(frozen=True)
class Placed:
    """A picture (1, H, W, 3) 0..1 with its framing; `beyond`: share of it that lies outside the original (0..1)."""

    image: torch.Tensor
    framing: Framing
    beyond: float


def place(
    picture: torch.Tensor,
    framing: Framing,
    size: tuple[int, int],
    neck: tuple[float, float] = ECHOMIMIC_V2[0],
    shoulder_width: float = ECHOMIMIC_V2[1],
) -> Placed:
    """Cut and scale `picture` (1, H, W, 3) so that the person of `framing` has its neck and shoulders as asked.

    size (H, W): of the result. neck: x and y in it, 0..1; shoulder_width: as a share of its width. Nothing is
    stretched; what lies beyond the picture's edge repeats the edge. The framing that is returned is exact, to fractions
    of a pixel.
    """
    height, width = picture.shape[1:3]
    own = framing if framing.size == (height, width) else framing.fitted((height, width))
    scale = shoulder_width * size[1] / (own.shoulder_width * width)
    left = own.neck[0] * width - neck[0] * size[1] / scale
    top = own.neck[1] * height - neck[1] * size[0] / scale
    right, bottom = left + size[1] / scale, top + size[0] / scale
    over = [math.ceil(max(0.0, edge)) for edge in (-left, -top, right - width, bottom - height)]
    if max(over[0], over[2]) > LARGEST * width or max(over[1], over[3]) > LARGEST * height:
        given = f"shoulders {own.shoulder_width:.3f} of its width, neck at {own.neck[0]:.2f}, {own.neck[1]:.2f}"
        raise EMO2Error("framing", "a person in the picture", given, "Look at EMO2 Set Framing's preview.")
    pixels = picture[0].float().cpu().numpy()
    padded = np.pad(pixels, ((over[1], over[3]), (over[0], over[2]), (0, 0)), mode="edge")
    # The last fraction of a pixel may lie a rounding error outside.
    box = (
        max(left + over[0], 0.0), max(top + over[1], 0.0),
        min(right + over[0], float(padded.shape[1])), min(bottom + over[1], float(padded.shape[0])),
    )  # fmt: skip
    channels = [
        np.asarray(Image.fromarray(padded[..., c]).resize((size[1], size[0]), Image.Resampling.LANCZOS, box=box))
        for c in range(3)
    ]
    covered = max(0.0, min(right, width) - max(left, 0)) * max(0.0, min(bottom, height) - max(top, 0))
    beyond = 1 - covered / ((right - left) * (bottom - top))
    placed = Framing((neck[0], neck[1]), shoulder_width, size, own.focal * scale)
    return Placed(torch.from_numpy(np.stack(channels, axis=-1))[None].clamp(0, 1), placed, beyond)


def inside(motion: Motion) -> np.ndarray:
    """(F, 2) bool: whether the middle of a hand lies in the motion's picture."""
    forward = rotate(motion.rotations[:, :, 0], np.broadcast_to(FINGERS, (*motion.visible.shape, 3)))
    middle = motion.framing.project(motion.wrists() + PALM * forward)
    return np.asarray(((middle > 0) & (middle < 1)).all(-1))


def outside(motion: Motion) -> np.ndarray:
    """(F, 2) bool: visible hands whose middle lies beyond the edge of the motion's picture."""
    return motion.visible & ~inside(motion)


def outside_warning(motion: Motion, share: float = 0.1) -> str | None:
    """A sentence about hands that leave the picture in more than `share` of the time, or None."""
    away = outside(motion).mean(0)
    told = [f"the {side} hand {part:.0%} of the time" for side, part in zip(("left", "right"), away) if part > share]
    if not told:
        return None
    return (
        f"Hands leave the picture: {' and '.join(told)}. A wider picture, a smaller shoulder width or EMO2 Scale "
        "Motion brings them back."
    )


__all__ = ["ECHOMIMIC_V2", "Placed", "inside", "outside", "outside_warning", "place"]
