"""The networks of a profile, found by what their files say of themselves, loaded when they are first asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...models.checkpoints.format import Header, load_checkpoint, read_header, read_tensors
from ...models.errors import EMO2Error
from ...models.types import AudioFeatures, Framing, Reference

NAMES = {
    "vae": "emo2_vae_tiny.safetensors",
    "audio": "emo2_audio_tiny.safetensors",
    "clip_vision": "emo2_clip_vision_tiny.safetensors",
    "motion": "emo2_motion_tiny.safetensors",
    "video": "emo2_video_tiny.safetensors",
    "gesture_encoder": "emo2_gesture_encoder_tiny.safetensors",
    "pose_discriminator": "emo2_pose_discriminator_tiny.safetensors",
    "puppet_estimator": "emo2_puppet_estimator_tiny.safetensors",
    "face_encoder": "emo2_face_encoder_tiny.safetensors",
    "face_reader": "emo2_face_reader_tiny.safetensors",
    "tokenizer": "emo2_tokenizer_tiny.safetensors",
    "text_encoder": "emo2_text_encoder_tiny.safetensors",
    "direction": "emo2_direction_tiny.safetensors",
    "text_matching": "emo2_text_matching_tiny.safetensors",
}
"""Kind of checkpoint -> the file's name in the pack."""

BANK = "emo2_pose_bank_tiny.npz"

TRAINERS = {
    "vae": "autoencoder", "audio": "motion", "clip_vision": "motion", "motion": "motion", "video": "video-clip",
    "gesture_encoder": "gesture-encoder", "pose_discriminator": "pose-discriminator",
    "puppet_estimator": "puppet-estimator", "face_encoder": "face-identity", "face_reader": "face-reader",
    "tokenizer": "tokenizer", "text_encoder": "text-motion", "direction": "audio-motion",
    "text_matching": "text-matching",
}  # fmt: skip


