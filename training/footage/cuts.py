"""Where the shots of a video begin and end: hard cuts, jump cuts and dissolves, but no flashes.

Two frames are compared by their structure (a small grey picture) and their colours (a histogram). A cut is a difference
that stays: what comes before it resembles nothing of what comes after it, while a flash goes and the shot goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

SIDE = 24
"""Side of the small grey picture."""
LEVELS = 4
"""Histogram bins of each colour."""
HARD = 0.25
"""Difference (0..1) between two frames in a row that makes a cut."""
JUMP, JUMP_RATIO = 0.02, 2.5
"""A smaller one makes a jump cut if it is at least this, and that many times the largest near it."""
STAYS = 0.6
"""Share of the difference that must stay."""
SECONDS = 0.24
"""How long a flash may last, and how far to either side differences are compared."""
DISSOLVE, DISSOLVE_SECONDS = 0.4, 0.5
"""Difference between frames so far apart, without a cut in between, that makes a dissolve (or a fast pan)."""
CHUNK = 4096


@dataclass(frozen=True)
class Looks:
    """F frames in little: grey (F, SIDE, SIDE) uint8, colours (F, LEVELS^3) uint8 roots of shares times 255."""

    grey: np.ndarray
    colours: np.ndarray

    def __len__(self) -> int:
        return len(self.grey)


def look(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One frame of `Looks` from a picture (H, W, 3) uint8 of any size; about 64 pixels a side are enough."""
    import cv2

    small = cv2.resize(picture, (SIDE * 2, SIDE * 2), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    bins = (small.reshape(-1, 3) // (256 // LEVELS)) @ np.array([LEVELS * LEVELS, LEVELS, 1])
    share = np.bincount(bins, minlength=LEVELS**3) / len(bins)
    return grey, np.rint(np.sqrt(share) * 255).astype(np.uint8)


def differences(looks: Looks, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How much frames a (N,) differ from frames b (N,): (N,), 0 for the same, about 1 for unrelated pictures.

    Half is structure: |x - y|^2 / (|x|^2 + |y|^2) of grey pictures without their mean, so that brightness alone counts
    little. Half is the Hellinger distance of the colours.
    """
    out = np.empty(len(a))
    for at in range(0, len(a), CHUNK):
        part = slice(at, at + CHUNK)
        x, y = (looks.grey[i[part]].reshape(len(i[part]), -1).astype(np.float32) for i in (a, b))
        x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
        # Two grey levels of noise are no structure.
        whole = np.square(x).sum(1) + np.square(y).sum(1) + 2 * 4 * SIDE * SIDE
        structure = np.clip(np.square(x - y).sum(1) / whole, 0, 1)
        p, q = (looks.colours[i[part]].astype(np.float32) / 255 for i in (a, b))
        colour = np.clip(np.sqrt(np.square(p - q).sum(1) / 2), 0, 1)
        out[part] = (structure + colour) / 2
    return out


def find_cuts(looks: Looks, fps: float) -> np.ndarray:
    """Frames (n,) with which another shot begins, rising."""
    count = len(looks)
    if count < 2:
        return np.zeros(0, np.int64)
    reach = max(round(SECONDS * fps), 2)
    before = np.arange(count - 1)
    step = differences(looks, before, before + 1)  # step[i]: from frame i to frame i + 1
    cuts: list[int] = []
    for i in np.flatnonzero(step > JUMP).tolist():
        low, high = max(i - reach, 0), min(i + reach + 1, len(step))
        others = np.concatenate([step[low:i], step[i + 1 : high]])
        if step[i] <= HARD and not _spike(step[i], others):
            continue
        left, right = np.arange(low, i + 1), np.arange(i + 1, min(i + 1 + reach, count))
        apart = differences(looks, np.repeat(left, len(right)), np.tile(right, len(left)))
        if apart.min() < STAYS * step[i]:
            continue
        if cuts and i + 1 - cuts[-1] <= reach:  # two steps of one cut: the larger one is where it is
            if step[i] > step[cuts[-1] - 1]:
                cuts[-1] = i + 1
        else:
            cuts.append(i + 1)
    return np.array(cuts, np.int64)


def _spike(value: float, others: np.ndarray) -> bool:
    """Whether a difference stands alone: movement comes and goes over several frames, a jump cut does not."""
    return len(others) >= 3 and value > JUMP_RATIO * others.max()


def find_shots(looks: Looks, fps: float) -> list[tuple[int, int]]:
    """Shots (first frame, frame after the last), in order; frames of dissolves belong to none."""
    count, cuts = len(looks), find_cuts(looks, fps)
    free = np.ones(count, bool)
    span = max(round(DISSOLVE_SECONDS * fps), 2)
    if count > span:
        start = np.arange(count - span)
        changed = differences(looks, start, start + span)
        crossed = np.zeros(count + 1, np.int64)
        crossed[cuts] = 1
        crossed = np.cumsum(crossed)
        changed[crossed[start + span] > crossed[start]] = 0
        for i in np.flatnonzero(changed > DISSOLVE).tolist():
            # The strongest of the windows that overlap is the dissolve; a flash is over after it.
            near = slice(max(i - span // 2, 0), i + span // 2 + 1)
            if changed[i] == changed[near].max() and _stays(looks, i, i + span):
                free[i : i + span + 1] = False
    edges = np.zeros(count + 1, bool)
    edges[[0, *cuts.tolist(), count]] = True
    edges[1:count] |= free[1:] != free[:-1]
    places = np.flatnonzero(edges)
    return [(int(a), int(b)) for a, b in pairwise(places) if free[a]]


def _stays(looks: Looks, first: int, last: int) -> bool:
    """Whether what is there at `last` is not what was there at `first` a little later or earlier either."""
    count, more = len(looks), last - first
    left = np.array([max(first - more // 2, 0), first])
    right = np.array([last, min(last + more // 2, count - 1)])
    apart = differences(looks, np.repeat(left, 2), np.tile(right, 2))
    return bool(apart.min() > STAYS * DISSOLVE)


def divide(shot: tuple[int, int], longest: int) -> list[tuple[int, int]]:
    """A shot as equal clips of at most `longest` frames."""
    first, last = shot
    parts = max(-(-(last - first) // longest), 1)
    places = np.linspace(first, last, parts + 1).round().astype(int)
    return [(int(a), int(b)) for a, b in pairwise(places)]


__all__ = ["Looks", "differences", "divide", "find_cuts", "find_shots", "look"]
