"""Where the person is in the picture, set by hand and shown on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..models.errors import EMO2Error
from ..models.pose.overlay import covered, draw_framing, one_picture
from ..models.types import Framing
from .registry import node

LARGEST_PREVIEW = 1536


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
        # A large photograph is shown smaller; the framing keeps its true size.
        scale = min(LARGEST_PREVIEW / max(framing.size), 1.0)
        size = (max(round(framing.size[0] * scale), 1), max(round(framing.size[1] * scale), 1))
        preview = draw_framing(covered(picture, size), framing).astype(np.float32) / 255
        return framing, torch.from_numpy(preview)[None]
