"""Speed against the voice's intensity, and motion in silence: known answers."""

import numpy as np
import pytest
from emo2.evaluation.motion import hand_speed, motion_in_silence, pauses, speed_intensity
from emo2.models.errors import EMO2Error
from hypothesis import given
from hypothesis import strategies as st


def test_speed_is_the_mean_of_visible_points():
    time = np.arange(20) / 25
    points = np.zeros((20, 2, 3, 3))
    points[:, 0, :, 0] = 0.5 * time[:, None]
    points[:, 1, :, 1] = 1.5 * time[:, None]
    np.testing.assert_allclose(hand_speed(points, 25), 1.0)
    points[10:, 1] = np.nan
    np.testing.assert_allclose(hand_speed(points, 25)[12:], 0.5)
    points[:] = np.nan
    assert np.isnan(hand_speed(points, 25)).all()


@given(st.integers(-5, 5), st.floats(0.1, 9), st.floats(-3, 3))
def test_the_lag_at_which_speed_follows_is_found(lag, scale, offset):
    """Hands that trail the voice by `lag` frames correlate fully there, and less elsewhere."""
    voice = np.random.default_rng(0).uniform(0, 1, 80)
    speed = np.roll(voice, lag) * scale + offset
    inner = slice(10, 70)
    found = {k: speed_intensity(speed[inner], voice[inner], k) for k in range(-6, 7)}
    assert max(found, key=lambda k: found[k]) == lag
    assert found[lag] == pytest.approx(1, abs=1e-9)


def test_no_number_where_nothing_varies_and_an_error_for_other_lengths():
    assert np.isnan(speed_intensity(np.ones(10), np.arange(10)))
    assert np.isnan(speed_intensity(np.arange(2), np.arange(2)))
    with pytest.raises(EMO2Error, match="speed"):
        speed_intensity(np.ones(10), np.ones(9))


def test_pauses_are_long_enough_silences():
    voice = np.ones(100)
    voice[10:14] = 0.0
    voice[40:60] = 0.01
    voice[95:] = 0.0
    found = np.flatnonzero(pauses(voice, 25))
    np.testing.assert_array_equal(found, np.arange(40, 60))
    speed = np.arange(100.0)
    assert motion_in_silence(speed, pauses(voice, 25)) == pytest.approx(49.5)
    assert np.isnan(motion_in_silence(speed, np.zeros(100, bool)))
