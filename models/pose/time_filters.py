"""Filters along time for tracks of points and rotations, with windows in seconds: what they do is the same at any fps.

A track set is values (F, N, C) with known (F, N) bool: N tracks of C numbers over F frames. Unknown entries neither
count nor change. Lengths are in any one unit, usually shoulder widths; speeds in that unit a second.
"""

from __future__ import annotations

from typing import Any

import numpy as np

CELLS = 4_000_000
"""Numbers that a sliding window may lay out at once; longer clips are filtered in parts."""
NORMAL = 1.4826
"""A normal distribution's deviation over its median absolute deviation."""


def half_window(seconds: float, fps: float, least: int = 0) -> int:
    """Frames on either side of the middle one in a window of `seconds`."""
    return max(int(seconds * fps / 2 + 1e-9), least)


def sliding_median(values: np.ndarray, known: np.ndarray, radius: int) -> np.ndarray:
    """Median (F, N, C) of the known values in the 2 radius + 1 frames around each, fewer at the ends. 0 if none is."""
    count, tracks, channels = values.shape
    result = np.zeros(values.shape)
    if radius < 1 or not known.any():
        return np.where(known[..., None], values, 0.0)
    pad = ((radius, radius), (0, 0))
    held = np.pad(np.where(known[..., None], values, np.inf), (*pad, (0, 0)), constant_values=np.inf)
    share = np.pad(known, pad)
    width = 2 * radius + 1
    step = max(CELLS // max(width * tracks * channels, 1), 1)
    for start in range(0, count, step):
        stop = min(start + step, count)
        view = np.lib.stride_tricks.sliding_window_view(held[start : stop + 2 * radius], width, axis=0)
        # Unknown ones are infinite and so sort to the end.
        ordered = np.sort(view, axis=-1)
        present = np.lib.stride_tricks.sliding_window_view(share[start : stop + 2 * radius], width, axis=0).sum(-1)
        upper = np.where(present > 0, present // 2, 0)[..., None, None]
        lower = np.maximum(np.where(present > 0, (present - 1) // 2, 0), 0)[..., None, None]
        pick = lambda at, ordered=ordered: np.take_along_axis(
            ordered, np.broadcast_to(at, (*ordered.shape[:-1], 1)), -1
        )[..., 0]
        some = (present > 0)[..., None]
        result[start:stop] = np.where(some, (np.where(some, pick(lower), 0) + np.where(some, pick(upper), 0)) / 2, 0)
    return result


def median_filter(values: np.ndarray, known: np.ndarray, fps: float, seconds: float) -> np.ndarray:
    """The large-kernel median filter: each known value becomes the median of the `seconds` around it.

    Near the ends the window shrinks to stay symmetric, so that the first and the last value are kept.
    """
    radius = half_window(seconds, fps)
    if radius < 1:
        return values
    count = len(values)
    middle = sliding_median(values, known, radius)
    edge = min(radius, (count + 1) // 2)
    for near in range(edge):
        for at, part in ((near, slice(0, 2 * near + 1)), (count - 1 - near, slice(count - 1 - 2 * near, count))):
            middle[at] = sliding_median(values[part], known[part], near)[near] if near else values[at]
    return np.where(known[..., None], middle, values)


def outliers(
    values: np.ndarray,
    known: np.ndarray,
    fps: float,
    speed: float | np.ndarray,
    longest: float = 0.2,
    sigmas: float = 3.0,
    least: float = 0.04,
) -> np.ndarray:
    """Known entries (F, N) that jump away and come back: Hampel's identifier, for runs of up to `longest` seconds.

    Candidates are the pieces of at most `longest` seconds that jumps faster than `speed` (a number, or one for each
    track) cut off: true movement gets to its place and back at a speed that a body has. Of a candidate the entries go
    that lie further from the median around them than `sigmas` robust deviations, or off the straight way between the
    frames before and after by more than half its length; and by more than `least`. A jump to where a track then stays,
    as at a cut, is none. (Hampel 1974; Pearson 2002.)
    """
    count = len(values)
    bad = np.zeros(known.shape, bool)
    limit = np.broadcast_to(np.asarray(speed, np.float64), known.shape[1:])
    if count < 3 or not known.any() or not np.isfinite(limit).any():
        return bad
    radius = max(int(np.ceil(1.25 * longest * fps - 1e-9)), 1)
    middle = sliding_median(values, known, radius)
    away = np.linalg.norm(values - middle, axis=-1)
    spread = NORMAL * sliding_median(away[..., None], known, radius)[..., 0]
    far = known & (away > np.maximum(sigmas * spread, least))
    most = max(int(longest * fps + 1e-9), 1)
    for track in range(known.shape[1]):
        at = np.flatnonzero(known[:, track])
        if len(at) < 2:
            continue
        places, steps = values[at, track], np.diff(at)
        jumps = np.linalg.norm(np.diff(places, axis=0), axis=-1) * fps / steps > limit[track]
        if not jumps.any():
            continue
        # A gap ends a piece as well; but without a jump at either end a piece is no candidate.
        piece = np.concatenate([[0], np.cumsum(jumps | (steps > 1))])
        first = np.searchsorted(piece, np.arange(piece[-1] + 1))
        last = np.append(first[1:], len(at)) - 1
        torn = np.concatenate([[False], jumps, [False]])
        short = (at[last] - at[first] + 1 <= most) & (torn[first] | torn[last + 1])
        bad[at, track] = short[piece] & (far[at, track] | _off_the_way(at, places, short[piece], most, least))
    return bad


def _off_the_way(at: np.ndarray, places: np.ndarray, short: np.ndarray, most: int, least: float) -> np.ndarray:
    """Which entries (K,) of runs marked `short`, of at most `most` frames, leave the line between the entries around.

    at (K,): frames. places (K, C). By more than half the line's length, and than `least`.
    """
    off = np.zeros(len(at), bool)
    edge = np.diff(np.concatenate([[0], short.astype(np.int8), [0]]))
    for start, stop in zip(np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)):
        if start == 0 or stop == len(at) or at[stop - 1] - at[start] + 1 > most:
            continue
        a, b = start - 1, stop
        share = ((at[start:stop] - at[a]) / (at[b] - at[a]))[:, None]
        away = np.linalg.norm(places[start:stop] - places[a] * (1 - share) - places[b] * share, axis=-1)
        off[start:stop] = away > max(0.5 * float(np.linalg.norm(places[b] - places[a])), least)
    return off


def one_euro(
    values: np.ndarray,
    known: np.ndarray,
    fps: float,
    cutoff: float | np.ndarray,
    beta: float | np.ndarray,
    derivative_cutoff: float = 4.0,
    zero_phase: bool = True,
) -> np.ndarray:
    """The one-euro filter (Casiez, Roussel & Vogel 2012): a low-pass whose cut-off grows with the speed.

    cutoff: Hz at rest; beta: Hz for each unit a second; numbers, or one for each track (N,). derivative_cutoff: Hz at
    which the speed itself is evened out.
    zero_phase: there and back, once beginning with each direction, and the mean of both, so that nothing comes late and
    the filter is the same for the clip run backwards; else causal, as a live filter is. A track begins anew after
    frames in which it is unknown.
    """
    if len(values) < 2 or not np.any(np.asarray(cutoff) > 0):
        return values
    run = lambda v, k: _euro(v, k, fps, cutoff, beta, derivative_cutoff)
    if zero_phase:
        there = run(run(values, known)[::-1], known[::-1])[::-1]
        back = run(run(values[::-1], known[::-1])[::-1], known)
        result = (there + back) / 2
    else:
        result = run(values, known)
    return np.where(known[..., None], result, values)


def _euro(values: np.ndarray, known: np.ndarray, fps: float, cutoff: Any, beta: Any, derivative: float) -> np.ndarray:
    """One causal pass."""
    cutoff, beta = (np.broadcast_to(np.asarray(v, np.float64), known.shape[1:])[:, None] for v in (cutoff, beta))
    result = np.array(values, np.float64)
    share = lambda hertz: 1 / (1 + fps / (2 * np.pi * hertz))
    slow = share(derivative)
    smooth, velocity = result[0].copy(), np.zeros(values.shape[1:])
    for i in range(1, len(values)):
        going = (known[i] & known[i - 1])[:, None]
        step = np.where(going, (values[i] - values[i - 1]) * fps, 0.0)
        velocity = np.where(going, velocity + slow * (step - velocity), 0.0)
        amount = share(cutoff + beta * np.linalg.norm(velocity, axis=-1, keepdims=True))
        smooth = np.where(going, smooth + amount * (values[i] - smooth), values[i])
        result[i] = smooth
    return result


__all__ = ["half_window", "median_filter", "one_euro", "outliers", "sliding_median"]
