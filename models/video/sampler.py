"""Sampling a video: clip after clip, or all frames in overlapping windows. The network is called from here only.

What does not change over the steps (keys and values of reference, sound and motion frames, map features) is computed
once a clip. Scheduler arithmetic runs on the CPU in float32, with noise from CPU generators: it costs next to nothing
and is the same on every device.
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
from .prediction import CPU, Compute, Guide, Predictor, Task
from .preview import clean_estimate
from .schedulers import make_scheduler
from .windows import WindowOptions, context_windows, window_weights

if TYPE_CHECKING:
    from .condition_batch import ConditionBatch, Places
    from .config import VideoConfig
    from .model import VideoModel

OnStep = Callable[[int, int, Callable[[], torch.Tensor]], None]
"""Called after each step with (steps done, steps in all, a function that makes the estimate of the clean latents
(F, C, h, w), unscaled). Whatever it raises ends the sampling."""


@dataclass(frozen=True)
class Clip:
    """`latents` (n, C, h, w), unscaled, of video frames start..start+n-1; `carried` (M, C, h, w): what the next clip
    continues from."""

    index: int
    start: int
    latents: torch.Tensor
    carried: torch.Tensor


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
    before = None if previous is None else carry(None, _checked(previous, config, "previous"), config.motion_frames)
    total = (skip + len(plans)) * settings.steps
    for plan in plans:
        done = plan.index * settings.steps
        clean = _sample_clip(model, conditions, settings, plan, before, compute, done, total, on_step)
        kept = clean[: plan.count]
        before = carry(before, kept, config.motion_frames)
        yield Clip(plan.index, plan.start, kept, before)


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
    noise: torch.Tensor | None = None,
    compute: Compute = CPU,
    on_step: OnStep | None = None,
) -> torch.Tensor:
    """Unscaled latents (F, C, h, w) of frames start..start+count-1, all denoised together in overlapping windows.

    Only the window in work is on the device; conditions are made per window, so length costs no memory there. noise
    (F, C, h, w): what to begin with instead of the seed's.
    """
    config = conditions.config
    most = config.positions - config.motion_frames
    if windows.length > most:
        raise EMO2Error("windows", f"windows of at most {most} frames for this model", windows.length, "Shorten them.")
    compute.ready()
    scheduler = make_scheduler(settings.scheduler, config, settings.steps)
    if noise is None:
        noise = frame_noise(settings.seed, start, count, _latent_shape(config))
    latents = _begun(noise, config) * scheduler.init_noise_sigma
    random = generator(settings.seed, "windows", start)
    # The reference is the same in every window: it is brought to the device, and its keys and values are made, once.
    shown = _reference(conditions, settings, compute)
    reference = model.prepare(**shown).reference if shown else None

    def known(window: np.ndarray) -> Callable[[], ConditionBatch]:
        return lambda: _known(model, conditions, settings, start + window, None, compute, True, reference)

    predict, guide = Predictor(model, settings, compute, len(context_windows(count, windows))), Guide(settings.cfg)
    for number, timestep in enumerate(scheduler.timesteps):
        scaled = scheduler.scale_model_input(latents, timestep)
        predict.begin(number)
        told, apart = _Average(latents, windows), _Average(latents, windows)
        placed = context_windows(count, windows, predict.shift(number))
        tasks = [Task(place, scaled[:, :, window], known(window)) for place, window in enumerate(placed)]
        for place, conditional, difference in predict(timestep, tasks):
            told.add(placed[place], conditional)
            if difference is not None:
                apart.add(placed[place], difference)
        predicted = guide(told.mean(), apart.mean() if apart.filled else None)
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
    compute: Compute,
    done: int,
    total: int,
    on_step: OnStep | None,
) -> torch.Tensor:
    """One whole clip (clip_frames, C, h, w), unscaled."""
    config = conditions.config
    compute.ready()
    scheduler = make_scheduler(settings.scheduler, config, settings.steps)
    frames = np.arange(plan.start, plan.start + config.clip_frames)
    known = _known(model, conditions, settings, frames, before, compute)
    noise = frame_noise(settings.seed, plan.start, config.clip_frames, _latent_shape(config))
    latents = _begun(noise, config) * scheduler.init_noise_sigma
    random = generator(settings.seed, "clip", plan.start)
    predict, guide = Predictor(model, settings, compute), Guide(settings.cfg)
    for number, timestep in enumerate(scheduler.timesteps):
        predict.begin(number)
        task = Task(0, scheduler.scale_model_input(latents, timestep), lambda: known)
        ((_, told, difference),) = predict(timestep, [task])
        predicted = guide(told, difference)
        before_step, latents = latents, scheduler.step(predicted, timestep, latents, generator=random).prev_sample
        _report(on_step, done + number + 1, total, scheduler, predicted, timestep, before_step, config)
    return _finished(latents, config)


def _known(
    model: VideoModel,
    conditions: Conditions,
    settings: Settings,
    frames: np.ndarray,
    before: torch.Tensor | None,
    compute: Compute,
    remember: bool = False,
    reference: Places | None = None,
) -> ConditionBatch:
    """All that the network is told about `frames`, in the form that stays the same over the steps.

    A condition at strength 0 is left out. before: unscaled latents (M, C, h, w) of the frames made last. reference:
    its keys and values, where they are made already.
    """
    compute.check()
    config = conditions.config
    known: dict[str, Any] = {"reference_strength": settings.reference_strength}
    known |= _reference(conditions, settings, compute) if reference is None else {"reference": reference}
    if before is not None and len(before):
        scaled = (before * config.latent_scale).transpose(0, 1)[None]
        known["motion_frames"] = model.encode_motion_frames(compute.to(scaled))
    if conditions.audio is not None and settings.audio_strength > 0:
        windows = compute.to(conditions.audio_windows(frames))
        known["audio"] = model.encode_audio(windows, strength=settings.audio_strength)
    shown = conditions.face_controls(frames) if settings.face_strength > 0 else {}
    if shown:
        told = {name: compute.to(value) for name, value in shown.items()}
        known["face"] = model.encode_face(
            told.get("emotion"), told.get("blink"), told.get("identity"), known.get("audio"),
            frames=len(frames), strength=settings.face_strength,
        )  # fmt: skip
    if conditions.motion is not None and settings.pose_strength > 0:
        strength = conditions.pose_strengths(frames) * settings.pose_strength
        if strength.any():
            maps, confidence = (compute.to(value) for value in conditions.maps(frames, remember))
            known["pose"] = model.encode_maps(maps, confidence, compute.to(strength))
    return model.prepare(rows=1, **known)


class _Average:
    """Overlapping windows' values (1, C, n, h, w), averaged over all frames, (1, C, F, h, w)."""

    def __init__(self, like: torch.Tensor, options: WindowOptions):
        self.total, self.weight, self.kind = torch.zeros_like(like), torch.zeros(like.shape[2]), options.weights
        self.filled = False

    def add(self, window: np.ndarray, values: torch.Tensor) -> None:
        shape = torch.from_numpy(window_weights(len(window), self.kind))
        self.total[:, :, window] += values * shape[:, None, None]
        self.weight[window] += shape
        self.filled = True

    def mean(self) -> torch.Tensor:
        return self.total / self.weight[:, None, None]


