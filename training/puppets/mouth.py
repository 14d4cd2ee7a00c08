"""The mouth that a sound asks for: how far it opens and how wide it is, from the sound alone."""

from __future__ import annotations

import numpy as np

from ...models.audio import frame_count
from .sound import RATE

BAND = (250.0, 4500.0)
"""Hz in which a mouth makes itself heard: above hum and the voice's own buzz, below hiss."""
WINDOW = 1024
HEADROOM_DB = 24.0
"""How far below the clip's loud level the mouth is shut."""
ABOVE_NOISE_DB = 8.0
SILENT = 1e-5
"""Mean amplitude below which there is no sound, whatever the rest is."""
DARK, BRIGHT = 420.0, 2000.0
"""Spectral centroids (Hz) of the roundest and of the widest mouth."""


def mouth_shapes(waveform: np.ndarray, fps: float = 25.0) -> np.ndarray:
    """Mouth (F, 2) for a 16 kHz waveform (T,): opening 0..1 from loudness, width 0..1 from brightness.

    F = ceil(duration * fps); frame i is centred on (i + 0.5) / fps. Loudness is that of the band in which a mouth
    speaks, between the clip's own background noise and its loud level, so neither the recording's level nor its noise
    moves the lips; silence closes them. Opening is quick, closing a little slower. Music moves the mouth too.
    """
    waveform = np.asarray(waveform, np.float64).ravel()
    # A recording's constant offset would click where the sound begins and ends.
    waveform = waveform - waveform.mean() if len(waveform) else np.zeros(1)
    frames = frame_count(len(waveform) / RATE, fps)
    per = 2
    centres = np.round((np.arange(frames * per) + 0.5) / (fps * per) * RATE).astype(np.int64)
    padded = np.pad(waveform, (WINDOW // 2, WINDOW))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[np.minimum(centres, len(waveform))]
    power = np.square(np.abs(np.fft.rfft(windows * np.hanning(WINDOW), axis=1))) / (WINDOW * WINDOW * 0.375 / 2)
    frequency = np.fft.rfftfreq(WINDOW, 1 / RATE)
    band = (frequency >= BAND[0]) & (frequency <= BAND[1])
    energy = power[:, band].sum(1)
    level = 10 * np.log10(energy + SILENT**2 * 0.1)
    opening = _opening(level)
    centroid = (power[:, band] * frequency[band]).sum(1) / (energy + SILENT**2)
    width = np.clip(np.log(np.maximum(centroid, 1.0) / DARK) / np.log(BRIGHT / DARK), 0, 1)
    # A shut mouth has a neutral width.
    heard = np.clip(opening / 0.15, 0, 1)
    width = 0.4 + (width - 0.4) * heard
    width = np.convolve(np.pad(width, 2, mode="edge"), np.array([1, 2, 3, 2, 1]) / 9, mode="valid")
    shapes = np.stack([opening, width], -1).reshape(frames, per, 2).mean(1)
    return np.clip(shapes, 0, 1).astype(np.float32)


def _opening(level: np.ndarray) -> np.ndarray:
    """Opening (N,) for levels (N,) in dB, smoothed so that it rises at once and falls within about 60 ms."""
    heard = level[level > 20 * np.log10(SILENT)]
    if not len(heard):
        return np.zeros_like(level)
    loud = np.percentile(heard, 92)
    quiet = np.percentile(level, 8)
    shut = max(loud - HEADROOM_DB, min(quiet + ABOVE_NOISE_DB, loud - 10.0))
    raw = np.clip((level - shut) / (loud + 1.0 - shut), 0, 1)
    raw = np.where(level > 20 * np.log10(SILENT), raw, 0.0) ** 1.3
    out, state = np.empty_like(raw), 0.0
    for i, value in enumerate(raw):
        state = value if value > state else state + 0.55 * (value - state)
        out[i] = state
    return out
