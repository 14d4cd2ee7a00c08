"""EchoMimicV2's memory by length: counted on the device at 768 x 768, measured in a process at a reduced size."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch

from ..models.video.conditions import Settings
from ..models.video.config import VideoConfig
from ..models.video.model import VideoModel
from ..models.video.sampler import Compute, sample_windows
from ..models.video.windows import windows_for
from ._device_memory import DeviceMemory, OnMeta, fused_attention
from .echomimic import conditions_for, setting
from .stream import process_memory

LENGTHS = (24, 120, 600)
SMALL = replace(VideoConfig.echomimic_v2(), size=(64, 64), widths=(128, 256, 512, 512), audio_dim=16, audio_width=16)
"""As in the published network, the weights weigh more than what is computed."""


def run(quick: bool) -> list[dict]:
    lengths = LENGTHS[:2] if quick else LENGTHS
    counted = [device_bytes(VideoConfig.echomimic_v2(), frames, torch.float16) for frames in lengths]
    rows = [_row("device memory, 768 x 768, half precision, counted", frames, counted, value)
            for frames, value in zip(lengths, counted)]  # fmt: skip
    measured = [process_bytes(frames) for frames in lengths]
    return rows + [_row("process memory, 64 x 64, measured", frames, measured, value)
                   for frames, value in zip(lengths, measured)]  # fmt: skip


def device_bytes(config: VideoConfig, frames: int, dtype: torch.dtype, rows: int = 2) -> int:
    """Peak of what sampling `frames` frames (one step, guidance) puts on a device beside the weights, in bytes."""
    with torch.device("meta"):
        model = VideoModel(config).to(dtype).eval().requires_grad_(False)
    known, noise = conditions_for(config, frames)
    windows = windows_for(config)
    assert windows is not None
    with fused_attention(), DeviceMemory() as memory:
        latents = torch.empty(1, config.latent_channels, *config.latent_size, dtype=dtype, device="meta")
        features = {name: torch.zeros(value.shape) for name, value in model.encode_reference(latents).items()}
        known.reference = replace(known.reference, features=features)
        compute = Compute("meta", dtype, fits=lambda: rows)
        sample_windows(OnMeta(model), known, Settings(steps=1), windows, count=frames, noise=noise, compute=compute)  # type: ignore[arg-type]
    return memory.peak


def process_bytes(frames: int) -> int:
    """Peak of a process that samples `frames` frames at the reduced size, in bytes."""
    command = [sys.executable, "-m", "emo2.benchmarks.echomimic_memory", str(frames)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    return int(done.stdout.split()[-1])


def _row(name: str, frames: int, every: list[int], value: int) -> dict:
    note = f"{value / every[0] - 1:+.1%} against {LENGTHS[0]} frames"
    return {"name": f"EchoMimicV2 {name}: {frames} frames", "value": value / 1e9, "unit": "GB", "note": note}


if __name__ == "__main__":
    torch.set_num_threads(2)
    count = int(sys.argv[1])
    network, given, begun, _ = setting(SMALL, count)
    way = windows_for(SMALL)
    assert way is not None
    sample_windows(network, given, Settings(steps=1), way, count=count, noise=begun, compute=Compute(fits=lambda: 2))
    print(round(process_memory("VmHWM") * (1 << 20)))  # of this program alone, unlike getrusage's
