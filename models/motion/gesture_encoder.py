"""The network behind FGD: a small autoencoder of two and a half seconds of hand motion (Yoon et al. 2020, section 5.1).

Its bottleneck says what kind of gesture a window holds. A second head reads the style off the same features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints.json_config import JsonConfig
from ..errors import EMO2Error
from ..types import Motion
from . import vector
from .config import STYLES

NUMBERS = vector.KEYPOINTS.start
"""Both hands' part of a motion vector: 134 numbers, wrists relative to the neck root."""


@dataclass(frozen=True)
class GestureEncoderConfig(JsonConfig):
    """window: frames (a multiple of 16) at `fps`; stride between windows; width of the convolutions; features D; styles
    in the order of the style head."""

    window: int = 64
    stride: int = 16
    width: int = 64
    features: int = 32
    fps: float = 25.0
    styles: tuple[str, ...] = STYLES

    def __post_init__(self) -> None:
        object.__setattr__(self, "styles", tuple(self.styles))
        if self.window % 16 or min(self.window, self.stride, self.width, self.features) < 1 or not self.fps > 0:
            raise ValueError("window must be a multiple of 16, and all sizes above 0")


class GestureEncoder(nn.Module):
    """`mean` and `std` (134,), in the checkpoint, normalise the motion vectors."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: GestureEncoderConfig):
        super().__init__()
        self.config = config
        width, last = config.width, config.window // 16
        down = [nn.Conv1d(NUMBERS, width, 5, padding=2), nn.GELU()]
        for _ in range(4):
            down += [nn.Conv1d(width, width, 4, stride=2, padding=1), nn.GELU()]
        self.down = nn.Sequential(*down, nn.Flatten(), nn.Linear(width * last, config.features))
        up: list[nn.Module] = []
        for _ in range(4):
            up += [nn.ConvTranspose1d(width, width, 4, stride=2, padding=1), nn.GELU()]
        self.up = nn.Sequential(
            nn.Linear(config.features, width * last), nn.GELU(), nn.Unflatten(1, (width, last)),
            *up, nn.Conv1d(width, NUMBERS, 5, padding=2),
        )  # fmt: skip
        self.style = nn.Sequential(nn.Linear(config.features, width), nn.GELU(), nn.Linear(width, len(config.styles)))
        self.register_buffer("mean", torch.zeros(NUMBERS))
        self.register_buffer("std", torch.ones(NUMBERS))

    def normalise(self, windows: Tensor) -> Tensor:
        """(..., 134) to mean 0 and deviation 1."""
        return (windows - self.mean) / self.std

    def encode(self, windows: Tensor) -> Tensor:
        """Features (n, D) of windows (n, window, 134), not normalised."""
        return self.down(self.normalise(windows).transpose(1, 2))

    def decode(self, features: Tensor) -> Tensor:
        """Normalised windows (n, window, 134) of features (n, D)."""
        return self.up(features).transpose(1, 2)

    def style_logits(self, features: Tensor) -> Tensor:
        """(n, styles) how likely each of the config's styles is, as logits."""
        return self.style(features)


def build(config: Mapping[str, Any]) -> GestureEncoder:
    """The network of a checkpoint's config."""
    return GestureEncoder(GestureEncoderConfig.from_dict(config))


def features(module: GestureEncoder, motion: Motion) -> np.ndarray:
    """(n, D) float64: one row a window, every `stride` frames; a shorter motion is one window, its end held."""
    config = module.config
    with torch.inference_mode():
        windows = torch.from_numpy(hand_windows(motion, config)).to(module.mean.device)
        return module.encode(windows).double().cpu().numpy()


def style_of(module: GestureEncoder, motion: Motion) -> str:
    """The style that a motion looks most like, over all its windows."""
    with torch.inference_mode():
        logits = module.style_logits(torch.from_numpy(features(module, motion)).float().to(module.mean.device))
        return module.config.styles[int(logits.log_softmax(1).mean(0).argmax())]


def hand_windows(motion: Motion, config: GestureEncoderConfig) -> np.ndarray:
    """(n, window, 134) float32 of a motion at any frame rate, not normalised. Hidden hands stay where they were."""
    from .edit import resample

    if abs(motion.fps - config.fps) > 1e-6:
        motion = resample(motion, config.fps)
    vectors = held(vector.pack(motion)[:, :NUMBERS], motion.visible)
    return windows(vectors, config.window, config.stride)


def held(vectors: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Vectors (F, 134) in which a hand that is not visible (F, 2) keeps its last known pose, or takes the next."""
    vectors = vectors.copy()
    for index in range(2):
        seen = np.flatnonzero(visible[:, index])
        if len(seen) in (0, len(vectors)):
            continue
        last = np.maximum(np.searchsorted(seen, np.arange(len(vectors)), side="right") - 1, 0)
        numbers = vector.hand(index)
        vectors[:, numbers] = vectors[seen[last], numbers]
    return vectors


def windows(vectors: np.ndarray, window: int, stride: int) -> np.ndarray:
    """(n, window, K) of (F, K): every `stride` frames; too short a motion is lengthened by its last frame."""
    if len(vectors) == 0:
        raise EMO2Error("motion", "at least one frame", "none", "Give a motion.")
    if len(vectors) < window:
        vectors = np.concatenate([vectors, np.repeat(vectors[-1:], window - len(vectors), axis=0)])
    starts = range(0, len(vectors) - window + 1, stride)
    return np.stack([vectors[s : s + window] for s in starts]).astype(np.float32)
