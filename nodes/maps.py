"""Hands and pictures of motion as an artist sees them: MANO maps, keypoint maps and OpenPose drawings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import psutil
import torch

from ..models.errors import EMO2Error
from ..models.hands import HandModel, load_hands
from ..models.maps import keypoint_maps, mano_maps, openpose_maps
from ..models.types import Motion
from . import host
from .registry import node

NEUTRAL = "neutral"
CHUNK = 16
MOTION = ("EMO2_MOTION", {"tooltip": "The motion to draw, from any EMO2 motion node."})
HANDS = ("EMO2_HANDS", {"tooltip": "Hands from EMO2 Load Hands; without it, the pack's own neutral hands."})
IMAGE_TIP = "One picture a frame, black background, as many as the motion has frames."


def _side(name: str) -> tuple[str, dict[str, Any]]:
    other = "height" if name == "width" else "width"
    tip = (
        f"Pixels. 0 takes the {name} of the motion's framing, or, where the {other} is given, the one that keeps its "
        "shape. Other shapes cover the picture and cut it at the centre."
    )
    return ("INT", {"default": 0, "min": 0, "max": 16384, "step": 8, "tooltip": tip})


def hand_files() -> dict[str, str]:
    """The user's MANO files: what the list shows, and the model folder each lies in."""
    found: dict[str, str] = {}
    for folder in ("emo2", "mano"):
        for name in host.model_files(folder, suffixes=(".pkl", ".npz")):
            if folder == "mano" or "MANO" in PurePosixPath(name).stem.upper():
                found.setdefault(name, folder)
    return found


@node("EMO2LoadHands", "EMO2 Load Hands", "EMO2/pose")
class LoadHands:
    DESCRIPTION = (
        "Loads the hand meshes that motion moves: the pack's own neutral hands, or MANO where you have its licensed "
        "files in models/mano or models/emo2."
    )
    RETURN_TYPES = ("EMO2_HANDS",)
    RETURN_NAMES = ("hands",)
    OUTPUT_TOOLTIPS = ("A left and a right hand, for the map, preview and video nodes.",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        tip = (
            "neutral needs no download. MANO_RIGHT and MANO_LEFT (.pkl or .npz) are listed when they lie in "
            "models/mano or models/emo2; one of the two brings the other, or its mirror image."
        )
        return {"required": {"hands": ([NEUTRAL, *hand_files()], {"default": NEUTRAL, "tooltip": tip})}}

    @classmethod
    def VALIDATE_INPUTS(cls, hands: str | None = None) -> bool | str:
        try:
            if hands not in (None, NEUTRAL):
                host.model_path(hands, hand_files().get(hands, "mano"), "hands")
        except EMO2Error as error:
            return str(error)
        return True

    def load(self, hands: str) -> tuple[HandModel]:
        if hands == NEUTRAL:
            return (load_hands(),)
        return (load_hands(host.model_path(hands, hand_files().get(hands, "mano"), "hands")),)


@node("EMO2RenderManoMaps", "EMO2 Render MANO Maps", "EMO2/pose")
class RenderManoMaps:
    DESCRIPTION = (
        "Draws both hands of a motion as MANO maps: colours tell side, part and shape. For looking and for other video "
        "models; EMO2's own video nodes take the motion itself and need no pictures."
    )
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("mano_maps",)
    OUTPUT_TOOLTIPS = (IMAGE_TIP + " Red and green are the surface's direction, blue is side and part.",)
    FUNCTION = "render"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"motion": MOTION, "width": _side("width"), "height": _side("height")},
            "optional": {"hands": HANDS},
        }

    def render(
        self, motion: Motion, width: int = 0, height: int = 0, hands: HandModel | None = None
    ) -> tuple[torch.Tensor]:
        model = hands or load_hands()
        return (_batch(motion, width, height, "MANO maps", lambda *frames: mano_maps(motion, model, *frames)),)


@node("EMO2RenderKeypointMaps", "EMO2 Render Keypoint Maps", "EMO2/pose")
class RenderKeypointMaps:
    DESCRIPTION = (
        "Draws arms and legs of a motion as coloured limbs: the second picture EMO2's video model is guided by. Where "
        "a motion has hands only, the arms are bent from the shoulders to the wrists."
    )
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("keypoint_maps",)
    OUTPUT_TOOLTIPS = (IMAGE_TIP + " Each limb has a colour of its own.",)
    FUNCTION = "render"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"motion": MOTION, "width": _side("width"), "height": _side("height")},
            "optional": {
                "head_mask": ("BOOLEAN", {"default": False,
                    "tooltip": "Also draw a disc of one size where the head is: it says nothing of the head's shape, "
                               "which stays the reference picture's."}),
            },
        }  # fmt: skip

    def render(self, motion: Motion, width: int = 0, height: int = 0, head_mask: bool = False) -> tuple[torch.Tensor]:
        draw = lambda *frames: keypoint_maps(motion, *frames, head_mask=head_mask)
        return (_batch(motion, width, height, "keypoint maps", draw),)


