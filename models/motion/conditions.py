"""What steers stage 1 (EMO2 section 3.3): audio, style, speed, picture, hand mask and offset, and their embeddings.

Every condition may be absent, for a whole batch (None) or for single samples; the network then sees a value that does
not depend on what was dropped. The unconditional branch of guidance is the one with everything absent. Carried frames
and padding are not conditions but the sequence itself, and stay.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from ..types import HANDS
from .config import MotionConfig

OFFSET = 7
"""Numbers of an offset: body position (x, y, z) in metres and rotation (w, x, y, z), relative to the framing's root."""


@dataclass(frozen=True)
class Conditions:
    """A batch of conditions for B samples of F frames (carried ones included). None: given for no sample.

    audio (B, F, L, D): hidden states, one a frame. style (B,) int: index in the config's styles, below 0 not given.
    speed (B, 2): variance of each hand's translation in m^2, below 0 not given, each hand by itself. image (B, E): CLIP
    class embedding. mask (B, F, 2) bool: hand annotated and visible. offset (B, F, 7): body position and rotation.
    given: per condition a bool tensor (B,); where it is False the condition is absent. Conditions not listed are given.
    """

    audio: Tensor | None = None
    style: Tensor | None = None
    speed: Tensor | None = None
    image: Tensor | None = None
    mask: Tensor | None = None
    offset: Tensor | None = None
    given: tuple[tuple[str, Tensor], ...] = ()

    def dropped(self, **keep: Tensor) -> Conditions:
        """With conditions dropped where their bool tensor (B,) is False, as training does: `dropped(audio=keep)`."""
        unknown = keep.keys() - set(NAMES)
        if unknown:
            raise ValueError(f"unknown conditions {sorted(unknown)}")
        before = dict(self.given)
        after = {name: before[name] & kept if name in before else kept for name, kept in keep.items()}
        return replace(self, given=tuple((before | after).items()))

    def where(self, name: str) -> Tensor | None:
        """For which samples the condition `name` is given: bool (B,), or None when it is for all that bring it."""
        return dict(self.given).get(name)

    def guided(self) -> Conditions:
        """Twice the batch: first as it is, then with everything absent, for guidance in one pass."""
        twice = {n: torch.cat([v, v]) for n in NAMES if (v := getattr(self, n)) is not None}
        keep = {}
        for name, value in twice.items():
            size = len(value) // 2
            here = self.where(name)
            here = torch.ones(size, dtype=torch.bool, device=value.device) if here is None else here
            keep[name] = torch.cat([here, torch.zeros_like(here)])
        return Conditions(**twice, given=tuple(keep.items()))


NAMES = tuple(f.name for f in fields(Conditions) if f.name != "given")


def _either(given: Tensor | None, value: Tensor, absent: Tensor) -> Tensor:
    """`value` (B, ...) where given (B,), otherwise `absent`, which broadcasts."""
    if given is None:
        return value
    return torch.where(given.view(-1, *[1] * (value.ndim - 1)), value, absent.to(value))


class AudioFeature(nn.Module):
    """Hidden states (B, F, L, D) to one feature a frame (B, F, width): softmax mix of the layers, norm, linear.

    Without audio every frame has the same learned feature.
    """

    def __init__(self, config: MotionConfig):
        super().__init__()
        self.mix = nn.Parameter(torch.zeros(config.audio_layers))
        self.norm = nn.LayerNorm(config.audio_width)
        self.project = nn.Linear(config.audio_width, config.width)
        self.absent = nn.Parameter(torch.randn(config.width) * 0.02)

    def forward(self, audio: Tensor | None, given: Tensor | None, batch: int, frames: int) -> Tensor:
        if audio is None:
            return self.absent.expand(batch, frames, -1)
        mixed = torch.einsum("bfld,l->bfd", audio, self.mix.softmax(0).to(audio))
        return _either(given, self.project(self.norm(mixed)), self.absent)


