"""Where a hand was while it could not be seen: eased from where it vanished to where it came back."""

from __future__ import annotations

import numpy as np
import torch

from ..easing import ease as eased
from ..hands.quaternions import from_matrix, slerp, to_matrix
from ..types import Framing
from .gaps import on_lines
from .hand_solver import State


def gaps(known: np.ndarray) -> list[tuple[int, int]]:
    """Runs (start, stop) of unknown frames in known (F,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], known, [True]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2])]


def bridged(
    state: State, known: np.ndarray, arm: np.ndarray, arm_known: np.ndarray, framing: Framing
) -> State:  # fmt: skip
    """The state with its unknown frames, known (F, 2), replaced.

    Turns and angles ease from the last known frame to the next one and are held before the first and after the last.
    Places follow the arm's wrist where the body's points have it: arm (F, 2, 2) pixels from the picture's centre and
    arm_known (F, 2); elsewhere they ease likewise. A hand that is known in no frame stays as it is.
    """
    wrist = from_matrix(state.wrist.numpy())
    place, angles = state.place.numpy().copy(), state.angles.numpy().copy()
    count = len(known)
    for hand in (0, 1):
        if not known[:, hand].any():
            continue
        seen = arm_known[:, hand]
        track = on_lines(arm[:, hand], seen) if seen.any() else np.zeros_like(arm[:, hand])
        for start, stop in gaps(known[:, hand]):
            rows = np.arange(start, stop)
            before, after = (start - 1 if start else stop), (stop if stop < count else start - 1)
            share = eased((rows - start + 1) / (stop - start + 1))
            ease = lambda a, b, n: a + (b - a) * share.reshape(-1, *[1] * n)  # noqa: B023
            wrist[rows, hand] = slerp(wrist[before, hand][None], wrist[after, hand][None], share)
            angles[rows, hand] = ease(angles[before, hand], angles[after, hand], 2)
            ends = place[[before, after], hand]
            place[rows, hand] = ease(ends[0], ends[1], 1)
            if arm_known[rows, hand].any():
                # The hand's own wrist point lies a little beside the body's: the difference fades from end to end.
                aside = ends[:, :2] * framing.focal / ends[:, 2:] - track[[before, after]]
                pixels = track[rows] + ease(aside[0], aside[1], 1)
                place[rows, hand, :2] = pixels * place[rows, hand, 2:] / framing.focal
    return State(torch.from_numpy(to_matrix(wrist)), torch.from_numpy(place), torch.from_numpy(angles))
