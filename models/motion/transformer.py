"""The network of stage 1 (EMO2 section 3.3): a diffusion transformer over hand motion that listens to the voice.

Blocks with AdaLN-single (PixArt-alpha, arXiv 2310.00426, section 2.3): self-attention over the motion, cross-attention
to one audio feature a frame, MLP. Time is told by rotary embeddings on queries and keys of both attentions: only the
distance between two frames counts, so a motion frame finds the sound of its own moment wherever its window lies,
carried frames in front shift nothing, and windows of any length need no new table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.format import save_checkpoint
from . import vector
from .conditions import AlignedAudio, AudioFeature, Conditions, FrameConditions, GlobalConditions
from .config import MotionConfig


def build(config: Mapping[str, Any]) -> MotionTransformer:
    """The network of a checkpoint's config; raises ValueError or TypeError for a config of another version."""
    return MotionTransformer(MotionConfig.from_dict(config))


def write_tiny(path: Path) -> Path:
    """Write the tiny untrained checkpoint: a config and a seed, no tensors."""
    notes = {
        "description": "Hand motion, tiny, untrained: random weights around a resting pose, for trying things out."
    }
    return save_checkpoint(path, "motion", MotionConfig.tiny().to_dict(), {}, untrained=2, notes=notes)


@dataclass(frozen=True)
class Prepared:
    """What does not change over the denoising steps of a window, computed once by `MotionTransformer.prepare`.

    frames (B, F, W): added to the embedded motion. condition (B, W): added to the timestep embedding. sound: keys and
    values of each block's cross-attention, (B, heads, F, W / heads). rotation: cosine and sine, (F, W / heads / 2).
    attend: bool (B, 1, 1, F), which frames may be attended to, or None for all. shown (B, F, 170): 0 where the motion
    belongs to a hidden hand, or None.
    """

    frames: Tensor
    condition: Tensor
    sound: list[tuple[Tensor, Tensor]]
    rotation: tuple[Tensor, Tensor]
    attend: Tensor | None
    shown: Tensor | None


