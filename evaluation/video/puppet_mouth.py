"""Does the mouth in the picture follow the sound?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .measured import Measured

REACH = 5
"""Lags that are tried, in frames either way: a fifth of a second at 25 fps."""
ONSET = 12
"""Frames at a clip's beginning that the control leaves out. Every clip opens with silence, and that alone correlates:
true mouths of 48 frames from the start of a performance reach 0.25 against other clips' sound with these frames, 0.01
without."""
STILL = 1e-3
"""A mouth (or a sound's opening) whose deviation is below this does not move."""


def mouth_correlation(openings: Sequence[np.ndarray], sounds: Sequence[np.ndarray], reach: int = REACH) -> Measured:
    """Correlation at each clip's best lag of the opening seen in the picture (F,) with the one the sound asks for (F,).

    The sound's: `mouth_shapes(waveform, fps)[:, 0]`. A mouth that does not move has correlation 0; a silent sound gives
    nothing to measure. Higher is better.
    """
    return Measured("mouth follows the sound", "higher", [best_lag(a, b, reach)[0] for a, b in zip(openings, sounds)])


def mouth_lag(openings: Sequence[np.ndarray], sounds: Sequence[np.ndarray], reach: int = REACH) -> Measured:
    """The best lag in frames, one a clip: positive where the mouth comes after its sound. Best is 0."""
    return Measured("mouth lag", "", [best_lag(a, b, reach)[1] for a, b in zip(openings, sounds)], note="frames")


def common_lag(
    openings: Sequence[np.ndarray], sounds: Sequence[np.ndarray], indices: np.ndarray | None = None, reach: int = REACH
) -> tuple[float, float]:
    """(lag, correlation) at the lag that is best for all clips together (or those with `indices`)."""
    chosen = range(len(openings)) if indices is None else indices
    curves = np.array([correlations(openings[i], sounds[i], reach) for i in chosen])
    curves = curves[np.isfinite(curves).all(1)]
    if not len(curves):
        return float("nan"), float("nan")
    mean = curves.mean(0)
    best = int(mean.argmax())
    return float(best - reach), float(mean[best])


def mouth_control(openings: Sequence[np.ndarray], sounds: Sequence[np.ndarray], onset: int = ONSET) -> Measured:
    """The same correlation at lag 0 with the sounds of all OTHER clips, one value a clip: what chance gives.

    The mean over at least 50 clips must be near 0; otherwise a correlation with the own sound says little. The first
    `onset` frames (at most a third of a clip) are left out.
    """
    values = []
    cut = lambda track: np.asarray(track)[min(onset, len(track) // 3) :]
    openings, sounds = [cut(track) for track in openings], [cut(track) for track in sounds]
    for i, opening in enumerate(openings):
        others = [pearson(opening, sound) for k, sound in enumerate(sounds) if k != i]
        others = [value for value in others if np.isfinite(value)]
        values.append(float(np.mean(others)) if others else np.nan)
    return Measured(
        "mouth against other clips' sound", "", values, note=f"lag 0, without the first {onset} frames; best is 0"
    )


def best_lag(opening: np.ndarray, sound: np.ndarray, reach: int = REACH) -> tuple[float, float]:
    """(correlation, lag) where the correlation is greatest; of equal ones the lag nearest to 0."""
    curve = correlations(opening, sound, reach)
    if not np.isfinite(curve).any():
        return float("nan"), float("nan")
    lags = np.arange(-reach, reach + 1)
    order = np.argsort(np.abs(lags), kind="stable")
    best = order[np.nanargmax(np.round(curve[order], 12))]
    return float(curve[best]), float(lags[best])


def correlations(opening: np.ndarray, sound: np.ndarray, reach: int = REACH) -> np.ndarray:
    """Correlations (2 reach + 1,) at lags -reach to reach: at lag k mouth frame i meets sound frame i - k."""
    count = min(len(opening), len(sound))
    a, b = np.asarray(opening, np.float64)[:count], np.asarray(sound, np.float64)[:count]
    values = []
    for lag in range(-reach, reach + 1):
        overlap = count - abs(lag)
        if overlap < 3:
            values.append(np.nan)
            continue
        mouth = a[lag:] if lag >= 0 else a[:lag]
        heard = b[: count - lag] if lag >= 0 else b[-lag:]
        values.append(pearson(mouth, heard))
    return np.array(values)


def pearson(mouth: np.ndarray, sound: np.ndarray) -> float:
    """Correlation over the frames both have; 0 for a mouth that does not move, NaN where the sound does not."""
    count = min(len(mouth), len(sound))
    a, b = np.asarray(mouth, np.float64)[:count], np.asarray(sound, np.float64)[:count]
    if count < 3 or b.std() < STILL:
        return float("nan")
    if a.std() < STILL:
        return 0.0
    return float(((a - a.mean()) * (b - b.mean())).mean() / (a.std() * b.std()))
