"""Sampling a video: clip after clip, or all frames in overlapping windows. The network is called from here only.

What does not change over the steps (audio keys and values, map features, motion-frame features) is computed once a
clip. Scheduler arithmetic runs on the CPU in float32, with noise from CPU generators: it costs next to nothing and is
the same on every device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import EMO2Error
from .clips import ClipPlan, carry, frame_noise, generator, plan_clips
from .conditions import Conditions, Settings
from .preview import clean_estimate
from .schedulers import make_scheduler
from .windows import WindowOptions, context_windows, window_weights

if TYPE_CHECKING:
    from .model import VideoModel

OnStep = Callable[[int, int, Callable[[], torch.Tensor]], None]
"""Called after each step with (steps done, steps in all, a function that makes the estimate of the clean latents
(F, C, h, w), unscaled). Whatever it raises ends the sampling."""


@dataclass(frozen=True)
class Clip:
    """`latents` (n, C, h, w), unscaled, of video frames start..start+n-1."""

    index: int
    start: int
    latents: torch.Tensor


@dataclass(frozen=True)
class Compute:
    """Where and how precisely the network computes, and `check`, which raises when the user has cancelled."""

    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float32
    check: Callable[[], None] = lambda: None

    def to(self, value: Any) -> Any:
        """Tensors in `value` (a tensor, a mapping or a sequence of them) moved to the device and dtype."""
        if isinstance(value, torch.Tensor):
            return value.to(self.device, self.dtype if value.is_floating_point() else value.dtype)
        if isinstance(value, dict):
            return {name: self.to(item) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.to(item) for item in value)
        return value


CPU = Compute()


def sample_clips(
    model: VideoModel,
    conditions: Conditions,
    settings: Settings,
    *,
    start: int = 0,
    count: int,
    previous: torch.Tensor | None = None,
    skip: int = 0,
    compute: Compute = CPU,
    on_step: OnStep | None = None,
) -> Iterator[Clip]:
    """Make video frames start..start+count-1 clip by clip, each continuing from the last 12 frames made before.

    previous (M, C, h, w): unscaled latents of the frames before `start`, or None. skip: clips that exist already; then
    `previous` are the frames before the first clip that is made. Memory does not grow with `count`.
    """
    config = conditions.config
    plans = plan_clips(start, count, config.clip_frames, config.motion_frames)[skip:]
    reference = _reference(conditions, settings, compute)
    before = None if previous is None else carry(None, _checked(previous, config, "previous"), config.motion_frames)
    total = (skip + len(plans)) * settings.steps
    for plan in plans:
        done = plan.index * settings.steps
        clean = _sample_clip(model, conditions, settings, plan, before, reference, compute, done, total, on_step)
        kept = clean[: plan.count]
        before = carry(before, kept, config.motion_frames)
        yield Clip(plan.index, plan.start, kept)


def sample_video(
    model: VideoModel,
    conditions: Conditions,
    settings: Settings,
    *,
    start: int = 0,
    count: int,
    windows: WindowOptions | None = None,
    previous: torch.Tensor | None = None,
    compute: Compute = CPU,
    on_step: OnStep | None = None,
) -> torch.Tensor:
    """Unscaled latents (F, C, h, w) of frames start..start+count-1, clip by clip or, with `windows`, in windows."""
    if windows is not None:
        return sample_windows(
            model, conditions, settings, windows, start=start, count=count, compute=compute, on_step=on_step
        )
    clips = sample_clips(
        model, conditions, settings, start=start, count=count, previous=previous, compute=compute, on_step=on_step
    )
    return torch.cat([clip.latents for clip in clips])


@torch.no_grad()
def sample_windows(
    model: VideoModel,
    conditions: Conditions,
    settings: Settings,
    windows: WindowOptions,
    *,
    start: int = 0,
    count: int,
    compute: Compute = CPU,
    on_step: OnStep | None = None,
) -> torch.Tensor:
    """Unscaled latents (F, C, h, w) of frames start..start+count-1, all denoised together in overlapping windows.

    Only the window in work is on the device; conditions are made per window, so length costs no memory there.
    """
    config = conditions.config
    scheduler = make_scheduler(settings.scheduler, config, settings.steps)
    noise = frame_noise(settings.seed, start, count, _latent_shape(config))
    latents = noise.transpose(0, 1)[None] * scheduler.init_noise_sigma
    reference = _reference(conditions, settings, compute)
    random = generator(settings.seed, "windows", start)
    for number, timestep in enumerate(scheduler.timesteps):
        scaled = scheduler.scale_model_input(latents, timestep)
        total, weight = torch.zeros_like(latents), torch.zeros(count)
        for window in context_windows(count, windows, number):
            features = _features(model, conditions, settings, start + window, compute) | reference
            predicted = _predict(model, scaled[:, :, window], timestep, features, settings.cfg, compute)
            shape = torch.from_numpy(window_weights(len(window), windows.weights))
            total[:, :, window] += predicted * shape[:, None, None]
            weight[window] += shape
        predicted = total / weight[:, None, None]
        before, latents = latents, scheduler.step(predicted, timestep, latents, generator=random).prev_sample
        _report(on_step, number + 1, settings.steps, scheduler, predicted, timestep, before, config)
    return _finished(latents, config)


@torch.no_grad()
def _sample_clip(
    model: VideoModel,
    conditions: Conditions,
    settings: Settings,
    plan: ClipPlan,
    before: torch.Tensor | None,
    reference: dict[str, Any],
    compute: Compute,
    done: int,
    total: int,
    on_step: OnStep | None,
) -> torch.Tensor:
    """One whole clip (clip_frames, C, h, w), unscaled."""
    config = conditions.config
    scheduler = make_scheduler(settings.scheduler, config, settings.steps)
    frames = np.arange(plan.start, plan.start + config.clip_frames)
    features = _features(model, conditions, settings, frames, compute) | reference
    if before is not None and len(before):
        scaled = (before * config.latent_scale).transpose(0, 1)[None]
        features["motion_frames"] = model.encode_motion_frames(compute.to(scaled))
    noise = frame_noise(settings.seed, plan.start, config.clip_frames, _latent_shape(config))
    latents = noise.transpose(0, 1)[None] * scheduler.init_noise_sigma
    random = generator(settings.seed, "clip", plan.start)
    for number, timestep in enumerate(scheduler.timesteps):
        scaled = scheduler.scale_model_input(latents, timestep)
        predicted = _predict(model, scaled, timestep, features, settings.cfg, compute)
        before_step, latents = latents, scheduler.step(predicted, timestep, latents, generator=random).prev_sample
        _report(on_step, done + number + 1, total, scheduler, predicted, timestep, before_step, config)
    return _finished(latents, config)


def _reference(conditions: Conditions, settings: Settings, compute: Compute) -> dict[str, Any]:
    """The reference picture's share of the network's conditions; none at strength 0."""
    if conditions.reference is None or settings.reference_strength == 0:
        return {}
    features = compute.to(dict(conditions.reference.features))
    return {"reference": features, "reference_strength": settings.reference_strength}


def _features(
    model: VideoModel, conditions: Conditions, settings: Settings, frames: np.ndarray, compute: Compute
) -> dict[str, Any]:
    """Audio and map features of `frames`; a condition at strength 0 is left out."""
    features: dict[str, Any] = {}
    compute.check()
    if conditions.audio is not None and settings.audio_strength > 0:
        windows = compute.to(conditions.audio_windows(frames))
        features["audio"] = model.encode_audio(windows, strength=settings.audio_strength)
    if conditions.motion is not None and settings.pose_strength > 0:
        maps, confidence = (compute.to(value) for value in conditions.maps(frames))
        features["pose"] = model.encode_maps(maps, confidence, strength=settings.pose_strength)
    return features


def _predict(
    model: VideoModel,
    latents: torch.Tensor,
    timestep: torch.Tensor,
    features: dict[str, Any],
    cfg: float,
    compute: Compute,
) -> torch.Tensor:
    """The guided prediction (1, C, F, h, w), float32 on the CPU.

    Classifier-free guidance (Ho & Salimans 2022): the unconditional pass sees no condition at all. It is a pass of its
    own, which halves the memory of a joint batch, and it does not run at cfg 1.
    """
    noisy, time = compute.to(latents), timestep.to(compute.device)
    compute.check()
    with_conditions = model(noisy, time, **features).float().cpu()
    if cfg == 1:
        return with_conditions
    compute.check()
    without = model(noisy, time).float().cpu()
    return without + cfg * (with_conditions - without)


def _report(
    on_step: OnStep | None,
    done: int,
    total: int,
    scheduler: Any,
    predicted: torch.Tensor,
    timestep: torch.Tensor,
    before: torch.Tensor,
    config: Any,
) -> None:
    if on_step is not None:
        clean = lambda: clean_estimate(scheduler, predicted, timestep, before)[0].transpose(0, 1) / config.latent_scale
        on_step(done, total, clean)


def _finished(latents: torch.Tensor, config: Any) -> torch.Tensor:
    if not torch.isfinite(latents).all():
        raise EMO2Error(
            "model", "finite numbers from the network", "NaN or infinity",
            "Compute in float32 or bfloat16 (ComfyUI: --force-fp32), or check the model file.",
        )  # fmt: skip
    return (latents[0].transpose(0, 1) / config.latent_scale).contiguous()


def _latent_shape(config: Any) -> tuple[int, int, int]:
    return config.latent_channels, *config.latent_size


def _checked(latents: torch.Tensor, config: Any, where: str) -> torch.Tensor:
    shape = _latent_shape(config)
    if latents.ndim != 4 or tuple(latents.shape[1:]) != shape or len(latents) == 0:
        raise EMO2Error(
            where,
            f"latents (F, {shape[0]}, {shape[1]}, {shape[2]})",
            tuple(latents.shape),
            "Connect this model's own latents.",
        )
    return latents.float().cpu()
