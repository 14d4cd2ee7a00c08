"""EchoMimicV2's public checkpoint as an artist loads it: the four files that its authors publish."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..models.checkpoints.echomimic_v2 import PARTS, load_echomimic_v2
from ..models.errors import EMO2Error
from ..models.video.config import VideoConfig
from . import host
from .model_folders import kind_of
from .registry import node

FOLDERS = ("echomimic_v2", "emo2")
SUFFIXES = (".pth", ".safetensors")
LONGEST_MEMORY = 20
"""Frames that its position table (32) has room for beside a window of 12."""
MULTIPLE = 64
"""Sides must be multiples of this: the network halves its latents three times."""


def _files() -> dict[str, str]:
    """Names of weight files, each with the model folder it is in; checkpoints of our own are none of them."""
    found: dict[str, str] = {}
    for folder in FOLDERS:
        for name in host.model_files(folder, suffixes=SUFFIXES):
            path = host.model_path(name, folder)
            if path.suffix == ".pth" or kind_of(path) is None:
                found.setdefault(name, folder)
    return found


def _choices(input_name: str, names: Iterable[str]) -> list[str]:
    """`names` as the list of an input shows them: files that are called as it is first, the accelerated ones next."""
    own = PARTS[input_name].names
    return sorted(names, key=lambda name: (own.index(Path(name).stem) if Path(name).stem in own else len(own), name))


def _path(name: str, input_name: str) -> Path:
    folder = _files().get(name)
    return host.model_path(name, folder or FOLDERS[0], input_name)


@node("EMO2LoadEchoMimicV2", "EMO2 Load EchoMimicV2", "EMO2/video")
class LoadEchoMimicV2:
    DESCRIPTION = (
        "Loads EchoMimicV2's public weights, the four files as they are published: photographs of people that speak "
        "and move their hands. The model goes wherever the pack's own video models go."
    )
    RETURN_TYPES = ("EMO2_VIDEO_MODEL",)
    RETURN_NAMES = ("model",)
    OUTPUT_TOOLTIPS = ("The video model, for EMO2 Encode Reference and the video samplers.",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        where = "in ComfyUI's models/echomimic_v2 or models/emo2."
        tips = {
            "denoising_unet": f"denoising_unet.pth, or denoising_unet_acc.pth (accelerated, 6 steps), {where}",
            "motion_module": f"motion_module.pth, or motion_module_acc.pth with the accelerated UNet, {where}",
            "reference_unet": f"reference_unet.pth, {where}",
            "pose_encoder": f"pose_encoder.pth, {where}",
        }
        files = _files()
        side = {"default": 768, "min": 128, "max": 2048, "step": MULTIPLE}
        return {
            "required": {
                **{name: (_choices(name, files), {"tooltip": tip}) for name, tip in tips.items()},
                "width": ("INT", {**side, "tooltip": "Width of the video. It was trained on 768 x 768; smaller is "
                    "faster, and worse."}),
                "height": ("INT", {**side, "tooltip": "Height of the video."}),
            },
            "optional": {
                "motion_frames": ("INT", {"default": 0, "min": 0, "max": LONGEST_MEMORY,
                    "tooltip": "0: all frames together, in windows, as it was trained. Above: clip after clip, each "
                               "going on from that many frames of the one before, so that EMO2 Stream Video works. It "
                               "was not trained for that: the picture may drift."}),
            }
        }  # fmt: skip

    @classmethod
    def VALIDATE_INPUTS(
        cls,
        denoising_unet: str | None = None,
        motion_module: str | None = None,
        reference_unet: str | None = None,
        pose_encoder: str | None = None,
    ) -> bool | str:
        given = {"denoising_unet": denoising_unet, "motion_module": motion_module, "reference_unet": reference_unet,
                 "pose_encoder": pose_encoder}  # fmt: skip
        try:
            for name, value in given.items():
                if value is not None:
                    _path(value, name)
        except EMO2Error as error:
            return str(error)
        return True

    def load(
        self,
        denoising_unet: str,
        motion_module: str,
        reference_unet: str,
        pose_encoder: str,
        width: int,
        height: int,
        motion_frames: int = 0,
    ) -> tuple[host.ModelHandle]:
        for name, side in (("width", width), ("height", height)):
            if side % MULTIPLE:
                raise EMO2Error(name, f"a multiple of {MULTIPLE}", side, f"Try {round(side / MULTIPLE) * MULTIPLE}.")
        given = {"denoising_unet": denoising_unet, "motion_module": motion_module, "reference_unet": reference_unet,
                 "pose_encoder": pose_encoder}  # fmt: skip
        if ("_acc" in Path(denoising_unet).stem) != ("_acc" in Path(motion_module).stem):
            host.warn(
                f"{denoising_unet} and {motion_module} are not a pair: the accelerated UNet (_acc) wants the motion "
                "module that was accelerated with it."
            )
        config = replace(VideoConfig.echomimic_v2(), size=(height, width), motion_frames=motion_frames)
        module, header = load_echomimic_v2({name: _path(value, name) for name, value in given.items()}, config)
        return (host.wrap(module, header),)
