"""Prosodic intensity: where a voice stresses, whatever the level of the recording, and nothing in silence."""

import math

import numpy as np
import pytest
from emo2.models.audio import TINY, build, encode, intensity, loudness
from emo2.models.audio.accents import onsets, pitch_movement
from emo2.models.audio.pitch import pitch
from emo2.models.errors import EMO2Error
from emo2.models.types import AudioFeatures
from hypothesis import given, settings
from hypothesis import strategies as st

RATE = 16000


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(size=round(seconds * RATE)).astype(np.float32) * 0.1


def buzz(hertz):
    """A voice-like sound: eleven overtones of a pitch (T,) in Hz."""
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    return (0.1 * sum(np.sin(k * phase) / k for k in range(1, 12))).astype(np.float32)


def syllables(seconds=4.0, rate=4.0, gain=None):
    """A voice whose pitch and level swing; gain(time) makes some of it stronger."""
    time = np.arange(round(seconds * RATE)) / RATE
    voice = buzz(130 * 2 ** (np.sin(2 * np.pi * rate / 2 * time) * 2 / 12))
    level = 10 ** (-(1 + np.cos(2 * np.pi * rate * time)))
    return (voice * level * (1 if gain is None else gain(time))).astype(np.float32)


@settings(max_examples=25)
@given(st.integers(1, 9000))
def test_one_value_a_step_between_0_and_1(samples):
    values = intensity(noise(samples / RATE))
    assert values.shape == (math.ceil(samples / 320),) and values.dtype == np.float32
    assert values.min() >= 0 and values.max() <= 1


@pytest.mark.parametrize("level", [0.0, 1e-7])
def test_silence_is_zero(level):
    assert not intensity(noise(2) * level).any()


@pytest.mark.parametrize("decibels", [-20, 20])
@pytest.mark.parametrize("voice", [syllables(), noise(3)], ids=["voice", "noise"])
def test_twenty_decibels_more_or_less_change_nothing(voice, decibels):
    louder = voice * np.float32(10 ** (decibels / 20))
    np.testing.assert_allclose(intensity(louder), intensity(voice), atol=1e-3)
    whole_numbers = np.round(voice * 10 ** (-20 / 20) * 32767) / 32767
    assert np.abs(intensity(whole_numbers.astype(np.float32)) - intensity(voice)).mean() < 0.02, "quantised to 16 bits"


def test_steady_noise_under_a_voice_hardly_shows():
    voice = syllables(gain=lambda t: ((t % 2) < 1.3).astype(float))
    power = np.sqrt(np.mean(voice**2))
    clean, noisy = intensity(voice), intensity(voice + noise(4, 3) * power)  # 20 dB below
    assert np.corrcoef(clean, noisy)[0, 1] > 0.95
    assert noisy[75:92].max() < 0.1, "the pause stays a pause"


def test_blocks_leave_no_seam():
    voice = np.concatenate([syllables(12.0), noise(1.0) * 0.01])
    found = pitch(voice)[0]
    apart = pitch(voice[320 * 400 :])[0]
    np.testing.assert_allclose(found[410:600], apart[10:200], rtol=1e-6)


def test_a_burst_shows_where_it_is():
    bursts = np.zeros(5 * RATE, np.float32)
    for second in (1, 2.5, 4):
        at = round(second * RATE)
        bursts[at - 2400 : at + 2400] = np.hanning(4800) * buzz(np.full(4800, 150.0))
    values = intensity(bursts)
    centres = (np.arange(len(values)) + 0.5) / 50
    for second in (1, 2.5, 4):
        near = np.abs(centres - second) < 0.4
        assert abs(np.average(centres[near], weights=values[near]) - second) < 0.02, "no lag"
        assert values[near].max() > 0.3
    assert not values[np.min(np.abs(centres[:, None] - (1, 2.5, 4)), axis=1) > 0.5].any()


@pytest.mark.parametrize("hertz", [70.0, 123.4, 220.0, 390.0])
def test_pitch_of_a_steady_voice(hertz):
    found, strength = pitch(buzz(np.full(RATE, hertz)))
    np.testing.assert_allclose(found[3:-3], hertz, rtol=2e-3)
    assert strength[3:-3].min() > 0.95


def test_noise_has_no_pitch():
    assert (pitch(noise(3))[0] > 0).mean() < 0.05


def test_movement_is_the_glide_in_semitones_a_second():
    time = np.arange(3 * RATE) / RATE
    found = pitch_movement(*pitch(buzz(120 * 2 ** (np.sin(2 * np.pi * time) * 4 / 12))))
    steps = (np.arange(150) + 0.5) / 50
    true = np.abs(4 * 2 * np.pi * np.cos(2 * np.pi * steps))
    np.testing.assert_allclose(found[5:-5] * 40, true[5:-5], atol=1.5)
    assert pitch_movement(*pitch(buzz(np.full(RATE, 140.0))))[3:-3].max() < 0.01


def test_an_octave_error_is_no_movement():
    hertz = np.full(60, 120.0)
    hertz[30:] = 240.0
    assert pitch_movement(hertz, np.ones(60)).max() < 1e-6


def test_moving_pitch_and_onsets_raise_it_at_equal_loudness():
    time = np.arange(4 * RATE) / RATE
    flat, moving = buzz(np.full(4 * RATE, 150.0)), buzz(150 * 2 ** (np.sin(2 * np.pi * 2 * time) * 3 / 12))
    assert intensity(moving)[20:-20].mean() > 1.2 * intensity(flat)[20:-20].mean()
    clicks = noise(4) * (0.02 + ((time % 0.5) < 0.2))
    found = onsets(clicks)
    starts = np.round(np.arange(0.5, 4, 0.5) * 50).astype(int)
    assert all(found[s - 2 : s + 2].max() > 0.7 for s in starts)
    assert found[starts[0] + 5 : starts[0] + 8].max() < 0.3


def test_it_travels_with_the_features():
    voice = syllables(2.0)
    heard = encode(build(TINY).eval(), voice)
    np.testing.assert_array_equal(heard.intensity, intensity(voice))
    at = heard.intensity_at(25, 0, 60)
    np.testing.assert_allclose(at[:50], heard.intensity.reshape(-1, 2).mean(1), atol=1e-6)
    assert not at[50:].any(), "past the end there is no sound"


def test_features_without_it_take_the_loudness():
    hidden = np.zeros((10, 2, 4), np.float16)
    loud = np.linspace(0, 1, 10)
    np.testing.assert_array_equal(AudioFeatures(hidden, loud, 0.2).intensity, loud.astype(np.float32))
    with pytest.raises(EMO2Error, match="intensity"):
        AudioFeatures(hidden, loud, 0.2, intensity=loud * 2)
    with pytest.raises(EMO2Error, match="intensity"):
        AudioFeatures(hidden, loud, 0.2, intensity=loud[:5])


def test_real_voices_are_stressed_where_they_are_loud_but_not_only(shared):
    import soundfile

    voice, rate = soundfile.read(shared / "data" / "speech" / "libri_3436-172162-0000.ogg", dtype="float32")
    assert rate == RATE
    stress, loud = intensity(voice), loudness(voice)
    assert 0.85 < np.corrcoef(stress, loud)[0, 1] < 0.99
    assert stress[loud == 0].mean() < 0.1
