"""The trainer of the puppet estimator: every sample a new person, drawn and damaged on the fly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from ..models.checkpoints.format import load_checkpoint, save_checkpoint
from ..models.errors import EMO2Error
from ..models.pose.puppet_estimator import MOUTH, STRIDE, TINY, PuppetEstimator, build
from ..models.video import vae
from .recipe import Recipe, sample_rng

DEFAULTS: dict[str, Any] = {"split": "train", "free": 0.35, "clean": 0.25, "vae": "", "vae_share": 0.3, "network": TINY}
"""free: share of samples with hands anywhere; clean: share left undamaged; vae: an autoencoder's checkpoint whose round
trip a share `vae_share` of the samples makes ("": none); network: the config of the network."""
SPREAD = 0.8
"""Deviation of the target around a point, in heatmap cells."""


class PuppetEstimatorRecipe(Recipe):
    """`emo2 train puppet-estimator`."""

    name: ClassVar[str] = "puppet-estimator"

    def __init__(self, options: Mapping[str, Any], seed: int):
        super().__init__(options, seed)
        unknown = sorted(set(self.options) - set(DEFAULTS))
        if unknown:
            raise EMO2Error("recipe", f"the options {', '.join(DEFAULTS)}", ", ".join(unknown), "Correct the config.")
        self.options = {**DEFAULTS, **self.options}
        if self.options["vae"] and not Path(self.options["vae"]).is_file():
            given = f"no file at {self.options['vae']}"
            raise EMO2Error("recipe.vae", "an autoencoder's checkpoint", given, "Train it first, or leave it empty.")

    def build(self) -> nn.Module:
        return _Lesson(build(self.options["network"]))

    def dataset(self) -> Dataset[Any]:
        return PuppetPictures(self.seed, self.options)

    def export(self, module: nn.Module, folder: Path, notes: Mapping[str, str]) -> list[Path]:
        tensors = {name: value.half() for name, value in module.network.state_dict().items()}  # type: ignore[union-attr]
        path = Path(folder) / "emo2_puppet_estimator_tiny.safetensors"
        return [save_checkpoint(path, "puppet_estimator", self.options["network"], tensors, notes=dict(notes))]


class PuppetPictures(Dataset[Any]):
    """Sample i: picture (3, H, W) 0..1, points (9, 2) pixels, there (9,), mouth (2,)."""

    def __init__(self, seed: int, options: Mapping[str, Any]):
        self.seed, self.options = seed, dict(options)
        self._vae: Any = None

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        from .puppet_samples import damaged, mirrored, picture

        frame, truth = picture(self.seed, index, self.options["split"], self.options["free"])
        rng = sample_rng(self.seed + 1, index)
        if rng.random() < 0.5:
            frame, truth = mirrored(frame, truth)
        damage, through = rng.random() >= self.options["clean"], rng.random() < self.options["vae_share"]
        if self.options["vae"] and through:
            frame = self._round_trip(frame)
        if damage:
            frame = damaged(frame, rng)
        return {
            "picture": torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1).float() / 255,
            "points": torch.from_numpy(truth.points[0]).float(),
            "there": torch.from_numpy(truth.there[0]).float(),
            "mouth": torch.from_numpy(truth.mouth[0]).float(),
        }

    def _round_trip(self, frame: np.ndarray) -> np.ndarray:
        if self._vae is None:
            self._vae, _ = load_checkpoint(self.options["vae"], "vae", vae.build, "recipe.vae")
        return reconstructed(frame[None], self._vae)[0]


def reconstructed(frames: np.ndarray, module: Any) -> np.ndarray:
    """Pictures (F, H, W, 3) uint8 after a round trip through an autoencoder of ours (`models.video.vae`)."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).float() / 255
    back = vae.decode(module, vae.encode(module, pixels))
    return (back * 255).round().to(torch.uint8).numpy()


class _Lesson(nn.Module):
    """The network with its loss, as the training loop calls it."""

    def __init__(self, network: PuppetEstimator):
        super().__init__()
        self.network = network

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        pictures = batch["picture"]
        heat, lips = self.network(pictures)
        rows, columns = pictures.shape[2] // STRIDE, pictures.shape[3] // STRIDE
        target = targets(batch["points"], batch["there"], rows, columns)
        where = -(target * heat.float().log_softmax(2)).sum(2)
        entropy = -(target * target.clamp_min(1e-9).log()).sum(2)
        found = (where - entropy).mean(1)
        near = target[:, MOUTH, :-1].unflatten(1, (rows, columns))
        seen = (lips.float() * near[:, None]).sum((2, 3))
        error = F.smooth_l1_loss(seen, batch["mouth"], beta=0.1, reduction="none")
        mouth = (error * torch.tensor([1.0, 0.3], device=error.device)).sum(1) * batch["there"][:, MOUTH]
        return found + 4 * mouth, {"heat": found.detach(), "mouth": mouth.detach()}


def targets(points: Tensor, there: Tensor, rows: int, columns: int) -> Tensor:
    """Shares (B, 9, rows columns + 1) that sum to 1: a small Gaussian about each point, or all of it "nowhere"."""
    x = torch.arange(columns, device=points.device) + 0.5
    y = torch.arange(rows, device=points.device) + 0.5
    across = -((x - points[..., :1] / STRIDE) ** 2) / (2 * SPREAD**2)
    along = -((y - points[..., 1:] / STRIDE) ** 2) / (2 * SPREAD**2)
    inside = (along[..., :, None] + across[..., None, :]).flatten(2).softmax(2) * there[..., None]
    return torch.cat([inside, 1 - there[..., None]], 2)
