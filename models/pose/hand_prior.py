"""What hands do and do not: ranges of the finger joints, how they bend together, and how fast they change.

Ranges are those of clinical goniometry with some play (American Academy of Orthopaedic Surgeons 1965; Hume et al.
1990), the last joint bends about two thirds as far as the middle one (Landsmeer's link; Rijpkema & Girard 1991), and
neighbouring fingers bend alike. All are soft: clear points win.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .hand_chain import BENDING, FINGERS, HINGES

SIZE = FINGERS * HINGES
THUMB = 0
LINK, LINK_PLAY = 0.65, 0.2
"""The last joint's bend as a part of the middle one's, and the deviation from it (radians)."""
NEIGHBOURS = 0.45
"""How differently neighbouring fingers bend (deviation, radians)."""
EDGE = 0.05
"""How softly ranges end (radians)."""

# sideways, along, bending | sideways, bending | bending: mean, deviation, least and most, radians.
_FINGER = (
    (0.0, 0.2, -0.45, 0.45), (0.0, 0.08, -0.25, 0.25), (0.4, 0.6, -0.4, 1.6),
    (0.0, 0.05, -0.15, 0.15), (0.5, 0.6, -0.1, 1.9), (0.35, 0.6, -0.15, 1.4),
)  # fmt: skip
_THUMB = (
    (0.0, 0.2, -0.6, 0.6), (0.0, 0.15, -0.5, 0.5), (0.15, 0.4, -0.5, 1.0),
    (0.0, 0.08, -0.2, 0.2), (0.2, 0.4, -0.4, 1.1), (0.25, 0.4, -0.6, 1.4),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Prior:
    """A Gaussian on the 30 hinge angles of a hand with soft walls: mean (30,), precision (30, 30), low and high (30,).

    It is the same for both hands, whose axes are mirror images.
    """

    mean: Tensor
    precision: Tensor
    low: Tensor
    high: Tensor

    def terms(self, angles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Cost (N, 2), slope (N, 2, 30) and additional diagonal curvature (N, 2, 30) at angles (N, 2, 5, 6)."""
        values = angles.flatten(2)
        away = values - self.mean
        pull = away @ self.precision
        over = (values - self.high).clamp_min(0) - (self.low - values).clamp_min(0)
        wall = 1 / EDGE**2
        cost = 0.5 * (away * pull).sum(-1) + 0.5 * wall * (over**2).sum(-1)
        return cost, pull + wall * over, wall * (over != 0)


def anatomy() -> Prior:
    """The prior of an ordinary hand."""
    rows = np.array([_THUMB] + [_FINGER] * 4).reshape(SIZE, 4)
    mean, play, low, high = rows.T
    precision = np.diag(1 / play**2)

    def tie(weights: dict[int, float], deviation: float) -> None:
        row = np.zeros(SIZE)
        row[list(weights)] = list(weights.values())
        precision[:] += np.outer(row, row) / deviation**2

    for finger in range(FINGERS):
        if finger != THUMB:
            first = finger * HINGES
            tie({first + BENDING[2]: 1.0, first + BENDING[1]: -LINK}, LINK_PLAY)
            if finger + 1 < FINGERS:
                for hinge in BENDING[:2]:
                    tie({first + hinge: 1.0, first + HINGES + hinge: -1.0}, NEIGHBOURS)
    tensor = lambda array: torch.from_numpy(np.ascontiguousarray(array))
    return Prior(tensor(mean), tensor(precision), tensor(low), tensor(high))


@dataclass(frozen=True)
class Changes:
    """How restless a hand is: square roots of the spectral densities of white accelerations, in seconds.

    Over a step of t seconds the second difference of a quantity has the deviation `restlessness` t^1.5, whatever the
    frame rate. turn: wrist, radians; move: wrist, metres; bend: hinges, radians.
    """

    turn: float = 5.0
    move: float = 1.2
    bend: float = 5.0
