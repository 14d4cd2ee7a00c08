"""The map guider: MANO and keypoint maps, side by side in their channels, become features of the latents' size."""

from __future__ import annotations

import torch
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from torch import nn

from .config import VideoConfig


class MapGuider(ControlNetConditioningEmbedding):
    """ControlNet's conditioning embedding; its last convolution is zero at the start of training."""

    def __init__(self, config: VideoConfig):
        super().__init__(config.widths[0], config.map_channels, config.guider_channels)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """maps: (R, channels, F, H, W), 0..1 -> (R, C0, F, H / 8, W / 8)."""
        frames = maps.transpose(1, 2)
        # Convolutions of few channels on large pictures are a third faster with the channels innermost.
        pictures = frames.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        features = super().forward(pictures).contiguous(memory_format=torch.contiguous_format)
        return features.unflatten(0, frames.shape[:2]).transpose(1, 2)


class ConfidenceEmbedding(nn.Module):
    """A learned embedding of each hand times the hand's confidence (EMO2 section 3.4); zero at first."""

    def __init__(self, config: VideoConfig):
        super().__init__()
        self.hands = nn.Linear(2, config.widths[0], bias=False)
        nn.init.zeros_(self.hands.weight)

    def forward(self, confidence: torch.Tensor) -> torch.Tensor:
        """confidence: (R, F, 2), left and right, 0..1 -> (R, C0, F, 1, 1), the same at every pixel."""
        return self.hands(confidence).transpose(1, 2)[..., None, None]
