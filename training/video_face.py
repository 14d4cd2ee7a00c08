"""Third stage of the video network: facial controls, as VersaAnimator (arXiv 2503.08714) adds them.

A video checkpoint gets the face's tokens and the attention to them; at first these alone learn, on close-ups, then on
pictures of all scales. Nothing changes until they have learned something.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..models.audio import load_encoder
from ..models.checkpoints.format import load_strictly, read_header, read_tensors
from ..models.errors import EMO2Error
from ..models.pose.face_encoder import FaceEncoder, OnnxFaceEncoder, PuppetFaceEncoder
from ..models.video.condition_batch import ConditionBatch, FrameTokens
from ..models.video.config import VideoConfig
from ..models.video.face_control import is_face_part
from ..models.video.model import VideoModel
from .beginnings import steps_before
from .memory import keep_freed_memory
from .options import read_options
from .recipe import Recipe
from .video_clip import check_sound
from .video_data import Drops, Emphasis, Puppets, Sounds
from .video_face_data import FaceClips, FaceDrops, Identities
from .video_image import export_video, video_of
from .video_lesson import VideoLesson, image_parameters, is_audio, is_temporal
from .video_preview import Preview

PARTS = ("face", "attention", "temporal", "audio", "picture")
CHANNELS = 64


@dataclass(frozen=True)
class VideoFaceOptions:
    """video: the checkpoint to begin with; what it lacks is added. data: folder of painted puppets with latents (`emo2
    puppets --emotion any`); more: further folders, of other scales. close_ups: folder of close-ups (`--framing head`);
    close_up_samples: how many samples at the start come from it alone, close_up_share: how many of the later ones.
    face_encoder: tells whose face it is, a file of `emo2 train face-identity` or an ONNX file; without one there is no
    identity. audio_encoder: the voice encoder, frozen. vae, held_out: for sample pictures.

    channels: of the face's tokens, where the checkpoint has none. head_mask: keypoint maps get a head of one size for
    everyone; a change that the network must get used to, so train "attention" with it. train: which of face, attention
    (the spatial ones around it), temporal, audio and picture (the other parts that paint: reference network, guider,
    convolutions; for framings or an autoencoder that are new to the network) learn; around_scale: factor on the
    learning rate of all but the face. frames, motion_frames, drops, emphasis, confidence_noise, motion_noise,
    snr_gamma, previews, preview_steps: as for `video-clip`. face_drops: as `video_face_data.FaceDrops`.
    """

    data: str
    video: str
    more: tuple[str, ...] = ()
    close_ups: str | None = None
    close_up_samples: int = 0
    close_up_share: float = 0.3
    face_encoder: str | None = None
    audio_encoder: str | None = None
    vae: str | None = None
    held_out: str | None = None
    channels: int = CHANNELS
    head_mask: bool = False
    frames: int = 0
    train: tuple[str, ...] = ("face",)
    around_scale: float = 0.2
    motion_frames: bool = True
    drops: Mapping[str, Any] = field(default_factory=dict)
    face_drops: Mapping[str, Any] = field(default_factory=dict)
    emphasis: Mapping[str, Any] = field(default_factory=dict)
    confidence_noise: float = 0.03
    motion_noise: float = 0.15
    snr_gamma: float = 5.0
    previews: int = 4
    preview_steps: int = 10


class VideoFaceRecipe(Recipe):
    """Recipe `video-face`; a sample is one clip. Options as VideoFaceOptions says."""

    name = "video-face"
    harmless = frozenset({"data", "more", "video", "close_ups", "face_encoder", "audio_encoder", "vae", "held_out",
                          "previews", "preview_steps"})  # fmt: skip

    def __init__(self, options: Mapping[str, Any], seed: int):
        super().__init__(options, seed)
        self.own = own = read_options(VideoFaceOptions, options)
        self.drops = read_options(Drops, own.drops)
        self.face_drops = read_options(FaceDrops, own.face_drops)
        self.emphasis = read_options(Emphasis, own.emphasis)
        unknown = sorted(set(own.train) - set(PARTS))
        if unknown or not own.train:
            given = ", ".join(map(str, own.train)) or "nothing"
            raise EMO2Error("config recipe.train", f"some of {', '.join(PARTS)}", given, "Name what is to be trained.")
        if own.channels < 1:
            raise EMO2Error("config recipe.channels", "at least 1", own.channels, f"{CHANNELS} is enough.")
        if own.close_up_samples and own.close_ups is None:
            given = f"{own.close_up_samples} and no close-ups"
            raise EMO2Error("config recipe.close_up_samples", "0", given, "Give recipe.close_ups a folder.")
        self._config: VideoConfig | None = None
        self._encoder: Any = None
        self._faces: FaceEncoder | None = None

    @property
    def config(self) -> VideoConfig:
        """The checkpoint's config with facial controls."""
        if self._config is None:
            own, header = self.own, read_header(self.own.video, "video", "config recipe.video")
            values = dict(header.config)
            faces = self.faces
            if not values.get("face_control"):
                values["face_control"] = own.channels
                values["face_identity"] = faces.width if faces is not None else 512
            if own.head_mask:
                values["head_mask"] = True
            if not own.motion_frames:
                values["motion_frames"] = 0
            try:
                config = VideoConfig.from_dict(values)
            except ValueError as error:
                raise EMO2Error("config recipe", "a network that can be built", error, "Change it.") from error
            if faces is not None and faces.width != config.face_identity:
                raise EMO2Error(
                    "config recipe.face_encoder", f"one that gives {config.face_identity} numbers", faces.width,
                    "Give the face encoder that this checkpoint was trained with.",
                )  # fmt: skip
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

    @property
    def faces(self) -> FaceEncoder | None:
        """The frozen face encoder, or None."""
        if self._faces is None and self.own.face_encoder:
            self._faces = load_face_encoder(Path(self.own.face_encoder), "config recipe.face_encoder")
        return self._faces

    def build(self) -> nn.Module:
        keep_freed_memory()
        own = self.own
        video = VideoModel(self.config)
        tensors = read_tensors(Path(own.video), "config recipe.video")
        tensors = {name: value for name, value in video.state_dict().items() if is_face_part(name)} | tensors
        load_strictly(video, tensors, Path(own.video).name, "config recipe.video")
        video.float()
        painting = {name for name, _ in image_parameters(video)}
        for name, parameter in video.named_parameters():
            part = part_of(name)
            parameter.requires_grad_(part in own.train and (part != "picture" or name in painting))
        return FaceLesson(video, False, own.snr_gamma)

    def parameter_groups(self, module: nn.Module) -> list[dict[str, Any]]:
        face: list[nn.Parameter] = []
        around: list[nn.Parameter] = []
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                (face if part_of(name.removeprefix("video.")) == "face" else around).append(parameter)
        groups = [{"params": face, "scale": 1.0}, {"params": around, "scale": self.own.around_scale}]
        return [group for group in groups if group["params"]]

    def dataset(self) -> Dataset[Any]:
        own, config = self.own, self.config
        sounds = Sounds(self.encoder, config) if self.encoder is not None else None
        identities = Identities(self.faces) if self.faces is not None else None
        sources = [Puppets(folder, config) for folder in (own.data, *own.more)]
        close_ups = Puppets(own.close_ups, config) if own.close_ups else None
        return FaceClips(
            sources, close_ups, own.close_up_samples, own.close_up_share, identities, self.face_drops, sounds,
            self.seed, own.frames or config.clip_frames, self.drops, self.emphasis, own.confidence_noise,
            own.motion_noise, own.motion_frames,
        )  # fmt: skip

    def preview(self, module: nn.Module, folder: Path, step: int) -> list[Path]:
        own = self.own
        if own.vae is None or not own.previews:
            return []
        puppets = Puppets(own.held_out or own.data, self.config)
        return Preview(puppets, own.vae, own.previews, own.preview_steps, self.encoder).write(video_of(module), folder)

    def export(self, module: nn.Module, folder: Path, notes: Mapping[str, str]) -> list[Path]:
        before = steps_before(self.own.video, "video")
        return [export_video(video_of(module), folder, {**notes, **before, "stage": "face"})]