@node("EMO2DrawOpenPose", "EMO2 Draw OpenPose", "EMO2/pose")
class DrawOpenPose:
    DESCRIPTION = (
        "Draws a motion the way OpenPose and DWPose preprocessors do, for ControlNet, Wan, VACE, MimicMotion and other "
        "models that eat such pictures. What a motion does not know (legs, face) is not drawn."
    )
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("pose_images",)
    OUTPUT_TOOLTIPS = (IMAGE_TIP + " Body, hands and face in OpenPose's colours.",)
    FUNCTION = "draw"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        switch = lambda tip: ("BOOLEAN", {"default": True, "tooltip": tip})
        return {
            "required": {
                "motion": MOTION,
                "width": _side("width"),
                "height": _side("height"),
                "draw_body": switch("Draw shoulders, arms and whatever else of the body is known."),
                "draw_hands": switch("Draw the 21 points of each visible hand."),
                "draw_face": switch("Draw the face as white dots, where the motion has face points."),
                "stick_width": ("FLOAT", {"default": 4.0, "min": 0.5, "max": 40.0, "step": 0.5, "round": 0.01,
                    "tooltip": "How thick limbs are, for a short side of 512 pixels; 4 is what ControlNets know."}),
                "score_threshold": ("FLOAT", {"default": 0.3, "min": 0.0, "max": 1.0, "step": 0.05, "round": 0.001,
                    "tooltip": "Points of which the detector was less sure than this are left out."}),
            },
            "optional": {"hands": HANDS},
        }  # fmt: skip

    def draw(
        self, motion: Motion, width: int = 0, height: int = 0, draw_body: bool = True, draw_hands: bool = True,
        draw_face: bool = True, stick_width: float = 4.0, score_threshold: float = 0.3, hands: HandModel | None = None,
    ) -> tuple[torch.Tensor]:  # fmt: skip
        model = hands or load_hands()
        style = {"body": draw_body, "draw_hands": draw_hands, "face": draw_face, "stick_width": stick_width,
                 "threshold": score_threshold}  # fmt: skip
        draw = lambda *frames: openpose_maps(motion, model, *frames, **style)
        return (_batch(motion, width, height, "OpenPose pictures", draw),)


def picture_size(motion: Motion, width: int, height: int) -> tuple[int, int]:
    """(H, W) that the two widgets mean for this motion."""
    own_height, own_width = motion.framing.size
    if width < 0 or height < 0:
        raise EMO2Error("width and height", "0 or more pixels", f"{width} x {height}", "Give 0 for the framing's size.")
    if width and not height:
        height = max(1, round(width * own_height / own_width))
    elif height and not width:
        width = max(1, round(height * own_width / own_height))
    return height or own_height, width or own_width


def _batch(
    motion: Motion, width: int, height: int, what: str, draw: Callable[[tuple[int, int], int, int], np.ndarray]
) -> torch.Tensor:
    """All frames as a float IMAGE (F, H, W, 3), drawn in chunks. `draw(size, start, count)` gives uint8 pictures."""
    size = picture_size(motion, width, height)
    need, have = len(motion) * size[0] * size[1] * 3 * 4, psutil.virtual_memory().total
    if need > have / 2:
        host.warn(
            f"{len(motion)} {what} of {size[1]} x {size[0]} need {need / 2**30:.1f} GB of the machine's "
            f"{have / 2**30:.1f} GB memory. EMO2 Stream Video takes the motion itself and needs no pictures."
        )
    try:
        images = torch.empty((len(motion), *size, 3))
    except RuntimeError as error:
        raise EMO2Error(
            "motion", f"frames that fit into memory ({have / 2**30:.1f} GB)", f"{need / 2**30:.1f} GB of {what}",
            "Take a smaller size or a shorter motion, or use EMO2 Stream Video.",
        ) from error  # fmt: skip
    with host.Progress(len(motion), what) as progress:
        for start in range(0, len(motion), CHUNK):
            count = min(CHUNK, len(motion) - start)
            pictures = torch.from_numpy(draw(size, start, count))
            torch.div(pictures, 255, out=images[start : start + count])
            progress.tick(count)
    return images
