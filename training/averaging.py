"""Averaged weights: an exponential moving average of everything that is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class Average:
    """EMA of a module's trainable parameters, in float32 on their own device.

    The decay warms up, min(decay, (1 + n) / (10 + n)) after n steps, so that a short run is not the average of its
    beginning. With decay 0 the average is the weights themselves.
    """

    def __init__(self, module: nn.Module, decay: float):
        self.decay = decay
        self.parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.values = {name: p.detach().float().clone() for name, p in self.parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after the optimiser's step number `step`, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step)) if self.decay else 0.0
        current = [p.detach().float() for p in self.parameters.values()]
        torch._foreach_lerp_(list(self.values.values()), current, 1 - decay)

    @contextmanager
    @torch.no_grad()
    def inside(self) -> Iterator[None]:
        """For the length of the block the module has the averaged weights."""
        kept = {name: p.detach().clone() for name, p in self.parameters.items()}
        try:
            self._put(self.values)
            yield
        finally:
            self._put(kept)

    def load(self, values: dict[str, Tensor]) -> None:
        """Take over saved averages; the names must be the module's."""
        for name, value in self.values.items():
            value.copy_(values[name])

    @torch.no_grad()
    def _put(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(values[name])


@torch.no_grad()
def between(network: Network, target: nn.Module, share: float) -> Network:
    """`network`, which is returned, with each weight moved by `share` of the way to the same one of `target`.

    Weights between those before and after a further training often serve both (arXiv 2109.01903, equation 1).
    """
    there = target.state_dict()
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.lerp_(there[name].to(value), share)
    return network
