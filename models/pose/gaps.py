"""Gaps in tracks over time: where they are, and filling the short ones along monotone cubics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SLOPE_SECONDS = 0.08
"""How far before and after a gap its ends' speeds are measured: one frame would carry a detector's trembling in."""


class Gaps(NamedTuple):
    """Stretches of unknown frames: track n is unknown from frame first to last, G of each."""

    track: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @property
    def frames(self) -> np.ndarray:
        return self.last - self.first + 1


def gaps(known: np.ndarray) -> Gaps:
    """All stretches in which a track of known (F, N) is unknown, in order of track and time."""
    lost = np.pad(~known, ((1, 1), (0, 0))).astype(np.int8)
    step = np.diff(lost, axis=0)
    track, first = np.nonzero(step.T == 1)
    _, after = np.nonzero(step.T == -1)
    return Gaps(track, first, after - 1)


def mask(found: Gaps, chosen: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Frames and tracks (F, N) bool that lie in the `chosen` (G,) gaps."""
    edge = np.zeros((shape[0] + 1, shape[1]), np.int64)
    np.add.at(edge, (found.first[chosen], found.track[chosen]), 1)
    np.add.at(edge, (found.last[chosen] + 1, found.track[chosen]), -1)
    return np.cumsum(edge, axis=0)[:-1] > 0


def fill(
    values: np.ndarray, scores: np.ndarray, known: np.ndarray, fps: float, longest: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(values, scores, filled (F, N)): gaps of at most `longest` seconds between known frames bridged.

    values (F, N, C), scores (F, N), known (F, N). Along monotone cubics (Fritsch & Carlson 1980), which never swing
    beyond the two values they join; a bridged entry has the lower one of its two ends' scores. Gaps at the clip's
    beginning and end have one side only and stay.
    """
    found = gaps(known)
    count, tracks = known.shape
    most = int(longest * fps + 1e-9)
    chosen = np.flatnonzero((found.frames <= most) & (found.first > 0) & (found.last < count - 1))
    filled = np.zeros(known.shape, bool)
    if not len(chosen):
        return values, scores, filled
    filled = mask(found, chosen, (count, tracks))
    values, scores = np.array(values), np.array(scores)
    n, a, b = found.track[chosen], found.first[chosen] - 1, found.last[chosen] + 1
    reach, width = max(round(SLOPE_SECONDS * fps), 1), (b - a)[:, None]
    before = a - np.minimum(_run(known)[a, n] - 1, reach)
    after = b + np.minimum(_run(known[::-1])[::-1][b, n] - 1, reach)
    first, last = values[a, n].astype(np.float64), values[b, n].astype(np.float64)
    chord = (last - first) / width
    speed = lambda p, q, way: np.where((q > p)[:, None], way / np.maximum(q - p, 1)[:, None], chord)
    entry = _slope(speed(before, a, first - values[before, n]), chord)
    leave = _slope(speed(b, after, values[after, n] - last), chord)
    lower = np.minimum(scores[a, n], scores[b, n])
    # One row for each bridged frame: which gap it is in, and where.
    gap = np.repeat(np.arange(len(chosen)), b - a - 1)
    step = np.arange(len(gap)) - np.repeat(np.cumsum(b - a - 1) - (b - a - 1), b - a - 1) + 1
    t = step[:, None] / width[gap]
    values[a[gap] + step, n[gap]] = (
        first[gap] * (1 + 2 * t) * (1 - t) ** 2
        + last[gap] * t**2 * (3 - 2 * t)
        + width[gap] * (entry[gap] * t * (1 - t) ** 2 - leave[gap] * t**2 * (1 - t))
    )
    scores[a[gap] + step, n[gap]] = lower[gap]
    return values, scores, filled


def on_lines(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Unknown rows of values (F, C), known (F,), on lines between known ones and held beyond; at least one is known."""
    times = np.arange(len(values))
    return np.stack([np.interp(times, times[known], column[known]) for column in values.T], 1)


def _run(known: np.ndarray) -> np.ndarray:
    """How many frames in a row a track has been known by each frame (F, N), that frame included."""
    frame = np.arange(1, len(known) + 1)[:, None]
    return frame - np.maximum.accumulate(np.where(known, 0, frame), axis=0)


def _slope(outer: np.ndarray, chord: np.ndarray) -> np.ndarray:
    """The slope at a gap's end: harmonic mean of both sides', 0 where they differ in sign; so the cubic is monotone."""
    same = outer * chord > 0
    total = np.where(same, outer + chord, 1.0)
    return np.where(same, 2 * outer * chord / total, 0.0)


def hysteresis(scores: np.ndarray, low: float, high: float) -> np.ndarray:
    """Entries (F, N) in stretches of scores of at least `low` (and above 0) that reach `high` somewhere.

    A point that hovers about one threshold would flicker. The same for the clip run backwards.
    """
    above = (scores >= low) & (scores > 0)
    runs = gaps(~above)
    if not len(runs.track):
        return above
    sure = np.concatenate([np.zeros((1, scores.shape[1]), np.int64), np.cumsum(scores >= high, axis=0)])
    reached = sure[runs.last + 1, runs.track] - sure[runs.first, runs.track] > 0
    return mask(runs, np.flatnonzero(reached), scores.shape)


__all__ = ["Gaps", "fill", "gaps", "hysteresis", "mask", "on_lines"]
