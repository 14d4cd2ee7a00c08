"""The trainer of the puppet estimator: every sample a new person, drawn and damaged on the fly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from ..models.checkpoints.format import load_checkpoint, save_checkpoint
from ..models.checkpoints.precision import packed
from ..models.errors import EMO2Error
from ..models.pose.puppet_estimator import HANDS, MOUTH, POINTS, STRIDE, TINY, PuppetEstimator, build
from ..models.video import vae
from .beginnings import begin_with, steps_before
from .options import read_options
from .puppet_samples import Places, damaged, mirrored, picture
from .puppets.world import FRAMINGS
from .recipe import Recipe, sample_rng


@dataclass(frozen=True)
class EstimatorOptions:
    """split: whose people. pool: how many different pictures there are; they stay in memory once drawn (37 kB each)
    and are mirrored and damaged anew every time, which costs a tenth of drawing one. free: share of pictures with
    hands anywhere. clean: share left undamaged. vae: an autoencoder's checkpoint whose round trip a share `vae_share`
    of the samples makes. framings: share of heads, half bodies and full figures, such as {head: 0.2, full: 0.1}; the
    others are framed as most puppets are. moods: share of faces with emotions. network: its config, as
    `puppet_estimator.TINY`. begin: a checkpoint to begin with. hands: what the places of the two hands weigh in the
    loss against each of the other points; the figures are about the hands."""

    split: str = "train"
    pool: int = 16000
    free: float = 0.35
    clean: float = 0.25
    vae: str | None = None
    vae_share: float = 0.3
    framings: Mapping[str, float] = field(default_factory=dict)
    moods: float = 0.0
    network: Mapping[str, Any] = field(default_factory=lambda: dict(TINY))
    begin: str | None = None
    hands: float = 1.0


SPREAD = 0.8
"""Deviation of the target around a point, in heatmap cells."""


class PuppetEstimatorRecipe(Recipe):
    """`emo2 train puppet-estimator`."""

    name: ClassVar[str] = "puppet-estimator"
    harmless = frozenset({"begin", "vae"})

    def __init__(self, options: Mapping[str, Any], seed: int):
        super().__init__(options, seed)
        self.chosen = read_options(EstimatorOptions, options)
        if not 0 < self.chosen.hands < float("inf"):
            expected = "a weight above 0"
            raise EMO2Error("recipe.hands", expected, self.chosen.hands, "1 is as much as any other point, 3 is usual.")
        shares = self.chosen.framings
        if set(shares) - set(FRAMINGS) or not all(v >= 0 for v in shares.values()) or sum(shares.values()) > 1:
            expected = f"shares of {', '.join(FRAMINGS)} that are together at most 1"
            raise EMO2Error("recipe.framings", expected, dict(shares), "Give {head: 0.2, full: 0.1}, or nothing.")
        if not 0 <= self.chosen.moods <= 1:
            raise EMO2Error("recipe.moods", "a share from 0 to 1", self.chosen.moods, "0.3 is usual.")

    def build(self) -> nn.Module:
        if self.chosen.vae and not Path(self.chosen.vae).is_file():
            given = f"no file at {self.chosen.vae}"
            raise EMO2Error("recipe.vae", "an autoencoder's checkpoint", given, "Train it first, or leave it out.")
        network = build(self.chosen.network)
        if self.chosen.begin:
            begin_with(network, self.chosen.begin, "puppet_estimator")
        return _Lesson(network, self.chosen.hands)

    def dataset(self) -> Dataset[Any]:
        return PuppetPictures(self.seed, self.chosen)

    def export(self, module: nn.Module, folder: Path, notes: Mapping[str, str]) -> list[Path]:
        tensors = packed(module.network.state_dict())  # type: ignore[arg-type]
        path = Path(folder) / "emo2_puppet_estimator_tiny.safetensors"
        before = steps_before(self.chosen.begin, "puppet_estimator") if self.chosen.begin else {}
        return [save_checkpoint(path, "puppet_estimator", self.chosen.network, tensors, notes={**notes, **before})]


class PuppetPictures(Dataset[Any]):
    """Sample i: picture (3, H, W) 0..1, points (9, 2) pixels, there (9,), mouth (2,)."""

    def __init__(self, seed: int, options: EstimatorOptions):
        self.seed, self.options = seed, options
        self._vae: Any = None
        self._drawn: dict[int, tuple[np.ndarray, Places]] = {}

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = sample_rng(self.seed, index)
        frame, truth = self._picture(order(self.seed, *divmod(index, self.options.pool), self.options.pool))
        if rng.random() < 0.5:
            frame, truth = mirrored(frame, truth)
        damage, through = rng.random() >= self.options.clean, rng.random() < self.options.vae_share
        if self.options.vae and through:
            frame = self._round_trip(frame)
        if damage:
            frame = damaged(frame, rng)
        return {
            "picture": torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1).float() / 255,
            "points": torch.from_numpy(truth.points[0]).float(),
            "there": torch.from_numpy(truth.there[0]).float(),
            "mouth": torch.from_numpy(truth.mouth[0]).float(),
        }

    def _picture(self, number: int) -> tuple[np.ndarray, Places]:
        # A number's picture is always the same: keeping it changes nothing but the time.
        if number not in self._drawn:
            own = self.options
            self._drawn[number] = picture(self.seed + 1, number, own.split, own.free, own.framings, own.moods)
        return self._drawn[number]

    def _round_trip(self, frame: np.ndarray) -> np.ndarray:
        if self._vae is None:
            self._vae, _ = load_checkpoint(str(self.options.vae), "vae", vae.build, "recipe.vae")
        return reconstructed(frame[None], self._vae)[0]


def order(seed: int, turn: int, place: int, pool: int) -> int:
    """Which picture stands at `place` of the `turn`-th time through the pool: the first time they are drawn in order,
    each performance once; later times in an order of their own."""
    return place if turn == 0 else int(_shuffled(seed, turn, pool)[place])


@lru_cache(maxsize=2)
def _shuffled(seed: int, turn: int, pool: int) -> np.ndarray:
    return sample_rng(seed, 2**33 + turn).permutation(pool)


def reconstructed(frames: np.ndarray, module: Any) -> np.ndarray:
    """Pictures (F, H, W, 3) uint8 after a round trip through an autoencoder of ours (`models.video.vae`)."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).float() / 255
    back = vae.decode(module, vae.encode(module, pixels))
    return (back * 255).round().to(torch.uint8).numpy()


class _Lesson(nn.Module):
    """The network with its loss, as the training loop calls it."""

    def __init__(self, network: PuppetEstimator, hands: float = 1.0):
        super().__init__()
        self.network = network
        weights = [hands if point in HANDS else 1.0 for point in range(len(POINTS))]
        self.weights = [weight * len(POINTS) / sum(weights) for weight in weights]

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        pictures = batch["picture"]
        heat, lips = self.network(pictures)
        rows, columns = pictures.shape[2] // STRIDE, pictures.shape[3] // STRIDE
        target = targets(batch["points"], batch["there"], rows, columns)
        where = -(target * heat.float().log_softmax(2)).sum(2)
        entropy = -(target * target.clamp_min(1e-9).log()).sum(2)
        found = ((where - entropy) * torch.tensor(self.weights, device=where.device)).mean(1)
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
