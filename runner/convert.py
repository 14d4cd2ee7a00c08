"""`emo2 convert`: others' weights become one clean file of the pack's own format, with its config inside."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..models.errors import EMO2Error

EPILOG = """\
KIND and FILE:
  echomimic_v2   the folder with denoising_unet, motion_module, reference_unet and pose_encoder (.pth or .safetensors)
  whisper        OpenAI's tiny.pt, or a Hugging Face folder
  vae            Stable Diffusion's autoencoder (sd-vae-ft-mse): a diffusers folder, or its one file
  clip_vision    CLIP's image encoder (ViT-L/14): a Hugging Face folder, or its one file
"""
Made = tuple[str, Mapping[str, Any], Any]
"""Kind, config and network of the new file."""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """The command's options."""
    parser = commands.add_parser(
        "convert", help="turn others' weights into one file for models/emo2", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Turn others' weights into one .safetensors file of the pack's own format.",
    )  # fmt: skip
    parser.add_argument("kind", metavar="KIND", choices=tuple(MAKERS), help="whose weights (see below)")
    parser.add_argument("file", metavar="FILE", type=Path, help="the file or folder that holds them")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--accelerated", action="store_true", help="echomimic_v2: the accelerated pair (_acc)")
    parser.add_argument("--half", action="store_true", help="store float16, half the size")
    parser.add_argument(
        "--size", metavar="HxW", default="768x768", help="echomimic_v2: of the video, multiples of 64 (%(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """Convert, and print the new file's name."""
    if options.out.suffix != ".safetensors":
        raise EMO2Error("--out", "a name that ends in .safetensors", options.out, "Change the name.")
    if options.out.exists():
        raise EMO2Error("--out", "a new file", f"{options.out}, which exists", "Remove it, or choose another name.")
    kind, config, module = MAKERS[options.kind](options)
    from ..models.checkpoints.format import save_checkpoint

    tensors = module.state_dict()
    if options.half:
        tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    print(
        save_checkpoint(options.out, kind, config, tensors, notes={"source": options.kind, "file": options.file.name})
    )
    return 0


def _echomimic_v2(options: argparse.Namespace) -> Made:
    from dataclasses import replace

    from ..models.checkpoints.echomimic_v2 import load_echomimic_v2, part_files
    from ..models.video.config import VideoConfig

    config = replace(VideoConfig.echomimic_v2(), size=_size(options.size))
    module, header = load_echomimic_v2(part_files(options.file, options.accelerated), config)
    return "video", header.config, module


def _whisper(options: argparse.Namespace) -> Made:
    from ..models.checkpoints.whisper import load_whisper

    module, header = load_whisper(options.file, "FILE")
    return "audio", header.config, module


def _vae(options: argparse.Namespace) -> Made:
    from ..models.checkpoints.autoencoder import load_vae

    module, header = load_vae(options.file, "FILE")
    return "vae", header.config, module


def _clip_vision(options: argparse.Namespace) -> Made:
    from ..models.checkpoints.clip_vision import load_clip_vision

    module, header = load_clip_vision(options.file, "FILE")
    return "clip_vision", header.config, module


MAKERS: dict[str, Callable[[argparse.Namespace], Made]] = {
    "echomimic_v2": _echomimic_v2, "whisper": _whisper, "vae": _vae, "clip_vision": _clip_vision,
}  # fmt: skip


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.lower().partition("x")
    sides = [int(side) for side in (height, width) if side.isdecimal() and int(side) % 64 == 0 and int(side) > 0]
    if len(sides) != 2:
        raise EMO2Error("--size", "HEIGHTxWIDTH in multiples of 64", repr(text), "Give 768x768, for example.")
    return sides[0], sides[1]
