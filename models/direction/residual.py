"""Residual motion tokens: each level of codes from the sum of those below (MoMask, Guo et al. 2024, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..motion.transformer import SelfAttention, rotary
from .config import BranchConfig


class ResidualHead(nn.Module):
    """Says level q = 1..levels-1 of the codes, all tokens at once, from a last hidden state and lower levels."""

    def __init__(self, config: BranchConfig):
        super().__init__()
        width, further = config.width, config.levels - 1
        self.codes, self.size = config.codes, width // config.heads
        self.embed = nn.Embedding(further * config.codes, width)
        self.level = nn.Embedding(further, width)
        self.layers = nn.ModuleList(ResidualLayer(config) for _ in range(config.residual_layers))
        self.norm = nn.LayerNorm(width)
        # Each level's codes are told by their own embeddings (MoMask, section 3.3): one table of outputs for all levels
        # would ask of each number what it cannot mean at all of them.
        self.scale = nn.Parameter(torch.full((further,), 0.1))
        self.bias = nn.Parameter(torch.zeros(further, config.codes))
        nn.init.normal_(self.embed.weight, std=0.5)

    def forward(self, state: Tensor, codes: Tensor, level: Tensor, valid: Tensor | None = None) -> Tensor:
        """Logits (B, n, codes) of level `level` (B,) from hidden state (B, n, W) and codes (B, levels, n).

        Level 0 is in the state already; levels from `level` on are not looked at. valid (B, n): False marks padding.
        """
        further = codes.shape[1] - 1
        number = torch.arange(further, device=codes.device)
        below = (number < level[:, None] - 1)[..., None]  # number i is level i + 1
        known = torch.where(below, codes[:, 1:], 0) + self.codes * number[:, None]
        x = state + (self.embed(known) * below[..., None]).sum(1) + self.level(level - 1)[:, None]
        rotation = rotary(state.shape[1], self.size, state.device)
        shown = None if valid is None else valid[:, None, None, :]
        for layer in self.layers:
            x = layer(x, rotation, shown)
        table = self.embed.weight.reshape(further, self.codes, -1)[level - 1]
        logits = self.norm(x) @ table.transpose(1, 2)
        return logits * self.scale[level - 1][:, None, None] + self.bias[level - 1][:, None]


class ResidualLayer(nn.Module):
    """Self-attention and MLP, norms in front."""

    def __init__(self, config: BranchConfig):
        super().__init__()
        width = config.width
        self.norm_self, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend = SelfAttention(width, config.heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, config.mlp_ratio * width), nn.GELU(), nn.Linear(config.mlp_ratio * width, width)
        )

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], shown: Tensor | None) -> Tensor:
        x = x + self.attend(self.norm_self(x), rotation, shown)
        return x + self.mlp(self.norm_mlp(x))
