"""Second stage of the video network (EMO2 section 3.4): clips with sound, on the frames before them.

From an image checkpoint, temporal modules, audio attention and projection are trained, and the rest of the backbone
along with them; the reference network is frozen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from ..models.audio import load_encoder
from ..models.checkpoints.format import load_checkpoint, load_strictly, read_header, read_tensors
from ..models.errors import EMO2Error
from ..models.video import pose_discriminator
from ..models.video.config import VideoConfig
from ..models.video.face_control import is_face_part
from ..models.video.model import VideoModel
from .averaging import between
from .beginnings import steps_before
from .memory import keep_freed_memory
from .options import read_options
from .recipe import Recipe
from .stable_diffusion import begin_temporal
from .video_data import Clips, Drops, Emphasis, Puppets, Sounds
from .video_image import export_video, video_of
from .video_lesson import VideoLesson, is_audio, is_temporal, silence_audio
from .video_preview import Preview

PARTS = ("temporal", "audio", "backbone", "guider")
EXTENSIONS = ("face_maps", "head_mask", "audio_interaction")


@dataclass(frozen=True)
class VideoClipOptions:
    """data: folder of painted puppets with latents. image: the first stage's checkpoint. motion_modules: AnimateDiff's,
    to begin the temporal modules with. audio_encoder: the voice encoder, frozen; without one the network stays deaf.
    vae, held_out: for sample pictures.

    extend: what the network gets that the checkpoint lacks, `face_maps: true`, `head_mask: true` or
    `audio_interaction: CHANNELS`; what is new in the network adds nothing at first. frames: new frames a clip (0: the
    network's clip_frames). train: which of temporal, audio, backbone, guider. backbone_scale: factor on the learning
    rate of what the first stage trained already.
    motion_frames: whether clips continue from the frames before. hand_confidence, keypoints: false leaves the
    confidence embedding or the keypoint
    maps out of the network (ablations). drops, emphasis: as `video_data`. confidence_noise, motion_noise: deviation of
    the confidence, greatest deviation of the noise on motion frames, against drift. snr_gamma: see `level_weights`.
    discriminator: a pose discriminator; discriminator_weight: of its loss, 0 for none; discriminator_level: the share
    of noise levels, from the lowest, where it is asked. previews, preview_steps: of the sample sheet. image_share: the
    share that the checkpoint it began with keeps in the exported weights, so that a network that learns something new
    forgets less of the old (arXiv 2109.01903, equation 1).
    """

    data: str
    image: str
    audio_encoder: str | None = None
    motion_modules: str | None = None
    vae: str | None = None
    held_out: str | None = None
    extend: Mapping[str, Any] = field(default_factory=dict)
    frames: int = 0
    train: tuple[str, ...] = PARTS
    backbone_scale: float = 0.5
    motion_frames: bool = True
    hand_confidence: bool = True
    keypoints: bool = True
    drops: Mapping[str, Any] = field(default_factory=dict)
    emphasis: Mapping[str, Any] = field(default_factory=dict)
    confidence_noise: float = 0.03
    motion_noise: float = 0.15
    snr_gamma: float = 5.0
    discriminator: str | None = None
    discriminator_weight: float = 0.1
    discriminator_level: float = 0.3
    previews: int = 4
    preview_steps: int = 10
    image_share: float = 0.0


class VideoClipRecipe(Recipe):
    """Recipe `video-clip`; a sample is one clip. Options as VideoClipOptions says."""

    name = "video-clip"
    harmless = frozenset({"data", "image", "audio_encoder", "vae", "held_out", "discriminator", "previews",
                          "preview_steps", "motion_modules", "image_share"})  # fmt: skip

    def __init__(self, options: Mapping[str, Any], seed: int):
        super().__init__(options, seed)
        self.own = own = read_options(VideoClipOptions, options)
        self.drops = read_options(Drops, own.drops)
        self.emphasis = read_options(Emphasis, own.emphasis)
        unknown = sorted(set(own.train) - set(PARTS))
        if unknown or not own.train:
            given = ", ".join(map(str, own.train)) or "nothing"
            raise EMO2Error("config recipe.train", f"some of {', '.join(PARTS)}", given, "Name what is to be trained.")
        unknown = sorted(set(own.extend) - set(EXTENSIONS))
        if unknown:
            expected = f"some of {', '.join(EXTENSIONS)}"
            raise EMO2Error("config recipe.extend", expected, ", ".join(map(str, unknown)), "Leave the others out.")
        if not 0 <= own.image_share < 1:
            raise EMO2Error("config recipe.image_share", "0 to less than 1", own.image_share, "Give 0.5 for the mean.")
        self._config: VideoConfig | None = None
        self._encoder: Any = None

    @property
    def config(self) -> VideoConfig:
        """The image checkpoint's config with what this run leaves out."""
        if self._config is None:
            own, header = self.own, read_header(self.own.image, "video", "config recipe.image")
            values = dict(header.config)
            values["hand_confidence"] = values.get("hand_confidence", True) and own.hand_confidence
            values["keypoint_maps"] = values.get("keypoint_maps", True) and own.keypoints
            if not own.motion_frames:
                values["motion_frames"] = 0
            config = VideoConfig.from_dict(values | dict(own.extend))
            frames = own.frames or config.clip_frames
            if not 1 <= frames <= config.clip_frames:
                raise EMO2Error("config recipe.frames", f"1 to {config.clip_frames}", frames, "Give 0 for all.")
            check_sound(config, self.encoder)
            self._config = config
        return self._config

    @property
    def encoder(self) -> Any:
        """The frozen voice encoder, or None."""
        if self._encoder is None and self.own.audio_encoder:
            self._encoder, _ = load_encoder(Path(self.own.audio_encoder), "config recipe.audio_encoder")
        return self._encoder

    def beginning(self) -> VideoModel:
        """The network before its first step, in float32."""
        own = self.own
        video = VideoModel(self.config)
        tensors = read_tensors(Path(own.image), "config recipe.image")
        if video.confidence_embedding is None:
            tensors = without_confidence(tensors)
        if own.extend:
            tensors = {name: value for name, value in video.state_dict().items() if is_interaction(name)} | tensors
        load_strictly(video, tensors, Path(own.image).name, "config recipe.image")
        if own.motion_modules:
            begin_temporal(video, Path(own.motion_modules))
        video.float().requires_grad_(False)
        if read_header(own.image).notes.get("stage") == "image":
            silence_audio(video)
        return video

    def build(self) -> nn.Module:
        keep_freed_memory()
        own, video = self.own, self.beginning()
        for name, parameter in video.named_parameters():
            parameter.requires_grad_(part_of(name) in own.train)
        if self.encoder is None:
            for name, parameter in video.named_parameters():
                if is_audio(name):
                    parameter.requires_grad_(False)
        judge = None
        if own.discriminator and own.discriminator_weight > 0:
            judge, _ = load_checkpoint(
                own.discriminator, "pose_discriminator", pose_discriminator.build, "config recipe.discriminator"
            )
        return VideoLesson(video, False, own.snr_gamma, judge, own.discriminator_weight, own.discriminator_level)

    def parameter_groups(self, module: nn.Module) -> list[dict[str, Any]]:
        fresh: list[nn.Parameter] = []
        known: list[nn.Parameter] = []
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                (fresh if part_of(name.removeprefix("video.")) in ("temporal", "audio") else known).append(parameter)
        groups = [{"params": fresh, "scale": 1.0}, {"params": known, "scale": self.own.backbone_scale}]
        return [group for group in groups if group["params"]]

    def dataset(self) -> Dataset[Any]:
        own, config = self.own, self.config
        sounds = Sounds(self.encoder, config) if self.encoder is not None else None
        return Clips(Puppets(own.data, config), sounds, self.seed, own.frames or config.clip_frames, self.drops,
                     self.emphasis, own.confidence_noise, own.motion_noise, own.motion_frames)  # fmt: skip

    def preview(self, module: nn.Module, folder: Path, step: int) -> list[Path]:
        own = self.own
        if own.vae is None or not own.previews:
            return []
        puppets = Puppets(own.held_out or own.data, self.config)
        return Preview(puppets, own.vae, own.previews, own.preview_steps, self.encoder).write(video_of(module), folder)

    def export(self, module: nn.Module, folder: Path, notes: Mapping[str, str]) -> list[Path]:
        own, video = self.own, video_of(module)
        before = steps_before(own.image, "video")
        if own.image_share:
            video = between(self.beginning(), video, 1 - own.image_share)
            before["image_share"] = str(own.image_share)
        return [export_video(video, folder, {**notes, **before, "stage": "clip"})]


def check_sound(config: VideoConfig, encoder: Any) -> None:
    """EMO2Error for a voice encoder that a network of `config` does not hear. None is silence."""
    if encoder is not None and (encoder.states, encoder.width) != (config.audio_layers, config.audio_dim):
        raise EMO2Error(
            "config recipe.audio_encoder", f"{config.audio_layers} states of width {config.audio_dim}",
            f"{encoder.states} of width {encoder.width}", "Give the encoder of this network's profile.",
        )  # fmt: skip


def without_confidence(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A VideoModel's tensors without its confidence embedding: every hand then has full confidence."""
    tensors = dict(tensors)
    embedding = tensors.pop("confidence_embedding.hands.weight", None)
    if embedding is not None:
        bias = tensors["guider.conv_out.bias"]
        tensors["guider.conv_out.bias"] = (bias.float() + embedding.float().sum(1)).to(bias.dtype)
    return tensors


def is_interaction(name: str) -> bool:
    """Whether a parameter of a VideoModel belongs to the interaction of sound and picture."""
    return ".processor.interaction." in name


def part_of(name: str) -> str:
    """Which of PARTS a parameter of a VideoModel belongs to, or "reference", or "face"."""
    if name.startswith(("reference_net.", "reference_input.")):
        return "reference"
    if is_face_part(name):
        return "face"
    if is_temporal(name):
        return "temporal"
    if is_audio(name):
        return "audio"
    return "guider" if name.startswith(("guider.", "confidence_embedding.")) else "backbone"
