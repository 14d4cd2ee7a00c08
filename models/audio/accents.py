"""Prosodic intensity: how strongly each moment of a voice is stressed, by loudness, moving pitch and onsets.

Listeners take a syllable for stressed mostly because it is loud, less because its pitch moves (Kochanski, Grabe,
Coleman and Rosner 2005), and because it sets in clearly; hence the weights. ApoAvatar, whose refocusing this is for,
speaks of the energy of speech alone.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .pitch import padded, pitch
from .prosody import STEP, loudness
from .waveform import RATE

LOUD, MOVING, ONSET = 0.5, 0.3, 0.2
"""Weights of loudness by itself, of moving pitch and of onsets; they add up to 1."""
FULL_MOVEMENT = 40.0
"""Semitones a second that count as 1: a clear pitch accent. Drifting down over a sentence is a tenth of it."""
LARGEST_STEP = 3.0
"""Semitones between two steps above which it is not a voice that moves but an octave error or another voice."""
FULL_ONSET = 8.0
"""Decibels by which the bands rise within 40 ms, on average, that count as 1: a syllable after a stop."""
SMOOTHING = 2.5
"""Steps of standard deviation: 50 ms, about a quarter of a syllable."""
FIELD = 512
BANDS = 16
BLOCK = 500


def intensity(waveform: np.ndarray) -> np.ndarray:
    """Prosodic intensity 0..1 of a 16 kHz waveform (T,): (N,) float32 at 50 Hz, N = ceil(T / 320), centred like states.

    loudness x (0.5 + 0.3 pitch movement + 0.2 onset), under a Gaussian of 50 ms; the three are 0..1 and none depends on
    the recording's level. Loudness is `prosody.loudness`; as a factor it keeps pauses, and steady noise in them, at 0.
    Silence is 0 throughout. Nothing lags: every window is symmetric.
    """
    from scipy.ndimage import gaussian_filter1d

    loud = loudness(waveform).astype(np.float64)
    if not loud.any():
        return loud.astype(np.float32)
    stress = loud * (LOUD + MOVING * pitch_movement(*pitch(waveform)) + ONSET * onsets(waveform))
    even = gaussian_filter1d(stress, SMOOTHING, mode="constant", truncate=3.0)
    return np.clip(even, 0, 1).astype(np.float32)


def pitch_movement(hertz: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """How fast the pitch rises or falls, (N,) 0..1, from `pitch`'s (N,) Hz and periodicity: 1 is 40 semitones a second.

    Steps between voiced neighbours, with their signs, under a Gaussian of 30 ms: trembling cancels, a glide stays.
    Larger steps than 3 semitones do not count. Weighted by periodicity, 0 where there is no voice.
    """
    from scipy.ndimage import gaussian_filter1d

    if len(hertz) < 2:
        return np.zeros(len(hertz))
    tone = 12 * np.log2(np.maximum(hertz, 1.0).astype(np.float64))
    step = np.diff(tone)
    step[(hertz[1:] <= 0) | (hertz[:-1] <= 0) | (np.abs(step) > LARGEST_STEP)] = 0
    # The steps lie between the values: their means with the step before are centred again.
    centred = np.convolve(step, (0.5, 0.5))
    speed = np.abs(gaussian_filter1d(centred, 1.5, mode="constant")) * 50
    return np.clip(speed / FULL_MOVEMENT, 0, 1) * np.where(hertz > 0, strength, 0)


def onsets(waveform: np.ndarray) -> np.ndarray:
    """How clearly the sound sets in at each step, (N,) 0..1: 1 is a mean rise of 8 dB within 40 ms in 16 bands.

    Spectral flux in decibels: the half-wave rectified rise of each band's level, bands of equal width in logarithmic
    frequency from 100 to 7000 Hz. What lies less than 6 dB above a band's 10th percentile, or 60 dB below its
    loudest, hardly counts: steady noise has no onsets.
    """
    power = _band_powers(waveform)
    if len(power) < 3:
        return np.zeros(len(power))
    floor = np.maximum(4 * np.percentile(power, 10, axis=0), 1e-6 * power.max(0))
    level = 10 * np.log10(power + np.maximum(floor, 1e-20))
    rise = np.zeros(len(level))
    rise[1:-1] = np.maximum(level[2:] - level[:-2], 0).mean(1)
    return np.clip(rise / FULL_ONSET, 0, 1)


def _band_powers(waveform: np.ndarray) -> np.ndarray:
    """(N, BANDS) power under Hann windows of 32 ms centred on the steps."""
    count = -(-len(waveform) // STEP)
    window, edges = np.hanning(FIELD + 2)[1:-1], _edges()
    power = np.zeros((count, BANDS))
    for first in range(0, count, BLOCK):
        last = min(first + BLOCK, count)
        lead = (FIELD - STEP) // 2
        samples = padded(waveform, first * STEP - lead, (last - 1) * STEP - lead + FIELD)
        frames = np.lib.stride_tricks.sliding_window_view(samples, FIELD)[::STEP]
        spectrum = np.abs(np.fft.rfft(frames * window)) ** 2
        power[first:last] = np.add.reduceat(spectrum[:, : edges[-1]], edges[:-1], axis=1)
    return power


@lru_cache(maxsize=1)
def _edges() -> np.ndarray:
    """Bins (BANDS + 1,) between the bands; each has one bin at least."""
    edges = np.round(np.geomspace(100, 7000, BANDS + 1) * FIELD / RATE).astype(int)
    for i in range(1, len(edges)):
        edges[i] = max(edges[i], edges[i - 1] + 1)
    return edges
