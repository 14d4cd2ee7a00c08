"""The network behind R-precision: a motion and a text in one space, near each other where they belong together.

After Guo et al. 2022 (section 5.1): encoders of motion snippets and of texts, learned by contrast; the measure looks
for a text's own motion among others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.json_config import JsonConfig
from ..errors import EMO2Error
from .config import TextConfig
from .text import TextEncoder


@dataclass(frozen=True)
class MatchingConfig(JsonConfig):
    """numbers: of a motion's vector a frame, at fps. width, depth: of the motion encoder. features: of the common
    space. longest: frames that are looked at. text: the text encoder's config."""

    numbers: int = 384
    width: int = 96
    depth: int = 3
    features: int = 64
    longest: int = 200
    fps: float = 25.0
    text: TextConfig = field(default_factory=TextConfig.tiny)

    def __post_init__(self) -> None:
        if isinstance(self.text, Mapping):
            object.__setattr__(self, "text", TextConfig.from_dict(self.text))
        if min(self.numbers, self.width, self.depth, self.features, self.longest) < 1 or not self.fps > 0:
            raise ValueError("all sizes must be above 0")


class TextMatching(nn.Module):
    """`motion` and `said` give features of unit length; `scale` is the inverse temperature of the contrast.

    `mean` and `deviation` (numbers,), in the checkpoint, normalise the vectors.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: MatchingConfig):
        super().__init__()
        self.config = config
        width = config.width
        self.enter = nn.Conv1d(config.numbers, width, 4, stride=2, padding=1)
        self.narrow = nn.Conv1d(width, width, 4, stride=2, padding=1)
        self.blocks = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=2**n, dilation=2**n) for n in range(config.depth)
        )
        self.leave = nn.Linear(2 * width, config.features)
        self.text = TextEncoder(config.text)
        self.said_features = nn.Linear(config.text.width, config.features)
        self.scale = nn.Parameter(torch.tensor(2.5))
        self.register_buffer("mean", torch.zeros(config.numbers))
        self.register_buffer("deviation", torch.ones(config.numbers))

    def motion(self, vectors: Tensor, valid: Tensor, known: Tensor | None = None) -> Tensor:
        """Features (B, features) of vectors (B, F, numbers), not normalised, F a multiple of 4. valid (B, F) bool:
        False is padding. known (B, F, numbers) bool: what is not known is taken for the mean."""
        x = ((vectors - self.mean) / self.deviation).clamp(-8, 8)
        x = x if known is None else x * known
        x = _padded(x.transpose(1, 2), valid)
        x = _padded(F.gelu(self.enter(x)), valid)
        x = _padded(F.gelu(self.narrow(x)), valid)
        for block in self.blocks:
            x = _padded(x + F.gelu(block(x)), valid)
        shown = valid[:, ::4][:, None]
        mean = x.sum(-1) / shown.sum(-1).clamp_min(1)
        most = torch.where(shown, x, -1e4).amax(-1)
        return F.normalize(self.leave(torch.cat([mean, most], dim=1)), dim=-1)

    def said(self, pieces: Tensor, mask: Tensor) -> Tensor:
        """Features (B, features) of texts, as `Pieces.cut` gives them."""
        return F.normalize(self.said_features(self.text(pieces, mask).pooled), dim=-1)

    @torch.no_grad()
    def of_motions(self, motions: Sequence[np.ndarray]) -> np.ndarray:
        """Features (n, features) float64 of motions' vectors, (F, numbers) each of its own length."""
        return np.concatenate([self._of_motion(vectors) for vectors in motions]).astype(np.float64)

    def _of_motion(self, vectors: np.ndarray) -> np.ndarray:
        if vectors.ndim != 2 or not len(vectors) or vectors.shape[1] != self.config.numbers:
            wanted = f"vectors (F, {self.config.numbers}) of at least one frame"
            raise EMO2Error("motion", wanted, f"shape {vectors.shape}", "Give another motion.")
        cut = np.asarray(vectors[: self.config.longest], np.float32)
        count = len(cut)
        filled = np.concatenate([cut, np.repeat(cut[-1:], -count % 4, axis=0)])
        given = torch.from_numpy(filled)[None].to(self.mean)
        valid = torch.ones(1, len(filled), dtype=torch.bool, device=given.device)
        return self.motion(given, valid).cpu().numpy()

    @torch.no_grad()
    def of_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Features (n, features) float64 of texts."""
        pieces, mask = self.text.pieces.cut(texts)
        device = self.mean.device
        return self.said(torch.from_numpy(pieces).to(device), torch.from_numpy(mask).to(device)).cpu().double().numpy()


def _padded(x: Tensor, valid: Tensor) -> Tensor:
    """x (B, W, F / k) with zeros where valid (B, F) is False."""
    return x * valid[:, None, :: valid.shape[1] // x.shape[-1]]


def build(config: Mapping[str, Any]) -> TextMatching:
    """The network of a checkpoint's config."""
    return TextMatching(MatchingConfig.from_dict(config))
