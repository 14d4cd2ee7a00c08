"""Holding a motion to the speed that was asked for, while it is sampled.

The speed of a hand is its translation's variance (EMO2 section 3.3), so what is asked can be measured on every estimate
of the clean motion, and the estimate moved to it; the steps that follow make the rest of the body fit. Embedding alone
obeys only on average: what a sound suggests by itself is stronger.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..pose.body import ELBOWS, WRISTS
from ..types import HANDS, SHOULDER_METRES
from . import vector

BEGIN = 0.3
"""Share of signal from which estimates are held: one made of more noise than that shows an average, whose variance says
nothing yet."""
MOST = 2.0
"""Greatest factor by which one step moves a hand away from, or towards, its average place."""
BEND = 0.5
"""How far an elbow goes along with its wrist."""


def held_to_speed(
    clean: Tensor,
    speed: Sequence[float],
    mean: Tensor,
    std: Tensor,
    visible: Tensor | None = None,
    carried: int = 0,
) -> Tensor:
    """`clean` (n, 170), normalised by `mean` and `std` (170,), with each hand's variance moved to `speed`.

    speed: m^2 for the left and the right hand, below 0 where it is free. visible (n, 2) bool: frames of a hidden hand
    neither count nor move. carried: frames of the window before that these follow; over as many the hold sets in, so
    that nothing jumps. Hands keep their average place and their way of moving; wrists and elbows in the picture follow.
    """
    held = clean * std + mean
    points = held[:, vector.KEYPOINTS].unflatten(-1, (-1, 2))
    onset = (torch.arange(1, len(clean) + 1, device=clean.device) / (carried + 1)).clamp(max=1)[:, None].to(clean)
    for index in range(HANDS):
        if speed[index] < 0:
            continue
        seen = torch.ones(len(clean), dtype=torch.bool, device=clean.device) if visible is None else visible[:, index]
        place = held[:, vector.hand(index).stop - 3 : vector.hand(index).stop]
        if seen.sum() < 2:
            continue
        away = place - place[seen].mean(0)
        now = float(away[seen].square().sum(-1).mean())
        factor = (speed[index] / max(now, 1e-12)) ** 0.5
        moved = (min(max(factor, 1 / MOST), MOST) - 1) * away * onset * seen[:, None].to(away)
        place += moved
        for joint, share in ((WRISTS[index], 1.0), (ELBOWS[index], BEND)):
            points[:, joint] += share * moved[:, :2] / SHOULDER_METRES
    return (held - mean) / std
