"""Frame counts: ceil(duration * fps), exact where floats are not."""

import math
from fractions import Fraction

import pytest
import torch
from emo2.models.audio import duration_of, frame_count
from emo2.models.errors import EMO2Error
from hypothesis import given
from hypothesis import strategies as st

RATES = (24.0, 25.0, 29.97, 30.0, 50.0, 23.976, 16.0)


@pytest.mark.parametrize(
    ("duration", "fps", "count"),
    [
        (11.0, 25, 275),
        (0.04, 25, 1),
        (1 / 3, 30, 10),
        (0.041, 25, 2),
        (1e-6, 24, 1),
        (3600.0, 29.97, 107892),
        (4.2, 10, 42),
    ],
)
def test_known_counts(duration, fps, count):
    assert frame_count(duration, fps) == count


@given(st.integers(1, 500_000), st.sampled_from(RATES))
def test_a_whole_number_of_frames_stays_whole(frames, fps):
    assert frame_count(frames / fps, fps) == frames


@given(st.integers(1, 500_000), st.sampled_from((24, 25, 30, Fraction(30000, 1001))))
def test_fractions_are_counted_exactly(samples, fps):
    assert frame_count(Fraction(samples, 48000), fps) == math.ceil(Fraction(samples, 48000) * fps)


@given(st.integers(1, 3600), st.sampled_from((24, 25, 30)), st.sampled_from((8000, 44100, 48000, 192000)))
def test_one_sample_more_is_one_frame_more(seconds, fps, rate):
    assert frame_count((seconds * rate + 1) / rate, float(fps)) == seconds * fps + 1
    assert frame_count((seconds * rate - 1) / rate, float(fps)) == seconds * fps


@given(st.floats(1e-4, 1e5), st.floats(1e-4, 1e5), st.floats(1, 240))
def test_longer_is_never_fewer(a, b, fps):
    low, high = sorted((a, b))
    assert 1 <= frame_count(low, fps) <= frame_count(high, fps)


@given(st.floats(1e-3, 1e5), st.floats(1, 240))
def test_within_one_frame_of_the_product(duration, fps):
    assert -1e-4 < frame_count(duration, fps) - duration * fps < 1


@pytest.mark.parametrize(("duration", "fps"), [(0.0, 25), (-1.0, 25), (math.nan, 25), (1.0, 0), (1.0, math.inf)])
def test_nonsense_is_refused(duration, fps):
    with pytest.raises(EMO2Error, match="positive number"):
        frame_count(duration, fps)


def test_duration_of_audio_is_exact():
    audio = {"waveform": torch.zeros(1, 2, 44101), "sample_rate": 44100}
    assert duration_of(audio) == Fraction(44101, 44100)
    assert frame_count(duration_of(audio), 25) == 26
