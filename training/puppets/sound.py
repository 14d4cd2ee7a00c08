"""A sound with the events that the body follows, how its loudness runs, and the mild wear of recordings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RATE = 16000
ENVELOPE_RATE = 200
"""Steps a second of `envelope`."""


@dataclass(frozen=True)
class Sound:
    """waveform (T,) float32 at 16 kHz; syllables (n, 3): start s, end s, stress 0..1; apexes (n,): s, where each is
    loudest, which is where a stroke lands; pitch (n,): 0..1 within the sound; voice and sentence: who says (plays)
    what. beat: seconds a beat, 0 for speech."""

    waveform: np.ndarray
    syllables: np.ndarray
    apexes: np.ndarray
    pitch: np.ndarray
    voice: str
    sentence: str
    beat: float = 0.0


def envelope(waveform: np.ndarray) -> np.ndarray:
    """Amplitude (N,) of a 16 kHz waveform at 200 Hz, smoothed over about 40 ms; step n is at (n + 0.5) / 200."""
    hop = RATE // ENVELOPE_RATE
    count = -(-len(waveform) // hop)
    padded = np.zeros(count * hop)
    padded[: len(waveform)] = waveform
    power = np.square(padded).reshape(count, hop).mean(1)
    window = np.hanning(11)[1:-1]
    return np.sqrt(np.convolve(power, window / window.sum(), mode="same"))


def loudest(level: np.ndarray, start: float, end: float) -> float:
    """The instant (s) between `start` and `end` at which an `envelope` is highest."""
    first = min(max(int(start * ENVELOPE_RATE), 0), len(level) - 1)
    last = max(int(np.ceil(end * ENVELOPE_RATE)), first + 1)
    return (first + int(np.argmax(level[first:last])) + 0.5) / ENVELOPE_RATE


def worn(waveform: np.ndarray, rng: np.random.Generator, amount: float = 1.0) -> np.ndarray:
    """The waveform as a recording might bring it: level, tilt of the spectrum, a little room and noise.

    So that networks trained on synthetic voices do not take their cleanness for granted. The same length, peak < 1.
    """
    from scipy.signal import lfilter

    gain, tilt, wet, decay, noise, colour = rng.uniform(size=6)
    seed = int(rng.integers(2**31))
    x = waveform.astype(np.float64)
    tilt = amount * (tilt - 0.5) * 1.1
    x = lfilter([1.0, -tilt], [1.0], x)
    if wet < 0.5 * amount:
        # A few early echoes and a short decaying tail; the direct sound stays where it was.
        draw = np.random.default_rng(seed)
        length = int(RATE * (0.05 + 0.15 * decay))
        tail = draw.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
        tail[: RATE // 100] = 0
        tail *= (0.06 + 0.2 * wet) / np.sqrt(np.square(tail).sum())
        from scipy.signal import oaconvolve

        x = x + oaconvolve(x, tail)[: len(x)]
    peak = np.abs(x).max(initial=1e-9)
    level = 10 ** (-(1 + 14 * gain * amount) / 20)
    x = x / peak * level
    hiss = np.random.default_rng(seed + 1).standard_normal(len(x))
    hiss = lfilter([1.0], [1.0, -0.9 * colour], hiss)
    hiss *= level * 10 ** (-(38 + 25 * noise) / 20) * amount / np.sqrt(np.square(hiss).mean() + 1e-12)
    return (x + hiss).astype(np.float32)
