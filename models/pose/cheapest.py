"""The cheapest way through a clip when each frame has a few choices and changing between them costs (Viterbi)."""

from __future__ import annotations

import numpy as np


def cheapest(cost: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Which choice (N,) each frame takes, of S.

    cost (N, S): of each choice by itself. change (N - 1, S, S): of going from one in a frame to another in the next.
    Of equal ways the earlier choice wins.
    """
    total, back = cost[0].copy(), np.zeros(cost.shape, np.int64)
    for i in range(1, len(cost)):
        ways = total[:, None] + change[i - 1]
        back[i] = ways.argmin(0)
        total = ways.min(0) + cost[i]
        total -= total.min()  # only differences count, and hours must not add up
    path = np.zeros(len(cost), np.int64)
    path[-1] = total.argmin()
    for i in range(len(cost) - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    return path


def of_two(stay: np.ndarray, move: np.ndarray) -> np.ndarray:
    """`change` (N, 2, 2) between two choices: what staying (N,) with the one, and moving (N,) to the other, costs."""
    return np.stack([np.stack([stay, move], -1), np.stack([move, stay], -1)], -2)
