"""The voice's pitch at every step of 20 ms, by autocorrelation (Boersma 1993), all frames of a block at once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .prosody import STEP
from .waveform import RATE

DOWN = 4
"""Pitch is looked for at 4 kHz: voices sing below 400 Hz, and their first overtones tell the period."""
FRAME = 200
"""Samples of a frame at 4 kHz: 50 ms, three periods of the lowest voice."""
LOWEST, HIGHEST = 60.0, 400.0
VOICED = 0.5
"""Periodicity, 0..1, from which a frame counts as voiced."""
OCTAVE_COST = 0.02
"""How much periodicity an octave is worth: of equal peaks the higher pitch wins."""
FINE = 2048
"""Length of the transform back: it interpolates the autocorrelation to steps of 1/16000 s."""
TAPS = 65
BLOCK = 500
"""Steps that are computed at once: ten seconds."""


def pitch(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pitch and periodicity of a 16 kHz waveform (T,): (N,) Hz, 0 where there is no voice, and (N,) 0..1, at 50 Hz.

    N = ceil(T / 320), value n centred on (n + 0.5) / 50 s. The autocorrelation of 50 ms under a Hann window is divided
    by the window's own (Boersma 1993, equation 9), so a steady voice reaches 1; its highest peak between 60 and 400 Hz
    gives the period. The level of the recording does not matter. Nothing is tracked: an octave error stays one.
    """
    count = -(-len(waveform) // STEP)
    found, strength = np.zeros(count), np.zeros(count)
    for first in range(0, count, BLOCK):
        last = min(first + BLOCK, count)
        found[first:last], strength[first:last] = _periods(_frames(waveform, first, last))
    return np.where(strength > VOICED, found, 0).astype(np.float32), strength.astype(np.float32)


def _frames(waveform: np.ndarray, first: int, last: int) -> np.ndarray:
    """(last - first, FRAME) samples at 4 kHz, centred on the steps."""
    from scipy.signal import upfirdn

    hop = STEP // DOWN
    start, stop = hop * first + (hop - FRAME) // 2, hop * (last - 1) + (hop + FRAME) // 2
    lead = TAPS // 2
    samples = padded(waveform, DOWN * start - lead, DOWN * stop + lead)
    # The filter's middle lies `lead` samples in: the first outputs belong to samples before `start`.
    skip = 2 * lead // DOWN
    slow = upfirdn(_low_pass(), samples, 1, DOWN)[skip : skip + stop - start]
    return np.lib.stride_tricks.sliding_window_view(slow, FRAME)[::hop]


def _periods(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) Hz and (n,) periodicity of frames (n, FRAME)."""
    window, own = _window()
    centred = (frames - frames.mean(1, keepdims=True)) * window
    power = np.abs(np.fft.rfft(centred, 512)) ** 2
    lags = np.fft.irfft(power, FINE)[:, : len(own)]
    energy = lags[:, :1]
    heard = energy[:, 0] > 1e-20
    likeness = lags / np.where(heard[:, None], energy, 1) / own
    low, high = int(RATE / HIGHEST), int(RATE / LOWEST)
    part, before, after = (likeness[:, low + k : high + 1 + k] for k in (0, -1, 1))
    peak = (part >= before) & (part > after)
    cost = OCTAVE_COST * np.log2(np.arange(low, high + 1) / low)
    at = np.where(peak, part - cost, -1).argmax(1)
    row = np.arange(len(frames))
    found = heard & peak[row, at]
    y0, y1, y2 = before[row, at], part[row, at], after[row, at]
    bend = y0 - 2 * y1 + y2
    shift = np.where(np.abs(bend) > 1e-12, 0.5 * (y0 - y2) / np.where(bend == 0, 1, bend), 0)
    return RATE / (low + at + np.clip(shift, -0.5, 0.5)), np.where(found, np.clip(y1, 0, 1), 0)


@lru_cache(maxsize=1)
def _window() -> tuple[np.ndarray, np.ndarray]:
    """The Hann window (FRAME,) and its autocorrelation, 1 at lag 0, in the fine steps that are needed."""
    window = np.hanning(FRAME + 2)[1:-1]
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 512)) ** 2, FINE)
    return window, own[: int(RATE / LOWEST) + 2] / own[0]


@lru_cache(maxsize=1)
def _low_pass() -> np.ndarray:
    from scipy.signal import firwin

    return firwin(TAPS, 1000, fs=RATE)


def padded(waveform: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Samples start..stop-1 (float64), zeros beyond the ends of the sound."""
    inner = np.asarray(waveform[max(start, 0) : max(min(stop, len(waveform)), 0)], np.float64)
    samples = np.zeros(stop - start)
    offset = max(start, 0) - start
    samples[offset : offset + len(inner)] = inner
    return samples
