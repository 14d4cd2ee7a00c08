"""How long a sound lasts and how many video frames that makes: the one place that decides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from ..errors import EMO2Error
from .waveform import check_audio

SLACK = 1e-10
"""Relative: far above the error of floating-point division, far below one sample of a sound that lasts an hour."""


def frame_count(duration: float | Fraction, fps: float | Fraction) -> int:
    """Video frames for `duration` seconds: ceil(duration * fps), at least 1.

    Fractions and whole numbers are counted exactly (`duration_of` gives a Fraction). With floats, a product that
    is a whole number but for the rounding of its factors counts as that number: 11.0 s at 25 fps and 330 / 29.97 s at
    29.97 fps have 275 and 330 frames.
    """
    for name, value, unit in (("duration", duration, "seconds"), ("fps", fps, "frames a second")):
        if not (math.isfinite(value) and value > 0):
            raise EMO2Error(name, f"a positive number of {unit}", value, "Give a value above zero.")
    if isinstance(duration, (Fraction, int)) and isinstance(fps, (Fraction, int)):
        return math.ceil(duration * fps)
    product = Fraction(duration) * Fraction(fps)
    nearest = round(product)
    exact = abs(product - nearest) <= SLACK * product
    return max(1, nearest if exact else math.ceil(product))


def duration_of(audio: Mapping[str, Any]) -> Fraction:
    """Seconds that an AUDIO lasts, exactly: its samples over its sample rate."""
    waveform, sample_rate = check_audio(audio)
    return Fraction(waveform.shape[-1], sample_rate)