def _reference(conditions: Conditions, settings: Settings, compute: Compute) -> dict[str, Any]:
    """The reference's features on the device, unless there is none or it is left out."""
    if conditions.reference is None or settings.reference_strength == 0:
        return {}
    return {"reference": {name: compute.to(value) for name, value in conditions.reference.features.items()}}


def _report(
    on_step: OnStep | None,
    done: int,
    total: int,
    scheduler: Any,
    predicted: torch.Tensor,
    timestep: torch.Tensor,
    before: torch.Tensor,
    config: VideoConfig,
) -> None:
    if on_step is not None:
        clean = lambda: clean_estimate(scheduler, predicted, timestep, before)[0].transpose(0, 1) / config.latent_scale
        on_step(done, total, clean)


def _finished(latents: torch.Tensor, config: VideoConfig) -> torch.Tensor:
    if not torch.isfinite(latents).all():
        raise EMO2Error(
            "model", "finite numbers from the network", "NaN or infinity",
            "Compute in float32 or bfloat16 (ComfyUI: --force-fp32), or check the model file.",
        )  # fmt: skip
    return (latents[0].transpose(0, 1) / config.latent_scale).contiguous()


def _begun(noise: torch.Tensor, config: VideoConfig) -> torch.Tensor:
    """Noise (F, C, h, w) as the model wants it to begin with, (1, C, F, h, w)."""
    limited = noise.clamp(-config.noise_limit, config.noise_limit) if config.noise_limit else noise
    return limited.transpose(0, 1)[None]


def _latent_shape(config: VideoConfig) -> tuple[int, int, int]:
    return config.latent_channels, *config.latent_size


def _checked(latents: torch.Tensor, config: VideoConfig, where: str) -> torch.Tensor:
    shape = _latent_shape(config)
    if latents.ndim != 4 or tuple(latents.shape[1:]) != shape or len(latents) == 0:
        wanted = f"latents (F, {shape[0]}, {shape[1]}, {shape[2]})"
        raise EMO2Error(where, wanted, tuple(latents.shape), "Connect this model's own latents.")
    return latents.float().cpu()
