"""The speed that is asked for is the speed that comes, each hand by itself, and nothing jumps for it."""

import numpy as np
import pytest
import torch
from emo2.models.motion import vector
from emo2.models.motion.liveliness import MOST, held_to_speed
from emo2.models.pose.body import ELBOWS, WRISTS
from emo2.models.types import SHOULDER_METRES
from hypothesis import given, settings
from hypothesis import strategies as st
from test_motion_sampler import network, same, sample, voice

MEAN, STD = torch.linspace(-0.3, 0.3, vector.SIZE), torch.linspace(0.05, 0.2, vector.SIZE)
PLACES = [slice(vector.hand(h).stop - 3, vector.hand(h).stop) for h in (0, 1)]


def moving(frames=80, seed=0):
    torch.manual_seed(seed)
    return torch.randn(frames, vector.SIZE).cumsum(0) * 0.05


def variance(clean, hand):
    metres = (clean * STD + MEAN)[:, PLACES[hand]]
    return float((metres - metres.mean(0)).square().sum(-1).mean())


@settings(max_examples=40, deadline=None)
@given(st.floats(0.6, 1.8), st.floats(0.6, 1.8), st.integers(0, 1000))
def test_each_hand_gets_its_own_speed(left, right, seed):
    clean = moving(seed=seed)
    wanted = [variance(clean, 0) * left**2, variance(clean, 1) * right**2]
    held = held_to_speed(clean, wanted, MEAN, STD)
    assert [variance(held, h) for h in (0, 1)] == pytest.approx(wanted, rel=1e-3)
    rest = [i for i in range(vector.HAND_SIZE * 2) if not any(s.start <= i < s.stop for s in PLACES)]
    assert torch.allclose(held[:, rest], clean[:, rest], atol=1e-5)
    for place in PLACES:
        assert torch.allclose(held[:, place].mean(0), clean[:, place].mean(0), atol=1e-4)


def test_a_free_hand_and_a_hidden_one_stay():
    clean, visible = moving(), torch.ones(80, 2, dtype=torch.bool)
    visible[:30, 1] = False
    held = held_to_speed(clean, [-1.0, variance(clean, 1) * 4], MEAN, STD, visible)
    assert torch.allclose(held[:, vector.hand(0)], clean[:, vector.hand(0)], atol=1e-5)
    assert torch.allclose(held[:30], clean[:30], atol=1e-5) and not torch.allclose(held[40:], clean[40:], atol=1e-2)
    visible[:, 1] = False
    assert torch.allclose(held_to_speed(clean, [-1.0, 1.0], MEAN, STD, visible), clean, atol=1e-5)


def test_a_step_moves_no_further_than_it_may_and_stillness_stays_finite():
    clean = moving()
    held = held_to_speed(clean, [100.0, 0.0], MEAN, STD)
    assert variance(held, 0) == pytest.approx(variance(clean, 0) * MOST**2, rel=1e-3)
    assert variance(held, 1) == pytest.approx(variance(clean, 1) / MOST**2, rel=1e-3)
    assert torch.isfinite(held_to_speed(torch.zeros(5, vector.SIZE), [1.0, 1.0], MEAN, STD)).all()
    assert torch.isfinite(held_to_speed(moving(1), [1.0, 1.0], MEAN, STD)).all()


def test_wrists_in_the_picture_follow_and_a_seam_stays():
    clean = moving()
    held = held_to_speed(clean, [variance(clean, 0) * 2.25, -1.0], MEAN, STD, carried=12)
    away = ((held - clean) * STD)[:, PLACES[0]]
    points = ((held - clean) * STD)[:, vector.KEYPOINTS].unflatten(-1, (-1, 2))
    assert torch.allclose(points[:, WRISTS[0]], away[:, :2] / SHOULDER_METRES, atol=1e-5)
    assert torch.allclose(points[:, ELBOWS[0]], away[:, :2] / SHOULDER_METRES / 2, atol=1e-5)
    assert not points[:, WRISTS[1]].abs().max() > 1e-5
    full = ((held_to_speed(clean, [variance(clean, 0) * 2.25, -1.0], MEAN, STD) - clean) * STD)[:, PLACES[0]]
    assert torch.allclose(away[0] * 13, full[0], atol=1e-4) and torch.allclose(away[12:], full[12:], atol=1e-5)


def test_sampling_obeys_the_speed():
    model, audio = network(), voice(200)
    free = sample(model, audio, steps=8)
    now = vector.hand_variance(free.translations)
    for left, right in ((0.5, 1.5), (1.6, 0.7)):
        wish = [float(now[0]) * left**2, float(now[1]) * right**2]
        made = sample(model, audio, steps=8, speed=wish)
        assert np.allclose(vector.hand_variance(made.translations), wish, rtol=0.02)
    half = sample(model, audio, steps=8, speed=[None, float(now[1])])
    assert np.isfinite(half.translations).all() and not same(half, free)
