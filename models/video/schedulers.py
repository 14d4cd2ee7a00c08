"""Noise schedulers from `diffusers`, made to a video model's training: betas, prediction type, spacing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import EMO2Error

if TYPE_CHECKING:
    from .config import VideoConfig

SCHEDULERS = ("ddim", "dpm++", "lcm", "euler")
MAX_STEPS = 500


def make_scheduler(name: str, config: VideoConfig, steps: int) -> Any:
    """The scheduler called `name`, set to `steps` steps, for a model trained as `config` says.

    ddim: DDIM (Song et al. 2021), eta 0. dpm++: DPM-Solver++ 2M (Lu et al. 2022). lcm: latent consistency (Luo et al.
    2023), which wants a distilled model. euler: the first-order solver of Karras et al. 2022. Zero terminal SNR and
    trailing spacing as in Lin et al. 2024.
    """
    if name not in SCHEDULERS:
        raise EMO2Error("scheduler", "one of " + ", ".join(SCHEDULERS), name, "Choose one of them.")
    most = min(MAX_STEPS, config.train_steps // 2)
    if not 1 <= steps <= most:
        raise EMO2Error("steps", f"a whole number from 1 to {most}", steps, "Change the number of steps.")
    # Importing diffusers takes seconds: it happens when a video is sampled, not when the pack is loaded.
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, LCMScheduler

    common: dict[str, Any] = {
        "num_train_timesteps": config.train_steps,
        "beta_start": config.beta_start,
        "beta_end": config.beta_end,
        "beta_schedule": config.beta_schedule,
        "prediction_type": config.prediction_type,
        "rescale_betas_zero_snr": config.zero_terminal_snr,
        "timestep_spacing": config.timestep_spacing,
        "steps_offset": 0 if config.timestep_spacing == "trailing" else 1,
    }
    scheduler: Any
    if name == "ddim":
        scheduler = DDIMScheduler(**common, clip_sample=False, set_alpha_to_one=True)
    elif name == "dpm++":
        # Two orders need two steps; the last step, to no noise at all, is taken at first order as the authors advise.
        scheduler = DPMSolverMultistepScheduler(
            **common, algorithm_type="dpmsolver++", solver_order=2, lower_order_final=True, final_sigmas_type="zero"
        )
    elif name == "euler":
        scheduler = EulerDiscreteScheduler(**common)
    else:
        scheduler = LCMScheduler(
            **common, clip_sample=False, original_inference_steps=min(max(50, steps), config.train_steps)
        )
    scheduler.set_timesteps(steps)
    return scheduler
