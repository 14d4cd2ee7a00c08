"""Stage 1 as an artist sees it: load a hand-motion model, and let it gesture to a voice."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..models.errors import EMO2Error
from ..models.motion import SCHEDULERS, SMOOTHING, STYLES, MotionConfig, build, sample_motion
from ..models.types import AudioFeatures, Framing, Motion
from . import host
from .loading import check_model, load_model, warn_untrained
from .registry import node

FREE = "auto"
HANDS = {"both": (True, True), "left only": (True, False), "right only": (False, True)}


@node("EMO2LoadMotionModel", "EMO2 Load Motion Model", "EMO2/motion")
class LoadMotionModel:
    DESCRIPTION = (
        "Loads a model that turns a voice into hand motion (EMO2's first stage), from models/emo2 or the pack."
    )
    RETURN_TYPES = ("EMO2_MOTION_MODEL",)
    RETURN_NAMES = ("model",)
    OUTPUT_TOOLTIPS = ("The hand-motion model, for EMO2 Sample Hand Motion.",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        tip = "A hand-motion checkpoint (.safetensors) in ComfyUI's models/emo2 folder, or the small one in the pack."
        return {"required": {"model_name": (host.model_files("emo2", kind="motion"), {"tooltip": tip})}}

    @classmethod
    def VALIDATE_INPUTS(cls, model_name: str | None = None) -> bool | str:
        return check_model(model_name, "motion", "model_name")

    def load(self, model_name: str) -> tuple[host.ModelHandle]:
        return (load_model(model_name, "motion", build, "model_name"),)


@node("EMO2SampleHandMotion", "EMO2 Sample Hand Motion", "EMO2/motion")
class SampleHandMotion:
    DESCRIPTION = (
        "Makes hands and upper body gesture to a voice: EMO2's first stage. The result is a motion, not yet a picture; "
        "look at it, edit it, or give it to the video and map nodes."
    )
    RETURN_TYPES = ("EMO2_MOTION", "FLOAT", "INT")
    RETURN_NAMES = ("motion", "fps", "frame_count")
    OUTPUT_TOOLTIPS = (
        "Both hands, finger by finger, and the body's 2D points, one entry a frame.",
        "Frames a second of the motion; it stands in the model's config.",
        "How many frames the motion has: the chosen stretch of the audio, rounded up to whole frames.",
    )
    FUNCTION = "sample"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        seed = {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF, "control_after_generate": True}
        speed = {"default": -1.0, "min": -1.0, "max": 3.0, "step": 0.05, "round": 0.01}
        second = {"default": 0.0, "min": 0.0, "max": 86400.0, "step": 0.04, "round": 0.001}
        reach = "0 still, 1 like an ordinary speaker, 2 twice as far; -1 lets the voice decide."
        return {
            "required": {
                "model": ("EMO2_MOTION_MODEL", {"tooltip": "From EMO2 Load Motion Model."}),
                "audio_features": ("EMO2_AUDIO", {"tooltip": "The voice, from EMO2 Encode Audio."}),
                "seed": ("INT", {**seed, "tooltip": "Another number gives other gestures to the same voice."}),
                "steps": ("INT", {"default": 25, "min": 1, "max": 1000,
                    "tooltip": "Denoising steps for every 12 seconds of audio; 20 to 50 is usual."}),
                "cfg": ("FLOAT", {"default": 2.5, "min": 0.0, "max": 20.0, "step": 0.1, "round": 0.01,
                    "tooltip": "How strictly voice, style and speed are followed. 1 is plain and twice as fast."}),
                "scheduler": (list(SCHEDULERS), {"default": "ddim",
                    "tooltip": "ddim and dpm++ need few steps; ddpm is the method of training and wants many."}),
                "style": ([FREE, *STYLES], {"default": FREE,
                    "tooltip": "What kind of performance it is. The model must know the style; auto leaves it open."}),
                "speed_left": ("FLOAT", {**speed, "tooltip": f"How much the person's left hand moves: {reach}"}),
                "speed_right": ("FLOAT", {**speed, "tooltip": f"How much the person's right hand moves: {reach}"}),
                "hands": (list(HANDS), {"default": "both",
                    "tooltip": "Which hands are in the picture. A hand left out is marked invisible and not drawn."}),
                "start_second": ("FLOAT", {**second, "tooltip": "Where in the audio the motion begins."}),
                "end_second": ("FLOAT", {**second, "tooltip": "Where it ends; 0 is the end of the audio."}),
            },
            "optional": {
                "framing": ("EMO2_FRAMING", {
                    "tooltip": "Where the person is (from EMO2 Set Framing). Without it: half-body, centred."}),
                "clip_vision_output": ("CLIP_VISION_OUTPUT", {
                    "tooltip": "The reference picture through the CLIP vision model that the motion model knows."}),
                "body_motion": ("EMO2_MOTION", {
                    "tooltip": "The body sways and turns as in this motion, whose hands are not used. Its first frame "
                               "belongs to the start of the audio."}),
                "smoothing": ("FLOAT", {"default": SMOOTHING, "min": 0.0, "max": 1.0, "step": 0.01, "round": 0.001,
                    "tooltip": "Seconds over which trembling is evened out; 0 leaves the motion as it was sampled."}),
            },
        }  # fmt: skip

    def sample(
        self,
        model: host.ModelHandle,
        audio_features: AudioFeatures,
        seed: int,
        steps: int,
        cfg: float,
        scheduler: str,
        style: str,
        speed_left: float,
        speed_right: float,
        hands: str,
        start_second: float,
        end_second: float,
        framing: Framing | None = None,
        clip_vision_output: Any = None,
        body_motion: Motion | None = None,
        smoothing: float = SMOOTHING,
    ) -> tuple[Motion, float, int]:
        config: MotionConfig = model.module.config
        start, count = stretch(audio_features.duration, config.fps, start_second, end_second)
        if hands not in HANDS:
            raise EMO2Error("hands", f"one of {', '.join(HANDS)}", repr(hands), "Choose one of these.")
        warn_untrained(model.header)
        host.load(model)
        progress = Ticks(f"hand motion, {count} frames")
        try:
            motion = sample_motion(
                model.module,
                audio_features,
                seed=seed,
                steps=steps,
                cfg=cfg,
                scheduler=scheduler,
                style=None if style == FREE else style,
                speed=[None if amount < 0 else config.variance(amount) for amount in (speed_left, speed_right)],
                framing=framing,
                mask=np.array(HANDS[hands]),
                offset=None if body_motion is None else body_offset(body_motion, config.fps, start, count),
                image_embed=None if clip_vision_output is None else image_embed(clip_vision_output),
                start=start,
                count=count,
                smoothing=smoothing,
                on_step=progress,
                device=host.device(),
                dtype=host.dtype_for(model.module),
            )
        finally:
            progress.close()
        return motion, motion.fps, len(motion)


class Ticks:
    """`on_step` for the host's progress bar, which is made when the number of steps is known."""

    def __init__(self, label: str):
        self.label, self.bar = label, None

    def __call__(self, done: int, total: int) -> None:
        self.bar = self.bar or host.Progress(total, self.label)
        self.bar.tick()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def stretch(duration: float, fps: float, start_second: float, end_second: float) -> tuple[int, int]:
    """First frame and number of frames from second a to b of the audio; b = 0, or past the end: up to its end."""
    from ..models.audio import frame_count

    total = frame_count(duration, fps)
    start = round(start_second * fps)
    if start >= total:
        last = f"a time before the audio's end at {duration:.2f} s"
        raise EMO2Error("start_second", last, f"{start_second:g} s", "Choose an earlier start.")
    end = min(total, round(end_second * fps)) if end_second > 0 else total
    if end <= start:
        later = f"a time after start_second ({start_second:g} s), or 0 for the end"
        raise EMO2Error("end_second", later, f"{end_second:g} s", "Choose a later end.")
    return start, end - start


def body_offset(motion: Motion, fps: float, start: int, count: int) -> np.ndarray:
    """The offset condition (count, 7) of a motion's body, resampled; its last frame is held when it is too short."""
    from ..models.motion.edit import pad_to, resample

    body = pad_to(resample(motion, fps), start + count).frames(start, start + count)
    return np.concatenate([body.body_offset, body.body_rotation], axis=1)


def image_embed(output: Any) -> torch.Tensor:
    """The class embedding (1, E) in what a CLIP vision node gives."""
    embed = getattr(output, "image_embeds", None)
    if not torch.is_tensor(embed):
        raise EMO2Error(
            "clip_vision_output", "the output of CLIP Vision Encode", type(output).__name__, "Connect that."
        )
    if embed.ndim != 2 or embed.shape[0] != 1:
        raise EMO2Error(
            "clip_vision_output", "the embedding of one picture", f"shape {tuple(embed.shape)}", "Encode one picture."
        )
    return embed