class AlignedAudio(nn.Module):
    """The audio features around each frame, (B, F, width), added to that frame of the motion.

    Cross-attention must first learn where a frame's own moment is; a convolution over `REACH` frames knows it from the
    start, and a network of four blocks learns strokes on accents many times faster (measured, not the paper's).
    """

    REACH = 25

    def __init__(self, config: MotionConfig):
        super().__init__()
        self.around = nn.Conv1d(config.width, config.width, self.REACH, padding=self.REACH // 2)
        self.out = nn.Linear(config.width, config.width)

    def forward(self, heard: Tensor, valid: Tensor | None) -> Tensor:
        """Features (B, F, width); padding is silent."""
        if valid is not None:
            heard = heard * valid[..., None].to(heard)
        return self.out(nn.functional.gelu(self.around(heard.transpose(1, 2)).transpose(1, 2)))


class SpeedEmbedding(nn.Module):
    """One hand's speed: s_d = tanh(3 (w - c_d) / r_d) over the buckets (EMO2 section 3.3), then a small MLP."""

    centres: Tensor
    radii: Tensor

    def __init__(self, config: MotionConfig):
        super().__init__()
        self.register_buffer("centres", torch.tensor(config.speed_centres), persistent=False)
        self.register_buffer("radii", torch.tensor(config.speed_radii), persistent=False)
        buckets = len(config.speed_centres)
        self.mlp = nn.Sequential(nn.Linear(buckets, config.width), nn.SiLU(), nn.Linear(config.width, config.width))
        self.absent = nn.Parameter(torch.randn(config.width) * 0.02)

    def buckets(self, variance: Tensor) -> Tensor:
        """Variance (B,) in m^2 to s (B, buckets)."""
        variance = variance.to(self.centres)
        return torch.tanh(3 * (variance[:, None] - self.centres) / self.radii)

    def forward(self, variance: Tensor, given: Tensor | None, like: Tensor) -> Tensor:
        here = variance >= 0
        here = here if given is None else here & given
        return _either(here, self.mlp(self.buckets(variance.clamp_min(0)).to(like)), self.absent)


class GlobalConditions(nn.Module):
    """Style, speed of each hand and picture: (B, width), added to the timestep embedding."""

    def __init__(self, config: MotionConfig):
        super().__init__()
        self.style = nn.Embedding(len(config.styles) + 1, config.width)  # the last row: no style given
        self.speed = nn.ModuleList(SpeedEmbedding(config) for _ in range(HANDS))
        self.image = nn.Linear(config.image_width, config.width) if config.image_width else None
        self.no_image = nn.Parameter(torch.randn(config.width) * 0.02) if config.image_width else None
        nn.init.normal_(self.style.weight, std=0.02)

    def forward(self, conditions: Conditions, batch: int, like: Tensor) -> Tensor:
        nothing = torch.full((batch,), -1, device=like.device)
        style = nothing if conditions.style is None else conditions.style
        given = conditions.where("style")
        style = style if given is None else torch.where(given, style, -1)
        absent = self.style.num_embeddings - 1
        total = self.style(torch.where(style < 0, absent, style)).to(like)
        for index, embed in enumerate(self.speed):
            speed = nothing.float() if conditions.speed is None else conditions.speed[:, index]
            total = total + embed(speed, conditions.where("speed"), like)
        if self.image is not None and self.no_image is not None:
            if conditions.image is None:
                total = total + self.no_image.to(like)
            else:
                total = total + _either(conditions.where("image"), self.image(conditions.image.to(like)), self.no_image)
        return total


class FrameConditions(nn.Module):
    """Hand mask and offset: (B, F, width), added to the noisy motion. An absent one adds nothing."""

    def __init__(self, config: MotionConfig):
        super().__init__()
        self.mask = nn.Parameter(torch.randn(HANDS, 2, config.width) * 0.02)  # [hand, hidden or visible]
        self.offset = nn.Linear(OFFSET, config.width)

    def forward(self, conditions: Conditions, batch: int, frames: int, like: Tensor) -> Tensor:
        total = like.new_zeros(batch, frames, self.mask.shape[-1])
        zero = like.new_zeros(())
        if conditions.mask is not None:
            table = self.mask.to(like)
            marks = torch.stack([table[hand][conditions.mask[..., hand].long()] for hand in range(HANDS)]).sum(0)
            total = total + _either(conditions.where("mask"), marks, zero)
        if conditions.offset is not None:
            total = total + _either(conditions.where("offset"), self.offset(conditions.offset.to(like)), zero)
        return total
