"""Noise schedules of stage 1: `diffusers` schedulers over the config's betas, and the bound on clean motion."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import EMO2Error
from .config import MotionConfig

SCHEDULERS = ("ddim", "dpm++", "ddpm")
"""DDIM (eta 0) and DPM-Solver++ 2M need few steps and no further noise; DDPM is the ancestral sampler of training."""


def noise_schedule(config: MotionConfig, name: str = "ddpm", steps: int | None = None) -> Any:
    """The `diffusers` scheduler called `name`, set to `steps` steps when given; predicts epsilon.

    Without `steps` it is what training adds noise with: `noise_schedule(config).add_noise(...)`.
    """
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

    if name not in SCHEDULERS:
        raise EMO2Error("scheduler", f"one of {', '.join(SCHEDULERS)}", repr(name), "Choose one of these.")
    common = {
        "num_train_timesteps": config.diffusion_steps,
        "beta_start": config.beta_start,
        "beta_end": config.beta_end,
        "beta_schedule": "linear",
        "prediction_type": "epsilon",
        # "trailing" begins at the very last timestep, pure noise, however few the steps are (arXiv 2305.08891).
        "timestep_spacing": "trailing",
    }
    if name == "dpm++":
        made = DPMSolverMultistepScheduler(**common, algorithm_type="dpmsolver++", final_sigmas_type="zero")
    elif name == "ddim":
        made = DDIMScheduler(**common, clip_sample=False)
    else:
        made = DDPMScheduler(**common, clip_sample=False)
    if steps is not None:
        most = config.diffusion_steps
        if isinstance(steps, bool) or int(steps) != steps or not 1 <= steps <= most:
            raise EMO2Error("steps", f"a whole number from 1 to {most}", steps, "Use 20 to 50 steps.")
        made.set_timesteps(int(steps))
    return made


def clean_estimate(
    noisy: Tensor, epsilon: Tensor, alpha: Tensor | float, clip: float, keep: Tensor | None = None
) -> Tensor:
    """The clean motion that a prediction means, within +-clip deviations, and 0 (the mean) where `keep` is False.

    noisy = sqrt(alpha) clean + sqrt(1 - alpha) epsilon (DDPM, arXiv 2006.11239, equation 4), alpha the cumulative
    product. Bounded before the scheduler sees it, so that every scheduler is bounded alike: with few steps or strong
    guidance the estimate from nearly pure noise would otherwise run away.
    """
    alpha = torch.as_tensor(alpha, dtype=noisy.dtype, device=noisy.device)
    clean = ((noisy - (1 - alpha).sqrt() * epsilon) / alpha.sqrt()).clamp(-clip, clip)
    return clean if keep is None else clean * keep


def noise_between(noisy: Tensor, clean: Tensor, alpha: Tensor | float) -> Tensor:
    """The epsilon that separates `noisy` from `clean`: the same equation, solved for the noise."""
    alpha = torch.as_tensor(alpha, dtype=noisy.dtype, device=noisy.device)
    return (noisy - alpha.sqrt() * clean) / (1 - alpha).sqrt()


def step(schedule: Any, timestep: Tensor, noisy: Tensor, clean: Tensor, generator: torch.Generator) -> Tensor:
    """One step of the scheduler from `noisy` at `timestep`, given the estimate of the clean motion.

    The last step gives the estimate itself, which is what its formula says when nothing is left to remove. (The DDIM
    and DDPM of diffusers stop at timestep 0 where the steps do not divide 1000: 1 % of noise, and hands would shiver.)
    """
    if timestep == schedule.timesteps[-1]:
        return clean
    epsilon = noise_between(noisy, clean, schedule.alphas_cumprod[int(timestep)])
    return schedule.step(epsilon, timestep, noisy, generator=generator).prev_sample
