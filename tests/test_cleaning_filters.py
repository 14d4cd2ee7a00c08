"""Filters along time, gaps and bones: arithmetic with known answers, and properties that hold for any track."""

import numpy as np
import pytest
from emo2.models.pose import limbs
from emo2.models.pose.gaps import fill, gaps, hysteresis, mask
from emo2.models.pose.time_filters import median_filter, one_euro, outliers, sliding_median
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

RATES = st.sampled_from([5.0, 12.0, 25.0, 60.0, 120.0])
TRACKS = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 18), st.just(2), st.just(2)), elements=st.floats(-5, 5, width=32)
)


def sway(fps, seconds=6.0, hertz=0.7, size=0.4):
    """A hand that sways in a circle, (F, 1, 2) shoulder widths, at most about 1.8 of them a second."""
    turn = 2 * np.pi * hertz * np.arange(round(seconds * fps)) / fps
    return size * np.stack([np.sin(turn), np.cos(turn)], -1)[:, None]


def all_known(values):
    return np.ones(values.shape[:2], bool)


@given(TRACKS, st.integers(0, 8), st.data())
@settings(max_examples=15)
def test_the_sliding_median_is_numpys_over_the_known_ones(values, radius, data):
    known = data.draw(hnp.arrays(bool, values.shape[:2]))
    got = sliding_median(values, known, radius)
    for i in range(len(values)):
        for n in range(2):
            part = slice(max(i - radius, 0), i + radius + 1)
            among = values[part, n][known[part, n]]
            wanted = np.median(among, axis=0) if len(among) else np.zeros(2)
            assert np.allclose(got[i, n], wanted)


def test_a_long_clip_in_parts_is_the_clip_as_one(monkeypatch):
    rng = np.random.default_rng(0)
    values, known = rng.normal(size=(50, 3, 2)), rng.random((50, 3)) > 0.2
    whole = sliding_median(values, known, 4)
    monkeypatch.setattr("emo2.models.pose.time_filters.CELLS", 100)
    assert np.array_equal(sliding_median(values, known, 4), whole)


@given(TRACKS, RATES, st.floats(0, 3))
def test_filters_neither_move_unknown_nor_invent(values, fps, seconds):
    known = np.abs(values).sum(-1) > 2
    for result in (median_filter(values, known, fps, seconds), one_euro(values, known, fps, 2.0, 1.0)):
        assert np.array_equal(result[~known], values[~known])
        for n in range(2):
            if known[:, n].any():
                low, high = values[known[:, n], n].min(0), values[known[:, n], n].max(0)
                assert (result[known[:, n], n] >= low - 1e-9).all() and (result[known[:, n], n] <= high + 1e-9).all()


@given(TRACKS, RATES)
def test_the_zero_phase_filter_is_the_same_backwards(values, fps):
    known = all_known(values)
    there = one_euro(values, known, fps, 1.5, 2.0)
    back = one_euro(values[::-1], known[::-1], fps, 1.5, 2.0)[::-1]
    assert np.allclose(there, back, atol=1e-9)


@given(st.floats(0.05, 1.2), RATES)
def test_a_median_keeps_slow_straight_movement_and_the_ends(seconds, fps):
    line = np.linspace(0, 3, 40)[:, None, None] * np.array([1.0, -2.0])
    assert np.allclose(median_filter(line, all_known(line), fps, seconds), line)


def lag(result, truth, most=8):
    """Frames by which `result` comes after `truth`, by the peak of their correlation."""
    a, b = result[:, 0, 0], truth[most:-most, 0, 0]
    score = [np.corrcoef(a[most + s : len(a) - most + s], b)[0, 1] for s in range(-most, most + 1)]
    return int(np.argmax(score)) - most


