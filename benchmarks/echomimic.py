"""EchoMimicV2's pass: ours against a plain implementation of the original's schedule, random weights, equal output."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from ..models.types import AudioFeatures, Motion, Reference
from ..models.video.conditions import Settings, prepare
from ..models.video.config import VideoConfig
from ..models.video.model import VideoModel
from ..models.video.sampler import Compute, sample_windows
from ..models.video.windows import WindowOptions
from ._plain_echomimic import sample_plainly


def run(quick: bool) -> list[dict]:
    """Rows for the tiny size and, unless quick, for the published width on a short clip of 256 x 256."""
    wide = VideoConfig.echomimic_v2()
    small = replace(wide, size=(128, 128), widths=(32, 64, 96, 96), audio_dim=16, audio_width=16)
    rows = _compare("tiny", small, frames=12 if quick else 20, steps=1 if quick else 3, repeats=1 if quick else 3)
    if not quick:
        rows += _compare("full width, 256 x 256", replace(wide, size=(256, 256)), frames=4, steps=1, repeats=2)
    return rows


def setting(config: VideoConfig, frames: int, seed: int = 0):
    """(model, conditions, noise, reference latents) with random weights and inputs."""
    torch.manual_seed(seed)
    model = VideoModel(config).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if "proj_out" in name or name.startswith("guider.conv_out"):  # zero at the start of training
            torch.nn.init.normal_(parameter, std=0.02)
    known, noise = conditions_for(config, frames, seed)
    latents = known.reference.latents * config.latent_scale
    with torch.inference_mode():
        known.reference = replace(known.reference, features=model.encode_reference(latents))
    return model, known, noise, latents


def conditions_for(config: VideoConfig, frames: int, seed: int = 0):
    """(conditions, noise) with random inputs; the reference has latents and no features yet."""
    height, width = config.latent_size
    latents = torch.randn(1, 4, height, width) / config.latent_scale
    reference = Reference(latents, {}, torch.zeros(1, *config.size, 3), "benchmark")
    rotations = np.tile(np.array([1.0, 0, 0, 0], np.float32), (frames, 2, 16, 1))
    swing = 0.05 * np.sin(np.linspace(0, 6, frames))[:, None, None]
    places = np.array([[0.2, 0.2, -0.2], [-0.2, 0.2, -0.2]]) + swing
    sound = np.random.default_rng(seed).normal(size=(3 * frames + 9, config.audio_layers, config.audio_dim))
    heard = AudioFeatures(sound.astype(np.float32), np.zeros(len(sound)), len(sound) / 50)
    known = prepare(config, "benchmark", reference=reference, motion=Motion(rotations, places, config.fps), audio=heard)
    return known, torch.randn(frames, 4, height, width)


def _compare(label: str, config: VideoConfig, frames: int, steps: int, repeats: int) -> list[dict]:
    model, known, noise, latents = setting(config, frames)
    settings, windows = Settings(steps=steps, cfg=2.5), WindowOptions(min(12, frames), min(3, frames - 1))
    ways = {
        "plain": lambda: sample_plainly(model, known, settings, windows, frames, noise, latents),
        "ours": lambda: sample_windows(model, known, settings, windows, count=frames, noise=noise),
        "ours, joint": lambda: sample_windows(
            model, known, settings, windows, count=frames, noise=noise, compute=Compute(fits=lambda: 2)
        ),
    }
    made, seconds = {}, dict.fromkeys(ways, float("inf"))
    for _ in range(repeats):  # in turns, so that a slow moment of the machine does not fall on one of them
        for name, way in ways.items():
            begin = time.perf_counter()
            made[name] = way()
            seconds[name] = min(seconds[name], time.perf_counter() - begin)
    away = max(float((made[name] - made["plain"]).abs().max()) * config.latent_scale for name in ways)
    note = f"{frames} frames, {steps} steps, guidance 2.5; plain {seconds['plain']:.2f} s; results differ by {away:.1e}"
    return [
        {"name": f"EchoMimicV2 {label}: {name}", "value": seconds["plain"] / seconds[name], "unit": "x plain",
         "note": note}
        for name in ways if name != "plain"
    ]  # fmt: skip
