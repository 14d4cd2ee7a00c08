"""The tiny autoencoder between pictures and latents: `diffusers`' AutoencoderKL at a small config.

Pixels are (F, H, W, 3) floats 0..1, latents (F, C, h, w) unscaled, as ComfyUI passes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..checkpoints.format import save_checkpoint
from ..errors import EMO2Error

TINY: dict[str, Any] = {
    "block_out_channels": [16, 32, 64, 96],
    "layers_per_block": 1,
    "latent_channels": 12,
    "norm_num_groups": 8,
    "mid_block_add_attention": False,
}
"""About 1.7 M parameters, 12 latent channels at an eighth of the size."""


def build(config: Mapping[str, Any]) -> nn.Module:
    """The autoencoder that `config` (as TINY) describes."""
    from diffusers import AutoencoderKL

    widths = tuple(config["block_out_channels"])
    module: Any = AutoencoderKL(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        latent_channels=config["latent_channels"],
        layers_per_block=config["layers_per_block"],
        norm_num_groups=config["norm_num_groups"],
        mid_block_add_attention=config["mid_block_add_attention"],
    )
    return module


def factor(config: Mapping[str, Any]) -> int:
    """Pixels per latent in each direction."""
    return 2 ** (len(config["block_out_channels"]) - 1)


def write_tiny(path: Path | str, seed: int = 0) -> Path:
    """The tiny autoencoder's checkpoint before any training: a config and a seed, no weights."""
    return save_checkpoint(path, "vae", TINY, {}, untrained=seed, notes={"profile": "tiny"})


def cut_to_multiple(pixels: torch.Tensor, multiple: int) -> torch.Tensor:
    """`pixels` (F, H, W, C) without the outermost rows and columns that do not fill a latent."""
    height, width = (size // multiple * multiple for size in pixels.shape[1:3])
    if height == 0 or width == 0:
        given = f"{pixels.shape[1]} x {pixels.shape[2]}"
        raise EMO2Error("pixels", f"a picture of at least {multiple} x {multiple} pixels", given, "Scale it up first.")
    top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
    return pixels[:, top : top + height, left : left + width]


@torch.no_grad()
def encode(
    module: Any,
    pixels: torch.Tensor,
    device: torch.device | str = "cpu",
    chunk: int = 8,
    check: Callable[[], None] = lambda: None,
) -> torch.Tensor:
    """Latents (F, C, h, w) float32 on the CPU: the posterior's mode, always the same for one picture."""
    parts = []
    for block in pixels.split(chunk):
        check()
        # Layers round otherwise for another memory layout: with one layout, equal pictures have equal latents.
        signal = (block[..., :3].float().movedim(-1, 1).contiguous() * 2 - 1).to(device)
        parts.append(module.encode(signal).latent_dist.mode().float().cpu())
    return torch.cat(parts)


@torch.no_grad()
def decode(
    module: Any,
    latents: torch.Tensor,
    device: torch.device | str = "cpu",
    chunk: int = 8,
    check: Callable[[], None] = lambda: None,
) -> torch.Tensor:
    """Pixels (F, H, W, 3) float32 0..1 on the CPU, `chunk` frames on the device at a time."""
    parts = []
    for block in latents.split(chunk):
        check()
        signal = module.decode(block.float().contiguous().to(device)).sample
        parts.append(((signal.float() + 1) / 2).clamp(0, 1).movedim(1, -1).cpu())
    return torch.cat(parts)
