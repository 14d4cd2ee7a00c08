"""Moving a motion to where another picture has its person."""

from __future__ import annotations

import numpy as np

from ..types import Framing, Motion


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
    sizes = [np.array([framing.size[1], framing.size[0]], np.float64) for framing in (old, new)]
    necks = [np.array(framing.neck) * size for framing, size in zip((old, new), sizes)]
    ratio = (new.shoulder_width * new.size[1]) / (old.shoulder_width * old.size[1])
    pixels = (np.asarray(points, np.float64) * sizes[0] - necks[0]) * ratio + necks[1]
    return (pixels / sizes[1]).astype(np.float32)
