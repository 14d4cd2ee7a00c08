"""Stable Diffusion 1.5's UNet from a diffusers folder, its one file, or a whole checkpoint; AnimateDiff's modules."""

from __future__ import annotations

from pathlib import Path

import torch

from ..errors import EMO2Error
from .identify import identify, shapes_of
from .torch_files import load_tensors

UNET = "the UNet of Stable Diffusion 1.5"
MOTION = "AnimateDiff's motion modules"
LDM = "model.diffusion_model."
"""What the UNet's tensors begin with in a whole checkpoint."""
TABLE = ".pos_encoder.pe"
"""End of the name of a position table: the same sinusoids in every checkpoint, computed here."""
FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")


def read_unet(path: Path | str, where: str) -> dict[str, torch.Tensor]:
    """The UNet's tensors under diffusers' names.

    path: a diffusers folder (of the whole model, or of its UNet), a UNet file in diffusers' layout, or a whole
    checkpoint in Stability's own (.safetensors or .ckpt). EMO2Error that says what else it is.
    """
    path = Path(path)
    file = in_folder(path, where, "unet") if path.is_dir() else path
    tensors = load_tensors(file, where, UNET)
    kind = identify(shapes_of(tensors))
    if any(name.startswith(LDM) for name in tensors):
        from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

        own = {name: value for name, value in tensors.items() if name.startswith(LDM)}
        tensors = convert_ldm_unet_checkpoint(own, {"layers_per_block": 2})
    elif "conv_in.weight" not in tensors or not any(".resnets." in name for name in tensors):
        suggestion = "Give unet/diffusion_pytorch_model.safetensors, or the whole checkpoint."
        raise EMO2Error(where, UNET, f"{kind} ({file.name})", suggestion)
    return tensors


def read_motion_modules(path: Path | str, where: str) -> dict[str, torch.Tensor]:
    """AnimateDiff's temporal tensors under the names of our backbone, without the position tables, which are computed.

    path: a motion module as its authors publish it (.ckpt, .safetensors; versions 1, 2 and 3), or in diffusers' layout.
    """
    path = Path(path)
    file = in_folder(path, where, "unet") if path.is_dir() else path
    tensors = load_tensors(file, where, MOTION)
    found = {}
    for name, value in tensors.items():
        name = name.removeprefix("module.")
        if ".motion_modules." in name and not name.endswith(TABLE):
            found[_plain(name)] = value
    if not found:
        given = f"{identify(shapes_of(tensors))} ({file.name})"
        raise EMO2Error(where, MOTION, given, "Give mm_sd_v15_v2.ckpt or v3_sd15_mm.ckpt.")
    return found


def _plain(name: str) -> str:
    """AnimateDiff's own name of a tensor that diffusers may have renamed."""
    for theirs, ours in (
        (".transformer_blocks.0.attn1.", ".transformer_blocks.0.attention_blocks.0."),
        (".transformer_blocks.0.attn2.", ".transformer_blocks.0.attention_blocks.1."),
        (".transformer_blocks.0.norm1.", ".transformer_blocks.0.norms.0."),
        (".transformer_blocks.0.norm2.", ".transformer_blocks.0.norms.1."),
        (".transformer_blocks.0.norm3.", ".transformer_blocks.0.ff_norm."),
    ):
        name = name.replace(theirs, ours)
    head, _, rest = name.partition(".motion_modules.")
    number, _, rest = rest.partition(".")
    rest = rest if rest.startswith("temporal_transformer.") else f"temporal_transformer.{rest}"
    return f"{head}.motion_modules.{number}.{rest}"


def in_folder(folder: Path, where: str, part: str) -> Path:
    """The weights in a diffusers folder of `part` ("unet", "vae"), or of the whole model that has it as a folder."""
    for place in (folder / part, folder):
        for name in FILES:
            if (place / name).is_file():
                return place / name
    raise EMO2Error(where, f"{' or '.join(FILES)} in {folder}", "neither", "Download the whole folder.")


__all__ = ["in_folder", "read_motion_modules", "read_unet"]
