"""Moving a motion to where another picture has its person."""

from __future__ import annotations

import numpy as np

from ..types import Framing, Motion
from .vector import from_shoulders, to_shoulders


def apply_framing(motion: Motion, framing: Framing) -> Motion:
    """The motion for another framing: 2D points move with neck and shoulder width, metric values stay.

    A point that lay s shoulder widths from the neck does so in the new picture too.
    """
    if framing == motion.framing:
        return motion
    return motion.replace(
        framing=framing,
        keypoints=carry(motion.keypoints, motion.framing, framing),
        face=carry(motion.face, motion.framing, framing),
    )


def carry(points: np.ndarray, old: Framing, new: Framing) -> np.ndarray:
    """Points (..., 2) normalised to the old picture to the same place on the person in the new one."""
    return from_shoulders(to_shoulders(points, old), new).astype(np.float32)
