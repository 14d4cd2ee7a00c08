"""Schedulers: made to the model's training, exact for a perfect network at any number of steps."""

import numpy as np
import pytest
import torch
from emo2.models.errors import EMO2Error
from emo2.models.types import Reference
from emo2.models.video.conditions import Settings
from emo2.models.video.config import VideoConfig
from emo2.models.video.preview import clean_estimate, colour_factors, rough_picture
from emo2.models.video.schedulers import SCHEDULERS, make_scheduler
from video_run_cases import draw, one_thread  # noqa: F401

ECHOMIMIC_V2 = VideoConfig(
    prediction_type="v_prediction", beta_schedule="linear", zero_terminal_snr=True, timestep_spacing="trailing"
)
CONFIGS = {"tiny": VideoConfig.tiny(), "paper": VideoConfig.paper(), "echomimic_v2": ECHOMIMIC_V2}


def perfect(scheduler, config, clean: torch.Tensor, noisy: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """What a network would predict that knows the clean latents."""
    alpha = scheduler.alphas_cumprod[int(timestep)].double()
    given = scheduler.scale_model_input(noisy, timestep).double()
    noise = (given - alpha.sqrt() * clean) / (1 - alpha).sqrt()
    predicted = noise if config.prediction_type == "epsilon" else alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
    return predicted.float()


@pytest.mark.parametrize("profile", CONFIGS)
@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 6, 7, 13, 25, 30, 50, 77])
def test_a_perfect_network_gives_the_picture_at_any_number_of_steps(profile, name, steps):
    config = CONFIGS[profile]
    scheduler = make_scheduler(name, config, steps)
    assert len(scheduler.timesteps) == steps
    clean = 0.8 * draw(1, 4, 2, 8, 8)
    noisy = draw(1, 4, 2, 8, 8, seed=1) * scheduler.init_noise_sigma
    random = torch.Generator().manual_seed(2)
    for timestep in scheduler.timesteps:
        predicted = perfect(scheduler, config, clean, noisy, timestep)
        estimate = clean_estimate(scheduler, predicted, timestep, noisy)
        assert (estimate - clean).abs().max() < 2e-2, "the preview sees the clean latents too"
        noisy = scheduler.step(predicted, timestep, noisy, generator=random).prev_sample
    # Where the steps do not divide 1000, DDIM as published stops at the first noise level instead of at none.
    left = float((1 - scheduler.alphas_cumprod[0]) ** 0.5) * 5 if name == "ddim" and 1000 % steps else 0.01
    assert (noisy - clean).abs().max() < left


def test_echomimic_v2_schedule():
    """Trailing steps from 999 on; linear betas 0.00085 to 0.012, rescaled so that the last step is pure noise."""
    scheduler = make_scheduler("ddim", ECHOMIMIC_V2, 30)
    steps = scheduler.timesteps.tolist()
    assert steps[:3] == [999, 966, 932] and len(steps) == 30 and steps[-1] == 32
    alphas = np.cumprod(1 - np.linspace(0.00085, 0.012, 1000))
    root = np.sqrt(alphas)
    rescaled = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    assert np.allclose(scheduler.alphas_cumprod.numpy(), rescaled, atol=1e-5)
    assert scheduler.alphas_cumprod[-1] < 1e-6
    assert make_scheduler("ddim", ECHOMIMIC_V2, 6).timesteps.tolist() == [999, 832, 666, 499, 332, 166]


def test_stable_diffusion_schedule():
    """Leading steps with offset 1, scaled-linear betas: how the paper's initial weights were trained."""
    scheduler = make_scheduler("ddim", VideoConfig.paper(), 50)
    assert scheduler.timesteps.tolist()[:2] == [981, 961] and scheduler.timesteps.tolist()[-1] == 1
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    assert np.allclose(scheduler.alphas_cumprod.numpy(), np.cumprod(1 - betas), atol=1e-6)


@pytest.mark.parametrize("steps", [0, -1, 501])
def test_steps_out_of_range(steps):
    with pytest.raises(EMO2Error, match="steps"):
        make_scheduler("ddim", VideoConfig.tiny(), steps)


@pytest.mark.parametrize(
    "values, name",
    [({"scheduler": "plms"}, "scheduler"), ({"steps": 0}, "steps"), ({"cfg": -1.0}, "cfg"),
     ({"cfg": float("nan")}, "cfg"),
     ({"reference_strength": -0.1}, "reference_strength"), ({"audio_strength": -1}, "audio_strength"),
     ({"pose_strength": float("inf")}, "pose_strength")],
)  # fmt: skip
def test_settings_out_of_range(values, name):
    with pytest.raises(EMO2Error) as caught:
        Settings(**values)
    assert caught.value.input == name


def test_the_quick_preview_is_quick():
    quick = Settings(seed=4, steps=30, cfg=2.5).quick()
    assert (quick.seed, quick.steps, quick.cfg, quick.scheduler) == (4, 6, 1.0, "dpm++")
    assert Settings(steps=3, scheduler="lcm").quick().steps == 3
    assert Settings(steps=8, scheduler="lcm").quick().scheduler == "lcm"


def test_rough_colours_are_learned_from_the_reference():
    """Where latents are a linear picture of colours, the preview finds the colours of other latents."""
    mixing = draw(8, 4, seed=3)
    image = torch.rand(1, 128, 96, 3, generator=torch.Generator().manual_seed(4)) * 0.2
    image += torch.nn.functional.interpolate(torch.rand(1, 3, 16, 12), (128, 96)).movedim(1, -1) * 0.8

    def latents(picture):
        small = torch.nn.functional.avg_pool2d(picture.movedim(-1, 1), 8)
        ones = torch.ones_like(small[:, :1])
        return torch.einsum("lc,bchw->blhw", mixing, torch.cat([small, ones], dim=1))

    factors = colour_factors(Reference(latents(image), {}, image, "model"))
    other = torch.rand(1, 128, 96, 3, generator=torch.Generator().manual_seed(5))
    picture = rough_picture(latents(other)[0], factors)
    expected = torch.nn.functional.avg_pool2d(other.movedim(-1, 1), 8)[0].movedim(0, -1).numpy() * 255
    assert picture.shape == (128, 96, 3) and picture.dtype == np.uint8
    assert np.abs(picture[::8, ::8].astype(float) - expected).max() < 8
