"""Stage 2 as an artist sees it: load a video model, show it a picture, and let the picture speak."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..models.errors import EMO2Error
from ..models.picture import covered, one_picture
from ..models.pose.face_encoder import FaceEncoder
from ..models.types import AudioFeatures, Framing, Motion, Reference
from ..models.video import clip_vision, conditions
from ..models.video import model as network
from ..models.video.clips import plan_clips
from ..models.video.decode import check_vae
from ..models.video.face_track import FaceTrack
from ..models.video.photograph import looks_like_photograph
from ..models.video.sampler import sample_video
from ..models.video.windows import WEIGHTS, WindowOptions, windows_for
from . import host
from .loading import check_model, load_model
from .registry import node
from .rendering import (
    FACE,
    FACE_STRENGTH,
    LIPS_WIDGET,
    Steps,
    activation_bytes,
    checked_conditions,
    compute_for,
    draws_cartoons,
    model_fingerprint,
    samples_of,
    sampling_widgets,
    settings_of,
    video_model,
)


@node("EMO2LoadVideoModel", "EMO2 Load Video Model", "EMO2/video")
class LoadVideoModel:
    DESCRIPTION = "Loads a model that paints a speaking person (EMO2's second stage), from models/emo2 or the pack."
    RETURN_TYPES = ("EMO2_VIDEO_MODEL",)
    RETURN_NAMES = ("model",)
    OUTPUT_TOOLTIPS = ("The video model, for EMO2 Encode Reference and the video samplers.",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        tip = (
            "A video checkpoint (.safetensors) in ComfyUI's models/emo2 folder, or the small one in the pack, which "
            "draws cartoon characters (puppets) at 128 x 96. Photographs need large weights."
        )
        return {"required": {"model_name": (host.model_files("emo2", kind="video"), {"tooltip": tip})}}

    @classmethod
    def VALIDATE_INPUTS(cls, model_name: str | None = None) -> bool | str:
        return check_model(model_name, "video", "model_name")

    def load(self, model_name: str) -> tuple[host.ModelHandle]:
        return (load_model(model_name, "video", network.build, "model_name"),)


@node("EMO2EncodeReference", "EMO2 Encode Reference", "EMO2/video")
class EncodeReference:
    DESCRIPTION = (
        "Prepares the picture of the person who is to speak: scales it to cover the model's size, cuts it at the "
        "centre and runs the reference network over it, once for all clips."
    )
    RETURN_TYPES = ("EMO2_REFERENCE", "IMAGE")
    RETURN_NAMES = ("reference", "image")
    OUTPUT_TOOLTIPS = (
        "The prepared picture, for the video samplers with the same model.",
        "The picture as the model sees it, scaled and cut.",
    )
    FUNCTION = "encode"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": ("EMO2_VIDEO_MODEL", {"tooltip": "From EMO2 Load Video Model."}),
                "vae": ("VAE", {"tooltip": "The VAE that belongs to the model; EMO2 Load VAE for the tiny one."}),
                "image": ("IMAGE", {"tooltip": "One picture of the person, half-body, hands may be out of sight."}),
            },
            "optional": {
                "framing": ("EMO2_FRAMING", {
                    "tooltip": "Where the person is. The samplers warn when the motion is framed otherwise."}),
                "face_encoder": ("EMO2_FACE_ENCODER", {
                    "tooltip": "From EMO2 Load Face Encoder: tells a model with facial controls whose face this is. "
                               "Use the encoder that the model was trained with."}),
            },
        }  # fmt: skip

    def encode(
        self, model: host.ModelHandle, vae: Any, image: torch.Tensor, framing: Framing | None = None,
        face_encoder: FaceEncoder | None = None,
    ) -> tuple[Reference, torch.Tensor]:  # fmt: skip
        module = video_model(model)
        config = module.config
        check_vae(vae, config.latent_channels)
        picture = one_picture(image)
        if draws_cartoons(config) and looks_like_photograph(picture):
            host.warn(
                f"This looks like a photograph, and {model.header.name} is a tiny model that only knows how to draw "
                "cartoons. For photographs open the workflow echomimic_v2."
            )
        fitted = covered(picture, config.size)
        latents = vae.encode(fitted).float().cpu()
        shape = (1, config.latent_channels, *config.latent_size)
        if tuple(latents.shape) != shape:
            raise EMO2Error("vae", f"latents {shape}", tuple(latents.shape), "Load the VAE that belongs to the model.")
        dtype = host.dtype_for(module)
        host.load(model, memory=activation_bytes(config, dtype) // config.clip_frames)
        with torch.no_grad():
            features = module.encode_reference((latents * config.latent_scale).to(host.device(), dtype))
        features = {name: value.float().cpu() for name, value in features.items()}
        identity = None
        if face_encoder is not None:
            if not config.face_control:
                host.warn(f"{model.header.name} has no facial controls: the face encoder changes nothing.")
            # The picture as it was given: a face of a few pixels more is known better.
            pixels = (picture[0].float().cpu().numpy() * 255).round().clip(0, 255).astype(np.uint8)
            identity = torch.from_numpy(face_encoder.encode(pixels, framing))
        if framing is not None:
            framing = framing.fitted(config.size)
        reference = Reference(latents, features, fitted, model_fingerprint(model), framing, identity)
        conditions.check_identity(config, reference)
        return reference, fitted


@node("EMO2ContextWindows", "EMO2 Context Windows", "EMO2/video")
class ContextWindows:
    DESCRIPTION = (
        "The other way to make a long video: all frames at once, in overlapping windows that are averaged. For models "
        "without motion frames, such as EchoMimicV2 and AnimateDiff; and for videos that loop."
    )
    RETURN_TYPES = ("EMO2_WINDOWS",)
    RETURN_NAMES = ("windows",)
    OUTPUT_TOOLTIPS = ("How windows lie, for EMO2 Sample Video.",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "length": ("INT", {"default": 12, "min": 1, "max": 256,
                    "tooltip": "Frames a window: as many as the model was trained on (EchoMimicV2: 12)."}),
                "overlap": ("INT", {"default": 3, "min": 0, "max": 255,
                    "tooltip": "Frames that neighbouring windows share. More is smoother and slower."}),
                "closed_loop": ("BOOLEAN", {"default": True,
                    "tooltip": "The end runs on into the beginning, so that the video can be played as a loop."}),
                "shift": ("INT", {"default": 3, "min": 0, "max": 255,
                    "tooltip": "Frames by which all windows move on each step, so that no seam stays in one place."}),
                "weights": (list(WEIGHTS), {"tooltip": "How overlaps are averaged: uniform counts every frame alike, "
                    "pyramid trusts the middle of a window more than its ends."}),
            }
        }  # fmt: skip

    def make(self, length: int, overlap: int, closed_loop: bool, shift: int, weights: str) -> tuple[WindowOptions]:
        return (WindowOptions(length, overlap, closed_loop, shift, weights),)


@node("EMO2SampleVideo", "EMO2 Sample Video", "EMO2/video")
class SampleVideo:
    DESCRIPTION = (
        "Paints the person of the reference picture speaking with the voice and moving with the motion: EMO2's second "
        "stage. Any length, clip after clip. The result is a latent to decode; for long videos use EMO2 Stream Video."
    )
    RETURN_TYPES = ("LATENT", "FLOAT", "INT")
    RETURN_NAMES = ("latent", "fps", "frame_count")
    OUTPUT_TOOLTIPS = (
        "One latent a frame, for EMO2 Decode Video or VAE Decode.",
        "Frames a second of the video; it stands in the model's config.",
        "How many frames were made: the chosen seconds of the sound (or of the motion), rounded up to whole frames.",
    )
    FUNCTION = "sample"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": ("EMO2_VIDEO_MODEL", {"tooltip": "From EMO2 Load Video Model."}),
                "reference": ("EMO2_REFERENCE", {"tooltip": "The person, from EMO2 Encode Reference, same model."}),
                **sampling_widgets(),
            },
            "optional": {
                "motion": ("EMO2_MOTION", {
                    "tooltip": "Hands and body. Maps are drawn from it clip by clip. Without it the hands are free."}),
                "audio_features": ("EMO2_AUDIO", {
                    "tooltip": "The voice, from EMO2 Encode Audio. It sets the video's length."}),
                "hands": ("EMO2_HANDS", {"tooltip": "The hand mesh; without it the pack's own."}),
                "windows": ("EMO2_WINDOWS", {
                    "tooltip": "From EMO2 Context Windows: all frames in overlapping windows instead of clips. A model "
                               "that cannot go on from earlier frames (EchoMimicV2) has windows of its own without."}),
                "previous": ("LATENT", {
                    "tooltip": "The frames just before start_second: the video goes on from their last 12."}),
                "lips": LIPS_WIDGET,
                "face": FACE,
                "face_strength": FACE_STRENGTH,
            },
        }  # fmt: skip

    def sample(
        self,
        model: host.ModelHandle,
        reference: Reference,
        seed: int,
        steps: int,
        cfg: float,
        scheduler: str,
        reference_strength: float,
        audio_strength: float,
        pose_strength: float,
        start_second: float,
        end_second: float,
        quick_preview: bool,
        motion: Motion | None = None,
        audio_features: AudioFeatures | None = None,
        hands: Any = None,
        windows: WindowOptions | None = None,
        previous: dict[str, Any] | None = None,
        lips: str = "voice",
        face: FaceTrack | None = None,
        face_strength: float = 1.0,
    ) -> tuple[dict[str, torch.Tensor], float, int]:
        settings = settings_of(
            model, quick_preview, seed=seed, steps=steps, cfg=cfg, scheduler=scheduler, audio_strength=audio_strength,
            reference_strength=reference_strength, pose_strength=pose_strength, face_strength=face_strength,
        )  # fmt: skip
        known = checked_conditions(model, reference, motion, audio_features, hands, lips, face)
        config = known.config
        windows = windows or windows_for(config)
        if windows is not None and previous is not None:
            raise EMO2Error("previous", "nothing where a video is made in windows", "both", "Disconnect one of them.")
        total = conditions.video_length(known, end_second=end_second)
        start, count = conditions.frame_range(total, config.fps, start_second, end_second)
        warning = conditions.mismatch(known, total)
        if warning:
            host.warn(warning)
        clips = 1 if windows else len(plan_clips(start, count, config.clip_frames, config.motion_frames))
        with Steps(clips * settings.steps, reference, f"video, {count} frames") as on_step:
            latents = sample_video(
                model.module,
                known,
                settings,
                start=start,
                count=count,
                windows=windows,
                previous=None if previous is None else samples_of(previous, "previous"),
                compute=compute_for(model),
                on_step=on_step,
            )
        return {"samples": latents}, float(config.fps), count


@node("EMO2LoadCLIPVision", "EMO2 Load CLIP Vision", "EMO2/video")
class LoadCLIPVision:
    DESCRIPTION = (
        "Loads the pack's small image encoder, for ComfyUI's CLIP Vision Encode node; any other has its own loader."
    )
    RETURN_TYPES = ("CLIP_VISION",)
    RETURN_NAMES = ("clip_vision",)
    OUTPUT_TOOLTIPS = ("The image encoder, for CLIP Vision Encode.",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        tip = "An image encoder in the pack's own format, in models/emo2 or in the pack."
        return {"required": {"clip_name": (host.model_files("emo2", kind="clip_vision"), {"tooltip": tip})}}

    @classmethod
    def VALIDATE_INPUTS(cls, clip_name: str | None = None) -> bool | str:
        return check_model(clip_name, "clip_vision", "clip_name")

    def load(self, clip_name: str) -> tuple[PackCLIPVision]:
        return (PackCLIPVision(load_model(clip_name, "clip_vision", clip_vision.build, "clip_name")),)


class PackCLIPVision:
    """A CLIP_VISION as ComfyUI's nodes use it, on the device that ComfyUI chooses."""

    def __init__(self, handle: host.ModelHandle):
        self.handle = handle

    def encode_image(self, image: torch.Tensor, crop: bool = True) -> clip_vision.CLIPVisionOutput:
        host.load(self.handle)
        output = self.handle.module.encode_image(image.to(host.device()), crop)
        return clip_vision.CLIPVisionOutput(*(value.cpu() for value in vars(output).values() if value is not None))
