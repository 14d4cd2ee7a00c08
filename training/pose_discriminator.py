"""The pose discriminator's trainer (EMO2 section 3.4): heatmaps of points and limbs from latents of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..models.checkpoints.format import save_checkpoint
from ..models.checkpoints.precision import packed
from ..models.errors import EMO2Error
from ..models.video import pose_discriminator as network
from .memory import keep_freed_memory
from .options import read_options
from .recipe import Recipe, normal, sample_rng
from .video_data import Puppets
from .video_image import network_config
from .video_points import record_points


@dataclass(frozen=True)
class PoseDiscriminatorOptions:
    """data: folder of painted puppets with latents. profile: "tiny" or "paper"; video: fields of the video network's
    config that differ from it; network: keys of `models.video.pose_discriminator.TINY` that differ. frames: pictures a
    sample. noise: greatest deviation of the noise on the latents, because what it will judge is estimated, not exact.
    """

    data: str
    profile: str = "tiny"
    video: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    frames: int = 4
    noise: float = 0.5


class PoseDiscriminatorRecipe(Recipe):
    """Recipe `pose-discriminator`; options as PoseDiscriminatorOptions says."""

    name = "pose-discriminator"
    harmless = frozenset({"data"})

    def __init__(self, options: Mapping[str, Any], seed: int):
        super().__init__(options, seed)
        self.own = own = read_options(PoseDiscriminatorOptions, options)
        self.video = network_config(own.profile, own.video)
        base = network.TINY if own.profile == "tiny" else network.PAPER
        unknown = sorted(set(own.network) - set(base))
        if unknown:
            given, known = ", ".join(unknown), ", ".join(base)
            raise EMO2Error("config recipe.network", f"some of {known}", given, "Correct them.")
        self.config = {**base, "latent_channels": self.video.latent_channels, **own.network}

    def build(self) -> nn.Module:
        keep_freed_memory()
        return PoseLesson(network.build(self.config))

    def dataset(self) -> Dataset[Any]:
        return Poses(Puppets(self.own.data, self.video), self.seed, self.own.frames, self.own.noise)

    def export(self, module: nn.Module, folder: Path, notes: Mapping[str, str]) -> list[Path]:
        learned: Any = module.network
        tensors = packed(learned.state_dict())
        path = folder / "emo2_pose_discriminator_tiny.safetensors"
        return [save_checkpoint(path, "pose_discriminator", learned.config, tensors, notes=notes)]


class PoseLesson(nn.Module):
    """The discriminator with its loss: {"latents" (B, n, C, h, w), "points" (B, n, 60, 2), "scores" (B, n, 60)}."""

    def __init__(self, discriminator: network.PoseDiscriminator):
        super().__init__()
        self.network = discriminator

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        rows = len(batch["latents"])
        flat = [batch[name].flatten(0, 1) for name in ("latents", "points", "scores")]
        losses = self.network.judge(*flat).unflatten(0, (rows, -1)).mean(dim=1)
        return losses, {"heatmaps": losses.detach()}


class Poses(Dataset[dict[str, Tensor]]):
    """Sample i: `frames` pictures of a random puppet as latents with noise on them, and where its points are."""

    def __init__(self, puppets: Puppets, seed: int, frames: int, noise: float):
        self.puppets, self.seed, self.frames, self.noise = puppets, seed, frames, noise

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = sample_rng(self.seed, index)
        record = self.puppets.draw(rng)
        frames = rng.permutation(len(record.latents))[: self.frames].tolist()
        latents = self.puppets.latents(record, frames).transpose(0, 1)
        amount = torch.from_numpy(rng.uniform(0, self.noise, (len(frames), 1, 1, 1)).astype("float32"))
        points, scores = record_points(record, frames)
        return {
            "latents": latents + amount * normal(rng, *latents.shape),
            "points": torch.from_numpy(points),
            "scores": torch.from_numpy(scores),
        }
