"""Windows of voice-encoder states become the tokens that a frame's audio attention reads."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from .config import VideoConfig


class AudioProjection(nn.Module):
    """All L hidden states of an instant become one token; a learned embedding tells a window's K instants apart."""

    def __init__(self, config: VideoConfig):
        super().__init__()
        self.proj_in = nn.Linear(config.audio_layers * config.audio_dim, config.audio_width)
        self.proj_out = nn.Linear(config.audio_width, config.audio_width)
        self.instants = nn.Embedding(config.audio_window, config.audio_width)
        self.norm = nn.LayerNorm(config.audio_width)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """windows: (R, F, K, L, D) -> tokens (R, F, K, C).

        Each state is brought to mean 0 and variance 1 first, because an encoder's layers differ much in scale. What
        lies before and after the sound (zeros) stays zeros.
        """
        states = F.layer_norm(windows, windows.shape[-1:])
        x = self.proj_out(F.gelu(self.proj_in(states.flatten(-2))))
        places = torch.arange(x.shape[-2], device=x.device)
        return self.norm(x + self.instants(places).to(x.dtype))


class PlainStates(nn.Module):
    """Every state of every instant is a token, as EchoMimicV2 has it: nothing to learn."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """windows: (R, F, K, L, D) -> tokens (R, F, K L, D)."""
        return windows.flatten(-3, -2)


def audio_projection(config: VideoConfig) -> nn.Module:
    """The projection that the config asks for."""
    return AudioProjection(config) if config.audio_projection == "learned" else PlainStates()
