"""Pictures of a video that is still being made: the clean latents guessed from a step, and their rough colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..types import Reference


def clean_estimate(
    scheduler: Any, predicted: torch.Tensor, timestep: torch.Tensor, noisy: torch.Tensor
) -> torch.Tensor:
    """The one-step estimate of the clean latents, in the shape of `noisy`, from the prediction at `timestep`.

    x0 = sqrt(a) x - sqrt(1 - a) v, or (x - sqrt(1 - a) e) / sqrt(a); a solver in sigmas keeps x unscaled, so it is
    brought to unit variance first.
    """
    kind = scheduler.config.prediction_type
    alpha = scheduler.alphas_cumprod[int(timestep)].float().clamp(min=1e-6)
    if hasattr(scheduler, "is_scale_input_called"):
        noisy = noisy * alpha.sqrt()
    if kind == "sample":
        return predicted
    if kind == "v_prediction":
        return alpha.sqrt() * noisy - (1 - alpha).sqrt() * predicted
    return (noisy - (1 - alpha).sqrt() * predicted) / alpha.sqrt()


def colour_factors(reference: Reference) -> np.ndarray:
    """Linear map (C + 1, 3) from latents and 1 to RGB, fitted to the reference picture: no decoder is needed.

    Ridge regression of the picture, averaged over each latent's pixels, on its latents.
    """
    latents = reference.latents[0].float().cpu()
    channels, height, width = latents.shape
    colours = torch.nn.functional.adaptive_avg_pool2d(
        reference.image[0].float().cpu().permute(2, 0, 1), (height, width)
    )
    x = np.concatenate([latents.reshape(channels, -1).numpy().T, np.ones((height * width, 1), np.float32)], axis=1)
    y = colours.reshape(3, -1).numpy().T
    ridge = 1e-3 * np.trace(x.T @ x) / len(x.T) * np.eye(channels + 1)
    return np.linalg.solve(x.T @ x + ridge, x.T @ y)


def rough_picture(latents: torch.Tensor, factors: np.ndarray, scale: int = 8) -> np.ndarray:
    """One frame's latents (C, h, w) as a rough picture (h * scale, w * scale, 3) uint8."""
    channels, height, width = latents.shape
    flat = latents.float().cpu().reshape(channels, -1).numpy().T
    rgb = flat @ factors[:-1] + factors[-1]
    small = np.clip(rgb.reshape(height, width, 3) * 255, 0, 255).astype(np.uint8)
    return np.repeat(np.repeat(small, scale, axis=0), scale, axis=1)
