"""Frame-wise audio-video interaction, an option of the audio layers (after ApoAvatar).

In each frame the tokens of sound first attend to what the picture shows there and to the pose prior, so that a sound
knows which mouth, and which gesture, it belongs to. Then the picture attends to the tokens as they are now.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from .condition_batch import ConditionBatch
from .config import VideoConfig

GRID = (8, 6)
"""Rows and columns into which the pose's features are gathered: each becomes one token of the prior."""


class AudioInteraction(nn.Module):
    """What one audio layer's tokens take from their frame. Its last projection is zero at first: nothing changes."""

    def __init__(self, config: VideoConfig, width: int):
        super().__init__()
        inner = config.audio_interaction
        self.norm_audio = nn.LayerNorm(config.audio_width)
        self.norm_pose = nn.LayerNorm(config.widths[0])
        self.to_q = nn.Linear(config.audio_width, inner, bias=False)
        self.to_k = nn.Linear(width, inner, bias=False)
        self.to_v = nn.Linear(width, inner, bias=False)
        self.pose_to_k = nn.Linear(config.widths[0], inner, bias=False)
        self.pose_to_v = nn.Linear(config.widths[0], inner, bias=False)
        self.to_out = nn.Linear(inner, config.audio_width)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)

    def forward(self, tokens: torch.Tensor, picture: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
        """tokens (N, T, A) of N frames, their picture's features (N, h w, C) and prior (N, P, C0) -> (N, T, A)."""
        pose = self.norm_pose(prior)
        query = self.to_q(self.norm_audio(tokens))
        key = torch.cat([self.to_k(picture), self.pose_to_k(pose)], dim=1)
        value = torch.cat([self.to_v(picture), self.pose_to_v(pose)], dim=1)
        return tokens + self.to_out(F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0])


def pose_prior(conditions: ConditionBatch, like: torch.Tensor) -> torch.Tensor:
    """The pose of each frame as tokens (rows, F, P, C0), P = 48; zeros in the rows that have none.

    The pose's own strength is in it: what was refocused, or is not followed for a while, counts as much here.
    like: the first features (rows F, C0, h, w).
    """
    frames = like.shape[0] // conditions.rows
    parts = []
    for run in conditions.runs("pose"):
        count = run.stop - run.start
        if run.first is None or conditions.pose is None:
            parts.append(like.new_zeros((count, frames, GRID[0] * GRID[1], like.shape[1])))
            continue
        pose = run.take(conditions.pose).to(like.dtype).transpose(1, 2)
        cells = F.adaptive_avg_pool2d(pose.flatten(0, 1), GRID).flatten(2).transpose(1, 2)
        parts.append(cells.unflatten(0, (count, -1)))
    return torch.cat(parts)
