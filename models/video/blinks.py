"""How far the eyes are closed over time: blinks as people make them, blinks that somebody wrote down, a drawn curve."""

from __future__ import annotations

import numpy as np

from ..easing import ease
from ..errors import EMO2Error
from ..motion.edit import parse_track

CLOSING, CLOSED, OPENING = 0.09, 0.04, 0.2
"""Seconds. A lid falls about twice as fast as it rises (VanderWerf, Brassinga, Reits, Aramideh and Ongerboer de Visser
2003)."""
PER_MINUTE = 26.0
"""Median rate in conversation; 17 at rest (Bentivoglio et al. 1997)."""
LEAST_APART, SPREAD = 0.5, 0.7
"""Seconds between the beginnings of two blinks, and the deviation of the logarithm of the rest of the interval."""
PAUSE_SECONDS = 0.4
"""How far a blink is moved to meet a quieter moment: people blink at pauses."""


def natural_blinks(
    count: int, fps: float, seed: int, per_minute: float = PER_MINUTE, loudness: np.ndarray | None = None
) -> np.ndarray:
    """Closure (count,) 0..1 of eyes that blink `per_minute` times a minute on the average, at irregular intervals.

    loudness (count,): of the voice; each blink goes to the quietest moment within 0.4 s. The same seed gives the same
    blinks, whatever the length.
    """
    if per_minute <= 0:
        return np.zeros(count)
    rng = np.random.default_rng(seed)
    rest = max(60 / per_minute - LEAST_APART, 0.05)
    step = lambda: LEAST_APART + rest * float(np.exp(rng.normal(0, SPREAD) - SPREAD**2 / 2))
    moments = []
    at = step() * float(rng.uniform(0.2, 1))
    while at < count / fps:
        moments.append(at)
        at += step()
    if loudness is not None:
        moments = [_quietest(loudness, fps, moment) for moment in moments]
    return blinks_at(np.array(moments), count, fps)


def blinks_at(moments: np.ndarray, count: int, fps: float) -> np.ndarray:
    """Closure (count,) of eyes that begin to close at each of `moments` (n,) seconds.

    What a frame shows is the most that the eyes are closed while it lasts, so that no blink is lost between two frames.
    """
    closed = np.zeros(count)
    begins = np.arange(count) / fps
    for moment in moments:
        near = np.flatnonzero((begins > moment - 1 / fps) & (begins < moment + CLOSING + CLOSED + OPENING))
        # The frame's instant that is nearest to the closed phase.
        instant = np.clip(moment + CLOSING + CLOSED / 2, begins[near], begins[near] + 1 / fps) - moment
        closed[near] = np.maximum(closed[near], _closure(instant))
    return closed


def _closure(since: np.ndarray) -> np.ndarray:
    """Closure at seconds since a blink began."""
    return ease(since / CLOSING) * ease((CLOSING + CLOSED + OPENING - since) / OPENING)


def _quietest(loudness: np.ndarray, fps: float, moment: float) -> float:
    first, last = (
        max(int((moment - PAUSE_SECONDS) * fps), 0),
        min(int((moment + PAUSE_SECONDS) * fps) + 1, len(loudness)),
    )
    if last <= first:
        return moment
    part = loudness[first:last]
    # Of equally quiet moments the nearest.
    frames = np.arange(first, last)
    away = np.abs((frames + 0.5) / fps - moment)
    best = frames[np.lexsort((away, part))[0]]
    return moment if loudness[min(int(moment * fps), len(loudness) - 1)] <= part.min() else float((best + 0.5) / fps)


def written_blinks(text: str, count: int, fps: float, where: str = "written") -> np.ndarray:
    """Closure (count,) from a text: moments such as "1.2, 3.4" at which the eyes begin to blink, or a curve of
    second:closure pairs such as "0:0, 2:0, 2.5:1, 4:1, 4.3:0" with lines between. Nothing written: open eyes."""
    items = [item.strip() for item in text.replace("\n", ",").replace(";", ",").split(",") if item.strip()]
    if not items:
        return np.zeros(count)
    if any(":" in item for item in items):
        curve = parse_track(text, fps, count, where)
        if curve.min() < 0 or curve.max() > 1:
            given = f"{curve.min():g} to {curve.max():g}"
            raise EMO2Error(where, "values from 0 (open) to 1 (closed)", given, "Correct the values.")
        return curve
    moments = []
    for item in items:
        try:
            moment = float(item)
        except ValueError:
            moment = -1.0
        if not 0 <= moment < np.inf:
            wanted = 'moments such as "1.2, 3.4", or second:closure pairs such as "0:0, 2.5:1"'
            raise EMO2Error(where, wanted, repr(item[:40]), "Correct it.")
        moments.append(moment)
    return blinks_at(np.array(moments), count, fps)