class MotionTransformer(nn.Module):
    """Predicts the noise in normalised motion vectors; `mean` and `std` (170,), in the checkpoint, normalise them."""

    mean: Tensor
    std: Tensor
    alphas: Tensor

    def __init__(self, config: MotionConfig):
        super().__init__()
        self.config = config
        width = config.width
        self.embed = nn.Linear(vector.SIZE, width)
        self.carried = nn.Parameter(torch.randn(width) * 0.02)
        self.audio = AudioFeature(config)
        self.aligned = AlignedAudio(config) if config.audio_aligned else None
        self.conditions = GlobalConditions(config)
        self.frame_conditions = FrameConditions(config)
        self.time = TimestepEmbedding(width)
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(width, config.heads, config.mlp_ratio) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.table = nn.Parameter(torch.randn(2, width) / width**0.5)
        self.out = nn.Linear(width, vector.SIZE)
        mean, std = vector.rest()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))
        betas = torch.linspace(config.beta_start, config.beta_end, config.diffusion_steps, dtype=torch.float64)
        self.register_buffer("alphas", (1 - betas).cumprod(0).float(), persistent=False)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        nn.init.normal_(self.modulation.weight, std=0.02)

    def forward(
        self,
        noisy: Tensor,
        timestep: Tensor,
        conditions: Conditions | None = None,
        clean: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Tensor:
        """The noise in `noisy` (B, F, 170), same shape, at `timestep` (B,). For training; sampling prepares once.

        clean (B, F) bool: carried frames, whose `noisy` holds clean normalised motion; what is predicted there means
        nothing and takes no loss. valid (B, F) bool: False marks padding, which changes nothing at valid frames.
        """
        return self.denoise(noisy, timestep, self.prepare(noisy, conditions or Conditions(), clean, valid))

    def prepare(
        self, like: Tensor, conditions: Conditions, clean: Tensor | None = None, valid: Tensor | None = None
    ) -> Prepared:
        """Everything of `forward` that depends neither on the noisy motion nor on the timestep.

        `like` (B, F, 170) lends its shape, device and dtype. Conditions must be on that device (parameters need not be:
        a VRAM manager may keep them elsewhere).
        """
        batch, frames, _ = like.shape
        audio = None if conditions.audio is None else conditions.audio.to(like)
        heard = self.audio(audio, conditions.where("audio"), batch, frames).to(like)
        added = self.frame_conditions(conditions, batch, frames, like)
        if clean is not None:
            added = added + clean[..., None].to(like) * self.carried.to(like)
        if self.aligned is not None:
            added = added + self.aligned(heard, valid)
        rotation = rotary(frames, self.config.width // self.config.heads, like.device)
        return Prepared(
            frames=added,
            condition=self.conditions(conditions, batch, like),
            sound=[block.cross.keys_values(heard, rotation) for block in self._blocks()],
            rotation=rotation,
            attend=None if valid is None else valid[:, None, None, :],
            shown=_shown(conditions, like),
        )

    def denoise(self, noisy: Tensor, timestep: Tensor, prepared: Prepared) -> Tensor:
        """The noise in `noisy` (B, F, 170) at `timestep` (B,)."""
        x = noisy if prepared.shown is None else noisy * prepared.shown
        x = self.embed(x) + prepared.frames
        time = self.time(timestep, x.dtype) + prepared.condition
        shared = self.modulation(F.silu(time)).unflatten(-1, (6, -1))
        for block, sound in zip(self._blocks(), prepared.sound):
            x = block(x, shared, sound, prepared.rotation, prepared.attend)
        shift, scale = (self.table.to(x) + time[:, None]).unbind(1)
        out = self.out(_modulate(self.norm(x), shift, scale))
        return out if self.config.predicts == "epsilon" else self._epsilon(noisy, timestep, out)

    def _epsilon(self, noisy: Tensor, timestep: Tensor, clean: Tensor) -> Tensor:
        """The noise in `noisy` if `clean` is the motion under it (DDPM, arXiv 2006.11239, equation 4)."""
        alpha = self.alphas.to(timestep.device)[timestep.long()].view(-1, 1, 1)
        return ((noisy.float() - alpha.sqrt() * clean.float()) / (1 - alpha).sqrt()).to(noisy.dtype)

    def _blocks(self) -> list[Block]:
        return cast("list[Block]", list(self.blocks))

    def normalise(self, motion: Tensor) -> Tensor:
        """Motion vectors (..., 170) to mean 0 and deviation 1."""
        return (motion - self.mean.to(motion)) / self.std.to(motion)

    def denormalise(self, motion: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return motion * self.std.to(motion) + self.mean.to(motion)

    def set_normalisation(self, mean: Tensor, std: Tensor, floor: float = 1e-3) -> None:
        """Statistics (170,) of a training set; deviations below `floor` are raised to it, lest noise be blown up."""
        self.mean.copy_(torch.as_tensor(mean))
        self.std.copy_(torch.as_tensor(std).clamp_min(floor))


class Block(nn.Module):
    """Self-attention, audio cross-attention and MLP; the modulation is the shared one plus this block's own table.

    16 width^2 weights: 4 in each attention and 8 in the MLP (ratio 4).
    """

    def __init__(self, width: int, heads: int, mlp_ratio: int):
        super().__init__()
        self.table = nn.Parameter(torch.randn(6, width) / width**0.5)
        self.norm_self = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.attend = SelfAttention(width, heads)
        self.cross = CrossAttention(width, heads)
        self.norm_mlp = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_ratio * width), nn.GELU(approximate="tanh"), nn.Linear(mlp_ratio * width, width)
        )

    def forward(
        self,
        x: Tensor,
        shared: Tensor,
        sound: tuple[Tensor, Tensor],
        rotation: tuple[Tensor, Tensor],
        attend: Tensor | None,
    ) -> Tensor:
        """x (B, F, W); shared (B, 6, W): shift, scale and gate of the self-attention, then of the MLP."""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = (self.table.to(x) + shared).unsqueeze(2).unbind(1)
        x = x + gate * self.attend(self.norm_self(x) * (1 + scale) + shift, rotation, attend)
        x = x + self.cross(x, sound, rotation, attend)
        return x + mlp_gate * self.mlp(self.norm_mlp(x) * (1 + mlp_scale) + mlp_shift)


class SelfAttention(nn.Module):
    """Attention among the motion's frames."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], attend: Tensor | None) -> Tensor:
        q, k, v = (_split(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        return self.out(_attention(turn(q, rotation), turn(k, rotation), v, attend))


class CrossAttention(nn.Module):
    """Attention from motion frames to audio features. Its output starts at zero, as in PixArt-alpha."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def keys_values(self, sound: Tensor, rotation: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Keys and values, (B, heads, F, W / heads) each, of audio features (B, F, W)."""
        k, v = (_split(part, self.heads) for part in self.kv(sound).chunk(2, dim=-1))
        return turn(k, rotation), v

    def forward(
        self, x: Tensor, sound: tuple[Tensor, Tensor], rotation: tuple[Tensor, Tensor], attend: Tensor | None
    ) -> Tensor:
        return self.out(_attention(turn(_split(self.q(x), self.heads), rotation), *sound, attend))


class TimestepEmbedding(nn.Module):
    """Sinusoids of the timestep (B,) through an MLP, (B, width)."""

    def __init__(self, width: int, sinusoids: int = 256):
        super().__init__()
        self.sinusoids = sinusoids
        self.mlp = nn.Sequential(nn.Linear(sinusoids, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, timestep: Tensor, dtype: torch.dtype) -> Tensor:
        half = self.sinusoids // 2
        rates = 10000.0 ** (-torch.arange(half, device=timestep.device, dtype=torch.float32) / half)
        angles = timestep.float()[:, None] * rates
        return self.mlp(torch.cat([angles.cos(), angles.sin()], dim=-1).to(dtype))


def rotary(frames: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine (frames, size / 2) of rotary position embeddings (arXiv 2104.09864)."""
    rates = 10000.0 ** (-torch.arange(size // 2, device=device, dtype=torch.float32) / (size // 2))
    angles = torch.arange(frames, device=device, dtype=torch.float32)[:, None] * rates
    return angles.cos(), angles.sin()


def turn(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the first half of each head's channels against the second by the frame's angles."""
    cos, sin = (part.to(x) for part in rotation)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def _split(x: Tensor, heads: int) -> Tensor:
    """(B, F, W) to (B, heads, F, W / heads)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _attention(q: Tensor, k: Tensor, v: Tensor, attend: Tensor | None) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=attend).transpose(1, 2).flatten(2)


def _modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale[:, None]) + shift[:, None]


def _shown(conditions: Conditions, like: Tensor) -> Tensor | None:
    """(B, F, 170) with 0 at the numbers of hidden hands: what stands there is no motion and must not be looked at."""
    if conditions.mask is None:
        return None
    mask, given = conditions.mask, conditions.where("mask")
    if given is not None:
        mask = mask | ~given[:, None, None]
    hands = mask.repeat_interleave(vector.HAND_SIZE, dim=-1)
    return F.pad(hands, (0, vector.SIZE - hands.shape[-1]), value=True).to(like)
