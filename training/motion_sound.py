"""What the small voice encoder learns besides gestures: to hear loudness and timbre, however a voice was recorded.

Its frozen features later serve the mouth as well, and for real voices. So the waveforms are recorded anew for every
sample (another microphone, another room, noise), while the targets stay those of the clean sound.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..models.audio.waveform import RATE

BANDS = 40
WINDOW = 640
STEP = 320


def log_mel(waveform: np.ndarray, count: int) -> np.ndarray:
    """(count, 40) float32: log-mel energies of a waveform, state n over the 640 samples about sample 320 n + 160.

    The waveform starts 160 samples before state 0's step, as `sound_crop` cuts it. In units of about one deviation of
    speech: (log10 of the power + 1) / 1.5, floored 60 dB below a full band of a waveform of unit variance.
    """
    frames = np.lib.stride_tricks.sliding_window_view(waveform, WINDOW)[::STEP][:count]
    power = np.square(np.abs(np.fft.rfft(frames * _hann(), axis=-1))).astype(np.float32) / WINDOW
    return ((np.log10(power @ _filters() + 1e-5) + 1) / 1.5).astype(np.float32)


@lru_cache(1)
def _hann() -> np.ndarray:
    return np.hanning(WINDOW + 1)[:-1].astype(np.float32)


@lru_cache(1)
def _filters() -> np.ndarray:
    """(321, 40) triangles, evenly spaced in mel from 50 to 7600 Hz, each of sum 1."""
    mel = lambda f: 2595 * np.log10(1 + f / 700)
    edges = 700 * (10 ** (np.linspace(mel(50.0), mel(7600.0), BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(WINDOW, 1 / RATE)[:, None]
    rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    shape = np.maximum(0, np.minimum(rise, fall))
    return (shape / np.maximum(shape.sum(0), 1e-9)).astype(np.float32)


def recorded_anew(waveform: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """The same sound (T,) through another microphone: equaliser, short room, compression, noise. Nothing is shifted."""
    import cv2

    if strength <= 0:
        return waveform
    sound = waveform
    if rng.random() < 0.7:
        sound = cv2.filter2D(sound[None], -1, _equaliser(rng, strength)[None])[0]
    if rng.random() < 0.3:
        power = 1 - strength * rng.uniform(0, 0.4)
        peak = np.abs(sound).max() + 1e-9
        sound = np.sign(sound) * np.abs(sound / peak) ** power * peak
    level = float(np.sqrt(np.mean(np.square(sound)) + 1e-12))
    if rng.random() < 0.6:
        noise = rng.standard_normal(len(sound), dtype=np.float32)
        if rng.random() < 0.5:
            noise = cv2.filter2D(noise[None], -1, _equaliser(rng, 2.0)[None])[0]
        decibels = rng.uniform(15, 50) - 5 * strength
        sound = sound + noise * (level * 10 ** (-decibels / 20) / (noise.std() + 1e-9))
    return np.ascontiguousarray(sound, dtype=np.float32)


def _equaliser(rng: np.random.Generator, strength: float) -> np.ndarray:
    """A linear-phase filter (129,) of smooth random gain, about +-8 dB over the band."""
    gains = rng.normal(0, 4.5 * strength, 7)
    frequencies = np.linspace(0, 1, 65)
    curve = np.interp(frequencies, np.linspace(0, 1, 7) ** 1.5, gains)
    response = np.fft.irfft(10 ** (curve / 20))
    kernel = np.roll(response, 64)[:129]
    return (np.append(kernel, kernel[0])[:129] * np.hanning(131)[1:-1]).astype(np.float32)


def sound_crop(waveform: np.ndarray, first: int, count: int, lead: int, field: int) -> np.ndarray:
    """The samples that states first..first+count-1 see: (field + 320 (count - 1),), zeros beyond the ends."""
    start = first * STEP - lead
    stop = start + field + STEP * (count - 1)
    inner = waveform[max(start, 0) : max(min(stop, len(waveform)), 0)]
    samples = np.zeros(stop - start, np.float32)
    samples[max(start, 0) - start :][: len(inner)] = inner
    return samples
