"""Keypoints cleaned, with numbers: what detectors spoil comes back, and what is right is left alone."""

from dataclasses import replace

import numpy as np
import pytest
from cleaning_cases import NAMES, error, person, same, scores_of, spoil
from emo2.models.pose.body import MIRRORED
from emo2.models.pose.cleaning import OFF, Cleaning, clean_points, shoulder_unit
from emo2.models.pose.keypoint_motion import Points
from emo2.models.pose.keypoint_sets import load_keypoints
from emo2.models.pose.limbs import arm_limits

BARE = Cleaning(smooth_hz=0)
"""Everything but smoothing."""


@pytest.mark.parametrize("fps", [12.0, 25.0, 60.0])
def test_noise_outliers_and_dropouts_are_reduced(fps):
    truth, size, _ = person(1, round(6 * fps), fps)
    spoilt = spoil(truth, size, 1)
    cleaned, report = clean_points(spoilt, fps, size, Cleaning())
    for name in NAMES:
        assert error(cleaned, truth, name, size) < error(spoilt, truth, name, size) / (4 if fps < 25 else 8), name
        assert (scores_of(spoilt, name) > 0).mean() < 0.93 < 0.99 < (scores_of(cleaned, name) > 0).mean()
    assert report.total("outliers removed") > 100 and report.total("gaps filled", "hands") > 100


def test_trembling_alone_is_evened_out():
    truth, size, _ = person(2)
    noisy = spoil(truth, size, 2, rate=0, lost=0)
    cleaned, report = clean_points(noisy, 25.0, size, Cleaning())
    assert report.total("outliers removed") == report.total("gaps filled") == 0
    for name, most in (("body", 0.6), ("hands", 0.7), ("face", 0.8)):
        assert error(cleaned, truth, name, size) < most * error(noisy, truth, name, size), name


@pytest.mark.parametrize("seed", range(3))
def test_clean_points_come_back(seed):
    truth, size, _ = person(seed)
    bare, report = clean_points(truth, 25.0, size, BARE)
    assert same(bare, truth) and not report.entries and "nothing to clean" in str(report)
    smooth, _ = clean_points(truth, 25.0, size, Cleaning())
    for name in NAMES:
        assert error(smooth, truth, name, size) < 0.012, name
    off, _ = clean_points(truth, 25.0, size, OFF)
    assert off is truth


def test_what_a_step_does_not_change_comes_back_bit_for_bit():
    truth, size, _ = person(0)
    unit = shoulder_unit(truth, size)
    body = truth.body.copy()
    body[70:73, 7] += 1.0 / unit
    cleaned, report = clean_points(truth._replace(body=body), 25.0, size, BARE)
    assert report.total("outliers removed") == report.total("gaps filled") == 3
    assert np.linalg.norm((cleaned.body - truth.body) * unit, axis=-1).max() < 0.05
    changed = (cleaned.body != truth.body).any(-1)
    assert np.argwhere(changed).tolist() == [[70, 7], [71, 7], [72, 7]]
    assert np.array_equal(cleaned.hands, truth.hands) and np.array_equal(cleaned.face, truth.face)


def test_the_picture_and_its_size_make_no_difference():
    truth, size, _ = person(3)
    spoilt = spoil(truth, size, 3)
    small, large = (clean_points(spoilt, 25.0, (h, w), Cleaning())[0] for h, w in (size, (size[0] * 3, size[1] * 3)))
    assert all(np.allclose(a, b, atol=1e-9) for a, b in zip(small, large))
    far = lambda p: p._replace(**{n: np.where(scores_of(p, n)[..., None] > 0, getattr(p, n) * 0.25, 0) for n in NAMES})
    tiny = clean_points(far(spoilt), 25.0, size, Cleaning())[0]
    assert all(np.allclose(a, b, atol=1e-9) for a, b in zip(tiny, far(small)))


def test_the_gate_opens_above_where_it_closes():
    truth, size, _ = person(0, 60)
    scores = np.full(truth.hand_scores.shape, 0.9)
    scores[10:20, 0, 8], scores[30:40, 0, 8] = 0.35, 0.2
    scores[30:, 1, 4] = 0.35
    how = replace(OFF, gate=0.3)
    cleaned, report = clean_points(truth._replace(hand_scores=scores), 25.0, size, how)
    assert (cleaned.hand_scores[10:20, 0, 8] == 0.35).all() and not cleaned.hand_scores[30:40, 0, 8].any()
    assert (cleaned.hand_scores[30:, 1, 4] == 0.35).all() and not cleaned.hands[30:40, 0, 8].any()
    assert report.total("too unsure") == 10
    scores[:, 1, 4] = 0.35
    assert not clean_points(truth._replace(hand_scores=scores), 25.0, size, how)[0].hand_scores[:, 1, 4].any()


