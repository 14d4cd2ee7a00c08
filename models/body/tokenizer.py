"""The motion tokenizer: whole-body motion as codes, four frames each, and back (VersaAnimator section 3.1).

A convolutional VQ-VAE after T2M-GPT (Zhang et al. 2023, section 3.1), with residual levels as in MoMask (Guo et al.
2024, section 3.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import EMO2Error
from . import vector
from .config import DOWNSAMPLING, TokenizerConfig
from .quantiser import ResidualQuantiser
from .whole_body import WholeBody


class TokenizerResult(NamedTuple):
    """reconstruction (B, T, D) in the vector's own units. commitment (B,). codes (B, Q, T / 4), -1 for levels left out.
    perplexity (Q,): codes in use of each codebook."""

    reconstruction: Tensor
    commitment: Tensor
    codes: Tensor
    perplexity: Tensor


class ResidualBlock(nn.Module):
    """Two convolutions over time, added to what came in."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.wide = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.narrow = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, T) to the same."""
        return x + self.narrow(F.gelu(self.wide(F.gelu(x))))


class MotionTokenizer(nn.Module):
    """Vectors (B, T, 384) of `models/body/vector.py` to codes and back. `mean` and `deviation` (384,) are buffers."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.config = config
        width, pad = config.width, config.kernel // 2
        down: list[nn.Module] = [nn.Conv1d(vector.SIZE, width, config.kernel, padding=pad), nn.GELU()]
        up: list[nn.Module] = [nn.Conv1d(config.code_width, width, 3, padding=1), nn.GELU()]
        for _ in range(2):
            down += [nn.Conv1d(width, width, 4, stride=2, padding=1), *_blocks(config)]
            up += [*_blocks(config), nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv1d(width, width, 3, padding=1)]
        self.down = nn.Sequential(*down, nn.Conv1d(width, config.code_width, 3, padding=1))
        self.up = nn.Sequential(*up, nn.GELU(), nn.Conv1d(width, vector.SIZE, config.kernel, padding=pad))
        self.quantiser = ResidualQuantiser(config.levels, config.codes, config.code_width)
        self.register_buffer("mean", torch.zeros(vector.SIZE))
        self.register_buffer("deviation", torch.ones(vector.SIZE))

    def set_normalisation(self, mean: Tensor, deviation: Tensor) -> None:
        """The data's mean and deviation, (384,) each."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)

    def normalise(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(..., 384) to mean 0 and deviation 1; numbers that `mask` says are unknown become 0, the mean."""
        x = (x - self.mean) / self.deviation
        return x if mask is None else torch.where(mask, x, torch.zeros_like(x))

    def features(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """What is quantised, (B, T / 4, code_width), of vectors (B, T, 384); the last frame is held to fill a token."""
        short = -x.shape[1] % DOWNSAMPLING
        if short:
            fill = lambda v: torch.cat([v, v[:, -1:].expand(-1, short, -1)], 1)
            x, mask = fill(x), None if mask is None else fill(mask)
        return self.down(self.normalise(x, mask).transpose(1, 2)).transpose(1, 2)

    def encode(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Codes (B, Q, ceil(T / 4)) long of vectors (B, T, 384), not normalised; mask (B, T, 384): what is known."""
        with torch.no_grad():
            values = self.features(x, mask)
            flat, codes = values.reshape(-1, values.shape[-1]), []
            rest = flat
            for book in self.quantiser.books:
                chosen = book.nearest(rest)  # type: ignore[operator]
                rest = rest - book.codes[chosen].to(rest.dtype)  # type: ignore[index]
                codes.append(chosen.reshape(values.shape[:2]))
            return torch.stack(codes, 1)

    def decode(self, codes: Tensor) -> Tensor:
        """Vectors (B, 4 n, 384), not normalised, of codes (B, Q, n); fewer levels, and -1, leave out detail."""
        return self.decode_values(self.quantiser.lookup(codes))

    def decode_values(self, values: Tensor) -> Tensor:
        """The same of the codes' vectors (B, n, code_width)."""
        return self.up(values.transpose(1, 2)).transpose(1, 2) * self.deviation + self.mean

    def forward(self, x: Tensor, mask: Tensor | None = None, levels: Tensor | None = None) -> TokenizerResult:
        """There and back. x (B, T, 384), T a multiple of 4; mask (B, T, 384) bool: what is known; levels (B,): how many
        codebooks each row is told in. In training mode the codebooks follow."""
        quantised = self.quantiser(self.features(x, mask), levels)
        made = self.decode_values(quantised.values)
        return TokenizerResult(made, quantised.commitment, quantised.codes, quantised.perplexity)

    def codebook(self) -> np.ndarray:
        """(K, C) float32: the vectors of the first codebook, by which tokens are alike or not."""
        return self.codebooks()[0].detach().cpu().numpy()

    def codebooks(self) -> Tensor:
        """(Q, K, C): the vectors of all codebooks."""
        return torch.stack([book.codes for book in self.quantiser.books]).float()  # type: ignore[misc]

    def tokens(self, body: WholeBody) -> np.ndarray:
        """Codes (Q, n) of a body at any frame rate, n = ceil(frames at the config's rate / 4)."""
        body = body.resampled(self.config.fps)
        device = self.mean.device
        values = torch.from_numpy(vector.to_vector(body))[None].to(device)
        known = torch.from_numpy(vector.mask(body))[None].to(device)
        return self.encode(values, known)[0].cpu().numpy()

    def body(self, codes: np.ndarray | Tensor) -> WholeBody:
        """The motion of codes (Q, n) or (n,): 4 n frames at the config's rate, both hands known.

        EMO2Error for another shape, more levels than there are, or numbers that are no codes (-1 adds nothing).
        """
        given = torch.as_tensor(codes)
        given = given[None] if given.ndim == 1 else given
        levels, most = self.config.levels, self.config.codes - 1
        if given.ndim != 2 or not 0 < given.shape[0] <= levels or not given.shape[1]:
            wanted = f"codes of shape (Q, n), Q from 1 to {levels}"
            raise EMO2Error("codes", wanted, f"shape {tuple(given.shape)}", "Give the tokens of this tokenizer.")
        if given.is_floating_point() or given.min() < -1 or given.max() > most or (given[0] < 0).any():
            wanted = f"whole numbers from 0 to {most} (-1 in further levels)"
            raise EMO2Error("codes", wanted, f"{given.min()} to {given.max()}", "Give the tokens of this tokenizer.")
        with torch.no_grad():
            made = self.decode(given[None].long().to(self.mean.device))[0]
        return vector.from_vector(made.float().cpu().numpy(), self.config.fps)


def build(config: Mapping[str, Any]) -> MotionTokenizer:
    """The network of a checkpoint's config."""
    return MotionTokenizer(TokenizerConfig.from_dict(config))


def _blocks(config: TokenizerConfig) -> list[nn.Module]:
    return [ResidualBlock(config.width, config.dilation**n) for n in range(config.depth)]
