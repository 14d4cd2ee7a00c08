"""The mouth follows the sound: any sound, at any level, and nothing else."""

import numpy as np
import pytest
from emo2.models.audio import frame_count, loudness
from emo2.training.puppets.mouth import mouth_shapes
from hypothesis import given, settings
from hypothesis import strategies as st

RATE = 16000


def syllables(level: float = 0.5, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Four seconds of a buzz that swells and fades, at rest between 0.0 to 0.5 and 2.0 to 2.6 s; and its loudness."""
    t = np.arange(4 * RATE) / RATE
    swell = np.clip(np.sin(2 * np.pi * 2.5 * (t - 0.5)), 0, 1) * (t > 0.5) * ((t < 2.0) | (t > 2.6))
    buzz = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 20)) / 2
    hiss = np.random.default_rng(0).standard_normal(len(t))
    return (level * swell * buzz + noise * hiss).astype(np.float32), swell


def at_frames(curve: np.ndarray, count: int) -> np.ndarray:
    return curve[((np.arange(count) + 0.5) / 25 * RATE).astype(int)]


@given(st.integers(1, 40000), st.sampled_from((24.0, 25.0, 29.97)))
def test_there_is_a_shape_for_every_frame(length, fps):
    shapes = mouth_shapes(np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32), fps)
    assert shapes.shape == (frame_count(length / RATE, fps), 2)
    assert np.isfinite(shapes).all() and shapes.min() >= 0 and shapes.max() <= 1


def test_silence_shuts_the_mouth():
    for quiet in (np.zeros(RATE), np.full(RATE, 0.2), 1e-6 * np.random.default_rng(0).standard_normal(RATE)):
        shapes = mouth_shapes(quiet.astype(np.float32))
        assert (shapes[:, 0] < 0.02).all() and np.ptp(shapes[:, 1]) < 0.05


def test_it_opens_with_loudness_in_the_same_frame():
    wave, swell = syllables()
    opening = mouth_shapes(wave)[:, 0]
    truth = at_frames(swell, len(opening))
    scores = {lag: np.corrcoef(np.roll(opening, -lag), truth)[0, 1] for lag in range(-4, 5)}
    assert scores[0] > 0.85 and abs(max(scores, key=scores.get)) <= 1
    assert opening[truth > 0.95].min() > 0.8
    assert opening[2:11].max() < 0.05 and opening[54:62].max() < 0.1


@settings(max_examples=12)
@given(st.floats(0.01, 1.0))
def test_the_level_of_a_recording_does_not_matter(gain):
    wave, _ = syllables()
    assert np.abs(mouth_shapes(wave) - mouth_shapes(gain * wave)).max() < 0.03


@pytest.mark.parametrize("noise", [0.002, 0.008])
def test_background_noise_does_not_open_it(noise):
    clean, swell = syllables()
    opening = mouth_shapes(syllables(noise=noise)[0])[:, 0]
    quiet = at_frames(swell, len(opening)) == 0
    assert np.median(opening[quiet]) < 0.05
    assert np.corrcoef(opening, mouth_shapes(clean)[:, 0])[0, 1] > 0.93


def test_bright_sounds_are_wide_and_dark_ones_round():
    t = np.arange(RATE) / RATE
    wide, round_ = (mouth_shapes(np.sin(2 * np.pi * f * t).astype(np.float32) * np.hanning(RATE)) for f in (2200, 400))
    assert wide[8:17, 1].min() > 0.9 and round_[8:17, 1].max() < 0.1


def test_it_depends_on_the_sound_alone_and_only_on_the_sound_nearby():
    wave, _ = syllables()
    assert np.array_equal(mouth_shapes(wave), mouth_shapes(wave.copy()))
    later = wave.copy()
    later[int(3.6 * RATE) :] *= 0.3
    assert np.abs(mouth_shapes(wave) - mouth_shapes(later))[:80].max() < 0.25


@pytest.mark.shared
@pytest.mark.parametrize("name", ["jfk.flac", "libri_198-209-0000.ogg", "libri_5703-47212-0000.ogg"])
def test_real_voices_move_it(shared, name):
    import soundfile
    import soxr

    wave, rate = soundfile.read(shared / "data" / "speech" / name, dtype="float32")
    wave = soxr.resample(wave if wave.ndim == 1 else wave.mean(1), rate, RATE)
    shapes = mouth_shapes(wave)
    loud = loudness(wave)
    heard = np.interp((np.arange(len(shapes)) + 0.5) / 25, (np.arange(len(loud)) + 0.5) / 50, loud)
    assert np.corrcoef(shapes[:, 0], heard)[0, 1] > 0.8
    # It shuts between words, opens wide now and then, and takes shapes in between.
    assert 0.1 < (shapes[:, 0] < 0.1).mean() < 0.6 and 0.05 < (shapes[:, 0] > 0.8).mean() < 0.4
    assert shapes[:, 1].std() > 0.1
