"""Forward kinematics of any tree of joints whose parents come before their children."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..hands.quaternions import conjugate, multiply, rotate


def chain(
    turns: np.ndarray, start: np.ndarray, rest: np.ndarray, parents: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Global turns (F, J, 4) and places (F, J, 3) of all joints.

    turns (F, J, 4): local to the parent, the first joint's global. start (F, 3): where the first joint is. rest (J, 3):
    the joints of the resting body. parents (J,): -1 for the first joint.
    """
    whole = np.empty(turns.shape, np.float64)
    places = np.empty((*turns.shape[:2], 3))
    whole[:, 0], places[:, 0] = turns[:, 0], start
    for joint in range(1, len(parents)):
        parent = parents[joint]
        places[:, joint] = places[:, parent] + rotate(whole[:, parent], rest[joint] - rest[parent])
        whole[:, joint] = multiply(whole[:, parent], turns[:, joint])
    return whole, places


def local(whole: np.ndarray, parents: Sequence[int]) -> np.ndarray:
    """Turns local to the parents (F, J, 4) from global ones; the inverse of what `chain` does to turns."""
    turns = np.array(whole, np.float64)
    above = np.asarray(parents[1:])
    turns[:, 1:] = multiply(conjugate(turns[:, above]), turns[:, 1:])
    return turns