@pytest.mark.parametrize("length", [1, 4, 12, 50])
@pytest.mark.parametrize("what", ["hands", "arms", "body"])
def test_sides_that_carry_each_others_name_are_put_right_exactly(what, length):
    truth, size, _ = person(4)
    part = slice(60, 60 + length)
    if what == "hands":
        hands = truth.hands.copy()
        hands[part] = hands[part, ::-1]
        spoilt = truth._replace(hands=hands)
    else:
        order = np.arange(18)
        if what == "arms":
            order[[3, 4, 6, 7]] = [6, 7, 3, 4]
        else:
            order[:] = MIRRORED
        body = truth.body.copy()
        body[part] = body[part][:, order]
        spoilt = truth._replace(body=body)
    cleaned, report = clean_points(spoilt, 25.0, size, BARE)
    assert report.total("left and right swapped back", what) == length
    assert same(cleaned, truth)


def test_two_seconds_without_hands_stay_unknown_and_the_rest_is_kept():
    truth, size, _ = person(5)
    hands, scores = truth.hands.copy(), truth.hand_scores.copy()
    hands[50:100], scores[50:100] = 0, 0
    cleaned, report = clean_points(truth._replace(hands=hands, hand_scores=scores), 25.0, size, BARE)
    assert not cleaned.hand_scores[50:100].any() and not cleaned.hands[50:100].any()
    assert np.array_equal(cleaned.hands[:50], truth.hands[:50]) and not report.entries
    short = replace(BARE, longest_gap=2.0)
    filled, report = clean_points(truth._replace(hands=hands, hand_scores=scores), 25.0, size, short)
    assert (filled.hand_scores > 0).all() and report.total("gaps filled", "hands") == 50 * 42


def test_a_stretched_arm_is_drawn_in():
    truth, size, _ = person(6)
    unit = shoulder_unit(truth, size)
    body = truth.body.copy()
    # A slow error, which no speed betrays.
    line = body[40:50, 7] - body[40:50, 6]
    body[40:50, 7] += np.hanning(12)[1:-1, None] * 0.8 * line
    cleaned, report = clean_points(truth._replace(body=body), 25.0, size, BARE)
    bone = lambda p: np.linalg.norm((p.body[:, 7] - p.body[:, 6]) * unit, axis=-1)
    assert report.total("bones shortened", "body") >= 3
    limit = arm_limits(truth.body * unit, truth.body_scores > 0, 25.0)[2]
    assert bone(truth._replace(body=body)).max() > 1.1 * limit >= 1.09 * bone(cleaned).max()
    assert np.array_equal(cleaned.body[:40], truth.body[:40])


def test_empty_and_single_frames_are_no_trouble():
    nothing = Points(*(np.zeros(s) for s in ((4, 18, 2), (4, 18), (4, 2, 21, 2), (4, 2, 21), (4, 70, 2), (4, 70))))
    assert same(clean_points(nothing, 25.0, (10, 10), Cleaning())[0], nothing)
    truth, size, _ = person(0, 1)
    one, _ = clean_points(truth, 25.0, size, Cleaning())
    assert same(one, truth)


@pytest.mark.shared
@pytest.mark.parametrize("driver", ["01", "02", "good"])
def test_real_points_are_left_alone_and_mended(shared, driver):
    truth, size = load_keypoints(shared / "data" / "pose" / f"echomimic_v2_{driver}.npz")
    bare, report = clean_points(truth, 24.0, size, BARE)
    assert same(bare, truth) and not report.entries
    smooth, _ = clean_points(truth, 24.0, size, Cleaning())
    spoilt = spoil(truth, size, 7)
    mended, _ = clean_points(spoilt, 24.0, size, Cleaning())
    for name in NAMES:
        assert error(smooth, truth, name, size) < 0.01, name
        assert error(mended, truth, name, size) < error(spoilt, truth, name, size) / 5, name
