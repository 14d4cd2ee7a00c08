"""Noise schedules of stage 1: DDPM arithmetic, every scheduler with a perfect denoiser, bounds on clean motion."""

import numpy as np
import pytest
import torch
from emo2.models.errors import EMO2Error
from emo2.models.motion import SCHEDULERS, MotionConfig
from emo2.models.motion.schedule import clean_estimate, noise_between, noise_schedule, step
from hypothesis import given
from hypothesis import strategies as st

CONFIG = MotionConfig.tiny()
ALPHAS = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_betas_are_ddpms(name):
    np.testing.assert_allclose(noise_schedule(CONFIG, name).alphas_cumprod, ALPHAS, rtol=1e-4)


def test_training_noise_follows_equation_4():
    """x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) e"""
    schedule = noise_schedule(CONFIG)
    clean, noise = torch.randn(3, 5, 170), torch.randn(3, 5, 170)
    times = torch.tensor([0, 400, 999])
    a = torch.tensor(ALPHAS, dtype=torch.float32)[times, None, None]
    expected = a.sqrt() * clean + (1 - a).sqrt() * noise
    torch.testing.assert_close(schedule.add_noise(clean, noise, times), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20, 50])
def test_a_perfect_denoiser_arrives_at_the_truth(name, steps):
    """With the noise that truly separates x_t from x_0, every scheduler ends at x_0, whatever it does on the way."""
    schedule = noise_schedule(CONFIG, name, steps)
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(6, 170, generator=generator).clamp(-3, 3)
    x = torch.randn(6, 170, generator=generator)
    assert schedule.timesteps[0] == 999, "sampling does not begin at pure noise"
    assert len(schedule.timesteps) == steps
    for t in schedule.timesteps:
        a = float(schedule.alphas_cumprod[int(t)])
        clean = clean_estimate(x, (x - a**0.5 * truth) / (1 - a) ** 0.5, a, CONFIG.clip)
        x = step(schedule, t, x, clean, generator)
    torch.testing.assert_close(x, truth, atol=2e-4, rtol=0)


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("steps", [20, 30])
def test_the_way_there_has_the_right_amount_of_noise(name, steps):
    """With the truth known, x after a step is the truth under the noise of the next timestep."""
    schedule, generator = noise_schedule(CONFIG, name, steps), torch.Generator().manual_seed(0)
    truth = torch.zeros(400, 170)
    x = torch.randn(400, 170, generator=generator)
    for t, following in zip(schedule.timesteps[:-1], schedule.timesteps[1:]):
        x = step(schedule, t, x, truth, generator)
        expected = (1 - ALPHAS[int(following)]) ** 0.5
        assert float(x.std()) == pytest.approx(expected, rel=0.05, abs=0.005)


@given(
    seed=st.integers(0, 2**32 - 1),
    t=st.integers(0, 999),
    clip=st.floats(0.5, 10),
    size=st.sampled_from([0.1, 1.0, 30.0]),
)
def test_the_estimate_keeps_clean_motion_within_the_clip_and_leaves_the_rest_alone(seed, t, clip, size):
    g = torch.Generator().manual_seed(seed)
    noisy = torch.randn(50, generator=g, dtype=torch.float64) * size
    epsilon = torch.randn(50, generator=g, dtype=torch.float64) * size
    a = float(ALPHAS[t])
    clean = lambda e: (noisy - (1 - a) ** 0.5 * e) / a**0.5
    estimate = clean_estimate(noisy, epsilon, a, clip)
    assert estimate.abs().max() <= clip
    inside = clean(epsilon).abs() < clip
    torch.testing.assert_close(estimate[inside], clean(epsilon)[inside])
    torch.testing.assert_close(estimate[~inside].abs(), torch.full_like(noisy[~inside], clip))
    torch.testing.assert_close(noise_between(noisy, estimate, a)[inside], epsilon[inside], atol=1e-7, rtol=1e-7)


def test_the_estimate_sends_hidden_numbers_to_the_mean():
    noisy, epsilon = torch.randn(4, 170), torch.randn(4, 170)
    keep = torch.rand(4, 170) > 0.5
    a = float(ALPHAS[300])
    clean = clean_estimate(noisy, epsilon, a, 5.0, keep)
    assert (clean[~keep] == 0).all()
    assert clean[keep].abs().min() > 0


@pytest.mark.parametrize("steps", [0, -3, 1001, 2.5, True])
def test_steps_out_of_range_are_refused(steps):
    with pytest.raises(EMO2Error, match="steps: expected a whole number from 1 to 1000"):
        noise_schedule(CONFIG, "ddim", steps)


def test_an_unknown_scheduler_is_refused_with_the_known_ones():
    with pytest.raises(EMO2Error, match=r"scheduler: expected one of ddim, dpm\+\+, ddpm, but got 'euler'"):
        noise_schedule(CONFIG, "euler", 5)
