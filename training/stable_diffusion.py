"""Stable Diffusion 1.5's UNet as the beginning of both networks of stage 2 (EMO2 section 3.4)."""

from __future__ import annotations

from pathlib import Path

import torch

from ..models.checkpoints.format import read_tensors
from ..models.errors import EMO2Error
from ..models.video.model import VideoModel
from .video_lesson import is_audio, is_temporal

WHERE = "config recipe.stable_diffusion"


@torch.no_grad()
def begin_with(video: VideoModel, path: Path) -> int:
    """Copy the spatial layers of a diffusers UNet (`unet/diffusion_pytorch_model.safetensors`) into both networks.

    Its text attention is left out: that place is the sound's. Returns how many tensors of `video` were filled.
    EMO2Error when a layer is missing or has another shape.
    """
    if not path.is_file():
        raise EMO2Error(WHERE, "a .safetensors file", f"no file at {path}", "Check the name and the folder.")
    given = read_tensors(path, WHERE)
    filled, lacking = 0, []
    for part in ("reference_net", "backbone"):
        for name, own in getattr(video, part).state_dict(keep_vars=True).items():
            if is_temporal(f"{part}.{name}") or is_audio(f"{part}.{name}"):
                continue
            tensor = given.get(name)
            if tensor is None or tensor.shape != own.shape:
                lacking.append(name)
                continue
            own.copy_(tensor)
            filled += 1
    if lacking:
        raise EMO2Error(
            WHERE, "the UNet of Stable Diffusion 1.5 in diffusers' layout",
            f"{len(lacking)} layers missing or of another shape ({', '.join(lacking[:3])}) in {path.name}",
            "Give unet/diffusion_pytorch_model.safetensors of a model with this network's widths.",
        )  # fmt: skip
    return filled
