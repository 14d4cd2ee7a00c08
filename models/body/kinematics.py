"""Forward kinematics of any tree of joints whose parents come before their children."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

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
    for joints, above in generations(tuple(parents)):
        places[:, joints] = places[:, above] + rotate(whole[:, above], rest[joints] - rest[above])
        whole[:, joints] = multiply(whole[:, above], turns[:, joints])
    return whole, places


@lru_cache(maxsize=8)
def generations(parents: tuple[int, ...]) -> tuple[tuple[list[int], list[int]], ...]:
    """(joints, their parents) by their distance from the first joint, nearest first: what can be posed at once."""
    depth = [0]
    for parent in parents[1:]:
        depth.append(depth[parent] + 1)
    groups = [[j for j, d in enumerate(depth) if d == level] for level in range(1, max(depth) + 1)]
    return tuple((joints, [parents[j] for j in joints]) for joints in groups)


def local(whole: np.ndarray, parents: Sequence[int]) -> np.ndarray:
    """Turns local to the parents (F, J, 4) from global ones; the inverse of what `chain` does to turns."""
    turns = np.array(whole, np.float64)
    above = np.asarray(parents[1:])
    turns[:, 1:] = multiply(conjugate(turns[:, above]), turns[:, 1:])
    return turns
