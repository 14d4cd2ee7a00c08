"""The pose discriminator (EMO2 section 3.4): a small ResNet that sees body and hands in latents.

It is trained first and then frozen; stage 2 asks it whether the person in its one-step estimates stands as told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..pose.body import LIMBS
from ..types import BODY_POINTS, HAND_POINTS

FINGERS = tuple((0 if joint % 4 == 1 else joint - 1, joint) for joint in range(1, HAND_POINTS))
BONES = LIMBS + tuple(
    (BODY_POINTS + HAND_POINTS * hand + a, BODY_POINTS + HAND_POINTS * hand + b) for hand in (0, 1) for a, b in FINGERS
)
"""Pairs of the 60 points (18 of the body, 21 of each hand) that are joined: 17 of the body, 20 of each hand."""
POINTS = BODY_POINTS + 2 * HAND_POINTS
HAND_CHANNELS = 2
"""Fingers of one hand share one limb map: in latents they cannot be told apart."""
TINY: dict[str, Any] = {"latent_channels": 12, "width": 56, "blocks": 5, "groups": 8, "scale": 2, "spread": 1.0}
PAPER: dict[str, Any] = {"latent_channels": 4, "width": 128, "blocks": 8, "groups": 32, "scale": 2, "spread": 1.5}
"""latent_channels; width and blocks of the ResNet; groups of its norms; scale: heatmap cells a latent cell in each
direction; spread: deviation of a heatmap's spot, in its cells."""


class PoseDiscriminator(nn.Module):
    """Latents -> heatmaps of the 60 points and maps of the limbs, `scale` times the latents' size."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.config = dict(config)
        width, self.scale, self.spread = config["width"], config["scale"], float(config["spread"])
        self.enter = nn.Conv2d(config["latent_channels"], width, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(width, config["groups"]) for _ in range(config["blocks"]))
        self.norm = nn.GroupNorm(config["groups"], width)
        self.fine = nn.Conv2d(width, width, 3, padding=1)
        self.leave = nn.Conv2d(width, POINTS + len(LIMBS) + HAND_CHANNELS, 1)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """latents (N, C, h, w), scaled as the video network takes them -> maps (N, 79, scale h, scale w), 0..1."""
        x = self.enter(latents)
        for block in self.blocks:
            x = block(x)
        x = functional.interpolate(functional.silu(self.norm(x)), scale_factor=float(self.scale))
        return self.leave(functional.silu(self.fine(x)))

    def judge(self, latents: torch.Tensor, points: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """(N,): mean squared error of the maps seen in `latents` against those of `points` (N, 60, 2).

        scores: (N, 60). Points are normalised to the picture; each map counts as much as its points are known. Cells
        on a spot count ten times, because nearly all are empty.
        """
        size = (latents.shape[2] * self.scale, latents.shape[3] * self.scale)
        wanted, known = pose_maps(points, scores, size, self.spread)
        error = (self(latents).float() - wanted).square() * (1 + 9 * wanted)
        return (error.mean(dim=(2, 3)) * known).sum(dim=1) / known.sum(dim=1).clamp(min=1.0)


class _Block(nn.Module):
    def __init__(self, width: int, groups: int):
        super().__init__()
        self.norm_1, self.norm_2 = nn.GroupNorm(groups, width), nn.GroupNorm(groups, width)
        self.conv_1, self.conv_2 = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.conv_1(functional.silu(self.norm_1(x)))
        return x + self.conv_2(functional.silu(self.norm_2(inner)))


def pose_maps(
    points: torch.Tensor, scores: torch.Tensor, size: tuple[int, int], spread: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps (N, 79, *size) of spots at the points and stripes along the limbs, and how well each is known, (N, 79).

    A limb is known as well as its less known end; the fingers of a hand as well as the hand's best point.
    """
    scale = torch.tensor([size[1], size[0]], dtype=torch.float32, device=points.device)
    at = points.float() * scale
    y, x = torch.meshgrid(
        torch.arange(size[0], device=points.device) + 0.5, torch.arange(size[1], device=points.device) + 0.5,
        indexing="ij",
    )  # fmt: skip
    cells = torch.stack([x, y], dim=-1)  # (h, w, 2)
    away = (cells - at[:, :, None, None]).square().sum(dim=-1)
    spots = torch.exp(-away / (2 * spread**2))
    begin, end = torch.tensor(BONES, device=points.device).T
    a, b = at[:, begin], at[:, end]
    along = b - a
    from_a = cells - a[:, :, None, None]
    share = (from_a * along[:, :, None, None]).sum(dim=-1) / along.square().sum(dim=-1)[..., None, None].clamp(min=1e-6)
    off = from_a - share.clamp(0, 1)[..., None] * along[:, :, None, None]
    stripes = torch.exp(-off.square().sum(dim=-1) / (2 * spread**2))
    sure = torch.minimum(scores[:, begin], scores[:, end]).float()
    stripes = stripes * (sure > 0)[..., None, None]
    body = len(LIMBS)
    fingers = stripes[:, body:].unflatten(1, (2, -1)).amax(dim=2)
    hands = sure[:, body:].unflatten(1, (2, -1)).amax(dim=2)
    maps = torch.cat([spots, stripes[:, :body], fingers], dim=1)
    return maps, torch.cat([scores.float(), sure[:, :body], hands], dim=1)


def build(config: Mapping[str, Any]) -> PoseDiscriminator:
    """The discriminator that `config` (as TINY) describes."""
    return PoseDiscriminator(config)
