"""Motion to look at: curves over time, drawn over the reference picture, and contact sheets of any pictures."""

from __future__ import annotations

from typing import Any

import psutil
import torch

from ..models.audio import prepare_waveform
from ..models.errors import EMO2Error
from ..models.hands import HandModel, load_hands
from ..models.motion.picture import motion_picture
from ..models.picture import image_of
from ..models.pose.overlay import covered, draw_motion, one_picture
from ..models.pose.sheet import chosen, contact_sheet
from ..models.types import FRAME_FIELDS, AudioFeatures, Motion
from . import host
from .registry import node

WAVE_RATE = 16000
CHUNK = 16


@node("EMO2MotionPicture", "EMO2 Motion Picture", "EMO2/motion")
class MotionPicture:
    DESCRIPTION = (
        "Draws a motion as curves over time: how high and how fast each hand is, when it is visible and how certain, "
        "under the waveform and loudness of the voice."
    )
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)
    OUTPUT_TOOLTIPS = ("One picture, for Preview Image or Save Image.",)
    FUNCTION = "draw"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        second = {"default": 0.0, "min": 0.0, "max": 86400.0, "step": 0.1, "round": 0.001}
        return {
            "required": {
                "motion": ("EMO2_MOTION", {"tooltip": "The motion to draw."}),
                "width": ("INT", {"default": 1200, "min": 360, "max": 8192, "step": 8,
                    "tooltip": "Width of the picture in pixels."}),
                "height": ("INT", {"default": 600, "min": 240, "max": 4096, "step": 8,
                    "tooltip": "Height of the picture in pixels."}),
                "start_second": ("FLOAT", {**second, "tooltip": "Where the picture begins."}),
                "end_second": ("FLOAT", {**second, "tooltip": "Where it ends; 0 is the end of the motion."}),
            },
            "optional": {
                "audio": ("AUDIO", {"tooltip": "The voice, for the waveform."}),
                "audio_features": ("EMO2_AUDIO", {"tooltip": "From EMO2 Encode Audio, for the loudness."}),
            },
        }  # fmt: skip

    def draw(
        self, motion: Motion, width: int, height: int, start_second: float, end_second: float,
        audio: dict[str, Any] | None = None, audio_features: AudioFeatures | None = None,
    ) -> tuple[torch.Tensor]:  # fmt: skip
        wave = None if audio is None else prepare_waveform(audio)
        picture = motion_picture(motion, (height, width), wave, WAVE_RATE, audio_features, start_second, end_second)
        return (image_of(picture),)


@node("EMO2PreviewMotion", "EMO2 Preview Motion", "EMO2/motion")
class PreviewMotion:
    DESCRIPTION = (
        "Draws a motion over the reference picture, frame by frame: both hands as shaded meshes (left orange, right "
        "blue), arms and body as lines. Look at it before spending time on the video."
    )
    RETURN_TYPES = ("IMAGE", "FLOAT", "EMO2_MOTION")
    RETURN_NAMES = ("images", "fps", "motion")
    OUTPUT_TOOLTIPS = (
        "One picture for each drawn frame.",
        "Frames a second at which they play in real time.",
        "The motion as it came in. What takes it from here waits until the preview is there.",
    )
    FUNCTION = "draw"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "The reference picture. It is scaled to cover the motion's picture and "
                                               "cut at the centre, as the video nodes do."}),
                "motion": ("EMO2_MOTION", {"tooltip": "The motion to draw."}),
                "opacity": ("FLOAT", {"default": 0.85, "min": 0.0, "max": 1.0, "step": 0.05, "round": 0.001,
                    "tooltip": "How solid the drawing is over the picture."}),
                "every_nth": ("INT", {"default": 1, "min": 1, "max": 1000,
                    "tooltip": "Draw every frame (1), every second one (2), ..."}),
                "style": (["mesh", "openpose"], {"default": "mesh",
                    "tooltip": "mesh: shaded hands and thin lines. openpose: the sticks that ControlNets know."}),
                "longest_side": ("INT", {"default": 768, "min": 0, "max": 8192, "step": 8,
                    "tooltip": "Pictures are made no larger than this; 0 keeps the size of the motion's picture."}),
            },
            "optional": {
                "hands": ("EMO2_HANDS", {"tooltip": "Hands from EMO2 Load Hands; without it, the neutral hands."}),
            },
        }  # fmt: skip

    def draw(
        self, image: torch.Tensor, motion: Motion, opacity: float, every_nth: int, style: str, longest_side: int,
        hands: HandModel | None = None,
    ) -> tuple[torch.Tensor, float, Motion]:  # fmt: skip
        size = preview_size(motion.framing.size, longest_side)
        picture = covered(one_picture(image), size)
        frames = range(0, len(motion), every_nth)
        need, have = len(frames) * size[0] * size[1] * 12, psutil.virtual_memory().available
        if need > 0.8 * have:
            given = f"{len(frames)} pictures of {size[0]} x {size[1]}, {need / 2**30:.1f} GB"
            raise EMO2Error(
                "every_nth and longest_side", f"pictures that fit into the free memory ({have / 2**30:.1f} GB)", given,
                "Draw fewer or smaller ones.",
            )  # fmt: skip
        model = hands or load_hands(None)
        # Drawing sparse frames of a motion: a motion of just those frames.
        sparse = motion.replace(**{n: getattr(motion, n)[::every_nth] for n in FRAME_FIELDS})
        result = torch.empty((len(frames), *size, 3))
        with host.Progress(len(frames), "preview") as progress:
            for start in range(0, len(frames), CHUNK):
                count = min(CHUNK, len(frames) - start)
                drawn = draw_motion(picture, sparse, model, start, count, opacity, style)
                result[start : start + count] = torch.from_numpy(drawn).float() / 255
                progress.tick(count)
        return result, motion.fps / every_nth, motion


@node("EMO2ContactSheet", "EMO2 Contact Sheet", "EMO2/video")
class ContactSheet:
    DESCRIPTION = "Puts many pictures on one sheet, in reading order, with their times: a video at a glance."
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("sheet",)
    OUTPUT_TOOLTIPS = ("One picture with all of them.",)
    FUNCTION = "arrange"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {
            "images": ("IMAGE", {"tooltip": "The pictures, usually the frames of a video."}),
            "pictures": ("INT", {"default": 20, "min": 0, "max": 10000,
                "tooltip": "How many are shown, evenly spread over all; 0 shows every one."}),
            "columns": ("INT", {"default": 5, "min": 1, "max": 100, "tooltip": "How many stand in a row."}),
            "width": ("INT", {"default": 1280, "min": 64, "max": 16384, "step": 8,
                "tooltip": "Width of the sheet in pixels."}),
            "fps": ("FLOAT", {"default": 25.0, "min": 0.0, "max": 1000.0, "step": 1.0, "round": 0.001,
                "tooltip": "Frames a second, for the times under the pictures; 0 shows numbers only."}),
        }}  # fmt: skip

    def arrange(self, images: torch.Tensor, pictures: int, columns: int, width: int, fps: float) -> tuple[torch.Tensor]:
        read = lambda i: one_picture(images[i : i + 1], "images")
        sheet = contact_sheet(read, chosen(len(images), pictures), columns, width, fps)
        return (image_of(sheet),)


def preview_size(size: tuple[int, int], longest_side: int) -> tuple[int, int]:
    """(H, W) with the shape of `size`, no side above the limit, both even, which video encoders want."""
    scale = min(longest_side / max(size), 1.0) if longest_side else 1.0
    return max(round(size[0] * scale / 2) * 2, 2), max(round(size[1] * scale / 2) * 2, 2)
