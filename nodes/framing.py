"""Where the person is in the picture, set by hand and shown on it; pictures cut to where a model wants the person."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..models.errors import EMO2Error
from ..models.picture import image_of
from ..models.picture import one_picture as checked_picture
from ..models.pose.overlay import covered, draw_framing, one_picture
from ..models.pose.portrait import ECHOMIMIC_V2, place
from ..models.types import Framing
from . import host
from .registry import node

LARGEST_PREVIEW = 1536
MUCH_BEYOND = 0.15
"""Share of a portrait beyond the picture's edge from which on it is said."""


@node("EMO2SetFraming", "EMO2 Set Framing", "EMO2/pose")
class SetFraming:
    DESCRIPTION = (
        "Says where the person stands in the reference picture, so that hands and arms get the right place and size. "
        "Move the values until the cross sits in the pit of the neck and the bar ends at the shoulder joints."
    )
    RETURN_TYPES = ("EMO2_FRAMING", "IMAGE")
    RETURN_NAMES = ("framing", "preview")
    OUTPUT_TOOLTIPS = (
        "Where the person is; for the motion, video and reference nodes.",
        "The picture (at most 1536 pixels) with neck, shoulders, skeleton, both arms' reach and resting hands.",
    )
    FUNCTION = "frame"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        place = {"min": -1.0, "max": 2.0, "step": 0.005, "round": 0.0001}
        return {"required": {
            "image": ("IMAGE", {"tooltip": "The reference picture: one picture with one person."}),
            "neck_x": ("FLOAT", {**place, "default": 0.5,
                "tooltip": "The point midway between the shoulder joints: 0 is the left edge, 1 the right one."}),
            "neck_y": ("FLOAT", {**place, "default": 0.45,
                "tooltip": "The same point's height, at the pit of the neck: 0 is the top edge, 1 the bottom."}),
            "shoulder_width": ("FLOAT", {"default": 0.36, "min": 0.01, "max": 3.0, "step": 0.005, "round": 0.0001,
                "tooltip": "From shoulder joint to shoulder joint, as a share of the picture's width. It stands for "
                           "38 cm and so sets the size of the hands."}),
        }}  # fmt: skip

    def frame(
        self, image: torch.Tensor, neck_x: float, neck_y: float, shoulder_width: float
    ) -> tuple[Framing, torch.Tensor]:
        picture = one_picture(image)
        try:
            framing = Framing((neck_x, neck_y), shoulder_width, picture.shape[:2])
        except EMO2Error as error:
            names = {"framing.neck": "neck_x and neck_y", "framing.shoulder_width": "shoulder_width"}
            raise error.at(input=names.get(error.input)) from error
        return framing, framing_preview(picture, framing)


def framing_preview(picture: np.ndarray, framing: Framing) -> torch.Tensor:
    """The picture (H, W, 3) uint8 with its framing drawn, as an IMAGE; a large photograph is shown smaller."""
    scale = min(LARGEST_PREVIEW / max(framing.size), 1.0)
    size = (max(round(framing.size[0] * scale), 1), max(round(framing.size[1] * scale), 1))
    return image_of(draw_framing(covered(picture, size), framing))


@node("EMO2FitPortrait", "EMO2 Fit Portrait", "EMO2/pose")
class FitPortrait:
    DESCRIPTION = (
        "Cuts and scales a portrait so that the person stands where a video model has learned to find people: neck in "
        "the middle, shoulders of a certain width. The defaults are EchoMimicV2's."
    )
    RETURN_TYPES = ("IMAGE", "EMO2_FRAMING", "IMAGE")
    RETURN_NAMES = ("image", "framing", "preview")
    OUTPUT_TOOLTIPS = (
        "The portrait, for EMO2 Encode Reference.",
        "Where the person is in it, for EMO2 Sample Hand Motion, EMO2 Apply Framing and EMO2 Encode Reference.",
        "The portrait with neck, shoulders, skeleton, both arms' reach and resting hands.",
    )
    FUNCTION = "fit"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        (x, y), shoulders = ECHOMIMIC_V2
        share = {"min": 0.0, "max": 1.0, "step": 0.005, "round": 0.0001}
        side = {"default": 768, "min": 64, "max": 4096, "step": 8}
        return {"required": {
            "image": ("IMAGE", {"tooltip": "The portrait: one picture with one person."}),
            "framing": ("EMO2_FRAMING", {"tooltip": "Where the person is in it, from EMO2 Set Framing, or from a "
                                                   "detector through EMO2 Pose Keypoint to Motion."}),
            "width": ("INT", {**side, "tooltip": "Width of the result: the model's."}),
            "height": ("INT", {**side, "tooltip": "Height of the result: the model's."}),
            "neck_x": ("FLOAT", {**share, "default": x, "tooltip": "Where the neck is to be, from left to right."}),
            "neck_y": ("FLOAT", {**share, "default": y, "tooltip": "Where the neck is to be, from top to bottom."}),
            "shoulder_width": ("FLOAT", {**share, "default": shoulders, "min": 0.05,
                "tooltip": "How wide the shoulders are to be, as a share of the width. Less leaves hands more room."}),
        }}  # fmt: skip

    def fit(
        self, image: torch.Tensor, framing: Framing, width: int, height: int, neck_x: float, neck_y: float,
        shoulder_width: float,
    ) -> tuple[torch.Tensor, Framing, torch.Tensor]:  # fmt: skip
        placed = place(checked_picture(image), framing, (height, width), (neck_x, neck_y), shoulder_width)
        if placed.beyond > MUCH_BEYOND:
            host.warn(
                f"{placed.beyond:.0%} of the portrait lies beyond the picture's edge, which is repeated there: take a "
                "wider picture, or a larger shoulder_width."
            )
        return placed.image, placed.framing, framing_preview(one_picture(placed.image), placed.framing)
