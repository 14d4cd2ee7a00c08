"""Prosodic loudness: how strongly a voice speaks at each moment, compared with itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .waveform import BLOCK_SECONDS, RATE

STEP = RATE // 50
HOP = STEP // 2
WINDOW = 8
"""Half-steps under the smoothing window: 80 ms, about a syllable's onset."""
SILENCE_DB = -90.0
"""Mean square below which a step is silent whatever the rest is (16-bit dither lies at about -98 dB)."""
RANGE_DB = 40.0
LEAST_RANGE_DB = 12.0


def loudness(waveform: np.ndarray) -> np.ndarray:
    """Prosodic intensity 0..1 of a 16 kHz waveform (T,): (N,) float32 at 50 Hz, N = ceil(T / 320), centred like states.

    K-weighted power (ITU-R BS.1770-4, annex 1) under a Hann window of 80 ms, in dB, laid out between the clip's own
    10th and 95th percentiles of the steps that are not silent. So the level of the recording does not matter. The
    range spans at least 12 dB, so that a steady tone is not torn apart, and at most 40 dB, so that the noise between
    words stays at 0. Silence is 0 throughout.
    """
    count = -(-len(waveform) // STEP)
    power = np.zeros(2 * count)
    done = 0
    for block in _k_weighted(waveform):
        hops = -(-len(block) // HOP)
        padded = np.zeros(hops * HOP)
        padded[: len(block)] = block
        power[done : done + hops] = np.square(padded).reshape(hops, HOP).mean(1)
        done += hops
    # Centres lie between half-steps 2n and 2n + 1; an even window is symmetric about them.
    window = np.hanning(WINDOW + 2)[1:-1]
    smooth = np.convolve(np.pad(power, WINDOW // 2), window / window.sum(), mode="valid")[1::2][:count]
    level = 10 * np.log10(np.maximum(smooth, 1e-20))
    heard = level > max(SILENCE_DB, level.max(initial=-200.0) - 60)
    if not heard.any():
        return np.zeros(count, np.float32)
    low, high = np.percentile(level[heard], (10, 95))
    low = min(max(low, high - RANGE_DB), high - LEAST_RANGE_DB)
    return np.where(heard, np.clip((level - low) / (high - low), 0, 1), 0).astype(np.float32)


def _k_weighted(waveform: np.ndarray) -> Iterator[np.ndarray]:
    """The waveform through the two filters of BS.1770, in blocks; both are minimum-phase and delay speech by < 1 ms."""
    from scipy.signal import sosfilt

    sections = _k_weighting()
    state = np.zeros((len(sections), 2))
    for start in range(0, len(waveform), BLOCK_SECONDS * RATE):
        block, state = sosfilt(sections, waveform[start : start + BLOCK_SECONDS * RATE].astype(np.float64), zi=state)
        yield block


def _k_weighting() -> np.ndarray:
    """Second-order sections (2, 6) of BS.1770's high shelf and high pass, from their analogue prototypes, at 16 kHz."""
    k = np.tan(np.pi * 1681.974450955533 / RATE)
    gain, q = 10 ** (3.999843853973347 / 20), 0.7071752369554196
    middle = gain**0.4996667741545416
    norm = 1 + k / q + k * k
    shelf = [
        (gain + middle * k / q + k * k) / norm, 2 * (k * k - gain) / norm, (gain - middle * k / q + k * k) / norm,
        1, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm,
    ]  # fmt: skip
    k, q = np.tan(np.pi * 38.13547087602444 / RATE), 0.5003270373238773
    norm = 1 + k / q + k * k
    return np.array([shelf, [1, -2, 1, 1, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm]])