@pytest.mark.parametrize("fps, moving, resting", [(12.0, 0.95, 0.75), (25.0, 0.7, 0.55), (60.0, 0.55, 0.4)])
def test_one_euro_evens_out_trembling_most_at_rest_and_comes_in_time(fps, moving, resting):
    truth = sway(fps, hertz=0.4)
    noisy = truth + np.random.default_rng(1).normal(0, 0.01, truth.shape)
    known = all_known(truth)
    error = lambda v: np.sqrt(((v - truth) ** 2).sum(-1).mean())
    both = one_euro(noisy, known, fps, 3.0, 4.0)
    assert error(both) < moving * error(noisy)
    noise = noisy - truth
    assert np.sqrt((one_euro(noise, known, fps, 3.0, 4.0) ** 2).mean()) < resting * np.sqrt((noise**2).mean())
    speed = np.gradient(truth, 1 / fps, axis=0)
    late = ((truth - both) * speed).sum() / (speed**2).sum()
    assert abs(late) < 0.003, "seconds"
    calm = one_euro(truth, known, fps, 3.0, 4.0)
    assert error(calm) < 0.02 and lag(calm, truth) == 0


def test_the_causal_filter_lags_and_the_other_does_not():
    truth = sway(60.0, hertz=1.0)
    slow = one_euro(truth, all_known(truth), 60.0, 1.0, 0.0, zero_phase=False)
    assert lag(slow, truth) > 3 and lag(one_euro(truth, all_known(truth), 60.0, 1.0, 0.0), truth) == 0


@given(st.integers(0, 10_000), st.sampled_from([25.0, 60.0, 120.0]), st.floats(0.02, 0.2))
@settings(max_examples=20)
def test_runs_of_up_to_a_fifth_of_a_second_are_outliers_and_nothing_else_is(seed, fps, seconds):
    rng = np.random.default_rng(seed)
    truth = sway(fps)
    spoilt = truth + rng.normal(0, 0.004, truth.shape)
    length = max(int(seconds * fps), 1)
    # Further than the window from the ends, where there is little to compare with.
    room = round(0.3 * fps)
    start = int(rng.integers(room, len(truth) - length - room))
    angle = rng.uniform(0, 2 * np.pi)
    spoilt[start : start + length, 0] += rng.uniform(0.8, 2.0) * np.array([np.cos(angle), np.sin(angle)])
    wanted = np.zeros(len(truth), bool)
    wanted[start : start + length] = True
    assert np.array_equal(outliers(spoilt, all_known(truth), fps, 8.0)[:, 0], wanted)


@pytest.mark.parametrize("fps", [5.0, 25.0, 120.0])
def test_fast_true_gestures_and_cuts_are_no_outliers(fps):
    fast = sway(fps, hertz=2.5, size=0.25)
    assert not outliers(fast, all_known(fast), fps, 8.0).any()
    cut = sway(fps)
    cut[len(cut) // 2 :] += 1.5
    assert not outliers(cut, all_known(cut), fps, 8.0).any()


def test_an_outlier_beside_a_gap_is_found():
    values = sway(25.0)
    known = all_known(values)
    known[60:66] = False
    values[58:60] += 1.0
    assert np.flatnonzero(outliers(values, known, 25.0, 8.0)[:, 0]).tolist() == [58, 59]


@given(hnp.arrays(bool, st.tuples(st.integers(1, 30), st.integers(1, 4))))
def test_gaps_are_all_that_is_unknown(known):
    found = gaps(known)
    assert np.array_equal(mask(found, np.arange(len(found.track)), known.shape), ~known)
    assert (found.frames >= 1).all()


@given(TRACKS, RATES, st.floats(0, 2), st.data())
def test_bridges_stay_between_their_ends(values, fps, longest, data):
    known = data.draw(hnp.arrays(bool, values.shape[:2]))
    scores = np.where(known, 0.8, 0.0)
    result, found, filled = fill(values, scores, known, fps, longest)
    assert np.array_equal(result[~filled], values[~filled]) and np.array_equal(found[~filled], scores[~filled])
    assert (found[filled] == 0.8).all() and not (filled & known).any()
    places = gaps(known)
    for track, first, last in zip(*places):
        whole = filled[first : last + 1, track]
        inside = first > 0 and last < len(values) - 1 and last - first + 1 <= longest * fps + 1e-6
        assert whole.all() if inside else not whole.any()
        if inside:
            ends = values[[first - 1, last + 1], track]
            part = result[first : last + 1, track]
            assert (part >= ends.min(0) - 1e-9).all() and (part <= ends.max(0) + 1e-9).all()
            assert (np.diff(np.concatenate([ends[:1], part, ends[1:]]), axis=0) * (ends[1] - ends[0]) >= -1e-9).all()


def test_a_bridge_over_smooth_movement_is_near_the_truth():
    truth = sway(25.0, hertz=0.3)
    known = all_known(truth)
    known[40:50] = False
    held = np.where(known[..., None], truth, 0.0)
    result, _, filled = fill(held, known.astype(float), known, 25.0, 0.5)
    assert filled.sum() == 10 and np.abs(result - truth)[filled].max() < 0.05


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 40), st.just(1)), elements=st.floats(0, 1)))
def test_hysteresis_keeps_whole_stretches_and_is_the_same_backwards(scores):
    kept = hysteresis(scores, 0.3, 0.5)
    assert np.array_equal(kept, hysteresis(scores[::-1], 0.3, 0.5)[::-1])
    assert kept[scores >= 0.5].all() and not kept[scores < 0.3].any()
    between = (scores >= 0.3) & (scores < 0.5)
    for i in np.flatnonzero(between[:, 0]):
        beside = [kept[j, 0] for j in (i - 1, i + 1) if 0 <= j < len(kept) and scores[j, 0] >= 0.3]
        assert all(k == kept[i, 0] for k in beside)


