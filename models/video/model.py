"""The stage-2 network as a whole: what the sampler calls, and what it may compute once per picture or clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..checkpoints.format import save_checkpoint
from ..errors import EMO2Error
from .attention import keys_values
from .audio import audio_projection
from .backbone import Backbone
from .condition_batch import ConditionBatch, FrameTokens, InnerLevels, KeysValues, MotionPlaces, Places
from .config import VideoConfig
from .face_control import CONTROLS, FaceControl
from .guider import ConfidenceEmbedding, MapGuider
from .reference import INPUT, ReferenceNetwork, reference_input


class VideoModel(nn.Module):
    """Reference network, backbone, map guider, confidence embedding and audio projection (EMO2 section 3.4), and the
    face's controls where the config has them.

    The `encode_...` methods turn one condition each into what `forward` takes; `prepare` goes further and computes the
    keys and values that stay the same at every denoising step. None is always the absence of a condition.
    """

    def __init__(self, config: VideoConfig):
        super().__init__()
        self.config = config
        self.reference_net = ReferenceNetwork(config)
        self.backbone = Backbone(config)
        self.reference_input = reference_input(config) if config.reference_input else None
        self.guider = MapGuider(config)
        self.confidence_embedding = ConfidenceEmbedding(config) if config.hand_confidence else None
        self.audio_projection = audio_projection(config)
        if config.face_control:
            self.face_control = FaceControl(config)

    def encode_reference(self, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """Reference latents (R, C, h, w), scaled -> features of every spatial attention: name, (R, tokens, width).

        With the config's `reference_input` also "conv_in", (R, C0, h, w), for the backbone's first features.
        """
        _expect("reference", latents, (None, self.config.latent_channels, None, None))
        features = self.reference_net(latents)[0]
        if self.reference_input is not None:
            features[INPUT] = self.reference_input(latents)
        return features

    def encode_motion_frames(self, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """The last M frames before the clip, latents (R, C, M, h, w), scaled -> what would enter each temporal module.

        Name of the module -> (R, M, width, h, w). 1 <= M <= the config's motion_frames.
        """
        _expect("motion_frames", latents, (None, self.config.latent_channels, None, None, None))
        rows, _, count = latents.shape[:3]
        if not 1 <= count <= self.config.motion_frames:
            limit = f"1 to {self.config.motion_frames}" if self.config.motion_frames else "no"
            raise EMO2Error("motion_frames", f"{limit} frames", f"{count} frames", "Carry over what this model knows.")
        features = self.reference_net(latents.transpose(1, 2).flatten(0, 1))[1]
        return {name: tensor.unflatten(0, (rows, count)) for name, tensor in features.items()}

    def encode_audio(self, windows: torch.Tensor, strength: float = 1.0) -> FrameTokens:
        """Voice-encoder states (R, F, K, L, D), K instants around every frame -> tokens (R, F, T, audio_width)."""
        config = self.config
        _expect("audio_features", windows, (None, None, config.audio_window, config.audio_layers, config.audio_dim))
        return FrameTokens(self.audio_projection(windows), strength)

    def encode_face(
        self,
        emotion: torch.Tensor | None = None,
        blink: torch.Tensor | None = None,
        identity: torch.Tensor | None = None,
        audio: FrameTokens | None = None,
        *,
        frames: int,
        rows: int = 1,
        known: Mapping[str, torch.Tensor] | None = None,
        strength: float = 1.0,
    ) -> FrameTokens:
        """What is known of a face -> tokens (R, F, T, face_control) for the attention after the sound's.

        emotion (R, F, n): weights of the emotions. blink (R, F): 0 open to 1 closed. identity (R, D): of a face
        encoder. audio: the clip's sound, which identity interacts with. None: unknown. known: for some of CONTROLS,
        (R,) or (R, F) bool, where the value counts.
        """
        config = self.config
        if not config.face_control:
            given = "a model without them"
            raise EMO2Error("face", "a model with facial controls", given, "Train them with `emo2 train video-face`.")
        shapes = {"emotion": (None, frames, config.face_emotions), "blink": (None, frames),
                  "identity": (None, config.face_identity)}  # fmt: skip
        tokens = None if audio is None else audio.tokens
        values = {name: value for name, value in zip(CONTROLS, (emotion, blink, identity, tokens)) if value is not None}
        for name, shape in shapes.items():
            if name in values:
                _expect(name, values[name], shape)
        return FrameTokens(self.face_control((rows, frames), values, known or {}), strength)

    def encode_maps(
        self, maps: torch.Tensor, confidence: torch.Tensor | None = None, strength: float | torch.Tensor = 1.0
    ) -> torch.Tensor | None:
        """Maps (R, 6, F, H, W) in 0..1, MANO then keypoints, and hand confidence (R, F, 2) -> (R, C0, F, h, w).

        No confidence is full confidence. strength: of the pose, one number, of which 0 gives None: no pose at all; or
        (R, F).
        """
        config = self.config
        _expect("maps", maps, (None, config.map_channels, None, None, None))
        if any(side % config.vae_factor for side in maps.shape[3:]):
            raise EMO2Error(
                "maps", f"sides that are multiples of {config.vae_factor}", f"{maps.shape[3]} x {maps.shape[4]}",
                "Draw the maps at the model's size.",
            )  # fmt: skip
        if isinstance(strength, torch.Tensor):
            _expect("pose_strength", strength, (maps.shape[0], maps.shape[2]))
            strength = strength.to(maps.dtype)[:, None, :, None, None]
        elif strength == 0:
            return None
        pose = self.guider(maps)
        if self.confidence_embedding is not None:
            if confidence is None:
                confidence = maps.new_ones((maps.shape[0], maps.shape[2], 2))
            _expect("confidence", confidence, (maps.shape[0], maps.shape[2], 2))
            pose = pose + self.confidence_embedding(confidence)
        return pose * strength

    def prepare(
        self,
        *,
        rows: int = 1,
        reference: Places | None = None,
        motion_frames: MotionPlaces | None = None,
        audio: FrameTokens | None = None,
        pose: torch.Tensor | None = None,
        reference_strength: float = 1.0,
        face: FrameTokens | None = None,
    ) -> ConditionBatch:
        """Everything about the conditions that does not change over the denoising steps, for `forward(conditions=...)`.

        The keys and values of the reference at every spatial attention, of sound and face at theirs and of the motion
        frames at every temporal attention. The prediction is the same as without.
        What is prepared already stays as it is, so a reference can be prepared once and passed on. The keys and values
        of motion frames take four times the memory of their features: 1.6 GB at paper size in half precision.
        """
        spatial = self.backbone.spatial()
        if reference is not None:
            first = {INPUT: reference[INPUT]} if INPUT in reference else {}
            reference = {name: keys_values(block.attn1, reference[name]) for name, block in spatial.items()} | first
        if motion_frames is not None:
            temporal = self.backbone.temporal()
            motion_frames = {name: module.keys_values(motion_frames[name]) for name, module in temporal.items()}
        if audio is not None and audio.keys_values is None and not self.config.audio_interaction:
            pairs: dict[str, KeysValues] = {
                name: keys_values(block.attn2, audio.tokens) for name, block in spatial.items()
            }
            audio = replace(audio, keys_values=pairs)
        if face is not None and face.keys_values is None:
            layers = self.backbone.face()
            face = replace(face, keys_values={name: keys_values(layer, face.tokens) for name, layer in layers.items()})
        return ConditionBatch(rows, reference, motion_frames, audio, pose, reference_strength, face=face)

    def forward(
        self,
        noisy: torch.Tensor,
        timestep: torch.Tensor | float,
        *,
        reference: Places | None = None,
        motion_frames: MotionPlaces | None = None,
        audio: FrameTokens | None = None,
        pose: torch.Tensor | None = None,
        reference_strength: float = 1.0,
        face: FrameTokens | None = None,
        conditions: ConditionBatch | None = None,
        inner: InnerLevels | None = None,
    ) -> torch.Tensor:
        """One denoising step's prediction, (B, C, F, h, w), of noisy latents of that shape.

        timestep: 0..train_steps-1, one number, (B,), or (B, F) where frames differ. The conditions are given one by
        one, each with B rows or one for all, or as one `conditions` with B rows, in which single rows may lack some
        (guidance in one batch, training). inner: see InnerLevels; the same shape of batch each time.
        """
        if conditions is None:
            conditions = ConditionBatch(
                noisy.shape[0], reference, motion_frames, audio, pose, reference_strength, face=face
            )
        self._check(noisy, conditions)
        return self.backbone(noisy, timestep, conditions, inner)

    def _check(self, noisy: torch.Tensor, conditions: ConditionBatch) -> None:
        _expect("noisy", noisy, (conditions.rows, self.config.latent_channels, None, None, None))
        frames = noisy.shape[2]
        if conditions.audio is not None and conditions.audio.frames != frames:
            given = f"{conditions.audio.frames}"
            raise EMO2Error("audio_features", f"{frames} frames", given, "Give sound for each frame.")
        if conditions.face is not None and conditions.face.frames != frames:
            given = f"{conditions.face.frames}"
            raise EMO2Error("face", f"{frames} frames", given, "Give a face for each frame.")
        if conditions.pose is not None:
            _expect("maps", conditions.pose, (None, None, frames, *noisy.shape[3:]))

    def checkpoint_gradients(self, on: bool = True) -> None:
        """Whether training recomputes the layers in the backward pass instead of keeping what they computed."""
        self.reference_net.checkpoint_layers = self.backbone.checkpoint_layers = on


def build(config: Mapping[str, Any]) -> VideoModel:
    """The network of a checkpoint's config, freshly initialised from torch's default generator."""
    return VideoModel(VideoConfig.from_dict(config))


def write_tiny(path: Path | str, seed: int = 0) -> Path:
    """Write a checkpoint of the tiny profile that holds no weights, only a seed for them."""
    return save_checkpoint(path, "video", VideoConfig.tiny().to_dict(), {}, untrained=seed)


def _expect(name: str, value: torch.Tensor, shape: tuple[int | None, ...]) -> None:
    """The tensor has that shape (None: any length)."""
    fits = value.ndim == len(shape) and all(want is None or want == have for want, have in zip(shape, value.shape))
    if not fits:
        wanted = "(" + ", ".join("any" if side is None else str(side) for side in shape) + ")"
        raise EMO2Error(name, f"a tensor of shape {wanted}", f"{tuple(value.shape)}", "Give one made for this model.")