@dataclass
class Networks:
    """The tiny profile's networks in `folders`, the first folder that has one wins; None: the pack's own weights.

    A kind that is missing is an EMO2Error that names the file and where to put it, raised when it is asked for.
    """

    folders: Sequence[Path]
    replaced: dict[str, Path] = field(default_factory=dict)
    """Kinds whose file is given by its path, for checkpoints that are compared."""
    device: str = "cpu"
    """Where the video model computes; the others are small."""

    def path(self, kind: str) -> Path:
        """The file of a kind: the one with the pack's name, else the only one of that kind."""
        if kind in self.replaced:
            return self.replaced[kind]
        for folder in self.folders:
            if (folder / NAMES[kind]).is_file():
                return folder / NAMES[kind]
            others = [path for path in sorted(folder.glob("*.safetensors")) if _kind(path) == kind]
            if len(others) == 1:
                return others[0]
        where = " or ".join(str(folder) for folder in self.folders)
        raise EMO2Error(
            "--models", f"{NAMES[kind]} in {where}", "no such file",
            f"Put it there, or make it with `emo2 train {TRAINERS[kind]}`.",
        )  # fmt: skip

    def has(self, kind: str) -> bool:
        try:
            self.path(kind)
        except EMO2Error:
            return False
        return True

    def lacking(self, *kinds: str) -> str:
        """Which files are missing and where they would belong, "" when all are there."""
        absent = [kind for kind in kinds if not self.has(kind)]
        if not absent:
            return ""
        files = ", ".join(NAMES[kind] for kind in absent)
        makers = " and ".join(f"`emo2 train {name}`" for name in dict.fromkeys(TRAINERS[kind] for kind in absent))
        return f"missing {files} in {' or '.join(str(folder) for folder in self.folders)} (made by {makers})"

    def header(self, kind: str) -> Header:
        return read_header(self.path(kind), kind, "--models")

    def untrained(self, *kinds: str) -> str:
        """A remark when some of the networks have no trained weights, else nothing."""
        raw = [kind for kind in kinds if self.has(kind) and self.header(kind).untrained is not None]
        return f"untrained weights ({', '.join(raw)})" if raw else ""

    def digest(self, *kinds: str, without: tuple[str, ...] = ()) -> str:
        """A fingerprint of configs and tensors; notes in the metadata do not count, nor do tensors whose names
        begin with one of `without`."""
        whole = hashlib.sha256()
        for kind in kinds:
            whole.update(self._digest(self.path(kind), kind, without).encode())
        return whole.hexdigest()[:32]

    def _digest(self, path: Path, kind: str, without: tuple[str, ...]) -> str:
        if (path, without) not in self._digests:
            header, digest = read_header(path, kind, "--models"), hashlib.sha256()
            digest.update(f"{kind} {sorted(header.config.items())} {header.untrained}".encode())
            for name, tensor in sorted(read_tensors(path, "--models").items()):
                if name.startswith(without):
                    continue
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
            self._digests[path, without] = digest.hexdigest()
        return self._digests[path, without]

    @cached_property
    def _digests(self) -> dict[tuple[Path, tuple[str, ...]], str]:
        return {}

    @cached_property
    def vae(self) -> Any:
        """The autoencoder, with `encode` and `decode` as ComfyUI's VAE has them."""
        from ...models.video import vae

        module, header = load_checkpoint(self.path("vae"), "vae", vae.build, "--models")
        return TinyVAE(module, header.config["latent_channels"])

    @cached_property
    def audio(self) -> Any:
        from ...models.audio import load_encoder

        return load_encoder(self.path("audio"), "--models")[0]

    @cached_property
    def motion(self) -> Any:
        from ...models.motion import build

        return load_checkpoint(self.path("motion"), "motion", build, "--models")[0]

    @cached_property
    def clip_vision(self) -> Any:
        from ...models.video import clip_vision

        return load_checkpoint(self.path("clip_vision"), "clip_vision", clip_vision.build, "--models")[0]

    @cached_property
    def video(self) -> Any:
        from ...models.video import model

        return load_checkpoint(self.path("video"), "video", model.build, "--models")[0].to(self.device)

    @cached_property
    def puppet_estimator(self) -> Any:
        from ...models.pose.puppet_estimator import load_puppet_estimator

        return load_puppet_estimator(self.path("puppet_estimator"))

    @cached_property
    def face_encoder(self) -> Any:
        from ...models.pose.face_encoder import PuppetFaceEncoder
        from ...models.pose.face_network import load_face_network

        return PuppetFaceEncoder(load_face_network(self.path("face_encoder"), "--models"), NAMES["face_encoder"])

    @cached_property
    def face_reader(self) -> Any:
        from ...models.pose.face_reader import load_face_reader

        return load_face_reader(self.path("face_reader"), "--models")

    @cached_property
    def tokenizer(self) -> Any:
        from ...models.body.tokenizer import build

        return load_checkpoint(self.path("tokenizer"), "tokenizer", build, "--models")[0].float().eval()

    @cached_property
    def text_encoder(self) -> Any:
        from ...models.direction.text import build

        return load_checkpoint(self.path("text_encoder"), "text_encoder", build, "--models")[0].float().eval()

    @cached_property
    def direction(self) -> Any:
        from ...models.direction.branches import build

        return load_checkpoint(self.path("direction"), "direction", build, "--models")[0].float().eval()

    @cached_property
    def text_matching(self) -> Any:
        from ..motion.matching import text_matching

        return text_matching(self.path("text_matching"))

    def pose_bank(self) -> Any | None:
        """The relation bank beside the networks, or None."""
        from ...models.direction.bank import load_bank

        for folder in self.folders:
            if (folder / BANK).is_file():
                return load_bank(folder / BANK, "--models")
        return None

    def identity(self, picture: np.ndarray, framing: Framing | None) -> torch.Tensor:
        """Whose face a picture (H, W, 3) uint8 shows, (D,): for references of video models with facial controls."""
        return torch.from_numpy(self.face_encoder.encode(picture, framing))

    def features(self, waveform: np.ndarray) -> AudioFeatures:
        """What the voice encoder hears in 16 kHz mono sound (T,)."""
        from ...models.audio import encode

        return encode(self.audio, np.asarray(waveform, np.float32), name=NAMES["audio"])

    def reference(self, picture: np.ndarray, framing: Framing | None = None) -> Reference:
        """A reference picture (H, W, 3) uint8 of the model's size, prepared for the video model."""
        from ...models.video.decode import check_vae

        check_vae(self.vae, self.video.config.latent_channels, "--models")
        image = torch.from_numpy(np.ascontiguousarray(picture)).float()[None] / 255
        latents = self.vae.encode(image)
        with torch.no_grad():
            features = self.video.encode_reference((latents * self.video.config.latent_scale).to(self.device))
        features = {name: value.float().cpu() for name, value in features.items()}
        return Reference(latents, features, image, self.digest("video"), framing)

    def image_embed(self, picture: np.ndarray) -> torch.Tensor | None:
        """The CLIP class embedding of a picture (H, W, 3) uint8, or None where the motion model takes none."""
        if not self.motion.config.image_width:
            return None
        image = torch.from_numpy(np.ascontiguousarray(picture)).float()[None] / 255
        return self.clip_vision.encode_image(image).image_embeds


class TinyVAE:
    """The autoencoder as the samplers use one."""

    def __init__(self, module: Any, channels: int):
        self.module, self.latent_channels = module, channels

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        from ...models.video import vae

        return vae.encode(self.module, pixels)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        from ...models.video import vae

        return vae.decode(self.module, latents)


def _kind(path: Path) -> str:
    try:
        return read_header(path).kind
    except EMO2Error:
        return ""
