"""Stable Diffusion 1.5's UNet and AnimateDiff's modules as the beginning of stage 2's networks (EMO2 section 3.4)."""

from __future__ import annotations

from pathlib import Path

import torch

from ..models.checkpoints.stable_diffusion import read_motion_modules, read_unet
from ..models.errors import EMO2Error
from ..models.video.model import VideoModel
from .video_lesson import is_audio, is_temporal

WHERE, MODULES = "config recipe.stable_diffusion", "config recipe.motion_modules"


@torch.no_grad()
def begin_with(video: VideoModel, path: Path) -> int:
    """Copy the spatial layers of the UNet that `read_unet` finds at `path` into both networks.

    Its text attention is left out: that place is the sound's. Returns how many tensors of `video` were filled.
    EMO2Error when a layer is missing or has another shape.
    """
    given = read_unet(path, WHERE)
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
            WHERE, "the UNet of Stable Diffusion 1.5",
            f"{len(lacking)} layers missing or of another shape ({', '.join(lacking[:3])}) in {path.name}",
            "Give the UNet of a model with this network's widths.",
        )  # fmt: skip
    return filled


@torch.no_grad()
def begin_temporal(video: VideoModel, path: Path) -> int:
    """Copy AnimateDiff's motion modules into the backbone's; places that the file does not have stay as they are.

    Versions 1 and 3 have none in the middle block. Returns how many tensors were filled. EMO2Error when one has no
    place here, or another shape.
    """
    own = {name: value for name, value in video.backbone.state_dict(keep_vars=True).items() if is_temporal(name)}
    given = read_motion_modules(path, MODULES)
    strange = sorted(name for name, value in given.items() if name not in own or own[name].shape != value.shape)
    if strange:
        raise EMO2Error(
            MODULES, "motion modules of this network's widths",
            f"{len(strange)} layers without a place or of another shape ({', '.join(strange[:2])}) in {path.name}",
            "Give AnimateDiff's modules for Stable Diffusion 1.5.",
        )  # fmt: skip
    for name, value in given.items():
        own[name].copy_(value)
    return len(given)
