"""Intervals that cover what they say, and are the same for the same seed."""

import numpy as np
import pytest
from emo2.evaluation.bootstrap import bootstrap, over_clips, paired_difference
from emo2.models.errors import EMO2Error
from hypothesis import given, settings
from hypothesis import strategies as st

numbers = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30)


@settings(max_examples=40)
@given(numbers, st.sampled_from(["bca", "percentile"]), st.floats(0.5, 0.99))
def test_an_interval_holds_its_value_and_is_repeatable(values, method, confidence):
    one = bootstrap(values, method=method, confidence=confidence, samples=200, seed=3)
    assert one == bootstrap(values, method=method, confidence=confidence, samples=200, seed=3)
    assert np.isclose(one.value, np.mean(values)) and one.low <= one.high and one.pair == (one.low, one.high)
    assert min(values) - 1e-9 <= one.low and one.high <= max(values) + 1e-9


@settings(max_examples=20)
@given(numbers, st.floats(0.01, 100), st.floats(-100, 100))
def test_intervals_move_with_the_unit(values, scale, shift):
    """Another unit must not change what is said; so not with an absolute threshold anywhere inside."""
    here, there = (bootstrap(v, samples=200) for v in (np.array(values), np.array(values) * scale + shift))
    slack = 1e-6 * (1 + scale * np.abs(values).max() + abs(shift))
    assert abs(there.low - (here.low * scale + shift)) < slack
    assert abs(there.high - (here.high * scale + shift)) < slack


@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda rng: rng.normal(1.0, 2.0, 40), 1.0),
        (lambda rng: rng.exponential(1.0, 40), 1.0),
        (lambda rng: (rng.random(60) < 0.3).astype(float), 0.3),
    ],
    ids=["normal", "exponential", "right or wrong"],
)
def test_intervals_cover_the_truth_as_often_as_they_say(draw, truth):
    rng = np.random.default_rng(0)
    held = sum(i.low <= truth <= i.high for i in (bootstrap(draw(rng), samples=400, seed=k) for k in range(400)))
    assert 0.90 <= held / 400 <= 0.98


def test_bca_leans_with_the_data():
    """For skewed data the upper side must be the longer one, and more so than the plain quantiles say."""
    skewed = np.random.default_rng(1).exponential(1.0, 30)
    plain, better = (bootstrap(skewed, method=m, samples=4000) for m in ("percentile", "bca"))
    assert better.high - better.value > better.value - better.low
    assert better.high > plain.high and better.low > plain.low


def test_a_statistic_of_one_s_own():
    values = np.random.default_rng(2).normal((0, 3), size=(50, 2))
    spread = bootstrap(values, lambda v: float(v[:, 1].mean() - v[:, 0].mean()), samples=300)
    assert spread.low < 3 < spread.high and spread.high - spread.low < 1.5
    same = bootstrap(values[:, 0], lambda v: float(v.mean()), samples=300, seed=5)
    fast = bootstrap(values[:, 0], samples=300, seed=5)
    assert np.allclose([same.low, same.high], [fast.low, fast.high])


def test_over_clips_takes_any_measure():
    values = np.random.default_rng(3).normal(size=40)
    seen = over_clips(lambda chosen: values[chosen].mean(), 40, samples=300, seed=7)
    assert np.isclose(seen.value, values.mean()) and seen.count == 40
    direct = bootstrap(values, samples=300, seed=7)
    assert np.allclose(seen.pair, direct.pair)
    patchy = over_clips(lambda chosen: None if 0 in chosen else float(values[chosen].mean()), 40, samples=300)
    assert np.isnan(patchy.value) and patchy.count == 40


def test_pairs_take_out_what_clips_have_in_common():
    rng = np.random.default_rng(4)
    clips = rng.normal(0, 5, 40)
    better, worse = clips + 0.5 + rng.normal(0, 0.3, 40), clips + rng.normal(0, 0.3, 40)
    difference = paired_difference(better, worse)
    assert 0.3 < difference.low < 0.5 < difference.high < 0.7
    apart = [bootstrap(v) for v in (better, worse)]
    assert apart[0].low < apart[1].high, "unpaired, nothing could be said"


def test_what_cannot_be_measured():
    assert bootstrap([np.nan, 2.0, np.nan]).pair == (2.0, 2.0) and bootstrap([np.nan, 2.0]).count == 1
    assert bootstrap([3.0, 3.0, 3.0]).pair == (3.0, 3.0)
    for wrong in (
        lambda: bootstrap([]),
        lambda: bootstrap([np.nan]),
        lambda: bootstrap(np.zeros((3, 2))),
        lambda: bootstrap([1.0, 2.0], method="magic"),
        lambda: bootstrap([1.0, 2.0], confidence=95),
        lambda: paired_difference([1.0], [1.0, 2.0]),
        lambda: over_clips(lambda chosen: 0.0, 0),
    ):
        with pytest.raises(EMO2Error, match="bootstrap"):
            wrong()
