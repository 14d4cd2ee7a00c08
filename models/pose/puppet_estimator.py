"""A small network that finds a puppet's hands, arms and mouth in a picture of 128 x 96; it serves the evaluation.

Heatmaps at a quarter of the picture, each a distribution over its cells and one more, "not in the picture"; the mouth's
opening and width are read from two dense maps where the mouth is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..checkpoints.format import load_checkpoint

POINTS = (
    "left hand", "right hand", "left shoulder", "right shoulder", "left elbow", "right elbow",
    "left wrist", "right wrist", "mouth",
)  # fmt: skip
"""What the heatmaps show, in order; a hand is the mean of its 21 points."""
HANDS, SHOULDERS, ELBOWS, WRISTS, MOUTH = (0, 1), (2, 3), (4, 5), (6, 7), 8
MIRRORED = (1, 0, 3, 2, 5, 4, 7, 6, 8)
"""What each point is in a mirror."""
STRIDE = 4
"""Pixels a heatmap cell."""
TINY: dict[str, Any] = {"widths": [24, 48, 80, 96], "groups": 8, "size": [128, 96]}
"""About 0.5 M parameters. widths: channels at 1/2, 1/4, 1/8 and 1/16; size (H, W): the pictures it was made for."""


class Estimate(NamedTuple):
    """What is seen in B pictures. points (B, 9, 2): x, y in pixels, a pixel's centre at + 0.5; confidence (B, 9) 0..1;
    mouth (B, 2): opening and width, as `mouth_shapes` gives them."""

    points: Tensor
    confidence: Tensor
    mouth: Tensor


class PuppetEstimator(nn.Module):
    """Pictures to heatmaps."""

    def __init__(self, widths: tuple[int, ...] = (24, 48, 80, 96), groups: int = 8, size: tuple[int, int] = (128, 96)):
        super().__init__()
        half, quarter, eighth, sixteenth = widths
        self.size = size
        self.stem = nn.Sequential(
            nn.Conv2d(3, half, 5, stride=2, padding=2), nn.GroupNorm(groups, half), nn.SiLU(),
            nn.Conv2d(half, quarter, 3, stride=2, padding=1),
        )  # fmt: skip
        self.down = nn.ModuleList(
            [
                _Residual(quarter, groups),
                nn.Sequential(nn.Conv2d(quarter, eighth, 3, stride=2, padding=1), _Residual(eighth, groups)),
                nn.Sequential(nn.Conv2d(eighth, sixteenth, 3, stride=2, padding=1), _Residual(sixteenth, groups)),
            ]
        )
        self.up = nn.ModuleList([_Join(sixteenth, eighth, groups), _Join(eighth, quarter, groups)])
        self.heat = nn.Conv2d(quarter, len(POINTS), 1)
        self.lips = nn.Conv2d(quarter, 2, 1)
        self.nowhere = nn.Linear(sixteenth, len(POINTS))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, H, W) 0..1 to log-odds (B, 9, H/4 W/4 + 1), the last "nowhere", and lips (B, 2, H/4, W/4)."""
        quarter = self.down[0](self.stem(pictures * 2 - 1))
        eighth = self.down[1](quarter)
        low = self.down[2](eighth)
        features = self.up[1](self.up[0](low, eighth), quarter)
        nowhere = self.nowhere(low.mean((2, 3)))[..., None]
        return torch.cat([self.heat(features).flatten(2), nowhere], 2), self.lips(features)

    @torch.no_grad()
    def estimate(self, pictures: Tensor) -> Estimate:
        """What is seen in pictures (B, 3, H, W) 0..1 of the network's size; points in its pixels.

        Every picture is looked at twice, the second time in a mirror, and the shares are the geometric mean of both:
        fewer hands are found in wrong places, and it is less sure where the two looks disagree.
        """
        rows, columns = pictures.shape[2] // STRIDE, pictures.shape[3] // STRIDE
        looks = [self(pictures), _back(self(pictures.flip(3)), rows, columns)]
        share = torch.stack([heat.float().log_softmax(2) for heat, _ in looks]).mean(0).softmax(2)
        lips = torch.stack([maps.float() for _, maps in looks]).mean(0)
        grid = share[..., :-1].unflatten(2, (rows, columns))
        points, mass = peak(grid)
        weight = grid[:, MOUTH] / grid[:, MOUTH].sum((1, 2), keepdim=True).clamp_min(1e-6)
        mouth = (lips * weight[:, None]).sum((2, 3))
        return Estimate(points * STRIDE, mass, mouth)


def peak(grid: Tensor) -> tuple[Tensor, Tensor]:
    """Where shares (B, K, h, w) are concentrated: points (B, K, 2) x, y in cells, and the share near them (B, K).

    The point is the centre of mass of the 5 x 5 cells with the most mass: a mean over everything would put a hand that
    may be in one of two places between them.
    """
    rows, columns = grid.shape[2:]
    mass = F.avg_pool2d(grid, 5, 1, 2, count_include_pad=True) * 25
    best = mass.flatten(2).argmax(2)
    y, x = best // columns, best % columns
    across = torch.arange(columns, device=grid.device)
    along = torch.arange(rows, device=grid.device)
    near = ((along[:, None] - y[..., None, None]).abs() <= 2) & ((across - x[..., None, None]).abs() <= 2)
    kept = grid * near
    total = kept.sum((2, 3)).clamp_min(1e-8)
    centre = torch.stack([(kept.sum(2) * (across + 0.5)).sum(2), (kept.sum(3) * (along + 0.5)).sum(2)], 2)
    return centre / total[..., None], total.clamp(max=1)


def _back(seen: tuple[Tensor, Tensor], rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """What was seen in a mirror, as it is without one: left and right change places."""
    heat, lips = seen
    grid = heat[:, MIRRORED, :-1].unflatten(2, (rows, columns)).flip(3).flatten(2)
    return torch.cat([grid, heat[:, MIRRORED, -1:]], 2), lips.flip(3)


class _Residual(nn.Module):
    def __init__(self, width: int, groups: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(groups, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(groups, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class _Join(nn.Module):
    """Coarse features brought to the finer ones' resolution and width, and mixed with them."""

    def __init__(self, coarse: int, fine: int, groups: int):
        super().__init__()
        self.narrow = nn.Conv2d(coarse, fine, 1)
        self.mix = nn.Sequential(nn.GroupNorm(groups, fine), nn.SiLU(), nn.Conv2d(fine, fine, 3, padding=1), nn.SiLU())

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        return self.mix(F.interpolate(self.narrow(coarse), scale_factor=2.0, mode="nearest") + fine)


def build(config: Mapping[str, Any]) -> PuppetEstimator:
    """The network that `config` (as TINY) describes."""
    height, width = config["size"]
    return PuppetEstimator(tuple(config["widths"]), config["groups"], (height, width))


def load_puppet_estimator(path: Path | str) -> PuppetEstimator:
    """The network of a checkpoint of kind "puppet_estimator", in float32. An EMO2Error when it is something else."""
    module, _ = load_checkpoint(path, "puppet_estimator", build, "puppet estimator")
    return module.float()  # type: ignore[return-value]
