"""Hands kept inside the picture by a squeeze of space that is the same in every frame, so that nothing jumps or stops.

Clipping would hold a hand at the edge until it comes back. Here the room near an edge is compressed just so much that
the clip's furthest hand fits: order and timing stay, places well inside do not move at all.
"""

from __future__ import annotations

import numpy as np

from ..hands.quaternions import rotate
from ..hands.rest import FINGERS
from ..types import Motion

PALM = 0.09
"""Metres from the wrist to the middle of the hand."""
RADIUS = 0.1
"""Metres from the middle of a hand to its furthest finger."""
LEAST_ROOM = 0.3
"""Share of the picture that is always left to the hands' middles, however large hands and margin are."""


def squeezed(motion: Motion, margin: float = 0.02) -> Motion:
    """The motion with its hands' places drawn in from the picture's edges, less a `margin` of its width; or itself.

    Whole hands fit, as far as the picture has room for one. Both hands go through one map: those that touch still do.
    """
    wrists = motion.wrists()
    middle = wrists + PALM * rotate(
        motion.rotations[:, :, 0].astype(np.float64), np.broadcast_to(FINGERS, wrists.shape)
    )
    shown = motion.visible & (middle[..., 2] > 0.05)
    if not shown.any():
        return motion
    height, width = motion.framing.size
    places = motion.framing.project(middle)
    large = RADIUS * motion.framing.focal / np.median(middle[shown][:, 2])
    new = places.copy()
    for axis, side in ((0, width), (1, height)):
        edge = min(margin * width / side + large / side, 0.5 - LEAST_ROOM / 2)
        values = places[..., axis]
        new[..., axis] = _below(values, float(values[shown].max()), 1 - edge)
        values = 1 - new[..., axis]
        new[..., axis] = 1 - _below(values, float(values[shown].max()), 1 - edge)
    shift = (new - places) * np.array([width, height]) * middle[..., 2:] / motion.framing.focal
    if not (np.abs(shift) > 0).any():
        return motion
    translations = motion.translations.astype(np.float64)
    translations[..., :2] += shift
    return motion.replace(translations=translations)


def _below(values: np.ndarray, largest: float, limit: float) -> np.ndarray:
    """Values pressed together so that `largest` becomes `limit`; none moves up to twice that far below the limit.

    k + z / (1 + b z) above a knee k: slope 1 at the knee and 1/4 at `largest`.
    """
    if largest <= limit:
        return values
    knee = max(2 * limit - largest, limit - 0.5)
    z = np.maximum(values - knee, 0)
    bend = 1 / (limit - knee) - 1 / (largest - knee)
    return np.where(z > 0, knee + z / (1 + bend * z), values)


__all__ = ["squeezed"]
