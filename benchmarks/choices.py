"""What each choice that makes a video faster costs: the shipped network's video with it against the one without."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import soundfile
import torch

from ..evaluation.tiny.networks import Networks
from ..models.motion import sample_motion
from ..models.picture import covered
from ..models.types import Framing
from ..models.video.conditions import Settings, prepare
from ..models.video.sampler import Compute, sample_video
from ..models.video.windows import WindowOptions

PACK = Path(__file__).resolve().parents[1]
FRAMING = Framing((0.4749, 0.4248), 0.3906, (704, 528))
"""Of the sample picture."""
WHOLE = Settings(seed=7, steps=20, cfg=2.5)
LOOP, CUT = WindowOptions(12, 3, True, 3), WindowOptions(12, 3, False, 3)
CHOICES: tuple[tuple[str, Settings, WindowOptions | None, str], ...] = (
    ("clips: inner_every 2", replace(WHOLE, inner_every=2), None, "clips"),
    ("clips: inner_every 3", replace(WHOLE, inner_every=3), None, "clips"),
    ("clips: guidance_every 2", replace(WHOLE, guidance_every=2), None, "clips"),
    ("clips: guidance_every 3", replace(WHOLE, guidance_every=3), None, "clips"),
    ("clips: both 2", replace(WHOLE, inner_every=2, guidance_every=2), None, "clips"),
    ("clips: both 3", replace(WHOLE, inner_every=3, guidance_every=3), None, "clips"),
    ("clips: half the steps", replace(WHOLE, steps=10), None, "clips"),
    ("clips: another seed", replace(WHOLE, seed=8), None, "clips"),
    ("windows: both 2", replace(WHOLE, inner_every=2, guidance_every=2), LOOP, "windows"),
    ("windows: no closed loop", WHOLE, CUT, "windows"),
    ("windows: clips instead", WHOLE, None, "windows"),
    ("windows: another seed", replace(WHOLE, seed=8), LOOP, "windows"),
)


def run(quick: bool) -> list[dict]:
    networks = Networks([PACK / "weights"])
    frames, steps = (16, 4) if quick else (60, WHOLE.steps)
    sound = soundfile.read(PACK / "assets" / "speech.flac", dtype="float32")[0]
    heard = networks.features(sound)
    photo = cv2.imread(str(PACK / "assets" / "portrait.png"))[..., ::-1]
    config = networks.video.config
    picture = covered(torch.from_numpy(np.ascontiguousarray(photo)).float()[None] / 255, config.size)
    framing = FRAMING.fitted(config.size)
    reference = networks.reference((picture[0] * 255).round().byte().numpy(), framing)
    motion = sample_motion(networks.motion, heard, seed=7, framing=framing)
    known = prepare(config, reference.model, reference=reference, motion=motion, audio=heard)

    def made(settings: Settings, windows: WindowOptions | None) -> tuple[np.ndarray, float]:
        begin = time.perf_counter()
        settings = replace(settings, steps=max(1, settings.steps * steps // WHOLE.steps))
        latents = sample_video(networks.video, known, settings, count=frames, windows=windows,
                               compute=Compute(fits=lambda: 2))  # fmt: skip
        seconds = time.perf_counter() - begin
        return networks.vae.decode(latents).numpy(), seconds

    made(replace(WHOLE, steps=1), None)  # warms up
    whole = {"clips": made(WHOLE, None), "windows": made(WHOLE, LOOP)}
    rows = []
    for name, settings, windows, against in CHOICES:
        pictures, seconds = made(settings, windows)
        there, before = whole[against]
        note = f"as fast; {psnr(pictures, there):.1f} dB from the video without, {frames} frames"
        rows.append({"name": f"choices, {name}", "value": before / seconds, "unit": "x", "note": note})
    return rows


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of pictures 0..1, dB."""
    return float(-10 * np.log10(max(np.mean((one.astype(np.float64) - other) ** 2), 1e-12)))
