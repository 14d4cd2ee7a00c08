"""Choices that make a video faster and change it a little."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from . import host
from .registry import node
from .rendering import video_model


@node("EMO2CacheSteps", "EMO2 Cache Steps", "EMO2/video")
class CacheSteps:
    DESCRIPTION = (
        "Makes a video model faster by using again, at most steps, what it computed a step or two before. The video "
        "changes a little; the help page says how much, and how much time it saves."
    )
    RETURN_TYPES = ("EMO2_VIDEO_MODEL",)
    RETURN_NAMES = ("model",)
    OUTPUT_TOOLTIPS = ("The same model, faster, for EMO2 Sample Video and EMO2 Stream Video.",)
    FUNCTION = "patch"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        every = {"min": 1, "max": 10}
        return {
            "required": {
                "model": ("EMO2_VIDEO_MODEL", {"tooltip": "From EMO2 Load EchoMimicV2 or EMO2 Load Video Model."}),
                "inner_every": ("INT", {**every, "default": 2,
                    "tooltip": "The network's inner levels, which decide what is where, run at every n-th step; the "
                               "outer one, which paints detail, at each. 1 changes nothing."}),
                "guidance_every": ("INT", {**every, "default": 2,
                    "tooltip": "The half of guidance that sees no picture, voice or pose runs at every n-th step. 1 "
                               "changes nothing, and so does any number at cfg 1."}),
            }
        }  # fmt: skip

    def patch(self, model: host.ModelHandle, inner_every: int, guidance_every: int) -> tuple[host.ModelHandle]:
        video_model(model)
        return (replace(model, sampling={"inner_every": inner_every, "guidance_every": guidance_every}),)
