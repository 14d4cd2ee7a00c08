"""Emotions over time, from one for all or from a script in which each line names one."""

from __future__ import annotations

import numpy as np

from ..direction.script import Script
from ..errors import EMO2Error
from .face_track import EMOTIONS, NEUTRAL, weights


def emotion_weights(
    script: Script | None, count: int, fps: float, base: str | np.ndarray = "neutral", strength: float = 1.0,
    where: str = "script",
) -> np.ndarray:  # fmt: skip
    """Weights (count, 8) of EMOTIONS: `base`, one emotion or its weights (count, 8), at a strength of 0..1, and over it
    the script's lines.

    A line's text is an emotion's name; its strength of 0..1 is mixed with neutral, and its blends fade between the base
    and it. Each row adds up to 1. where: the script's input, for errors.
    """
    if isinstance(base, str):
        track = np.tile(weights(base, strength).astype(np.float64), (count, 1))
    else:
        track = weights(EMOTIONS[NEUTRAL]) * (1 - strength) + np.asarray(base, np.float64) * strength
    times = (np.arange(count) + 0.5) / fps
    for beat in () if script is None else script.lines:
        name = beat.text.casefold().strip(" .!")
        at = f"{where}, line {beat.line}"
        if name not in EMOTIONS:
            raise EMO2Error(at, f"one of {', '.join(EMOTIONS)}", repr(beat.text[:80]), "Name one of them.")
        if beat.strength > 1:
            raise EMO2Error(at, "a strength from 0 to 1", f"{beat.strength:g}", "An emotion shows wholly at 1.")
        share = beat.presence(times, count / fps)[:, None]
        track = track * (1 - share) + weights(name, beat.strength) * share
    return track
