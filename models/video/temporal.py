"""The temporal modules: self-attention over the frames of a clip at each pixel, in AnimateDiff's layout and names.

Motion frames join along the frame axis as further keys and values. They pass through the same layers but see only each
other, never the clip, so what they offer is the same at every denoising step and is computed once per clip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from diffusers.models.attention import FeedForward
from torch import nn

from ..errors import EMO2Error
from .attention import attend, keys_values, project_out, split_heads
from .condition_batch import ConditionBatch, KeysValues, Run
from .config import VideoConfig


class TemporalModule(nn.Module):
    """One of the backbone's 21 temporal places: residual, zero at the start of training."""

    def __init__(self, name: str, width: int, config: VideoConfig):
        super().__init__()
        self.name = name
        self.temporal_transformer = TemporalTransformer(width, config)

    def forward(self, x: torch.Tensor, conditions: ConditionBatch) -> torch.Tensor:
        """x: (rows F, C, h, w) -> the same shape."""
        memory = None
        if conditions.motion_frames is not None:
            memory = self.keys_values(conditions.motion_frames[self.name])
        return self.temporal_transformer(x, conditions.rows, memory, conditions.runs("motion_frames"))

    def keys_values(self, features: torch.Tensor | Sequence[KeysValues]) -> Sequence[KeysValues]:
        """Motion-frame features (R, M, C, h, w) -> keys and values, each (R, h w, heads, M, d), of every attention."""
        if not isinstance(features, torch.Tensor):
            return features
        return self.temporal_transformer.remember(features)


class TemporalTransformer(nn.Module):
    """Group norm, linear layer in, self-attentions and feed-forward, linear layer out; added to its input."""

    def __init__(self, width: int, config: VideoConfig):
        super().__init__()
        self.per_frame = config.temporal_norm == "frame"
        self.first = config.motion_frames
        self.norm = nn.GroupNorm(config.norm_groups, width, eps=1e-6)
        self.proj_in = nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(width, config)])
        self.proj_out = nn.Linear(width, width)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(
        self, x: torch.Tensor, rows: int, memory: Sequence[KeysValues] | None, runs: Sequence[Run]
    ) -> torch.Tensor:
        """x: (rows F, C, h, w); clip frames stand at positions motion_frames, motion_frames + 1, ..."""
        frames = x.unflatten(0, (rows, -1))
        tokens = self._enter(frames)
        tokens = self.transformer_blocks[0](tokens, self.first, memory, runs)
        tokens = self.proj_out(tokens)
        height, width = x.shape[2:]
        out = tokens.unflatten(0, (rows, height, width)).permute(0, 3, 4, 1, 2)
        return x + out.flatten(0, 1)

    def remember(self, features: torch.Tensor) -> list[KeysValues]:
        """features: (R, M, C, h, w), which stand at the M positions before the clip."""
        rows, count = features.shape[:2]
        if count > self.first:
            raise EMO2Error(
                "motion_frames", f"at most {self.first} frames", f"{count} frames", "Carry over fewer frames."
            )
        block: Any = self.transformer_blocks[0]
        pairs = block.remember(self._enter(features), self.first - count)
        return [(key.unflatten(0, (rows, -1)), value.unflatten(0, (rows, -1))) for key, value in pairs]

    def _enter(self, frames: torch.Tensor) -> torch.Tensor:
        """(rows, F, C, h, w) -> tokens (rows h w, F, C), normalised over each frame or over all of a row's frames."""
        if self.per_frame:
            x = self.norm(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        else:
            x = self.norm(frames.transpose(1, 2)).transpose(1, 2)
        return self.proj_in(x.permute(0, 3, 4, 1, 2).flatten(0, 2))


class TemporalBlock(nn.Module):
    """Self-attentions over time one after the other, then a feed-forward layer, each on a layer norm and residual."""

    def __init__(self, width: int, config: VideoConfig):
        super().__init__()
        count = config.temporal_attentions
        self.attention_blocks = nn.ModuleList(TemporalAttention(width, config) for _ in range(count))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(count))
        self.ff = FeedForward(width, activation_fn="geglu")
        self.ff_norm = nn.LayerNorm(width)

    def forward(
        self, x: torch.Tensor, start: int, memory: Sequence[KeysValues] | None, runs: Sequence[Run]
    ) -> torch.Tensor:
        """x: (rows h w, F, C) at positions start, start + 1, ...; memory: what motion frames offer each attention."""
        for place, (norm, attention) in enumerate(zip(self.norms, self.attention_blocks)):
            x = attention(norm(x), start, memory[place] if memory else None, runs) + x
        return self.ff(self.ff_norm(x)) + x

    def remember(self, x: torch.Tensor, start: int) -> list[KeysValues]:
        """Keys and values (rows h w, heads, M, d) of motion frames x (rows h w, M, C), which attend to each other."""
        pairs: list[KeysValues] = []
        attention: Any
        for norm, attention in zip(self.norms, self.attention_blocks):
            placed = attention.pos_encoder(norm(x), start)
            pairs.append(keys_values(attention, placed))
            if len(pairs) < len(self.norms):
                x = attention.attend(placed, *pairs[-1]) + x
        return pairs


class TemporalAttention(nn.Module):
    """Self-attention over frames; the position table is added to what comes out of the norm."""

    def __init__(self, width: int, config: VideoConfig):
        super().__init__()
        self.heads = config.temporal_heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(width, width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.pos_encoder = PositionTable(width, config.positions)

    def forward(self, x: torch.Tensor, start: int, memory: KeysValues | None, runs: Sequence[Run]) -> torch.Tensor:
        """x: (rows h w, F, C), already normalised."""
        x = self.pos_encoder(x, start)
        key, value = keys_values(self, x)
        if memory is None:
            return self.attend(x, key, value)
        pixels = memory[0].shape[1]
        parts = []
        for run in runs:
            own = slice(run.start * pixels, run.stop * pixels)
            k, v = key[own], value[own]
            if run.first is not None:
                k, v = (
                    torch.cat([run.take(old).flatten(0, 1).to(new.dtype), new], dim=2)
                    for old, new in zip(memory, (k, v))
                )
            parts.append(self.attend(x[own], k, v))
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def attend(self, x: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return project_out(self, attend(split_heads(self.to_q(x), self.heads), key, value))


class PositionTable(nn.Module):
    """The sinusoidal table (1, positions, C): sines at even channels, cosines at odd ones. Not part of a checkpoint."""

    pe: torch.Tensor

    def __init__(self, width: int, positions: int):
        super().__init__()
        self.register_buffer("pe", sinusoids(width, positions)[None], persistent=False)

    def forward(self, x: torch.Tensor, start: int) -> torch.Tensor:
        """x: (N, F, C) plus the rows start..start+F-1 of the table."""
        stop = start + x.shape[1]
        if stop > self.pe.shape[1]:
            raise EMO2Error(
                "frames", f"at most {self.pe.shape[1] - start} frames at once (the model's position table)",
                f"{x.shape[1]} frames", "Use a shorter window, or a model with a longer table.",
            )  # fmt: skip
        return x + self.pe[:, start:stop].to(x)


def sinusoids(width: int, positions: int) -> torch.Tensor:
    """(positions, width): sin and cos of position / 10000^(2i / width), alternating."""
    place = torch.arange(positions)[:, None]
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    return torch.stack([torch.sin(place * rate), torch.cos(place * rate)], dim=-1).flatten(1)[:, :width]