class FaceLesson(VideoLesson):
    """`VideoLesson` on batches of `FaceClips`."""

    def conditions(self, batch: dict[str, Tensor]) -> ConditionBatch:
        known = super().conditions(batch)
        told = tuple(bool(value) for value in batch["has_face"].tolist())
        if not any(told):
            return known
        rows = [row for row, here in enumerate(told) if here]
        values = {name: batch[name][rows] for name in ("emotion", "blink", "identity")}
        mask = {name: batch[f"has_{name}"][rows] for name in values}
        frames, audio = batch["target"].shape[2], None
        if known.audio is not None:
            heard = torch.tensor(known.mask("audio"), device=batch["target"].device)
            own = known.audio.tokens
            tokens = own.new_zeros(len(heard), *own.shape[1:])
            tokens[heard] = own
            audio, mask["audio"] = FrameTokens(tokens[rows]), heard[rows]
        face = self.video.encode_face(**values, audio=audio, frames=frames, rows=len(rows), known=mask)
        return replace(known, face=face, present={**(known.present or {}), "face": told})


def load_face_encoder(path: Path, where: str = "face_encoder") -> FaceEncoder:
    """A face encoder of the pack's kind, or of an ONNX file, which finds faces with the pack's own detector."""
    if path.suffix.lower() == ".onnx":
        from ..models.pose.offline import OfflineDetector

        return OnnxFaceEncoder(path, OfflineDetector())
    from ..models.pose.face_network import load_face_network

    return PuppetFaceEncoder(load_face_network(path, where), path.name)


def part_of(name: str) -> str:
    """Which of PARTS a parameter of a VideoModel belongs to."""
    if is_face_part(name):
        return "face"
    if is_temporal(name):
        return "temporal"
    if is_audio(name):
        return "audio"
    return "attention" if name.startswith("backbone.") and ".attentions." in name else "picture"
