"""Facial controls of the video network: emotion, blink and identity beside the voice, as VersaAnimator has them.

Each frame gets a few tokens: its emotion, how far the eyes are closed, whose face it is, and the sound. They attend to
each other first (identity and voice above all: a face has its own way of saying a sound); then, in every block, the
picture attends to them after it has attended to the sound. The last projection is zero at first: nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from .condition_batch import ConditionBatch
from .config import VideoConfig

CONTROLS = ("emotion", "blink", "identity", "audio")
"""What the tokens of a face are made of, in order; each may be unknown."""
IDENTITY_TOKENS = 2
OCTAVES = 4
"""Frequencies of the blink's Fourier features: half a turn over the whole range, and its doublings."""
MIXERS = 2


class FaceControl(nn.Module):
    """Tokens of each frame's face. What is not known is a learned token of its own, so that each can be left open."""

    def __init__(self, config: VideoConfig):
        super().__init__()
        width = config.face_control
        self.counts = (1, 1, IDENTITY_TOKENS, config.audio_tokens)
        self.emotion = nn.Linear(config.face_emotions, width, bias=False)
        self.blink = nn.Linear(1 + 2 * OCTAVES, width)
        self.identity = nn.Linear(config.face_identity, IDENTITY_TOKENS * width)
        self.audio = nn.Linear(config.audio_width, width)
        self.unknown = nn.Embedding(len(CONTROLS), width)
        self.places = nn.Embedding(sum(self.counts), width)
        self.mixers = nn.ModuleList(TokenMixer(width, config.heads) for _ in range(MIXERS))
        self.norm = nn.LayerNorm(width)

    def forward(
        self, shape: tuple[int, int], values: Mapping[str, torch.Tensor], known: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """(R, F) and what is known of CONTROLS -> tokens (R, F, T, C).

        values: emotion (R, F, n) weights, blink (R, F) 0..1, identity (R, D), audio (R, F, T, A) tokens; R may be 1.
        known: (R,) or (R, F) bool of a control; without it, what is there is known throughout.
        """
        like = next(iter(values.values()), self.unknown.weight)
        unknown = self.unknown(torch.arange(len(CONTROLS), device=like.device)).to(like.dtype)
        parts = []
        for nothing, name, count in zip(unknown, CONTROLS, self.counts):
            made = nothing.expand(*shape, count, -1)
            if name in values:
                told = getattr(self, f"_{name}")(values[name]).expand(*shape, count, -1)
                mask = known.get(name)
                if mask is not None:
                    mask = mask.to(like.device)
                    told = torch.where((mask[:, None] if mask.ndim == 1 else mask)[..., None, None], told, made)
                made = told
            parts.append(made)
        x = torch.cat(parts, dim=2)
        x = x + self.places(torch.arange(x.shape[2], device=x.device)).to(x.dtype)
        x = x.flatten(0, 1)
        for mixer in self.mixers:
            x = mixer(x)
        return self.norm(x).unflatten(0, shape)

    def _emotion(self, weights: torch.Tensor) -> torch.Tensor:
        return self.emotion(weights)[:, :, None]

    def _blink(self, blink: torch.Tensor) -> torch.Tensor:
        turns = blink[..., None] * (math.pi * 2 ** torch.arange(OCTAVES, device=blink.device)).to(blink.dtype)
        return self.blink(torch.cat([blink[..., None], turns.sin(), turns.cos()], dim=-1))[:, :, None]

    def _identity(self, embedding: torch.Tensor) -> torch.Tensor:
        # An embedding is a direction: each of its numbers is brought to about 1.
        told = F.normalize(embedding, dim=-1) * embedding.shape[-1] ** 0.5
        return self.identity(told).unflatten(-1, (IDENTITY_TOKENS, -1))[:, None]

    def _audio(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.audio(tokens)


class TokenMixer(nn.Module):
    """The tokens of one frame attend to each other, then a feed-forward layer, each on a layer norm and residual."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm, self.ff_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.to_out = nn.Linear(width, width)
        self.ff_in, self.ff_out = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (N, T, C)."""
        told = self.norm(x)
        split = lambda layer: layer(told).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(split(self.to_q), split(self.to_k), split(self.to_v))
        x = x + self.to_out(mixed.transpose(1, 2).flatten(2))
        return x + self.ff_out(F.gelu(self.ff_in(self.ff_norm(x))))


class FaceAttention(nn.Module):
    """Cross-attention of every frame's picture to the tokens of its face, after the attention to sound."""

    def __init__(self, name: str, width: int, config: VideoConfig):
        super().__init__()
        self.name, self.heads = name, config.heads
        self.norm = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(config.face_control, width, bias=False)
        self.to_v = nn.Linear(config.face_control, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        for parameter in self.to_out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: torch.Tensor, conditions: ConditionBatch) -> torch.Tensor:
        """What is added to pictures x (rows F, T, C); zeros in rows without a face."""
        from .attention import attend, keys_values, project_out, split_heads

        face = conditions.face
        assert face is not None
        frames = x.shape[0] // conditions.rows
        parts = []
        for run in conditions.runs("face"):
            own = x[run.start * frames : run.stop * frames]
            if run.first is None:
                parts.append(torch.zeros_like(own))
                continue
            if face.keys_values is not None:
                key, value = (run.take(part).flatten(0, 1) for part in face.keys_values[self.name])
            else:
                key, value = keys_values(self, run.take(face.tokens).flatten(0, 1).to(own.dtype))
            query = split_heads(self.to_q(self.norm(own)), self.heads)
            out = project_out(self, attend(query, key.to(query.dtype), value.to(query.dtype)))
            parts.append(out if face.strength == 1 else out * face.strength)
        return torch.cat(parts) if len(parts) > 1 else parts[0]


def is_face_part(name: str) -> bool:
    """Whether a parameter of a VideoModel belongs to the facial controls."""
    return name.startswith("face_control.") or ".processor.face." in name


__all__ = ["CONTROLS", "FaceAttention", "FaceControl", "is_face_part"]