def arms(count=100, fps=25.0):
    """Body points (F, 18, 2) in shoulder widths with arms that swing, upper arms 0.8 and forearms 0.65 long."""
    turn = 0.8 + 0.5 * np.sin(2 * np.pi * 0.5 * np.arange(count) / fps)
    points = np.zeros((count, 18, 2))
    for side, (shoulder, elbow, wrist) in ((1, (5, 6, 7)), (-1, (2, 3, 4))):
        points[:, shoulder] = [side * 0.5, 0.0]
        way = lambda a, side=side: np.stack([side * np.cos(a), np.sin(a)], -1)
        points[:, elbow] = points[:, shoulder] + 0.8 * way(turn)
        points[:, wrist] = points[:, elbow] + 0.65 * way(turn + 1)
    return points, np.ones((count, 18), bool)


def test_bones_are_held_to_the_longest_that_is_seen():
    points, known = arms()
    limits = limbs.arm_limits(points, known, 25.0)
    assert np.allclose(limits, np.array([0.8, 0.8, 0.65, 0.65]) * 1.1)
    same, moved = limbs.limited(points, known, limbs.ARM_BONES, limits)
    assert np.array_equal(same, points) and not moved.any()
    long = points.copy()
    long[20:23, 7] += [0.9, 0.0]
    assert np.allclose(limbs.arm_limits(long, known, 25.0), limits)
    short, moved = limbs.limited(long, known, limbs.ARM_BONES, limits)
    assert np.flatnonzero(moved.any(1)).tolist() == [20, 21, 22]
    assert np.linalg.norm(short[:, 7] - short[:, 6], axis=-1).max() <= limits[2] + 1e-9
    assert limbs.too_long(long, known, limbs.ARM_BONES, limits)[:, 7].sum() == 3


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(3, 56))
@settings(max_examples=25)
def test_swapped_frames_are_found_exactly(seed, length, start):
    rng = np.random.default_rng(seed)
    points, _ = arms()
    left, right = (
        points[:, [6, 7]] + rng.normal(0, 0.01, (100, 2, 2)),
        points[:, [3, 4]] + rng.normal(0, 0.01, (100, 2, 2)),
    )
    wrong = np.zeros(100, bool)
    wrong[start : start + length] = True
    left[wrong], right[wrong] = right[wrong].copy(), left[wrong].copy()
    known = np.ones((100, 2, 2), bool)
    if length > 2:  # a frame that tells nothing
        known[start + length // 2, 0] = False
    assert np.array_equal(limbs.swapped_frames(left, right, known, 25.0), wrong)


def test_hands_that_cross_are_not_swapped():
    way = np.linspace(-0.6, 0.6, 50)
    left, right = (np.stack([s * way, np.zeros(50)], -1)[:, None] for s in (1, -1))
    assert not limbs.swapped_frames(left, right, np.ones((50, 2, 1), bool), 25.0).any()
