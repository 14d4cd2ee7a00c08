"""Prosodic loudness: follows the voice, not the level of the recording."""

import math

import numpy as np
import pytest
from emo2.models.audio import loudness
from hypothesis import given
from hypothesis import strategies as st

RATE = 16000


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(size=round(seconds * RATE)).astype(np.float32) * 0.1


def syllables(seconds=6.0):
    """Noise whose level swings by 20 dB, four times a second."""
    time = np.arange(round(seconds * RATE)) / RATE
    return noise(seconds) * 10 ** (np.sin(2 * np.pi * 4 * time) * 0.5).astype(np.float32)


@given(st.integers(1, 3000))
def test_one_value_a_step_between_0_and_1(samples):
    values = loudness(noise(samples / RATE))
    assert values.shape == (math.ceil(samples / 320),) and values.dtype == np.float32
    assert values.min() >= 0 and values.max() <= 1


@pytest.mark.parametrize("level", [0.0, 1e-7])
def test_silence_is_zero(level):
    assert not loudness(noise(2) * level).any()


def test_constant_offset_is_silence():
    assert not loudness(np.full(RATE * 5, 0.2, np.float32))[50:].any()


@pytest.mark.parametrize("gain", [0.01, 0.3, 20.0])
def test_the_level_of_the_recording_does_not_matter(gain):
    np.testing.assert_allclose(loudness(syllables() * np.float32(gain)), loudness(syllables()), atol=1e-3)


def test_it_swings_with_the_syllables():
    values = loudness(syllables())
    centres = (np.arange(len(values)) + 0.5) / 50
    expected = np.sin(2 * np.pi * 4 * centres)
    assert np.corrcoef(values, expected)[0, 1] > 0.95
    lags = [np.corrcoef(np.roll(values, lag), expected)[0, 1] for lag in range(-5, 6)]
    assert int(np.argmax(lags)) == 5, "the envelope must not lag"
    assert values.min() < 0.1 and values.max() > 0.95


def test_the_pause_between_words_is_low_and_faint_noise_is_not_torn_up():
    voice = syllables(6)
    voice[2 * RATE : 3 * RATE] = noise(1, 1) * 1e-3
    values = loudness(voice)
    assert values[105:145].max() < 0.05
    assert loudness(noise(4)).std() < 0.2, "a steady sound stays steady"


def test_a_block_boundary_is_not_heard():
    voice = np.tile(syllables(1), 25)
    values = loudness(voice)
    np.testing.assert_allclose(values[500 - 10 : 500 + 10], values[450 - 10 : 450 + 10], atol=0.02)


@pytest.mark.shared
def test_it_follows_real_speech(shared):
    import soundfile

    voice, rate = soundfile.read(shared / "data/speech/jfk.flac", dtype="float32")
    from emo2.models.audio import prepare_waveform
    from torch import from_numpy

    mono = voice if voice.ndim == 1 else voice.mean(1)
    waveform = prepare_waveform({"waveform": from_numpy(mono)[None, None], "sample_rate": rate})
    values = loudness(waveform)
    assert len(values) == math.ceil(11.0 * 50)
    window = np.hanning(1280)
    power = np.convolve(waveform.astype(np.float64) ** 2, window / window.sum(), "same")[160::320]
    assert np.corrcoef(values, 10 * np.log10(power + 1e-6))[0, 1] > 0.8
    assert 0.2 < values.mean() < 0.8
