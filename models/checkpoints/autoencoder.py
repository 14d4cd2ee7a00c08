"""Stable Diffusion's autoencoder (`sd-vae-ft-mse` and its like): a diffusers folder, its one file, Stability's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import EMO2Error
from .format import Header, Unfilled, load_strictly
from .identify import identify, shapes_of
from .stable_diffusion import in_folder
from .torch_files import load_tensors

WANTED = "a VAE of Stable Diffusion 1.5 (sd-vae-ft-mse)"
PREFIX = "first_stage_model."
"""What the autoencoder's tensors begin with in a whole checkpoint."""
OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""diffusers' first names of an attention's layers, which the published files still have."""


def load_vae(path: Path | str, where: str = "vae") -> tuple[Any, Header]:
    """The autoencoder (diffusers' AutoencoderKL) in float32, evaluation mode, and a header with its sizes.

    path: a diffusers folder (of the whole model, or of the VAE), or one file: diffusers' layout or Stability's,
    .safetensors or .ckpt. EMO2Error that says what the file is when it is something else.
    """
    path = Path(path)
    file = in_folder(path, where, "vae") if path.is_dir() else path
    tensors = load_tensors(file, where, WANTED)
    named = diffusers_names(tensors)
    config = sizes(named)
    if config is None:
        kind = identify(shapes_of(tensors))
        raise EMO2Error(where, WANTED, f"{'another VAE' if kind == 'a VAE' else kind} ({file.name})",
                        "Choose diffusion_pytorch_model.safetensors of stabilityai/sd-vae-ft-mse.")  # fmt: skip
    from ..video.vae import build

    with Unfilled():
        module = build(config)
    # The published files hold the training's loss beside the networks.
    parts = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
    kept = {name: value.float() for name, value in named.items() if name.startswith(parts)}
    load_strictly(module, kept, file.name, where)
    return module.eval().requires_grad_(False), Header(file, "vae", config)


def diffusers_names(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The autoencoder's tensors under diffusers' present names."""
    own = {name.removeprefix(PREFIX): value for name, value in tensors.items() if name.startswith(PREFIX)}
    found = own or dict(tensors)
    if any(name.startswith("decoder.up.") for name in found):
        from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

        levels = len({name.split(".")[2] for name in found if name.startswith("encoder.down.")})
        found = convert_ldm_vae_checkpoint(found, {"down_block_types": [""] * levels, "up_block_types": [""] * levels})
    renamed = {}
    for name, value in found.items():
        parts = name.split(".")
        if "attentions" in parts and parts[-2] in OLD_NAMES:
            name = ".".join([*parts[:-2], OLD_NAMES[parts[-2]], parts[-1]])
        if ".attentions." in name and name.endswith(".weight") and value.ndim == 4:  # convolutions of one pixel
            value = value[:, :, 0, 0]
        renamed[name] = value
    return renamed


def sizes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any] | None:
    """The config for `video.vae.build` that the tensors' shapes tell; None when they are no such autoencoder."""
    widths: list[int] = []
    while (first := tensors.get(f"encoder.down_blocks.{len(widths)}.resnets.0.conv1.weight")) is not None:
        widths.append(first.shape[0])
    quantised, norm = tensors.get("quant_conv.weight"), tensors.get("encoder.conv_norm_out.weight")
    if not widths or quantised is None or norm is None or quantised.shape[0] % 2:
        return None
    layers = 0
    while f"encoder.down_blocks.0.resnets.{layers}.conv1.weight" in tensors:
        layers += 1
    return {
        "block_out_channels": widths, "layers_per_block": layers, "latent_channels": quantised.shape[0] // 2,
        "norm_num_groups": 32 if all(width % 32 == 0 for width in widths) else 8,
        "mid_block_add_attention": any(".attentions." in name for name in tensors),
    }  # fmt: skip


__all__ = ["diffusers_names", "load_vae", "sizes"]
