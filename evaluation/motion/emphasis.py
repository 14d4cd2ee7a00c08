"""Whether hands move when the voice stresses, and rest when it is silent (what ApoAvatar's refocusing is for)."""

from __future__ import annotations

import warnings

import numpy as np

from ...models.errors import EMO2Error
from .points import speeds

QUIET = 0.05
"""Prosodic intensity below which nothing is said."""
LEAST_PAUSE = 0.3
"""Seconds that it must stay there: the closure of a stop is no pause."""
LEAD = 0.12
"""Seconds by which the hands of stage 1 and of puppets lead: there their speed goes with the voice most, since strokes
land on the stressed syllable. Both lags are worth reading, this and none."""


def hand_speed(points: np.ndarray, fps: float) -> np.ndarray:
    """Speed of the hands (F,) in m/s: the mean over the points (F, hands, K, 3) metres of the hands that are visible.

    Central differences, nothing smoothed. NaN where no hand is visible.
    """
    speed = speeds(points, fps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(speed.reshape(len(speed), -1), axis=1)


def speed_intensity(speed: np.ndarray, intensity: np.ndarray, lag: int = 0) -> float:
    """Pearson's correlation of the hands' speed (F,) with the voice's prosodic intensity (F,), frame by frame, -1..1.

    lag: frames by which the hands are taken to trail the voice (below 0: to lead it); 0 compares the same instants.
    Frames whose speed is NaN are left out; NaN where a side does not vary or fewer than 3 frames are left. Higher is
    more accented; human speakers are not near 1: compare with the same motion before an edit, and with another
    clip's voice.
    """
    speed, intensity = np.asarray(speed, np.float64), np.asarray(intensity, np.float64)
    if speed.shape != intensity.shape or speed.ndim != 1:
        given = f"shapes {speed.shape} and {intensity.shape}"
        raise EMO2Error("speed and intensity", "one value a frame of each", given, "Cut both to the same frames.")
    count = len(speed) - abs(lag)
    if count < 3:
        return float("nan")
    a, b = speed[max(lag, 0) :][:count], intensity[max(-lag, 0) :][:count]
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    if len(a) < 3 or a.std() < 1e-9 or b.std() < 1e-9:
        return float("nan")
    return float(np.clip(np.corrcoef(a, b)[0, 1], -1, 1))


def pauses(intensity: np.ndarray, fps: float, quiet: float = QUIET, least: float = LEAST_PAUSE) -> np.ndarray:
    """Frames (F,) bool in which nothing is said: intensity (F,) below `quiet` for at least `least` seconds."""
    low = np.concatenate([[False], np.asarray(intensity) < quiet, [False]])
    edges = np.flatnonzero(np.diff(low.astype(int))).reshape(-1, 2)
    found = np.zeros(len(low) - 2, bool)
    for first, stop in edges:
        found[first:stop] = stop - first >= least * fps
    return found


def motion_in_silence(speed: np.ndarray, silent: np.ndarray) -> float:
    """Mean speed (F,) in m/s over the silent frames (F,) bool; lower is calmer. NaN where there is no pause.

    Compare with the same motion before an edit, or with the speed while the voice speaks.
    """
    chosen = np.asarray(speed, np.float64)[np.asarray(silent, bool)]
    chosen = chosen[np.isfinite(chosen)]
    return float(chosen.mean()) if chosen.size else float("nan")
