"""First stage of the video network (EMO2 section 3.4): pairs of pictures, without sound and time.

Reference network, map guider, hand-confidence embedding and the backbone's spatial layers learn to paint the person of
one picture with the hands and arms of another's maps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from ..models.checkpoints.format import save_checkpoint
from ..models.checkpoints.precision import halved, packed
from ..models.errors import EMO2Error
from ..models.video.config import VideoConfig
from ..models.video.model import VideoModel
from .beginnings import begin_with, steps_before
from .memory import keep_freed_memory
from .options import read_options
from .recipe import Recipe
from .video_data import Drops, Emphasis, ImagePairs, Puppets
from .video_lesson import VideoLesson, image_parameters, is_clip_part, silence_audio
from .video_preview import Preview


@dataclass(frozen=True)
class VideoImageOptions:
    """data: folder of painted puppets with latents. vae: their autoencoder, for sample pictures. held_out: puppets for
    the sample pictures (without: training ones). profile: "tiny" or "paper"; network: fields of VideoConfig that differ
    from it. begin: a video checkpoint to begin with; what it lacks of this network begins as new, and so do
    temporal modules and audio, which this stage passes over and would leave behind. stable_diffusion:
    Stable Diffusion 1.5's UNet (diffusers' .safetensors) to begin with instead.

    targets: pictures a reference. other_reference: how often another frame is the reference instead of the record's own
    reference picture. drops: as `video_data.Drops`; emphasis: as `video_data.Emphasis`. confidence_noise: deviation.
    confidence_code: deviation of a code that the confidence embedding begins with (see `give_code`). snr_gamma: limit
    on the weight of low noise. previews: how many puppets on the sample sheet, preview_steps: DDIM steps for it.
    """

    data: str
    vae: str | None = None
    held_out: str | None = None
    profile: str = "tiny"
    network: Mapping[str, Any] = field(default_factory=dict)
    begin: str | None = None
    stable_diffusion: str | None = None
    targets: int = 4
    other_reference: float = 0.4
    drops: Mapping[str, Any] = field(default_factory=dict)
    emphasis: Mapping[str, Any] = field(default_factory=dict)
    confidence_noise: float = 0.03
    confidence_code: float = 0.0
    snr_gamma: float = 5.0
    previews: int = 4
    preview_steps: int = 10


class VideoImageRecipe(Recipe):
    """Recipe `video-image`; a sample is one reference with its `targets`. Options as VideoImageOptions says."""

    name = "video-image"
    harmless = frozenset({"data", "vae", "held_out", "previews", "preview_steps", "begin", "stable_diffusion"})

    def __init__(self, options: Mapping[str, Any], seed: int):
        super().__init__(options, seed)
        self.own = own = read_options(VideoImageOptions, options)
        self.config = network_config(own.profile, own.network)
        self.drops = read_options(Drops, own.drops)
        self.emphasis = read_options(Emphasis, own.emphasis)
        if own.targets < 1:
            raise EMO2Error("config recipe.targets", "at least 1", own.targets, "Give 4.")
        if not 0 <= own.confidence_code < float("inf"):
            raise EMO2Error("config recipe.confidence_code", "0 or more", own.confidence_code, "0.5 is plenty.")
        if own.confidence_code and not self.config.hand_confidence:
            given = f"{own.confidence_code} and a network without confidence embedding"
            raise EMO2Error("config recipe.confidence_code", "0", given, "Leave it out, or network.hand_confidence.")

    def build(self) -> nn.Module:
        keep_freed_memory()
        video = VideoModel(self.config)
        silence_audio(video)
        if self.own.stable_diffusion:
            from .stable_diffusion import begin_with as begin_with_sd

            begin_with_sd(video, Path(self.own.stable_diffusion))
        if self.own.begin:
            begin_with(video, self.own.begin, "video", fresh=("reference_input.",), anew=is_clip_part)
        if self.own.confidence_code:
            give_code(video, self.own.confidence_code, self.seed)
        video.requires_grad_(False)
        for _, parameter in image_parameters(video):
            parameter.requires_grad_(True)
        return VideoLesson(video, pictures=True, snr_gamma=self.own.snr_gamma)

    def dataset(self) -> Dataset[Any]:
        own = self.own
        return ImagePairs(Puppets(own.data, self.config), self.seed, own.targets, own.other_reference, self.drops,
                          self.emphasis, own.confidence_noise)  # fmt: skip

    def preview(self, module: nn.Module, folder: Path, step: int) -> list[Path]:
        own = self.own
        if own.vae is None or not own.previews:
            return []
        puppets = Puppets(own.held_out or own.data, self.config)
        return Preview(puppets, own.vae, own.previews, own.preview_steps).write(video_of(module), folder)

    def export(self, module: nn.Module, folder: Path, notes: Mapping[str, str]) -> list[Path]:
        before = steps_before(self.own.begin, "video") if self.own.begin else {}
        return [export_video(video_of(module), folder, {**notes, **before, "stage": "image"})]


@torch.no_grad()
def give_code(video: VideoModel, deviation: float, seed: int) -> None:
    """Add a random code to the confidence embedding and take it off the map guider's output: full confidence changes
    nothing.

    An embedding near zero is a saddle: nothing reads it, so nothing teaches it, and a short training stays there.
    """
    assert video.confidence_embedding is not None
    weight, bias = video.confidence_embedding.hands.weight, video.guider.conv_out.bias
    code = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed)) * deviation
    weight += code
    bias -= code.sum(1)


def video_of(lesson: nn.Module) -> VideoModel:
    """The network inside a VideoLesson."""
    assert isinstance(lesson, VideoLesson)
    return lesson.video


def network_config(profile: str, changes: Mapping[str, Any]) -> VideoConfig:
    """A profile's config with changes; EMO2Error for a profile or a change that there is not."""
    profiles = {"tiny": VideoConfig.tiny, "paper": VideoConfig.paper}
    if profile not in profiles:
        raise EMO2Error("config recipe.profile", "tiny or paper", repr(profile), "Choose one.")
    try:
        return VideoConfig.from_dict(profiles[profile]().to_dict() | dict(changes))
    except (TypeError, ValueError) as error:
        raise EMO2Error("config recipe.network", "fields of a video network", error, "Correct them.") from error


def export_video(video: VideoModel, folder: Path, notes: Mapping[str, str]) -> Path:
    """The network in half precision; the tiny one in eight bits, from which its videos stay the same to 53 dB."""
    config = video.config
    tiny = max(config.size) <= 256
    tensors = packed(video.state_dict()) if tiny else halved(video)
    name, profile = ("emo2_video_tiny.safetensors", "tiny") if tiny else ("emo2_video.safetensors", "paper")
    return save_checkpoint(folder / name, "video", config.to_dict(), tensors, notes={**notes, "profile": profile})


__all__ = ["VideoImageOptions", "VideoImageRecipe", "export_video", "network_config", "video_of"]
