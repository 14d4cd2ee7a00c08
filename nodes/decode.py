"""From latents to pictures, and straight into a video file."""

from __future__ import annotations

from typing import Any

import torch

from ..models.errors import EMO2Error
from ..models.types import AudioFeatures, Motion, Reference
from ..models.video import conditions, vae
from ..models.video.clips import plan_clips
from ..models.video.decode import decode_video
from ..models.video.face_track import FaceTrack
from ..models.video.mp4 import CRF
from ..models.video.sound import sound_of
from ..models.video.still import Still
from ..models.video.stream import stream_video
from ..models.video.windows import windows_for
from . import host
from .loading import check_model, load_model
from .registry import node
from .rendering import (
    FACE,
    FACE_STRENGTH,
    LIPS_WIDGET,
    Steps,
    checked_conditions,
    compute_for,
    model_fingerprint,
    samples_of,
    sampling_widgets,
    settings_of,
    video_model,
)
from .saving import check_prefix, place

CHUNK = {"default": 8, "min": 1, "max": 256}
KEEP_STILL = ("FLOAT", {
    "default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05,
    "tooltip": "How much of the reference picture's own detail stays where nothing moves: walls and clothes keep what "
               "the VAE would blur. 0 shows the network's work alone."})  # fmt: skip


@node("EMO2LoadVAE", "EMO2 Load VAE", "EMO2/video")
class LoadVAE:
    DESCRIPTION = (
        "Loads the pack's small autoencoder, which ComfyUI's own loader cannot read. Its VAE works with every VAE node."
    )
    RETURN_TYPES = ("VAE",)
    RETURN_NAMES = ("vae",)
    OUTPUT_TOOLTIPS = ("The autoencoder, for EMO2 Encode Reference, EMO2 Decode Video and ComfyUI's VAE nodes.",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        tip = "An autoencoder in the pack's own format, in models/emo2 or in the pack."
        return {"required": {"vae_name": (host.model_files("emo2", kind="vae"), {"tooltip": tip})}}

    @classmethod
    def VALIDATE_INPUTS(cls, vae_name: str | None = None) -> bool | str:
        return check_model(vae_name, "vae", "vae_name")

    def load(self, vae_name: str) -> tuple[PackVAE]:
        return (PackVAE(load_model(vae_name, "vae", vae.build, "vae_name")),)


class PackVAE:
    """Our autoencoder with the methods and figures of ComfyUI's VAE that its nodes use.

    Pictures are decoded a few at a time, so a tiled pass is the same as a plain one.
    """

    latent_dim = 2
    output_channels = 3

    def __init__(self, handle: host.ModelHandle):
        self.handle, self.patcher = handle, handle.patcher
        self.latent_channels = int(handle.config["latent_channels"])
        self.downscale_ratio = self.upscale_ratio = vae.factor(handle.config)

    @property
    def first_stage_model(self) -> torch.nn.Module:
        return self.handle.module

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pictures (F, H, W, 3 or 4) 0..1 to latents (F, C, h, w); what does not fill a latent is cut at the edges."""
        if pixels.ndim != 4 or pixels.shape[-1] not in (1, 3, 4):
            raise EMO2Error("pixels", "pictures (F, H, W, 3)", tuple(pixels.shape), "Connect an IMAGE.")
        if pixels.shape[-1] == 1:
            pixels = pixels.expand(*pixels.shape[:3], 3)
        pixels = vae.cut_to_multiple(pixels, self.downscale_ratio)
        self._ready(pixels.shape[1] * pixels.shape[2])
        return vae.encode(self.handle.module, pixels, host.device(), check=host.check_cancelled)

    def decode(self, samples: torch.Tensor, vae_options: Any = None) -> torch.Tensor:
        """Latents (F, C, h, w) to pictures (F, H, W, 3) 0..1."""
        if samples.ndim != 4 or samples.shape[1] != self.latent_channels:
            raise EMO2Error(
                "samples", f"latents (F, {self.latent_channels}, h, w)", tuple(samples.shape),
                "Use the VAE that belongs to the model which made them.",
            )  # fmt: skip
        self._ready(samples.shape[2] * samples.shape[3] * self.downscale_ratio**2)
        return vae.decode(self.handle.module, samples, host.device(), check=host.check_cancelled)

    def encode_tiled(self, pixels: torch.Tensor, **_: Any) -> torch.Tensor:
        return self.encode(pixels)

    def decode_tiled(self, samples: torch.Tensor, **_: Any) -> torch.Tensor:
        return self.decode(samples)

    def spacial_compression_encode(self) -> int:
        return self.downscale_ratio

    spacial_compression_decode = spacial_compression_encode

    def temporal_compression_decode(self) -> None:
        return None

    def throw_exception_if_invalid(self) -> None:
        return None

    def _ready(self, pixels: int) -> None:
        widest = int(self.handle.config["block_out_channels"][0])
        host.load(self.handle, memory=8 * pixels * widest * 4 * 8)


@node("EMO2DecodeVideo", "EMO2 Decode Video", "EMO2/video")
class DecodeVideo:
    DESCRIPTION = (
        "Decodes the latents of a video in chunks, each off the GPU as soon as it is done. The frames are the same "
        "whatever the chunk; for minutes of video use EMO2 Stream Video, which never holds all frames."
    )
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)
    OUTPUT_TOOLTIPS = ("The frames of the video.",)
    FUNCTION = "decode"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "vae": ("VAE", {"tooltip": "The VAE that belongs to the model which made the latents."}),
                "latent": ("LATENT", {"tooltip": "From EMO2 Sample Video."}),
                "chunk": ("INT", {**CHUNK, "tooltip": "Frames decoded together. Fewer need less memory."}),
            },
            "optional": {
                "reference": ("EMO2_REFERENCE", {
                    "tooltip": "From EMO2 Encode Reference: what stands still keeps this picture's detail."}),
                "keep_still": KEEP_STILL,
            },
        }  # fmt: skip

    def decode(
        self, vae: Any, latent: dict[str, Any], chunk: int, reference: Reference | None = None, keep_still: float = 1.0
    ) -> tuple[torch.Tensor]:
        samples = samples_of(latent, "latent")
        still = Still.of(vae, reference, keep_still)
        progress = host.Progress(-(-len(samples) // max(1, chunk)), f"decoding, {len(samples)} frames")
        try:
            return (decode_video(vae, samples, chunk, progress.tick, still.kept if still else None),)
        finally:
            progress.close()


@node("EMO2StreamVideo", "EMO2 Stream Video", "EMO2/video")
class StreamVideo:
    DESCRIPTION = (
        "Paints, decodes and writes the video clip after clip into an mp4 with the original sound. It needs the memory "
        "of one clip whatever the length, and when it was interrupted, queueing it again continues where it stopped."
    )
    RETURN_TYPES = ("STRING", "INT", "FLOAT", "VIDEO")
    RETURN_NAMES = ("filename", "frame_count", "fps", "video")
    OUTPUT_TOOLTIPS = (
        "Full path of the finished mp4.",
        "How many frames the video has: the chosen seconds of the sound (or motion), rounded up to whole frames.",
        "Frames a second of the video; it stands in the model's config.",
        "The finished file as a video, for other nodes.",
    )
    FUNCTION = "stream"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": ("EMO2_VIDEO_MODEL", {"tooltip": "From EMO2 Load Video Model."}),
                "reference": ("EMO2_REFERENCE", {"tooltip": "The person, from EMO2 Encode Reference, same model."}),
                "vae": ("VAE", {"tooltip": "The VAE that belongs to the model."}),
                **sampling_widgets(),
                "filename_prefix": ("STRING", {"default": "video/EMO2",
                    "tooltip": "Name of the file in the output folder; a number is added. Subfolders and %year%, "
                               "%month%, %day%, %width%, %height% work."}),
                "crf": ("INT", {"default": CRF, "min": 0, "max": 40,
                    "tooltip": "Quality: 17 looks like the original, 23 makes a file half as big, 0 is lossless."}),
            },
            "optional": {
                "motion": ("EMO2_MOTION", {
                    "tooltip": "Hands and body. Maps are drawn from it clip by clip. Without it the hands are free."}),
                "audio_features": ("EMO2_AUDIO", {
                    "tooltip": "The voice, from EMO2 Encode Audio: what mouth and face follow. Sets the length."}),
                "audio": ("AUDIO", {"tooltip": "The sound track, as it was loaded. Without it the video is silent."}),
                "hands": ("EMO2_HANDS", {"tooltip": "The hand mesh; without it the pack's own."}),
                "keep_still": KEEP_STILL,
                "lips": LIPS_WIDGET,
                "face": FACE,
                "face_strength": FACE_STRENGTH,
            },
        }  # fmt: skip

    @classmethod
    def VALIDATE_INPUTS(cls, filename_prefix: str | None = None) -> bool | str:
        return check_prefix(filename_prefix)

    def stream(
        self,
        model: host.ModelHandle,
        reference: Reference,
        vae: Any,
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
        filename_prefix: str,
        crf: int,
        motion: Motion | None = None,
        audio_features: AudioFeatures | None = None,
        audio: dict[str, Any] | None = None,
        hands: Any = None,
        keep_still: float = 1.0,
        lips: str = "voice",
        face: FaceTrack | None = None,
        face_strength: float = 1.0,
    ) -> dict[str, Any]:
        settings = settings_of(
            model, quick_preview, seed=seed, steps=steps, cfg=cfg, scheduler=scheduler, audio_strength=audio_strength,
            reference_strength=reference_strength, pose_strength=pose_strength, face_strength=face_strength,
        )  # fmt: skip
        known = checked_conditions(model, reference, motion, audio_features, hands, lips, face)
        config = known.config
        if windows_for(config) is not None:
            given = f"{model.header.name}, which makes all frames at once"
            raise EMO2Error("model", "a model that goes on from its own last frames", given,
                            "Use EMO2 Sample Video, or motion_frames above 0 on EMO2 Load EchoMimicV2.")  # fmt: skip
        if config.size[0] % 2 or config.size[1] % 2:
            given = f"{config.size[0]} x {config.size[1]}"
            raise EMO2Error("model", "an even picture size (H.264)", given, "Use EMO2 Sample Video and save pictures.")
        sound = None if audio is None else sound_of(audio)
        total = conditions.video_length(known, sound.seconds if sound else None, end_second)
        start, count = conditions.frame_range(total, config.fps, start_second, end_second)
        for warning in (conditions.mismatch(known, total), sound and conditions.track_mismatch(known, sound.seconds)):
            if warning:
                host.warn(warning)
        folder, prefix, subfolder = place(filename_prefix, *config.size)
        clips = len(plan_clips(start, count, config.clip_frames, config.motion_frames))
        with Steps(clips * settings.steps, reference, f"video, {count} frames") as on_step:
            made = stream_video(
                video_model(model),
                vae,
                known,
                settings,
                folder=folder,
                prefix=prefix,
                model_fingerprint=model_fingerprint(model),
                start=start,
                count=count,
                sound=sound,
                crf=crf,
                keep_still=keep_still,
                compute=compute_for(model),
                on_step=on_step,
            )
        shown = {"filename": made.path.name, "subfolder": subfolder, "type": "output"}
        result = (str(made.path), made.frames, float(config.fps), host.video_from_file(made.path))
        return {"ui": {"images": [shown], "animated": (True,)}, "result": result}
