"""Vector quantisation with codebooks that follow the data (VQ-VAE, van den Oord et al. 2017), and residual levels.

A codebook is an exponential moving average of the vectors that chose each code; codes that nobody chooses are put where
vectors of the batch are (T2M-GPT, section 3.2). Further levels tell what the levels before left over (MoMask, 3.1).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DECAY = 0.99
DEAD = 0.1
"""A code is dead when it is chosen less than this share of as often as if all were chosen equally."""


TRIAL = 1.1
"""A new code begins with that much more than a dead one's count: unless it is chosen soon it goes again."""


class Quantised(NamedTuple):
    """values (B, T, C): the codes' vectors, with gradients straight through. codes (B, Q, T) long, -1 for levels that
    were left out. commitment (B,): mean squared distance of the vectors to their codes. perplexity (Q,): how many codes
    are in use, were they used equally."""

    values: Tensor
    codes: Tensor
    commitment: Tensor
    perplexity: Tensor


class Codebook(nn.Module):
    """K codes of width C. All of it are buffers: no optimiser touches them, a checkpoint holds them."""

    codes: Tensor
    counts: Tensor
    sums: Tensor
    begun: Tensor

    def __init__(self, count: int, width: int):
        super().__init__()
        self.register_buffer("codes", torch.randn(count, width) / width**0.5)
        self.register_buffer("counts", torch.ones(count))
        self.register_buffer("sums", self.codes.clone())
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))

    def nearest(self, vectors: Tensor) -> Tensor:
        """Numbers (N,) of the codes nearest to vectors (N, C)."""
        vectors, codes = vectors.float(), self.codes.float()
        # |v - c|^2 without |v|^2, which is the same for all codes.
        return (codes.square().sum(1) - 2 * vectors @ codes.T).argmin(1)

    @torch.no_grad()
    def begin(self, vectors: Tensor) -> None:
        """Put the codes on or near vectors (N, C) of the first batch."""
        if self.begun:
            return
        picked = _same_everywhere(_pick(vectors.float(), len(self.codes)))
        self.codes.copy_(picked)
        self.counts.fill_(DEAD * TRIAL * len(vectors) / len(self.codes))
        self.sums.copy_(picked * self.counts[:, None])
        self.begun.fill_(True)

    @torch.no_grad()
    def follow(self, vectors: Tensor, chosen: Tensor, use: Tensor) -> None:
        """One step of the moving average: vectors (N, C) that chose codes (N,), of which those count that `use` (N,)
        marks. Dead codes are put on some of the vectors. All training processes come here together."""
        vectors = vectors.float()
        counts = torch.bincount(chosen[use], minlength=len(self.codes)).to(self.counts)
        sums = torch.zeros_like(self.sums).index_add_(0, chosen[use], vectors[use])
        counts, sums = _summed(counts), _summed(sums)
        self.counts.lerp_(counts, 1 - DECAY)
        self.sums.lerp_(sums, 1 - DECAY)
        fair = self.counts.sum() / len(self.codes)
        dead = self.counts < DEAD * fair
        if dead.any():
            fresh = _same_everywhere(_pick(vectors, len(self.codes)))
            self.counts[dead] = DEAD * TRIAL * fair
            self.sums[dead] = fresh[dead] * self.counts[dead, None]
        self.codes.copy_(self.sums / self.counts.clamp(min=1e-6)[:, None])


class ResidualQuantiser(nn.Module):
    """`levels` codebooks of `count` codes, each for what the ones before left over."""

    def __init__(self, levels: int, count: int, width: int):
        super().__init__()
        self.books = nn.ModuleList(Codebook(count, width) for _ in range(levels))

    def forward(self, vectors: Tensor, levels: Tensor | None = None) -> Quantised:
        """Vectors (B, T, C) in codes. levels (B,): how many codebooks each row gets, all when None.

        In training mode the codebooks follow.
        """
        batch, length, width = vectors.shape
        flat = vectors.reshape(-1, width)
        values = torch.zeros_like(flat)
        commitment = torch.zeros(batch, dtype=torch.float32, device=vectors.device)
        asked = None if levels is None else levels.repeat_interleave(length)
        chosen, perplexity = [], []
        for level, book in enumerate(self.books):
            assert isinstance(book, Codebook)
            rest = flat - values.detach()
            use = torch.ones(len(flat), dtype=torch.bool, device=flat.device) if asked is None else asked > level
            if self.training:
                book.begin(rest)
            codes = book.nearest(rest)
            found = book.codes.to(flat.dtype)[codes]
            off = (rest.float() - found.float()).square().mean(1) * use
            commitment = commitment + off.reshape(batch, length).mean(1) / len(self.books)
            perplexity.append(_perplexity(codes[use], len(book.codes)))
            if self.training:
                book.follow(rest, codes, use)
            values = values + found * use[:, None]
            chosen.append(torch.where(use, codes, -1).reshape(batch, length))
        straight = flat + (values - flat).detach()
        return Quantised(
            straight.reshape(vectors.shape), torch.stack(chosen, 1), commitment, torch.stack(perplexity)
        )  # fmt: skip

    def lookup(self, codes: Tensor) -> Tensor:
        """Vectors (B, T, C) of codes (B, Q, T); fewer levels than there are, and -1, add nothing."""
        total: Tensor | None = None
        for level in range(codes.shape[1]):
            book = self.books[level]
            assert isinstance(book, Codebook)
            number = codes[:, level]
            value = F.embedding(number.clamp(min=0), book.codes) * (number >= 0)[..., None]
            total = value if total is None else total + value
        assert total is not None
        return total


def _pick(vectors: Tensor, count: int) -> Tensor:
    """`count` rows (count, C) of `vectors`, different ones as long as there are, all a little beside the original."""
    order = torch.randperm(len(vectors), device=vectors.device)
    order = order.repeat(-(-count // len(vectors)))[:count]
    spread = vectors.std(0, correction=0) * 0.01
    return vectors[order] + spread * torch.randn(count, vectors.shape[1], device=vectors.device)


def _perplexity(codes: Tensor, count: int) -> Tensor:
    share = torch.bincount(codes, minlength=count).float()
    share = share / share.sum().clamp(min=1)
    return torch.exp(-(share * share.clamp(min=1e-12).log()).sum())


def _summed(values: Tensor) -> Tensor:
    """The sum over all training processes."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(values)
    return values


def _same_everywhere(values: Tensor) -> Tensor:
    """The first process's values in all of them."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.broadcast(values, 0)
    return values
